"""Memory stays as it is, however many fits and predictions there are, and however many are refused."""

import contextlib
import copy
import ctypes
import gc
import itertools
import os
import pickle
import sys
import tempfile
import warnings

import numpy as np
import pytest

import cmlp
from reference import classes, inputs

N, D, C = 30, 6, 3
X, Y = inputs(N, D), classes(N, C)
MANY = inputs(1000, D)
ATTEMPTS = 3
BLOCKS, BYTES, REFERENCES = 25, 4096, 5  # that caches may take, however many calls there are


class Used(ctypes.Structure):
    """struct mallinfo2 of glibc."""

    _fields_ = [(f"field_{i}", ctypes.c_size_t) for i in range(10)]


def bytes_in_use():
    """Of malloc, which NumPy's data and the kernels' workspaces come from; 0 where it does not say."""
    try:
        mallinfo = ctypes.CDLL(None).mallinfo2
    except (AttributeError, TypeError):
        return 0
    mallinfo.restype = Used
    used = mallinfo()
    return used.field_7 + used.field_4  # uordblks, hblkhd


clear_caches = getattr(sys, "_clear_internal_caches", None) or sys._clear_type_cache


def in_use(shared):
    """Blocks of Python's allocator, bytes of malloc's, references to what many calls share."""
    clear_caches()  # of attributes, which hold on to up to 4096 names
    gc.collect()
    return np.array([sys.getallocatedblocks(), bytes_in_use(), *map(sys.getrefcount, shared)])


def growth(call, times, shared):
    """Over so many calls, of what `in_use` counts."""
    before = in_use(shared)
    for _ in range(times):
        call()
    return in_use(shared) - before


def assert_no_growth(call, times):
    """A leak, be it with each second call alone, is more than the bound each time; what caches take comes once."""
    shared = (X, Y, MANY, cmlp.Network, np.ndarray)
    for _ in range(20):
        call()
    for _ in range(ATTEMPTS):
        grown = growth(call, times, shared)
        if (grown <= [BLOCKS, BYTES, *(REFERENCES for _ in shared)]).all():
            return
    pytest.fail(f"grows by {grown} blocks, bytes and references to what is shared over {times} calls")


@pytest.fixture(autouse=True)
def quick_collection():
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


# ---- fits: 2,000 in all, 20,000 at night -------------------------------------------------------------------------


def network_fit(**options):
    net = cmlp.Network((D, 5, C), random_state=0)
    return lambda: net.fit(X, Y, **options)


def whole_fit(**options):
    if options.get("solver") == "lbfgs":
        pytest.importorskip("scipy.optimize")
    options = {"hidden_layer_sizes": (5,), "max_iter": 2, "random_state": 0, **options}
    return lambda: cmlp.fit(X, Y, **options)


def checkpointed_fit():
    """Begun with a file, and gone on with."""

    def fit():
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "checkpoint")
            for epochs in (1, 2):
                whole_fit(checkpoint=path, max_iter=epochs, early_stopping=True)()

    return fit


def estimator_fit(**options):
    pytest.importorskip("sklearn")
    clf = cmlp.MLPClassifier(**{"hidden_layer_sizes": (5,), "max_iter": 2, "random_state": 0, **options})

    def fit():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of max_iter
            clf.fit(X, Y)

    return fit


def failing_fit():
    """Which a callback ends."""
    pytest.importorskip("sklearn")
    fit = estimator_fit(early_stopping=True, callbacks=lambda state: 1 / 0)

    def fail():
        with contextlib.suppress(ZeroDivisionError):
            fit()

    return fail


def pickles():
    pytest.importorskip("sklearn")
    model = cmlp.fit(X, Y, hidden_layer_sizes=(5,), max_iter=2, random_state=0)
    clf = cmlp.MLPClassifier((5,), random_state=0).partial_fit(X, Y, classes=range(C))
    model.network.note = "kept"

    def copies():
        for each in (model, clf):
            pickle.loads(pickle.dumps(each))
            copy.deepcopy(each)

    return copies


def partial_fit():
    pytest.importorskip("sklearn")
    clf = cmlp.MLPClassifier((5,), random_state=0)

    def fit():
        clf.partial_fit(X, Y, classes=range(C))
        clf.loss_curve_.clear()

    return fit


def sparse_partial_fit():
    pytest.importorskip("sklearn")
    sparse = pytest.importorskip("scipy.sparse").random(N, 400, 0.01, "csr", random_state=0)
    reg = cmlp.MLPRegressor(hidden_layer_sizes=(5,), random_state=0)

    def fit():
        reg.partial_fit(sparse, Y)
        reg.loss_curve_.clear()

    return fit


def step():
    net = cmlp.Network((D, 5, C), random_state=0)
    return lambda: net.step(X[:4], Y[:4], solver="adam")


FITS = {
    "one by one": lambda: network_fit(epochs=2, shuffle=True),
    "in batches": lambda: network_fit(batch_size=8, solver="adam"),
    "in two threads": lambda: network_fit(batch_size=30, n_threads=2),
    "step": step,
    "cmlp.fit": lambda: whole_fit(early_stopping=True),
    "cmlp.fit by lbfgs": lambda: whole_fit(solver="lbfgs"),
    "cmlp.fit with callbacks": lambda: whole_fit(callbacks=[lambda state: state.model.predict(X), bool]),
    "cmlp.fit with a checkpoint": checkpointed_fit,
    "estimator": estimator_fit,
    "estimator by lbfgs": lambda: estimator_fit(solver="lbfgs"),
    "estimator that stops early": lambda: estimator_fit(early_stopping=True, scoring="accuracy"),
    "estimator that a callback ends": failing_fit,
    "pickles": pickles,
    "partial_fit": partial_fit,
    "partial_fit of sparse rows": sparse_partial_fit,
}


@pytest.mark.parametrize("times", [120, pytest.param(1250, marks=pytest.mark.nightly)])
@pytest.mark.parametrize("name", FITS)
def test_fits_leave_nothing_behind(name, times):
    assert_no_growth(FITS[name](), times)


# ---- predictions: 300,000 in all, 10 million at night ------------------------------------------------------------


def predictions():
    net, wide = cmlp.Network((D, 5, C), random_state=0), cmlp.Network((D, 900, C), random_state=0)
    model = cmlp.fit(X, Y, hidden_layer_sizes=(5,), max_iter=2, random_state=0)
    x, rows = X[0].copy(), X[0].tolist()
    return {
        "net(x)": (lambda: net(x), 1, 100_000),
        "net(x) beyond the stack": (lambda: wide(x), 1, 20_000),
        "net(x) of a list": (lambda: net(rows), 1, 10_000),
        "forward": (lambda: net.forward(MANY), 1000, 70_000),
        "predict": (lambda: model.predict(MANY), 1000, 50_000),
        "predict_proba": (lambda: model.predict_proba(MANY), 1000, 50_000),
    }


PREDICTIONS = predictions()


@pytest.mark.parametrize("more", [1, pytest.param(34, marks=pytest.mark.nightly)])
@pytest.mark.parametrize("name", PREDICTIONS)
def test_predictions_leave_nothing_behind(name, more):
    call, rows, samples = PREDICTIONS[name]
    assert_no_growth(call, more * samples // rows)


@pytest.mark.parametrize("times", [50, pytest.param(5000, marks=pytest.mark.nightly)])
@pytest.mark.parametrize("rows", [1, N])
def test_predictions_of_sparse_rows_leave_nothing_behind(rows, times):
    pytest.importorskip("sklearn")
    sparse = pytest.importorskip("scipy.sparse").random(N, 400, 0.002, "csr", random_state=0)
    reg = cmlp.MLPRegressor(hidden_layer_sizes=(5,), random_state=0).partial_fit(sparse, Y)
    some = sparse[:rows]
    assert_no_growth(lambda: reg.predict(some), times)


@pytest.mark.parametrize("times", [50, pytest.param(2000, marks=pytest.mark.nightly)])
def test_files_leave_nothing_behind(times, tmp_path):
    model, path = cmlp.fit(X, Y, hidden_layer_sizes=(5,), max_iter=2, random_state=0), tmp_path / "model"

    def save_and_load():
        model.save(path)
        cmlp.load(path)

    assert_no_growth(save_and_load, times)


# ---- refusals ------------------------------------------------------------------------------------------------------


def refusals(folder):
    net, fresh = cmlp.Network((D, 5, C), random_state=0), X[0].copy()
    model = cmlp.fit(X, Y, hidden_layer_sizes=(5,), max_iter=2, random_state=0)
    not_finite, huge = np.full((N, D), np.nan), np.full((N, D), 1e300)
    (folder / "damaged").write_bytes(b"\x10" + bytes(100))
    return [
        lambda: net(fresh[:3]),
        lambda: net("x"),
        lambda: net(not_finite[0]),
        lambda: net.forward(not_finite),
        lambda: net.fit(X, Y[:4]),
        lambda: net.fit(X, Y + C),
        lambda: net.fit(X, Y, solver="none"),
        lambda: net.fit(huge, Y, learning_rate=1e300, batch_size=7),
        lambda: net.step(fresh, C),
        lambda: net.step(fresh, 1, learning_rate=-1),
        lambda: net.trace(fresh, "y"),
        lambda: cmlp.Network((D, 0, C)),
        lambda: cmlp.fit(X, Y, max_iter="many"),
        lambda: cmlp.fit(not_finite, Y),
        lambda: model.predict(X[:, :2]),
        lambda: cmlp.load(folder / "damaged"),
        lambda: cmlp.load(folder / "missing"),
        lambda: net._engine.epoch(X, Y, None, np.array([N]), 1),
        lambda: net._engine.trace(fresh, None),
        lambda: net._kernels.Engine((D, 5, C), [0], 0, fresh),
    ]


@pytest.mark.parametrize("times", [20, pytest.param(2000, marks=pytest.mark.nightly)])
def test_refused_calls_leave_nothing_behind(times, tmp_path):
    calls = refusals(tmp_path)

    def refuse():
        for call in calls:
            with contextlib.suppress(ValueError, TypeError, ArithmeticError, OSError, IndexError):
                call()
                pytest.fail("was not refused")

    assert_no_growth(refuse, times)


# ---- the measure itself --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("calls", [1, 2], ids=["each call", "each second call"])
@pytest.mark.parametrize("kept", [lambda: object(), lambda: np.empty(1000), lambda: X], ids=["object", "data", "X"])
def test_growth_is_noticed(kept, calls):
    everything, number = [], itertools.count()

    def leak():
        if next(number) % calls == 0:
            everything.append(kept())

    with pytest.raises(pytest.fail.Exception, match="grows"):
        assert_no_growth(leak, 60)


def test_a_lost_workspace_is_noticed():
    if not bytes_in_use():
        pytest.skip("needs glibc")
    malloc = ctypes.CDLL(None).malloc
    with pytest.raises(pytest.fail.Exception, match="grows"):
        assert_no_growth(lambda: malloc(64), 100)
