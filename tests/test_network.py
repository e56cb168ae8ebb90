"""Network: its block of parameters, what it accepts, threads, divergence, Ctrl-C, and the trace."""

import contextlib
import copy
import pickle
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import cmlp
from reference import (
    LOSSES,
    Reference,
    Solver,
    assert_entries_close,
    assert_network_close,
    classes,
    inputs,
    one_hot,
    round_to_float32,
    target_rows,
)

SIZES = (4, 9, 7, 3)
N = 50
ROUNDING = {"float64": 1e-13, "float32": 2e-6}

every_loss = pytest.mark.parametrize("loss", LOSSES)
both_precisions = pytest.mark.parametrize("dtype", ["float64", "float32"])


def network(layer_sizes=SIZES, dtype="float64", loss="cross_entropy", seed=0):
    activation = ("silu", "tanh", "relu")[: len(layer_sizes) - 2]
    return round_to_float32(cmlp.Network(layer_sizes, activation, loss=loss, dtype=dtype, random_state=seed))


def samples(n=N, layer_sizes=SIZES, loss="cross_entropy", dtype="float64"):
    return inputs(n, layer_sizes[0]).astype(dtype), target_rows(n, layer_sizes[-1], loss)


# ---- inference --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "layer_sizes"),
    [
        (loss, layer_sizes)
        for layer_sizes in (SIZES, (3, 2), (1, 1), (5, 70, 130, 17))
        for loss in LOSSES
        if (loss, layer_sizes[-1]) != ("cross_entropy", 1)
    ],
    ids=str,
)
@both_precisions
def test_forward_call_and_loss_are_the_formulas(loss, dtype, layer_sizes):
    net, (X, Y) = network(layer_sizes, dtype, loss), samples(19, layer_sizes, loss, dtype)
    reference = Reference.of(net)
    expected = reference.forward(X)
    for outputs in (net.forward(X), np.array([net(x) for x in X]), np.array([net.forward(x) for x in X])):
        assert outputs.shape == (19, layer_sizes[-1])
        assert outputs.dtype == dtype
        assert_entries_close(outputs, expected, ROUNDING[dtype])
    assert net.loss(X, Y) == pytest.approx(reference.loss(X, Y), rel=ROUNDING[dtype])
    assert net.loss(X[0], Y[0]) == pytest.approx(reference.loss(X[:1], Y[:1]), rel=ROUNDING[dtype])


@pytest.mark.parametrize("loss", ["cross_entropy", "binary_cross_entropy"])
@both_precisions
def test_probabilities(loss, dtype):
    net, (X, _) = network((4, 3), dtype, loss), samples()
    for P in (net.forward(1000 * X), np.array([net(x) for x in 1000 * X])):
        assert P.min() >= 0
        assert P.max() <= 1
        assert P.min() < 1e-9
        if loss == "cross_entropy":
            np.testing.assert_allclose(P.sum(axis=1), 1, rtol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("loss", [loss for loss in LOSSES if loss != "cross_entropy"])
def test_one_output_takes_flat_targets(loss):
    net, (X, Y) = network((4, 9, 1), loss=loss), samples(layer_sizes=(4, 9, 1), loss=loss)
    assert net.loss(X, Y[:, 0]) == net.loss(X, Y)
    assert net.loss(X[0], Y[0, 0]) == net.loss(X[0], Y[0]) == net.loss(X[:1], Y[:1])


def test_outputs_are_new_arrays():
    net, (X, _) = network(), samples()
    first, kept = net(X[0]), net(X[0]).copy()
    net(X[1])
    np.testing.assert_array_equal(first, kept)


# ---- the block of parameters ------------------------------------------------------------------------


@both_precisions
def test_parameters_are_one_aligned_block_with_views(dtype):
    net = network(dtype=dtype)
    assert net.parameters.ctypes.data % 64 == 0
    assert net.parameters.dtype == net.dtype == dtype
    assert [W.shape for W in net.weights] == [(9, 4), (7, 9), (3, 7)]
    assert [b.shape for b in net.biases] == [(9,), (7,), (3,)]
    net.parameters[:] = np.arange(net.parameters.size)
    in_order = [each.ravel() for pair in zip(net.weights, net.biases, strict=True) for each in pair]
    np.testing.assert_array_equal(np.concatenate(in_order), net.parameters)


@pytest.mark.parametrize("write", ["weights", "biases", "parameters"])
def test_writing_into_the_parameters_changes_the_outputs(write):
    net, (X, _) = network(), samples()
    before = net.forward(X)
    array = net.parameters[-3:] if write == "parameters" else getattr(net, write)[1]
    array += np.linspace(0.5, 1, array.size).reshape(array.shape)
    assert np.abs(net.forward(X) - before).max() > 1e-3
    for outputs in (net.forward(X), [net(x) for x in X]):
        assert_entries_close(outputs, Reference.of(net).forward(X), ROUNDING["float64"])


def test_parameters_outlive_the_network():
    net = network()
    parameters, copy = net.parameters, net.parameters.copy()
    del net
    np.testing.assert_array_equal(parameters, copy)


# ---- initialisation ---------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["relu", "logistic", "tanh", "identity"])
@pytest.mark.parametrize("hidden", [(9,), (9, 5), (6, 6, 6)], ids=str)
@both_precisions
def test_initialisation_is_that_of_scikit_learn(activation, hidden, dtype):
    neural_network = pytest.importorskip("sklearn.neural_network")
    theirs = neural_network.MLPClassifier(
        hidden, activation=activation, solver="sgd", learning_rate_init=1e-300, random_state=7
    )
    theirs.partial_fit(inputs(12, 4).astype(dtype), np.arange(12) % 3, classes=range(3))
    net = cmlp.Network((4, *hidden, 3), activation, dtype=dtype, random_state=7)
    for W, W_theirs in zip(net.weights, theirs.coefs_, strict=True):
        np.testing.assert_array_equal(W, W_theirs.T)
    for b, b_theirs in zip(net.biases, theirs.intercepts_, strict=True):
        np.testing.assert_array_equal(b, b_theirs)


def test_random_state():
    states = [5, np.random.RandomState(5)]
    seeded, passed = (cmlp.Network(SIZES, random_state=state).parameters for state in states)
    np.testing.assert_array_equal(seeded, passed)
    generator = np.random.default_rng(5)
    for other in (6, generator, generator, None):
        assert not np.array_equal(seeded, cmlp.Network(SIZES, random_state=other).parameters)


# ---- what arrays it takes ---------------------------------------------------------------------------


def frozen(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def unaligned(array):
    memory = np.zeros(array.nbytes + 1, np.uint8)[1:]
    copy = memory.view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


LAYOUTS = {
    "read-only": frozen,
    "Fortran": np.asfortranarray,
    "every other row": lambda a: np.repeat(a, 2, axis=0)[::2],
    "every other column": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "backwards": lambda a: a[::-1].copy()[::-1],
    "unaligned": unaligned,
    "other byte order": lambda a: a.astype(a.dtype.newbyteorder()),
    "list": lambda a: a.tolist(),
    "tuple": lambda a: tuple(a.tolist()),
    "objects": lambda a: a.astype(object),
}
NUMBER_TYPES = ["bool", "int8", "uint8", "int64", "longlong", "float16", "float32", "float64", "longdouble"]
VARIANTS = LAYOUTS | {name: (lambda a, name=name: a.astype(name)) for name in NUMBER_TYPES}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("loss", ["cross_entropy", "squared_error"])
@both_precisions
def test_same_numbers_same_results(variant, loss, dtype):
    """Zeros and ones, which every type holds, give the same bits as plain arrays at every entry point."""
    plain_X = (inputs(N, 4) > 0).astype(dtype)
    plain_Y = one_hot(classes(N, 3), 3).astype(dtype)
    X, Y = VARIANTS[variant](plain_X), VARIANTS[variant](plain_Y)
    results = []
    for A, T in ((plain_X, plain_Y), (X, Y)):
        net = network(dtype=dtype, loss=loss)
        outputs = [net.forward(A), net(A[0]), net.loss(A, T), net.trace(A[1], T[1]).loss]
        outputs += net.loss_and_gradients(A, T)[1]
        steps = [net.step(A[0], T[0]), net.step(A[:5], T[:5], solver="adam")]
        losses = net.fit(A, T, batch_size=3, epochs=2, shuffle=True, random_state=0)
        results.append([*outputs, *steps, losses, net.parameters])
    for expected, actual in zip(*results, strict=True):
        np.testing.assert_array_equal(actual, expected)
    np.testing.assert_array_equal(np.array(X, float), plain_X)
    np.testing.assert_array_equal(np.array(Y, float), plain_Y)


@pytest.mark.parametrize("variant", [name for name in VARIANTS if name != "every other column"])
def test_labels_of_every_type(variant):
    X, y = inputs(N, 4), classes(N, 2)
    typed = VARIANTS[variant](y)
    trained = []
    for labels in (y, typed):
        net = network((4, 5, 2))
        net.fit(X, labels)
        net.step(X[0], labels[0])
        trained.append(net.parameters)
    np.testing.assert_array_equal(*trained)


@pytest.mark.parametrize(("given", "name"), [(np.float32, "float32"), ("f4", "float32"), (float, "float64")])
def test_a_precision_may_be_any_name_of_its_dtype(given, name):
    net = cmlp.Network(SIZES, dtype=given)
    assert net.dtype == net.parameters.dtype == name


@pytest.mark.parametrize("wrong", ["float16", "int32", ">f8", "double precision", None, 64])
def test_other_precisions_are_refused(wrong):
    with pytest.raises(ValueError, match=r"dtype=.*expected one of float32, float64"):
        cmlp.Network(SIZES, dtype=wrong)


@pytest.mark.parametrize("given", ["float32", "float64"])
@both_precisions
def test_arithmetic_is_in_the_networks_precision(given, dtype):
    net = network(dtype=dtype)
    X = np.random.RandomState(0).standard_normal((N, 4)).astype(given)
    assert net.forward(X).dtype == net(X[0]).dtype == dtype
    np.testing.assert_array_equal(net.forward(X), net.forward(X.astype(dtype)))


def test_memory_mapped_samples(tmp_path):
    X, Y = samples()
    np.save(tmp_path / "X.npy", X)
    plain, mapped = network(), network()
    plain.fit(X, Y, batch_size=8)
    mapped.fit(np.load(tmp_path / "X.npy", mmap_mode="r"), Y, batch_size=8)
    np.testing.assert_array_equal(mapped.parameters, plain.parameters)


# ---- training ---------------------------------------------------------------------------------------


@every_loss
@both_precisions
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_step_returns_the_loss_before_it(loss, dtype, solver):
    net, (X, Y) = network(dtype=dtype, loss=loss), samples(loss=loss, dtype=dtype)
    for rows in (0, 1, slice(0, 3), slice(0, N)):
        expected = net.loss_and_gradients(X[rows], Y[rows], alpha=0.2)[0]
        before = net.parameters.copy()
        loss_before = net.step(X[rows], Y[rows], 0.01, solver, alpha=0.2)
        assert loss_before == pytest.approx(expected, rel=ROUNDING[dtype])
        assert not np.array_equal(net.parameters, before)


@pytest.mark.parametrize("weight", [0.0, 0.5, 3.0])
def test_step_with_the_weight_of_one_sample(weight):
    net, (X, Y) = network(), samples()
    reference = Reference.of(net)
    expected = reference.step(X[:2], Y[:2], Solver(learning_rate=0.1), 0.0, [weight, 1.0])
    assert net.step(X[:2], Y[:2], 0.1, sample_weight=[weight, 1.0]) == pytest.approx(expected)
    if weight > 0:
        expected = reference.step(X[2:3], Y[2:3], Solver(learning_rate=0.1), 0.0, [weight])
        assert net.step(X[2], Y[2], 0.1, sample_weight=weight) == pytest.approx(expected)
    assert_network_close(net, reference, 1e-12)


@pytest.mark.parametrize("batch_size", [1, 7, N])
def test_fit_returns_a_mean_loss_per_epoch(batch_size):
    net, (X, Y) = network(), samples()
    expected = Reference.of(net).train(X, Y, Solver(learning_rate=0.1), 4, batch_size)
    losses = net.fit(X, Y, learning_rate=0.1, batch_size=batch_size, epochs=4)
    assert losses.shape == (4,)
    np.testing.assert_allclose(losses, expected, rtol=1e-12)


def test_no_epochs_change_nothing():
    net, (X, Y) = network(), samples()
    before = net.parameters.copy()
    assert net.fit(X, Y, epochs=0).shape == (0,)
    np.testing.assert_array_equal(net.parameters, before)


def order_taken(eta, W_before, W_after):
    """The order of an epoch over one-hot samples, each of which changes one weight, read off the weights."""
    bias_then = 1 - W_before - (W_after - W_before) / eta
    return np.argsort(bias_then)


@pytest.mark.parametrize("batch_size", [1, 7])
def test_shuffle_takes_every_sample_once_in_a_new_order_each_epoch(batch_size):
    n, eta = 40, 0.01
    linear = [cmlp.Network((n, 1), loss="squared_error") for _ in range(2)]
    for epochs, net in enumerate(linear, 1):
        net.parameters[:] = 0
        net.fit(np.eye(n), np.ones(n), learning_rate=eta, epochs=epochs, shuffle=True, random_state=3)
    first = order_taken(eta, np.zeros(n), linear[0].weights[0][0])
    second = order_taken(eta, linear[0].weights[0][0], linear[1].weights[0][0])
    assert len({tuple(first), tuple(second), tuple(range(n))}) == 3

    net, (X, Y) = network(), samples(n)
    reference = Reference.of(net)
    for order in (first, second):
        reference.train(X[order], Y[order], Solver(learning_rate=0.1), batch_size=batch_size)
    net.fit(X, Y, learning_rate=0.1, batch_size=batch_size, epochs=2, shuffle=True, random_state=3)
    assert_network_close(net, reference, 1e-12)


# ---- the same bits every time, and threads ----------------------------------------------------------

WIDE = (20, 70, 60, 5)  # enough parameters for the engine to let go of the GIL on one sample


def fitted(seed, layer_sizes, dtype, solver, batch_size):
    net, (X, Y) = network(layer_sizes, dtype, seed=seed), samples(200, layer_sizes)
    net.fit(X, Y, solver, 0.01, batch_size, epochs=3, shuffle=True, random_state=seed)
    return net.parameters


def in_threads(task, arguments):
    """task(argument) for each of four arguments at once, in a thread of its own."""
    barrier = threading.Barrier(4)

    def start_together(argument):
        barrier.wait(timeout=10)
        return task(argument)

    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(start_together, arguments))


@pytest.mark.parametrize("layer_sizes", [SIZES, WIDE], ids=str)
@pytest.mark.parametrize(("solver", "batch_size"), [("sgd", 1), ("adam", 1), ("sgd", 32), ("adam", 32)])
@both_precisions
def test_same_seed_same_bits_alone_and_in_threads(layer_sizes, solver, batch_size, dtype):
    def fit(seed):
        return fitted(seed, layer_sizes, dtype, solver, batch_size)

    seeds = [0, 0, 1, 2]
    alone = [fit(seed) for seed in seeds]
    np.testing.assert_array_equal(alone[0], alone[1])
    assert not np.array_equal(alone[0], alone[2])
    np.testing.assert_array_equal(in_threads(fit, seeds), alone)


@pytest.mark.parametrize("layer_sizes", [SIZES, WIDE, (20, 800, 800, 5)], ids=str)
@both_precisions
def test_one_network_answers_four_threads_exactly(layer_sizes, dtype):
    net, (X, Y) = network(layer_sizes, dtype), samples(40, layer_sizes, dtype=dtype)

    def ask(_=None):
        return [*(net(x) for x in X), net.forward(X), net.loss(X, Y), *net.loss_and_gradients(X, Y)[1]]

    alone = ask()
    for answers in in_threads(lambda _: [ask(), ask(), ask()], range(4)):
        for answer in answers:
            for actual, expected in zip(answer, alone, strict=True):
                np.testing.assert_array_equal(actual, expected)


def successful_fits(net, X, Y, learning_rate, times=1):
    """How many of so many fits were not refused because of another thread."""
    done = 0
    for _ in range(times):
        try:
            net.fit(X, Y, learning_rate=learning_rate)
            done += 1
        except RuntimeError as error:
            if "another thread" not in str(error):
                raise
    return done


@pytest.mark.usefixtures("eager_threads")
@pytest.mark.parametrize("layer_sizes", [SIZES, WIDE], ids=str)
def test_two_threads_training_one_network(layer_sizes):
    """One of them has a learning rate of 0: in whatever order they train, every change is the other's."""
    net, (X, Y) = network(layer_sizes), samples(20, layer_sizes)
    with ThreadPoolExecutor(1) as pool:
        idle = pool.submit(successful_fits, net, X, Y, 0.0, 2000)
        done = successful_fits(net, X, Y, 0.01, 200)
        idle.result()
    expected = network(layer_sizes)
    for _ in range(done):
        expected.fit(X, Y, learning_rate=0.01)
    np.testing.assert_array_equal(net.parameters, expected.parameters)


class Meanwhile(np.random.RandomState):
    """Runs a task in another thread whenever it shuffles: between two epochs of a fit."""

    def shuffle(self, order):
        with ThreadPoolExecutor(1) as pool:
            pool.submit(self.task).result()


class Late(list):
    """A sample that is a list, and runs a task in another thread when it is read: within a step."""

    def __array__(self, dtype=None, copy=None):
        with ThreadPoolExecutor(1) as pool:
            pool.submit(self.task).result()
        return np.array(list(self), dtype=dtype)


@pytest.mark.parametrize("outer", ["fit", "step"])
def test_another_thread_does_not_change_the_settings_of_training_under_way(outer):
    """The outer training has a learning rate of 0, so that every change is the other thread's."""
    net, (X, Y) = network(), samples(20)
    done = []
    if outer == "fit":
        random = Meanwhile(0)
        random.task = lambda: done.append(successful_fits(net, X, Y, 0.01))
        with contextlib.suppress(RuntimeError):
            net.fit(X, Y, learning_rate=0.0, epochs=3, shuffle=True, random_state=random)
    else:
        x = Late(X[0])
        x.task = lambda: done.append(successful_fits(net, X, Y, 0.01))
        with contextlib.suppress(RuntimeError):
            net.step(x, Y[0], learning_rate=0.0)
    assert done
    expected = network()
    for _ in range(sum(done)):
        expected.fit(X, Y, learning_rate=0.01)
    np.testing.assert_array_equal(net.parameters, expected.parameters)


class Within(np.random.RandomState):
    """Runs a task whenever it shuffles: in the thread that trains."""

    def shuffle(self, order):
        self.task()


def test_training_from_within_a_training_is_refused_as_such():
    net, (X, Y) = network(), samples(20)
    random = Within(0)
    for task in (lambda: net.step(X, Y), lambda: net.step(X[0], Y[0]), lambda: net.fit(X, Y)):
        random.task = task
        with pytest.raises(RuntimeError, match="by the call under way"):
            net.fit(X, Y, shuffle=True, random_state=random)
    net.fit(X, Y)


# ---- divergence -------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("batch_size", [1, 8])
@pytest.mark.parametrize("loss", ["cross_entropy", "squared_error", "poisson"])
@both_precisions
def test_a_huge_learning_rate_diverges_in_the_first_epoch(loss, batch_size, dtype, solver):
    net, (X, Y) = network(dtype=dtype, loss=loss), samples(loss=loss)
    with pytest.raises(cmlp.DivergenceError, match=r"epoch 1\b.*smaller learning rate") as caught:
        net.fit(X, Y, solver, float(np.finfo(dtype).max) / 4, batch_size, epochs=3)
    assert np.isfinite(net.parameters).all()
    assert isinstance(caught.value, FloatingPointError)
    assert isinstance(caught.value, ValueError)


def epochs_until_divergence(net, X, Y, **options):
    for epoch in range(1, 1000):
        try:
            net.fit(X, Y, **options)
        except cmlp.DivergenceError:
            return epoch
    return pytest.fail("training did not diverge")


@pytest.mark.parametrize("batch_size", [1, 8])
@both_precisions
def test_slow_divergence_is_told_in_its_epoch(batch_size, dtype):
    """Epoch by epoch or all at once: plain SGD has no state, so that this is the same training."""
    layer_sizes, rate = (4, 3), 0.5 * batch_size
    epoch_by_epoch, at_once = (network(layer_sizes, dtype, "squared_error") for _ in range(2))
    X, Y = samples(16, layer_sizes, "squared_error")
    epoch = epochs_until_divergence(epoch_by_epoch, X, Y, learning_rate=rate, batch_size=batch_size)
    assert epoch > 3
    with pytest.raises(cmlp.DivergenceError, match=rf"epoch {epoch}\b"):
        at_once.fit(X, Y, learning_rate=rate, batch_size=batch_size, epochs=1000)
    np.testing.assert_array_equal(at_once.parameters, epoch_by_epoch.parameters)
    assert np.isfinite(at_once.parameters).all()


@pytest.mark.parametrize("rows", [0, slice(0, 3)], ids=["one", "batch"])
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_a_step_from_a_loss_that_is_not_finite_updates_nothing(rows, solver):
    net, (X, Y) = network(loss="squared_error"), samples(loss="squared_error")
    net.parameters *= 1e200
    before = net.parameters.copy()
    with pytest.raises(cmlp.DivergenceError, match="nothing was updated"):
        net.step(X[rows], Y[rows], solver=solver)
    np.testing.assert_array_equal(net.parameters, before)


# ---- Ctrl-C -----------------------------------------------------------------------------------------

INTERRUPTED = """
import os, signal, sys, threading, time
import numpy as np
import cmlp

def in_background(task):
    threading.Thread(target=task, daemon=True).start()

def give_up():
    time.sleep(60)
    os._exit(1)

in_background(give_up)
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
dtype, width, batch_size, patience = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
X = np.random.RandomState(0).standard_normal((2048, 784)).astype("float32")
y = np.arange(2048) % 10
net = cmlp.Network((784, width, width, 10), dtype=dtype, random_state=0)
before = net.parameters.copy()
deadline = time.monotonic() + patience

def tell_when_updated():
    while np.array_equal(net.parameters, before) and time.monotonic() < deadline:
        time.sleep(0.01)
    print("training", flush=True)

in_background(tell_when_updated)
try:
    net.fit(X, y, batch_size=batch_size, epochs=10**6, learning_rate=1e-3)
except KeyboardInterrupt:
    print("interrupted", flush=True)
after = net.parameters.copy()
usable = np.isfinite(net.step(X[0], 0)) and not np.array_equal(net.parameters, after)
print(np.isfinite(after).all(), not np.array_equal(after, before), usable)
"""


def interrupt(dtype, width, batch_size, patience):
    """Ctrl-C after the first update, or after `patience` seconds.

    How long it takes; whether the parameters are finite, whether they changed, and whether training goes on.
    """
    command = [sys.executable, "-c", INTERRUPTED, dtype, str(width), str(batch_size), str(patience)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout.readline() == "training\n"
            start = time.monotonic()
            child.send_signal(signal.SIGINT)
            assert child.stdout.readline() == "interrupted\n"
            seconds = time.monotonic() - start
            return seconds, *(word == "True" for word in child.stdout.readline().split())
        finally:
            child.kill()


needs_sigint = pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to one process")
alone = pytest.mark.thread_unsafe(reason="the limit is for a process that has a processor")
LIMIT = 2  # seconds: one, and one for a loaded machine


@needs_sigint
@alone
@pytest.mark.parametrize(("dtype", "batch_size"), [("float32", 1), ("float64", 32), ("float32", 2048)])
def test_ctrl_c_keeps_the_finished_updates(dtype, batch_size):
    seconds, finite, changed, usable = interrupt(dtype, 1024, batch_size, patience=60)
    assert seconds < LIMIT
    assert (finite, changed, usable) == (True, True, True)


@needs_sigint
@alone
def test_ctrl_c_within_the_first_update_of_a_large_network():
    seconds, finite, changed, usable = interrupt("float64", 4096, 2048, patience=0.5)
    assert seconds < LIMIT
    assert (finite, changed, usable) == (True, False, True)


# ---- the trace --------------------------------------------------------------------------------------


def traced(loss="cross_entropy", dtype="float64", layer_sizes=(4, 5, 3, 2)):
    net, (X, Y) = network(layer_sizes, dtype, loss), samples(1, layer_sizes, loss, dtype)
    return net, X[0], Y[0], net.trace(X[0], Y[0], learning_rate=0.25)


def test_trace_has_the_names_and_shapes_of_the_formulas():
    _, _, _, trace = traced()
    d = (4, 5, 3, 2)
    shapes = {"x": (4,), "y": (2,), "loss": (), "learning_rate": ()}
    shapes |= {f"o_{layer}": (d[layer],) for layer in range(4)}
    for name in ("z", "delta", "grad_b", "b", "new_b"):
        shapes |= {f"{name}_{layer}": (d[layer],) for layer in (1, 2, 3)}
    for name in ("grad_W", "W", "new_W"):
        shapes |= {f"{name}_{layer}": (d[layer], d[layer - 1]) for layer in (1, 2, 3)}
    assert {name: np.shape(value) for name, value in trace.items()} == shapes
    assert len(trace) == len(shapes)
    for name in shapes:
        np.testing.assert_array_equal(getattr(trace, name), trace[name])
        assert name in dir(trace)


def test_trace_has_a_tuple_per_quantity():
    _, _, _, trace = traced()
    for name in ("o", "z", "delta", "grad_W", "grad_b", "W", "b", "new_W", "new_b"):
        values = getattr(trace, name)
        assert len(values) == (4 if name == "o" else 3)
        for layer, value in enumerate(values, 0 if name == "o" else 1):
            assert value is trace[f"{name}_{layer}"]


def test_trace_says_which_names_it_has():
    _, _, _, trace = traced()
    with pytest.raises(AttributeError, match=r"'z_4'.*z_3"):
        trace.z_4  # noqa: B018
    with pytest.raises(KeyError, match=r"'z_4'.*z_3"):
        trace["z_4"]
    assert "z_4" not in trace


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))])
def test_trace_is_copied_and_pickled(copied):
    _, _, _, trace = traced()
    same = copied(trace)
    assert str(same) == str(trace)
    for name in trace:
        np.testing.assert_array_equal(same[name], trace[name])


@every_loss
@both_precisions
def test_trace_is_the_formulas(loss, dtype):
    net, x, y, trace = traced(loss, dtype)
    reference = Reference.of(net)
    (o, z), value = reference.layers(x), reference.loss([x], [y])
    _, dW, db = reference.loss_and_gradients([x], [y])
    expected = {"o": o, "z": z, "delta": reference.deltas(z, y), "grad_W": dW, "grad_b": db}
    expected |= {"W": reference.weights, "b": reference.biases}
    expected["new_W"] = [W - 0.25 * grad for W, grad in zip(reference.weights, dW, strict=True)]
    expected["new_b"] = [b - 0.25 * grad for b, grad in zip(reference.biases, db, strict=True)]
    for name, arrays in expected.items():
        for actual, array in zip(getattr(trace, name), arrays, strict=True):
            assert actual.dtype == dtype
            assert_entries_close(actual, array, 4 * ROUNDING[dtype], name)
    assert trace.loss == pytest.approx(value, rel=4 * ROUNDING[dtype])
    assert trace.learning_rate == 0.25
    np.testing.assert_array_equal(trace.x, x)
    np.testing.assert_array_equal(trace.y, y)


@both_precisions
def test_trace_shows_the_next_step_and_leaves_the_network_as_it_is(dtype):
    net, x, y, trace = traced(dtype=dtype)
    assert_network_close(net, Reference(trace.W, trace.b, net.activation, net.loss_name), 0.0)
    net.step(x, y, learning_rate=0.25)
    stepped = Reference(trace.new_W, trace.new_b, net.activation, net.loss_name)
    assert_network_close(net, stepped, ROUNDING[dtype])
    assert not np.array_equal(net.weights[0], trace.W_1)


def test_trace_of_a_label_is_that_of_its_row():
    net, x, _, _ = traced()
    by_label, by_row = net.trace(x, 1), net.trace(x.tolist(), [0, 1])
    assert str(by_label) == str(by_row)
    np.testing.assert_array_equal(by_label.y, [0, 1])


def printed_matrix(text, heading):
    after = text.split(heading)[1]
    return np.array(after[: after.index("]]")].replace("[", " ").replace("]", " ").split(), float)


@every_loss
def test_trace_prints_every_number_of_a_small_network(loss):
    _, _, _, trace = traced(loss)
    text = str(trace)
    assert repr(trace) == text
    outputs = {"cross_entropy": "softmax", "binary_cross_entropy": "sigmoid", "poisson": "exp"}
    last = f"Layer 3: 3 -> 2, {outputs.get(loss, 'identity')}"
    for title in ("Layer 1: 4 -> 5, silu", "Layer 2: 5 -> 3, tanh", last):
        assert title in text
    assert f"loss ({loss}) = {trace.loss:.9g}" in text
    for name in ("o", "z", "delta", "b", "new_b"):
        for value in np.concatenate(getattr(trace, name)):
            assert f"{value:.6g}" in text
    for layer in (1, 2, 3):
        headings = {
            "W": f"\nW_{layer}\n",
            "grad_W": f"\ngrad_W_{layer} = delta_{layer} o_{layer - 1}^T\n",
            "new_W": f"\nnew_W_{layer} = W_{layer} - eta grad_W_{layer}\n",
        }
        for name, heading in headings.items():
            matrix = trace[f"{name}_{layer}"]
            np.testing.assert_allclose(printed_matrix(text, heading), matrix.ravel(), rtol=1e-5, atol=1e-6)


def test_trace_of_a_wide_network_prints_a_part():
    _, _, _, trace = traced(layer_sizes=(300, 200, 100))
    text = str(trace)
    assert "188 more units" in text
    assert "88 more units" in text
    assert len(text.splitlines()) < 200


# ---- the one block of parameters -----------------------------------------------------------------------


def test_assigning_the_parameters_copies_them_in():
    net, other = network(), network()
    block, values = net.parameters, np.arange(net.parameters.size) / 100
    net.parameters = values
    np.testing.assert_array_equal(block, values)
    np.testing.assert_array_equal(net.weights[0].ravel(), values[: net.weights[0].size])
    for wrong in (values[1:], values * np.nan):
        with pytest.raises(ValueError, match=r"^parameters"):
            other.parameters = wrong


@pytest.mark.parametrize("name", ["weights", "biases"])
def test_views_cannot_be_replaced(name):
    with pytest.raises(AttributeError):
        setattr(network(), name, ())


# ---- the quick way of a step ----------------------------------------------------------------------------


QUICK_TARGETS = {
    "cross_entropy": [np.int64(1), np.uint8(2), np.array([0.25, 0.5, 0.25])],
    "binary_cross_entropy": [np.array([0.0, 1.0, 0.5])],
    "squared_error": [np.array([-1.0, 2.0, 0.5])],
    "absolute_error": [np.array([-1.0, 2.0, 0.5])],
    "huber": [np.array([-1.0, 2.0, 0.5])],
    "poisson": [np.array([0.0, 2.0, 0.5])],
}


@pytest.mark.parametrize(("loss", "y"), [(loss, y) for loss, ys in QUICK_TARGETS.items() for y in ys])
def test_a_step_is_the_same_however_its_arguments_come(loss, y):
    """As arrays that the kernels take as they stand, with the learning rate alone changing, and as lists."""
    quick, plain = (cmlp.Network((4, 5, 3), loss=loss, random_state=0) for _ in range(2))
    x = np.array([0.5, -1.0, 0.25, 1.5])
    for eta in (0.1, 0.05, 0.1):
        as_list = y.tolist()
        assert quick.step(x, y, learning_rate=eta) == pytest.approx(plain.step(x.tolist(), as_list, eta), rel=1e-14)
    np.testing.assert_allclose(quick.parameters, plain.parameters, rtol=1e-12)


@pytest.mark.parametrize("kind", [float, np.float64, np.float32])
@pytest.mark.parametrize("loss", [loss for loss in QUICK_TARGETS if loss != "cross_entropy"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_number_is_the_target_of_one_output(loss, kind, dtype):
    quick, plain = (cmlp.Network((4, 5, 1), loss=loss, dtype=dtype, random_state=0) for _ in range(2))
    x = np.array([0.5, -1.0, 0.25, 1.5], dtype)
    for number in map(kind, (0.1, 0.9, 0.1)):
        assert quick.step(x, number) == pytest.approx(plain.step(x.tolist(), [number]), rel=1e-6)
    np.testing.assert_allclose(quick.parameters, plain.parameters, rtol=1e-5)
    assert quick._step_one(x, kind(0.1), quick._engine.settings) is not None  # the quick way has taken it


@pytest.mark.parametrize(
    ("loss", "y"),
    [("squared_error", float("nan")), ("squared_error", -np.inf), ("squared_error", np.float64(1e300)),
     ("binary_cross_entropy", 1.5), ("binary_cross_entropy", 1 + 1e-9), ("binary_cross_entropy", np.float32(-0.5)),
     ("poisson", -1e-3), ("poisson", -1e-46)],
)  # fmt: skip
@pytest.mark.parametrize("first", [True, False])
def test_a_number_out_of_range_is_no_target(loss, y, first):
    net = cmlp.Network((4, 5, 1), loss=loss, dtype="float32", random_state=0)
    if not first:  # the quick way takes later ones
        net.step(np.ones(4, np.float32), 0.5)
    before = net.parameters.copy()
    with pytest.raises(ValueError, match=r"y(\[0\])?="):
        net.step(np.ones(4, np.float32), y)
    assert np.array_equal(net.parameters, before)


def test_a_ruined_network_is_not_blamed_on_the_next_step():
    net = cmlp.Network((1, 1), loss="squared_error", dtype="float32", random_state=0)
    net.step([1e19], [1e15], learning_rate=1e10)
    with pytest.raises(cmlp.DivergenceError, match="an earlier step has made the parameters infinite or NaN"):
        net.step([1.0], [1.0])


def reshaped(a):
    a.shape = (2, -1) if a.ndim == 1 else (-1,)


def of_another_dtype(a):
    a.dtype = np.int64


def read_only(a):
    a.flags.writeable = False


@pytest.mark.filterwarnings("ignore:Setting the .*:DeprecationWarning")
@pytest.mark.parametrize("array", ["parameters", "weights", "biases"])
@pytest.mark.parametrize("tamper", [reshaped, of_another_dtype, read_only])
def test_what_is_done_to_a_view_is_not_done_to_the_network(tamper, array):
    net, X, y = cmlp.Network((3, 4, 2), random_state=0), inputs(5, 3), classes(5, 2)
    twin = copy.deepcopy(net)
    view = getattr(net, array)
    tamper(view if array == "parameters" else view[0])
    for each in (net, twin):
        each.step(X[0], 1), each.fit(X, y, batch_size=2)
        each.parameters = 2 * each.parameters
        each.parameters[3] += 1
        each.weights[0][0, 0] += 1
    np.testing.assert_array_equal(copy.deepcopy(net).parameters, twin.parameters, strict=True)
    np.testing.assert_array_equal(net.weights[0], twin.weights[0], strict=True)
    np.testing.assert_array_equal(net.forward(X), twin.forward(X))


def test_no_memory_in_a_later_epoch_leaves_the_parameters_from_before(monkeypatch):
    net, X, y = cmlp.Network((3, 4, 2), random_state=0), inputs(5, 3), classes(5, 2)
    net.fit(X, y)
    before, epoch, epochs = net.parameters.copy(), net._epoch, iter(range(3))

    def second_fails(*arguments):
        if next(epochs) == 1:
            raise MemoryError
        return epoch(*arguments)

    monkeypatch.setattr(net, "_epoch", second_fails)
    with pytest.raises(MemoryError):
        net.fit(X, y, epochs=3)
    np.testing.assert_array_equal(net.parameters, before)
