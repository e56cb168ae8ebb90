"""What is the same to the bit, and how near to each other the rest is: builds, precisions, splits of a batch.

Of single kernels tests/test_kernels.py says how near builds are (AGREEMENT).
"""

import itertools

import numpy as np
import pytest

import cmlp
from ball_network import BallNetwork, interleaved, slices
from balls import Precision
from cmlp.kernels import available, kernels
from engines import engine_of, network
from property_cases import cases
from reference import classes, inputs, sample_weights
from test_properties import all_examples, in_range, shares

pair_of_builds = pytest.mark.skipif(len(available()) < 2, reason="only one build runs here")
both_precisions = pytest.mark.parametrize("dtype", ["float32", "float64"])

# After two or three hundred updates on standardised inputs, relative to the largest number of what is compared.
APART = {dtype: 1000 * np.finfo(dtype).eps for dtype in ("float32", "float64")}
N, SIZES, ACTIVATION = 300, (20, 33, 17, 5), ("gelu", "tanh")
X, Y = inputs(N, 20), classes(N, 5)
SOLVERS = {
    "sgd": {"solver": "sgd", "learning_rate": 0.05, "momentum": 0.9, "nesterov": True},
    "adam": {"solver": "adam", "learning_rate": 0.003, "epsilon": 1e-4},
    "adamw": {"solver": "adamw", "learning_rate": 0.003, "alpha": 0.1, "epsilon": 1e-4},
    "rmsprop": {"solver": "rmsprop", "learning_rate": 0.001, "epsilon": 1e-4},
    "by samples": {"solver": "sgd", "learning_rate": 0.01, "alpha": 0.001},
}


def apart(one, two):
    """The largest difference, relative to the largest number."""
    return np.abs(np.asarray(one, float) - two).max() / np.abs(two).max()


# ---- builds ----------------------------------------------------------------------------------------------------


@pair_of_builds
@all_examples(cases(most=33, deepest=3))
def test_outputs_and_gradients(case):
    """Each build's lie within the bounds of ball_network.py, so that two are no further apart than twice these."""
    net, reference = case.net, BallNetwork(case.net)
    with np.errstate(all="ignore"):
        outputs = reference.outputs(case.X)
        _, dW, db = reference.loss_and_gradients(case.X, case.rows, shares(reference, case.weight, len(case.X))[0])
    if not in_range(reference):
        return "out of range"
    results = []
    for isa in available():
        engine, gradient = engine_of(kernels(net.dtype, isa), net), np.empty_like(net.parameters)
        engine.loss_and_gradient(case.X, case.y, case.weight, 0.0, gradient)
        results.append((engine.predict(case.X), gradient))
    for (o, g), (other_o, other_g) in itertools.combinations(results, 2):
        assert (np.abs(o - other_o) <= 2 * outputs.radius).all()
        for (place, shape), ball in zip(slices(net.layer_sizes), interleaved(dW, db), strict=True):
            assert (np.abs(g[place] - other_g[place]).reshape(shape) <= 2 * ball.radius).all()
    return "compared"


def trained(isa, dtype, name, epochs=10):
    """Losses, parameters and outputs."""
    net = network(SIZES, ACTIVATION, dtype)
    engine = engine_of(kernels(dtype, isa), net, **SOLVERS[name])
    rows, weights = X.astype(dtype), sample_weights(N).astype(dtype)
    batch = 1 if name == "by samples" else 16
    losses = [engine.epoch(rows, Y, weights, None, batch) for _ in range(1 if batch == 1 else epochs)]
    return losses, net.parameters, engine.predict(rows)


@pair_of_builds
@both_precisions
@pytest.mark.parametrize("name", SOLVERS)
def test_trainings(dtype, name):
    results = [trained(isa, dtype, name) for isa in available()]
    for one, two in itertools.combinations(results, 2):
        for a, b in zip(one, two, strict=True):
            assert apart(a, b) <= APART[dtype]


@pytest.mark.parametrize("isa", available())
@pytest.mark.parametrize("name", SOLVERS)
def test_precisions(isa, name):
    """float32 is as near to float64 as builds of float32 are to each other."""
    for a, b in zip(trained(isa, "float32", name), trained(isa, "float64", name), strict=True):
        assert apart(a, b) <= APART["float32"]


# ---- the same to the bit -----------------------------------------------------------------------------------------


def elsewhere(a, offset):
    """The same array, so many entries past a page's beginning."""
    room = np.empty(a.size + 64, a.dtype)
    start = (-room.ctypes.data // a.itemsize) % 64 + offset
    start %= 64
    view = room[start : start + a.size].reshape(a.shape)
    view[...] = a
    return view


@pytest.mark.parametrize("isa", available())
@both_precisions
def test_the_place_in_memory_does_not_matter(isa, dtype):
    rows, results = X.astype(dtype), []
    for offset in (0, 1, 3, 17):
        net = network(SIZES, ACTIVATION, dtype)
        engine = engine_of(kernels(dtype, isa), net)
        given = elsewhere(rows, offset)
        losses = [engine.epoch(given, Y, None, None, batch) for batch in (1, 32)]
        outputs = engine.predict(given), engine.predict_one(elsewhere(rows[5], offset))
        results.append((losses, net.parameters.tobytes(), *(o.tobytes() for o in outputs)))
    assert all(result == results[0] for result in results)


@both_precisions
@pytest.mark.parametrize("batch_size", [1, 16, 300])
def test_a_seed_gives_the_same_model(dtype, batch_size):
    """Of cmlp.fit, whatever ran before."""
    options = {"hidden_layer_sizes": (33, 17), "dtype": dtype, "batch_size": batch_size, "max_iter": 3, "dropout": 0.1}
    results = []
    for other in (1, 2):
        cmlp.fit(X[:50], Y[:50], max_iter=other, tol=0, random_state=other)
        model = cmlp.fit(X, Y, random_state=7, early_stopping=True, **options)
        results.append((model.network.parameters.tobytes(), model.loss_curve_, model.validation_scores_))
    assert results[0] == results[1]


# ---- near ----------------------------------------------------------------------------------------------------------


@both_precisions
@pytest.mark.parametrize("name", ["sgd", "adam", "by samples"])
def test_updates_one_by_one_are_near_an_epoch(dtype, name):
    """Steps of the public network and a fit, which may put updates off."""
    options = {key: value for key, value in SOLVERS[name].items() if key != "epsilon_outside"}
    batch = 1 if name == "by samples" else 16
    one, two = network(SIZES, ACTIVATION, dtype), network(SIZES, ACTIVATION, dtype)
    one.fit(X, Y, batch_size=batch, **options)
    for start in range(0, N, batch):
        two.step(X[start : start + batch], Y[start : start + batch], **options)
    assert apart(one.parameters, two.parameters) <= APART[dtype]
    if batch > 1:
        assert one.parameters.tobytes() == two.parameters.tobytes()


@both_precisions
def test_a_split_of_the_rows_is_near(dtype):
    net, rows = network(SIZES, ACTIVATION, dtype), X.astype(dtype)
    radius = BallNetwork(net).outputs(rows).radius
    together = net.forward(rows)
    for size in (1, 2, 3, 4, 33, 299):
        parts = np.concatenate([net.forward(rows[i : i + size]) for i in range(0, N, size)])
        assert (np.abs(parts - together) <= 2 * radius).all()
    assert radius.max() < 4e3 * Precision(dtype).unit
