"""Samples as the engine takes them: weights that divide a batch, and sparse rows."""

import numpy as np
import pytest

from engines import engine_of, network, rows_of, samples
from reference import Reference, Solver, assert_entries_close, assert_network_close, assert_vector_close, flat

TOLERANCE = {"float64": 1e-11, "float32": 3e-5}
SOLVERS = {
    "sgd": {"solver": "sgd", "learning_rate": 0.1},
    "momentum": {"solver": "sgd", "learning_rate": 0.1, "momentum": 0.9},
    "adam": {"solver": "adam", "learning_rate": 0.01},
    "adamw": {"solver": "adamw", "learning_rate": 0.01},
}
ALPHA = 0.3

every_solver = pytest.mark.parametrize("solver", SOLVERS)


# ---- weights that divide ----------------------------------------------------------------------------------


def weights_of(n, batch_size, dtype):
    """Quarters, 0 in places and throughout the second batch."""
    weights = np.random.RandomState(7).randint(0, 9, n) / 4
    weights[batch_size : 2 * batch_size] = 0
    return weights.astype(dtype)


def relative_run(reference, X, Y, weights, batch_size, solver, alpha):
    """Batches divided by the sums of their weights, none where that is 0; the mean loss over the samples of others."""
    total, counted = 0.0, 0
    for start in range(0, len(X), batch_size):
        rows = slice(start, start + batch_size)
        n, share = len(X[rows]), weights[rows].sum(dtype=float)
        if share > 0:
            # n * weight / share makes a mean over n a mean over the weights, and alpha / n alpha / share
            loss = reference.step(X[rows], Y[rows], solver, alpha * n / share, weights[rows] * float(n) / share)
            total += n * loss
            counted += n
    return total / counted


@every_solver
@pytest.mark.parametrize(("n", "batch_size"), [(30, 1), (30, 4), (31, 8), (300, 100), (900, 300)])
@pytest.mark.parametrize("alpha", [0.0, ALPHA])
def test_batches_divided_by_their_weights(module, dtype, solver, n, batch_size, alpha):
    net = network((5, 17, 9, 3), ("tanh", "silu"), dtype.name)
    (X, y), weights = samples(net, n), weights_of(n, batch_size, dtype)
    reference = Reference.of(net)
    expected = relative_run(reference, X, rows_of(net, y), weights, batch_size, Solver(**SOLVERS[solver]), alpha)
    engine = engine_of(module, net, alpha=alpha, **SOLVERS[solver])
    loss = engine.epoch(X, y, weights, None, batch_size, 1, True)
    assert_network_close(net, reference, 10 * TOLERANCE[dtype.name])
    assert loss == pytest.approx(expected, rel=TOLERANCE[dtype.name])


@pytest.mark.parametrize("batch_size", [1, 7, 30])
def test_weights_of_0_alone_train_nothing(module, dtype, batch_size):
    net = network((5, 17, 3), "tanh", dtype.name)
    before, (X, y) = net.parameters.copy(), samples(net, 30)
    engine = engine_of(module, net, solver="adam", alpha=ALPHA)
    assert engine.epoch(X, y, np.zeros(30, dtype), None, batch_size, 1, True) == 0
    np.testing.assert_array_equal(net.parameters, before)
    assert engine.solver_state[0] == 0


@pytest.mark.parametrize("batch_size", [1, 8])
def test_batches_without_weight_are_not_in_the_mean_loss(module, dtype, batch_size):
    """Nor in its part that is the L2 term: both are those of the other samples."""
    net = network((5, 17, 3), "tanh", dtype.name)
    X, y = samples(net, 24)
    weights = (np.arange(24) >= 8).astype(dtype)
    engines = [engine_of(module, net, learning_rate=0.0, alpha=ALPHA) for _ in range(2)]
    losses = [
        engine.epoch(X[rows], y[rows], weights[rows], None, batch_size, 1, True)
        for engine, rows in zip(engines, (slice(24), slice(8, 24)), strict=True)
    ]
    assert losses[0] == losses[1]
    assert engines[0].mean_penalty == engines[1].mean_penalty > 0


@pytest.mark.parametrize("batch_size", [1, 7, 30])
def test_weights_whose_sum_no_float32_holds(module, dtype, batch_size):
    if dtype != np.float32:
        return
    runs = []
    for weight in (1, 2.0**126):
        net = network((5, 17, 3), "tanh", "float32")
        X, y = samples(net, 30)
        loss = engine_of(module, net).epoch(X, y, np.full(30, weight, dtype), None, batch_size, 1, True)
        runs.append(np.append(net.parameters, loss))
    np.testing.assert_array_equal(runs[1], runs[0])


# ---- what changes after it was checked -------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 7, 30])
@pytest.mark.parametrize("label", [3, -1, 10**12, -(10**12), np.iinfo(np.intp).max, np.iinfo(np.intp).min])
def test_a_label_of_no_class_ends_the_training(module, dtype, batch_size, label):
    net = network((5, 17, 3), "tanh", dtype.name)
    before, (X, y) = net.parameters.copy(), samples(net, 30)
    y[4] = label
    engine = engine_of(module, net, learning_rate=0.0)
    assert np.isnan(engine.epoch(X, y, None, None, batch_size))
    assert not np.isfinite(engine.loss(X, y, None, 0.0))
    assert not np.isfinite(engine.step(X[:9], y[:9], None))
    np.testing.assert_array_equal(net.parameters, before)


@pytest.mark.parametrize("batch_size", [1, 7, 30])
def test_without_weights_nothing_is_divided(module, dtype, batch_size):
    nets = [network((5, 17, 3), "tanh", dtype.name) for _ in range(2)]
    X, y = samples(nets[0], 30)
    losses = [
        engine_of(module, net, alpha=ALPHA).epoch(X, y, None, None, batch_size, 1, r) for r, net in enumerate(nets)
    ]
    assert losses[0] == losses[1]
    np.testing.assert_array_equal(nets[0].parameters, nets[1].parameters)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("batch_size", [33, 100, 300])
def test_any_number_of_threads_divides_the_same(module, dtype, solver, batch_size):
    runs = []
    for n_threads in (1, 2, 3, 7):
        net = network((33, 65, 17, 3), ("relu", "silu"), dtype.name)
        (X, y), weights = samples(net, 900), weights_of(900, batch_size, dtype)
        engine = engine_of(module, net, alpha=ALPHA, **SOLVERS[solver])
        loss = engine.epoch(X, y, weights, None, batch_size, n_threads, True)
        runs.append(np.append(net.parameters, loss))
    for run in runs[1:]:
        np.testing.assert_array_equal(run, runs[0])


@pytest.mark.parametrize("n", [1, 19, 300, 600])
@pytest.mark.parametrize("loss", ["cross_entropy", "huber"])
def test_loss_and_gradient_divided_by_the_weights(module, dtype, n, loss):
    net = network((5, 9, 3), "tanh", dtype.name, loss)
    (X, y), weights = samples(net, n), weights_of(n, n, dtype) + dtype.type(0.25)
    share = weights.sum(dtype=float)
    reference = Reference.of(net)
    expected, *gradients = reference.loss_and_gradients(X, rows_of(net, y), ALPHA * n / share, weights * n / share)
    gradient = np.empty_like(net.parameters)
    engine = engine_of(module, net)
    value = engine.loss_and_gradient(X, y, weights, ALPHA, gradient, True)
    tolerance = TOLERANCE[dtype.name]
    assert_entries_close(value, expected, tolerance)
    assert_entries_close(engine.loss(X, y, weights, ALPHA, True), expected, tolerance)
    assert_vector_close(gradient, flat(*gradients), tolerance)
    doubled = engine.loss(X, y, 2 * weights, 0.0, True)
    assert doubled == pytest.approx(engine.loss(X, y, weights, 0.0, True), rel=tolerance)


def test_loss_and_gradient_of_nothing(module, dtype):
    """Weights of 0 alone: loss and gradient are 0, the penalty's too."""
    net = network((5, 9, 3), "tanh", dtype.name)
    (X, y), gradient = samples(net, 19), np.full_like(net.parameters, np.nan)
    engine = engine_of(module, net)
    assert engine.loss(X, y, np.zeros(19, dtype), ALPHA, True) == 0
    assert engine.loss_and_gradient(X, y, np.zeros(19, dtype), ALPHA, gradient, True) == 0
    np.testing.assert_array_equal(gradient, 0)


# ---- sparse rows ------------------------------------------------------------------------------------------


def sparse_rows(n, d, dtype, share=0.3, empty=True):
    """A dense array, and the three arrays of its entries; some rows are empty and columns come in any order."""
    rng = np.random.default_rng(4)
    X = np.where(rng.random((n, d)) < share, rng.standard_normal((n, d)), 0).astype(dtype)
    if empty:
        X[::5] = 0
        X[-1] = 0
    entries, columns, starts = [], [], [0]
    for row in X:
        where = rng.permutation(np.flatnonzero(row))
        entries += row[where].tolist()
        columns += where.tolist()
        starts.append(len(columns))
    return X, (np.array(entries, dtype), np.array(columns, np.int32), np.array(starts, np.intp))


ROUNDING = {np.dtype("float32"): 1e-4, np.dtype("float64"): 1e-12}
SHAPES = {
    "held twice": ((4, 8, 8, 3), ("relu", "sigmoid")),
    "deferred": ((65, 131, 3), ("tanh",)),
    "none held": ((20, 40, 50, 7), ("relu", "tanh")),
    "wide": ((300, 17, 3), ("relu",)),
    "no hidden layer": ((70, 5), ()),
}


def trained_on(module, dtype, shape, X, n, indexed=False, n_threads=1, batch_size=1, weights=None, keep=None, **solver):
    net = network(*SHAPES[shape], dtype.name)
    y = np.arange(n, dtype=np.intp) % net.layer_sizes[-1]
    index = np.random.RandomState(2).permutation(n).astype(np.intp)[: n - n // 7] if indexed else None
    engine = engine_of(module, net, **solver)
    keep = None if keep is None else np.array([keep] * (len(net.layer_sizes) - 1), dtype)
    loss = engine.epoch(X, y, weights, index, batch_size, n_threads, keep=keep, seed=5)
    return np.append(net.parameters, loss)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("batch_size", [1, 3, 32, 300])
@pytest.mark.parametrize("indexed", [False, True])
def test_sparse_rows_are_dense_rows(module, dtype, shape, batch_size, indexed):
    """To the bit."""
    n = 330
    X, entries = sparse_rows(n, SHAPES[shape][0][0], dtype)
    for options in ({}, {"alpha": 0.1}, {"solver": "adam", "learning_rate": 0.01}, {"clip_norm": 0.1}):
        options = {"batch_size": batch_size, "indexed": indexed, **options}
        dense = trained_on(module, dtype, shape, X, n, **options)
        np.testing.assert_array_equal(trained_on(module, dtype, shape, entries, n, **options), dense)


@pytest.mark.parametrize("batch_size", [1, 3, 32, 300])
@pytest.mark.parametrize("shape", ["held twice", "wide"])
def test_sparse_rows_with_weights_and_dropout(module, dtype, batch_size, shape):
    n = 330
    X, entries = sparse_rows(n, SHAPES[shape][0][0], dtype)
    weights = weights_of(n, 9, dtype)
    for keep in (None, 0.7):
        both = [
            trained_on(module, dtype, shape, each, n, batch_size=batch_size, weights=weights, keep=keep)
            for each in (X, entries)
        ]
        np.testing.assert_array_equal(both[1], both[0])


@pytest.mark.parametrize("batch_size", [33, 300])
@pytest.mark.parametrize("indexed", [False, True])
def test_any_number_of_threads_reads_the_same_sparse_rows(module, dtype, batch_size, indexed):
    X, entries = sparse_rows(330, 65, dtype)
    options = {"batch_size": batch_size, "indexed": indexed}
    dense = trained_on(module, dtype, "deferred", X, 330, **options)
    for n_threads in (1, 2, 3, 7):
        got = trained_on(module, dtype, "deferred", entries, 330, n_threads=n_threads, **options)
        np.testing.assert_array_equal(got, dense)


@pytest.mark.parametrize("n", [1, 3, 32, 300, 600])
def test_the_loss_of_sparse_rows(module, dtype, n):
    net = network((65, 9, 3), "tanh", dtype.name)
    X, entries = sparse_rows(n, 65, dtype, empty=n > 1)
    y, engine = np.arange(n, dtype=np.intp) % 3, engine_of(module, net)
    weights = weights_of(n, 9, dtype)
    gradients = np.empty((2, net.parameters.size), dtype)
    for relative in (False, True):
        expected = engine.loss(X, y, weights, ALPHA, relative)
        np.testing.assert_allclose(engine.loss(entries, y, weights, ALPHA, relative), expected, rtol=ROUNDING[dtype])
        losses = [
            engine.loss_and_gradient(each, y, weights, ALPHA, gradient, relative)
            for each, gradient in zip((X, entries), gradients, strict=True)
        ]
        np.testing.assert_allclose(losses[1], losses[0], rtol=ROUNDING[dtype])
        np.testing.assert_allclose(gradients[1], gradients[0], rtol=0, atol=ROUNDING[dtype])


FEW = 0.04  # entries, of which the first layer takes no others


@pytest.mark.parametrize("shape", ["wide", "no hidden layer", "deferred"])
@pytest.mark.parametrize("batch_size", [3, 32, 300])
@pytest.mark.parametrize("indexed", [False, True])
def test_few_entries_are_dense_rows_but_for_rounding(module, dtype, shape, batch_size, indexed):
    n = 330
    X, entries = sparse_rows(n, SHAPES[shape][0][0], dtype, FEW)
    assert len(entries[0]) < X.size / 8
    for options in (
        {},
        {"alpha": 0.1},
        {"solver": "adam", "learning_rate": 1e-4},
        {"clip_norm": 0.1},
        {"momentum": 0.9},
    ):
        options = {"batch_size": batch_size, "indexed": indexed, **options}
        dense = trained_on(module, dtype, shape, X, n, **options)
        sparse = trained_on(module, dtype, shape, entries, n, **options)
        np.testing.assert_allclose(sparse, dense, rtol=0, atol=20 * ROUNDING[dtype])
        if batch_size == 300:
            for n_threads in (2, 3, 7):
                shared = trained_on(module, dtype, shape, entries, n, n_threads=n_threads, **options)
                np.testing.assert_array_equal(shared, sparse)


@pytest.mark.parametrize("keep", [[1, 0.7], [0.7, 1], [0.6, 0.7]])
def test_few_entries_with_dropout(module, dtype, keep):
    X, entries = sparse_rows(330, 300, dtype, FEW)
    runs = []
    for each in (X, entries):
        net = network(*SHAPES["wide"], dtype.name)
        y = np.arange(330, dtype=np.intp) % 3
        engine_of(module, net, learning_rate=0.1).epoch(each, y, None, None, 32, keep=np.array(keep, dtype), seed=9)
        runs.append(net.parameters)
    np.testing.assert_allclose(runs[1], runs[0], rtol=0, atol=20 * ROUNDING[dtype])


@pytest.mark.parametrize("n", [1, 3, 33, 300, 600])
@pytest.mark.parametrize("shape", ["wide", "no hidden layer", "deferred"])
def test_few_entries_are_predicted_as_dense_rows(module, dtype, n, shape):
    net = network(*SHAPES[shape], dtype.name)
    X, entries = sparse_rows(n, net.layer_sizes[0], dtype, FEW, empty=False)
    engine = engine_of(module, net)
    np.testing.assert_allclose(engine.predict_sparse(entries), engine.predict(X), rtol=0, atol=ROUNDING[dtype])


def test_many_entries_are_left_to_dense_rows(module, dtype):
    net = network(*SHAPES["wide"], dtype.name)
    assert engine_of(module, net).predict_sparse(sparse_rows(9, 300, dtype, 0.5)[1]) is None


@pytest.mark.parametrize("batch_size", [1, 3, 32])
@pytest.mark.parametrize("shape", ["held twice", "deferred"])
def test_entries_of_one_place_are_added_up(module, dtype, batch_size, shape):
    n, d = 40, SHAPES[shape][0][0]
    columns = np.random.RandomState(0).randint(0, d, (n, 9)).astype(np.int32)
    entries = np.random.RandomState(1).randint(-8, 9, (n, 9)).astype(dtype) / 4  # sums are exact
    X = np.zeros((n, d), dtype)
    np.add.at(X, (np.arange(n)[:, None], columns), entries)
    rows = entries.ravel(), columns.ravel(), np.arange(0, 9 * n + 1, 9, dtype=np.intp)
    dense, sparse = (trained_on(module, dtype, shape, each, n, batch_size=batch_size) for each in (X, rows))
    np.testing.assert_array_equal(sparse, dense)


@pytest.mark.parametrize("batch_size", [1, 8])
def test_rows_without_any_entry(module, dtype, batch_size):
    nothing = np.zeros(0, dtype), np.zeros(0, np.int32), np.zeros(21, np.intp)
    dense = trained_on(module, dtype, "held twice", np.zeros((20, 4), dtype), 20, batch_size=batch_size)
    np.testing.assert_array_equal(trained_on(module, dtype, "held twice", nothing, 20, batch_size=batch_size), dense)


MALFORMED = {
    "columns of 64 bits": lambda e, c, s: (e, c.astype(np.int64), s),
    "a column too many": lambda e, c, s: (e, np.where(np.arange(len(c)) == 7, np.int32(4), c), s),
    "a column far out": lambda e, c, s: (e, np.where(np.arange(len(c)) == 7, np.int32(2**30), c), s),
    "a negative column": lambda e, c, s: (e, np.where(np.arange(len(c)) == 7, np.int32(-1), c), s),
    "a start beyond the entries": lambda e, c, s: (e, c, np.where(np.arange(len(s)) == 7, np.intp(10**9), s)),
    "starts that fall": lambda e, c, s: (e, c, np.where(np.arange(len(s)) == 7, np.intp(0), s)),
    "a negative start": lambda e, c, s: (e, c, np.where(np.arange(len(s)) == 7, np.intp(-5), s)),
    "a first start but 0": lambda e, c, s: (e, c, np.where(np.arange(len(s)) == 0, np.intp(1), s)),
    "an end beyond the entries": lambda e, c, s: (e, c, s + np.intp(s == s[-1])),
    "too few columns": lambda e, c, s: (e, c[:-1].copy(), s),
    "too few entries": lambda e, c, s: (e[:-1].copy(), c, s),
    "every other entry": lambda e, c, s: (np.repeat(e, 2)[::2], c, s),
}


@pytest.mark.parametrize("spoilt", MALFORMED.values(), ids=MALFORMED)
def test_malformed_sparse_rows_are_refused(module, dtype, spoilt):
    _, entries = sparse_rows(20, 4, dtype, empty=False)
    net = network(*SHAPES["held twice"], dtype.name)
    with pytest.raises((TypeError, ValueError)):
        trained_on(module, dtype, "held twice", spoilt(*entries), 20)
    with pytest.raises((TypeError, ValueError)):
        engine_of(module, net).predict_sparse(spoilt(*entries))
