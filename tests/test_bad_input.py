"""Calls that are refused, with what the message must say, and calls that look bad but must work."""

import copy
import datetime
import fractions
import functools
import inspect
import re
import subprocess
import sys
import tempfile
from decimal import Decimal

import numpy as np
import pytest

import cmlp

NAN, INF = float("nan"), float("inf")
N = 12
SAMPLES = np.random.default_rng(0).standard_normal((N, 4))
CLASSES = np.arange(N) % 3
ONE_HOT = np.eye(3)[CLASSES]
TARGETS = {"cross_entropy": CLASSES, "binary_cross_entropy": ONE_HOT}  # of other losses: ONE_HOT as well


MASKED = np.ma.masked_array(1, True)
BEYOND = np.longdouble("1e4000") if np.finfo(np.longdouble).maxexp > 1024 else np.longdouble(0)


class Failing:
    """What NumPy cannot read, as a tensor with a gradient."""

    __hash__ = None

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("detach it")

    def __repr__(self):
        raise RuntimeError("no name")


class Unclear:
    """What compares to neither true nor false, as pandas' NA and arrays do."""

    __hash__ = None

    def __eq__(self, other):
        return self

    def __bool__(self):
        raise TypeError("neither")

    def __repr__(self):
        return "<unclear>"


class Odd:
    """An argument that nothing takes."""

    __hash__ = None

    def __repr__(self):
        return "<odd>"


# ---- what the calls are made on ----------------------------------------------------------------------


@functools.cache
def net(loss="cross_entropy", dtype="float64"):
    """A network in the midst of a training with momentum."""
    network = cmlp.Network((4, 5, 3), activation="tanh", loss=loss, dtype=dtype, random_state=0)
    for _ in range(3):
        network.step(SAMPLES, TARGETS.get(loss, ONE_HOT), momentum=0.9)
    return network


LABELS = {
    "binary": CLASSES > 0,
    "multiclass": CLASSES,
    "strings": np.array(["rose", "lily", "tulip"])[CLASSES],
    "multilabel": ONE_HOT.astype(int),
    "regression": SAMPLES[:, 0],
    "three outputs": SAMPLES[:, :3],
}
QUICK = {"hidden_layer_sizes": 3, "max_iter": 2, "random_state": 0}


@functools.cache
def model(task="multiclass"):
    return cmlp.fit(SAMPLES, LABELS[task], **QUICK)


@functools.cache
def subjects():
    losses = ("cross_entropy", "binary_cross_entropy", "squared_error", "poisson")
    networks = [net(loss, dtype) for loss in losses for dtype in ("float64", "float32")]
    return [*networks, *(model(task).network for task in LABELS)]


def behaviour(network):
    """Its parameters, what it computes, and what its next step and a new training make of it, which is taken back."""
    X, y = SAMPLES[:1], [1 if network.loss_name == "cross_entropy" else np.ones(network.layer_sizes[-1])]
    parameters, stepped = network.parameters.copy(), copy.deepcopy(network)
    loss = stepped.step(X, y, momentum=0.9)
    outputs = (network.forward(SAMPLES), network(SAMPLES[0]), network.fit(X, y, epochs=2))
    trained = network.parameters.copy()
    network.step(X, y, momentum=0.9)  # so that there is a velocity, which a bad call must leave alone
    network.parameters[:] = parameters
    return (loss, *(array.tobytes() for array in (parameters, stepped.parameters, trained, *outputs)))


@pytest.fixture(scope="module")
def behaviours():
    for network in subjects():
        behaviour(network)
    return {network: behaviour(network) for network in subjects()}


# ---- the table ---------------------------------------------------------------------------------------


class Case:
    """A call, the exception it must raise and what its message must say."""

    def __init__(self, name, call, error, message):
        self.name, self.call, self.error, self.message = name, call, error, message


def cases(*groups):
    return [case for group in groups for case in group]


# ---- X ----

ONE_SAMPLE = {
    "Network.__call__": lambda x: net()(x),
    "Network.trace": lambda x: net().trace(x, 1),
    "Network.__call__, float32": lambda x: net(dtype="float32")(x),
}
MANY_SAMPLES = {
    "Network.forward": lambda X: net().forward(X),
    "Network.loss": lambda X: net().loss(X, [0]),
    "Network.loss_and_gradients": lambda X: net().loss_and_gradients(X, [0]),
    "Network.step": lambda X: net().step(X, [0], momentum=0.9),
    "Network.step, float32": lambda X: net(dtype="float32").step(X, [0], momentum=0.9),
    "Network.fit": lambda X: net().fit(X, [0]),
    "cmlp.fit": lambda X: cmlp.fit(X, [0.5], **QUICK),
    "cmlp.fit, X_val": lambda X: cmlp.fit(SAMPLES, CLASSES, X_val=X, y_val=[0], **QUICK),
    "cmlp.predict": lambda X: cmlp.predict(model(), X),
    "cmlp.predict_proba": lambda X: cmlp.predict_proba(model(), X),
    "Model.score": lambda X: model().score(X, [0]),
}
NAMED = r"^(x|X|X_val)"

REAL = ": expected real numbers$"
ENTRIES = {
    ValueError: {
        "NaN": (NAN, r"\[(0, )?3\]=nan: expected finite numbers$"),
        "infinity": (INF, r"\[(0, )?3\]=inf: expected finite numbers$"),
        "-infinity": (-INF, r"\[(0, )?3\]=-inf: expected finite numbers$"),
        "an integer beyond float64": (10**400, r" holds integers too large for float64: expected finite numbers$"),
        "a Decimal beyond float64": (Decimal("1e400"), r"\[(0, )?3\]=inf: expected finite numbers$"),
        "a signaling NaN": (Decimal("sNaN"), r": expected finite numbers \(cannot convert signaling NaN to float\)$"),
        "a long double": (BEYOND, r"\[(0, )?3\]=1e\+4000 \(too large for float\d\d\): expected finite numbers$"),
    },
    TypeError: {
        "a word": ("a", " has dtype <U32" + REAL),
        "a number as text": ("1", " has dtype <U32" + REAL),
        "bytes": (b"1", r" has dtype \|S32" + REAL),
        "None": (None, r"\[(0, )?3\]=None" + REAL),
        "an object": (Odd(), r"\[(0, )?3\]=<odd>" + REAL),
        "a dict": ({}, r"\[(0, )?3\]=\{\}" + REAL),
        "a complex number": (1j, " has dtype complex128" + REAL),
        "a date": (datetime.date(2020, 1, 2), r"\[(0, )?3\]=datetime.date\(2020, 1, 2\)" + REAL),
        "a type": (float, r"\[(0, )?3\]=<class 'float'>" + REAL),
        "a datetime64": (np.datetime64("2020"), r"\[(0, )?3\]=n(p|umpy)\.datetime64\('2020'\)" + REAL),
        "a timedelta64": (np.timedelta64(1, "s"), r"\[(0, )?3\]=n(p|umpy)\.timedelta64\(1,'s'\)" + REAL),
    },
}
ROW = r": expected \((n, )?(4|features)"
ARRAYS = {
    ValueError: {
        "0-d": (np.float64(3), r" has shape \(\)" + ROW),
        "3-d": (np.zeros((2, 1, 4)), r" has shape \(2, 1, 4\)" + ROW),
        "no samples": (np.zeros((0, 4)), r" has shape \(0, 4\)" + ROW),
        "no features": (np.zeros((1, 0)), r" has shape \(1, 0\)" + ROW),
        "an empty list": ([], r" has shape \((1, )?0,?\)" + ROW),
        "ragged lists": ([[1, 2, 3, 4], [1, 2]], r": expected a rectangular array of numbers \(.*shape was \(2,\)"),
        "masked": (
            np.ma.masked_array(np.zeros((1, 4)), [[0, 1, 1, 0]]),
            " has 2 masked entries: expected none, fill or",
        ),
        "a masked row in a list": (
            [[0.0] * 4, np.ma.masked_array(np.zeros(4), [0, 1, 1, 0])],
            " has 2 masked entries: expected none, fill or",
        ),
        "masked rows in a tuple": (
            (np.ma.masked_array(np.zeros(4), [0, 1, 1, 0]),) * 2,
            " has 4 masked entries: expected none, fill or",
        ),
        "masked among integers": ([[1, 2, MASKED, 3]], " has masked entries: expected none, fill or drop them first$"),
    },
    TypeError: {
        "None": (None, "=None" + REAL),
        "a string": ("1234", " has dtype <U4" + REAL),
        "a dict": ({"a": [1]}, r"=\{'a': \[1\]\}" + REAL),
        "a set": ({1.5}, r"=\{1.5\}" + REAL),
        "a generator": ((i for i in "abc"), "=<generator .*" + REAL),
        "datetimes": (np.zeros((1, 4), "M8[s]"), r" has dtype datetime64\[s\]" + REAL),
        "time spans": (np.zeros((1, 4), "m8[s]"), r" has dtype timedelta64\[s\]" + REAL),
        "records": (np.zeros(4, "f8,f8"), r" has dtype \[.*\]" + REAL),
        "a type": (int, r"=<class 'int'>" + REAL),
        "arrays of one number": (np.array([[np.zeros(1), None]], object), r"\[0, 0\]=array\(\[0\.\]\)" + REAL),
        "what NumPy cannot read": (Failing(), r": expected an array of numbers \(detach it\)$"),
        "a list of what NumPy cannot read": ([Failing()], r": expected an array of numbers \(detach it\)$"),
    },
}
WIDTHS = {
    "three features": (np.zeros((1, 3)), r" has shape \(1, 3\): expected \((n, )?4,?\)$"),
    "five features": (np.zeros((2, 5)), r" has shape \(2, 5\): expected \((n, )?4,?\)$"),
    "a column": (np.zeros((4, 1)), r" has shape \(4, 1\): expected \((n, )?4,?\)$"),
}
SPARSE = {
    "csr matrix": lambda sparse: sparse.csr_matrix(np.eye(4)),
    "coo array": lambda sparse: sparse.coo_array(np.eye(4)),
}


def row_with(entry):
    if isinstance(entry, str | bytes | complex | np.longdouble):
        return np.array([0.0, 0.0, 0.0, entry])
    return np.array([0.0, 0.0, 0.0, entry], None if isinstance(entry, float) else object)


def by_error(table):
    """Entries of a table of tables by exception."""
    for error, entries in table.items():
        for what, entry in entries.items():
            yield what, error, *entry


def bound(call, *arguments):
    """A call with its arguments, which knows what networks and models it is made on."""
    use = functools.partial(call, *arguments)
    use.on = [
        each for each in (getattr(call, "__self__", None), *arguments) if isinstance(each, cmlp.Network | cmlp.Model)
    ]
    return use


def of_sparse(call, make):
    return lambda: call(make(pytest.importorskip("scipy.sparse")))


def samples_cases():
    everywhere = ONE_SAMPLE | MANY_SAMPLES
    for where, call in everywhere.items():
        for what, error, array, message in by_error(ARRAYS):
            if array is None and where == "cmlp.fit, X_val":  # as if it were left out
                continue
            yield Case(f"{where}: {what}", bound(call, array), error, NAMED + message)
        for what, make in SPARSE.items():
            message = NAMED + r" is a sparse matrix: expected a dense array, as \1\.toarray\(\) gives$"
            yield Case(f"{where}: {what}", of_sparse(call, make), TypeError, message)
        for what, error, entry, message in by_error(ENTRIES):
            if entry is BEYOND and not np.isposinf(float(BEYOND)):  # where a long double is a double
                continue
            row = row_with(entry)
            array = row if where in ONE_SAMPLE else row[None]
            yield Case(f"{where}: {what}", bound(call, array), error, NAMED + message)
    for where in set(everywhere) - {"cmlp.fit"}:
        for what, (array, message) in WIDTHS.items():
            yield Case(f"{where}: {what}", bound(everywhere[where], array), ValueError, NAMED + message)


def other_samples_cases():
    too_large = r"\[(0, )?3\]=1e\+39 \(too large for float32\): expected finite numbers$"
    row = np.array([0, 0, 0, 1e39])
    for where, array in {"Network.__call__, float32": row, "Network.step, float32": row[None]}.items():
        call = (ONE_SAMPLE | MANY_SAMPLES)[where]
        yield Case(f"{where}: too large", bound(call, array), ValueError, NAMED + too_large)
    X, X_val = np.tile(row, (N, 1)), SAMPLES.copy()
    X_val[0, 3] = 1e39
    for options in ({"dtype": "float32"}, {"dtype": np.float32}):
        call = bound(cmlp.fit, X, CLASSES)
        yield Case(
            "cmlp.fit, float32: too large",
            lambda call=call, o=options: cmlp.fit(X, CLASSES, **o),
            ValueError,
            NAMED + too_large,
        )
    single = SAMPLES.astype(np.float32)
    yield Case(
        "cmlp.fit, float32 samples: X_val too large",
        lambda: cmlp.fit(single, CLASSES, X_val=X_val, y_val=CLASSES, **QUICK), ValueError, "^X_val" + too_large,
    )  # fmt: skip
    for what, array, shape in [("1-d", SAMPLES[0], r"\(4,\)"), ("5 features", np.zeros((3, 5)), r"\(3, 5\)")]:
        message = rf"^(X|X_val) has shape {shape}: expected \(n, (4|features)\)"
        yield Case(f"Model.score: {what}", bound(model().score, array, [0]), ValueError, message)
        call = lambda array=array: cmlp.fit(SAMPLES, CLASSES, X_val=array, y_val=[0], **QUICK)  # noqa: E731
        yield Case(f"cmlp.fit, X_val: {what}", call, ValueError, message)
    for what, call in {"cmlp.fit": cmlp.fit, "Network.fit": net().fit}.items():
        message = r"^X has shape \(4,\): expected \(n, (4|features)\)$"
        yield Case(f"{what}: 1-d", bound(call, SAMPLES[0], [0]), ValueError, message)


# ---- y of a network ----

INDICES = {
    "too large": ([0, 1, 3], ValueError, r"y\[2\]=3: expected class indices, integers from 0 to 2$"),
    "negative": ([0, -1, 2], ValueError, r"y\[1\]=-1: expected class indices, integers from 0 to 2$"),
    "unsigned": (np.array([0, 1, 2**64 - 1], np.uint64), ValueError, r"y\[2\]=18446744073709551615: expected class in"),
    "fractions": ([0, 1.5, 2], ValueError, r"y\[1\]=1\.5: expected class indices, integers from 0 to 2$"),
    "NaN": ([0, NAN, 1], ValueError, r"y\[1\]=nan: expected class indices, integers from 0 to 2$"),
    "infinity": ([0, 1, INF], ValueError, r"y\[2\]=inf: expected class indices, integers from 0 to 2$"),
    "beyond 64 bits": ([0, 1, 10**30], ValueError, r"y\[2\]=1e\+30: expected class indices"),
    "beyond float64": ([0, 1, 10**400], ValueError, r"y holds integers too large for float64: expected finite"),
    "words": (["a", "b", "c"], TypeError, r"y has dtype <U1: expected real numbers$"),
    "None": (None, TypeError, r"y=None: expected real numbers$"),
    "None among them": ([0, None, 1], TypeError, r"y\[1\]=None: expected real numbers$"),
    "complex": ([0, 1j, 1], TypeError, r"y has dtype complex128: expected real numbers$"),
    "datetimes": (np.zeros(3, "M8[s]"), TypeError, r"y has dtype datetime64\[s\]: expected real numbers$"),
    "masked": (np.ma.masked_array([0, 1, 2], [1, 0, 0]), ValueError, r"y has 1 masked entries: expected none"),
    "ragged": ([[1, 0, 0], [0, 1]], ValueError, r"y: expected a rectangular array of numbers \("),
    "too few": ([0, 1], ValueError, r"y has shape \(2,\): expected \(3,\)$"),
    "too many": ([0, 1, 2, 0], ValueError, r"y has shape \(4,\): expected \(3,\)$"),
    "empty": ([], ValueError, r"y has shape \(0,\): expected \(3,\)$"),
    "0-d": (1, ValueError, r"y=1 has shape \(\): expected \(3, 3\) or \(3,\)$"),
    "a column": ([[0], [1], [2]], ValueError, r"y has shape \(3, 1\): expected \(3, 3\) or \(3,\)$"),
    "3-d": (np.zeros((3, 1, 3)), ValueError, r"y has shape \(3, 1, 3\): expected \(3, 3\) or \(3,\)$"),
}  # fmt: skip
ROWS = {  # of each loss
    "cross_entropy": {
        "sum to more": ([1, 0.5, 0], r"y\[1\] sums to 1\.5: cross_entropy expects rows that sum to 1$"),
        "sum to less": ([0.3, 0.3, 0.3], r"y\[1\] sums to 0\.9: cross_entropy expects rows that sum to 1$"),
        "negative": ([1, 0.5, -0.5], r"y\[1, 2\]=-0\.5: cross_entropy expects entries from 0 to 1$"),
        "above one": ([0, 2, 0], r"y\[1, 1\]=2\.0: cross_entropy expects entries from 0 to 1$"),
        "NaN": ([NAN, 1, 0], r"y\[1, 0\]=nan: expected finite numbers$"),
    },
    "binary_cross_entropy": {
        "negative": ([1, 0.5, -0.1], r"y\[1, 2\]=-0\.1.*: binary_cross_entropy expects entries from 0 to 1$"),
        "above one": ([0, 1.0005, 0], r"y\[1, 1\]=1\.0005.*: binary_cross_entropy expects entries from 0 to 1$"),
        "classes": ([0, 1, 2], r"y\[1, 2\]=2\.0: binary_cross_entropy expects entries from 0 to 1$"),
        "infinite": ([0, INF, 0], r"y\[1, 1\]=inf: expected finite numbers$"),
    },
    "poisson": {
        "negative": ([1, 0, -1], r"y\[1, 2\]=-1\.0: poisson expects entries of at least 0$"),
        "NaN": ([1, 0, NAN], r"y\[1, 2\]=nan: expected finite numbers$"),
    },
    "squared_error": {
        "NaN": ([1, 0, NAN], r"y\[1, 2\]=nan: expected finite numbers$"),
        "-infinity": ([1, 0, -INF], r"y\[1, 2\]=-inf: expected finite numbers$"),
    },
}
ROW_SHAPES = {
    "1-d": (np.zeros(3), r"y has shape \(3,\): expected \(3, 3\)$"),
    "a column": (np.zeros((3, 1)), r"y has shape \(3, 1\): expected \(3, 3\)$"),
    "two outputs": (np.zeros((3, 2)), r"y has shape \(3, 2\): expected \(3, 3\)$"),
    "two samples": (np.zeros((2, 3)), r"y has shape \(2, 3\): expected \(3, 3\)$"),
    "empty": (np.zeros((0, 3)), r"y has shape \(0, 3\): expected \(3, 3\)$"),
}
LEARNING = {
    "Network.loss": lambda network, X, y: network.loss(X, y),
    "Network.loss_and_gradients": lambda network, X, y: network.loss_and_gradients(X, y),
    "Network.step": lambda network, X, y: network.step(X, y, momentum=0.9),
    "Network.fit": lambda network, X, y: network.fit(X, y, epochs=2),
}


def targets_cases():
    X = SAMPLES[:3]
    for where, call in LEARNING.items():
        for what, (y, error, message) in INDICES.items():
            yield Case(f"{where}: class indices, {what}", bound(call, net(), X, y), error, "^" + message)
        for what, make in SPARSE.items():
            use = lambda y, call=call: call(net(), X, y)  # noqa: E731
            message = r"^y is a sparse matrix: expected a dense array"
            yield Case(f"{where}: y, {what}", of_sparse(use, make), TypeError, message)
        for loss, rows in ROWS.items():
            for what, (row, message) in rows.items():
                y = np.array([[1, 0, 0], row, [0, 0, 1]])
                for dtype in ("float64", "float32"):
                    name = f"{where}, {dtype}: {loss}, {what}"
                    yield Case(name, bound(call, net(loss, dtype), X, y), ValueError, "^" + message)
            if loss != "cross_entropy":
                for what, (y, message) in ROW_SHAPES.items():
                    yield Case(f"{where}: {loss}, {what}", bound(call, net(loss), X, y), ValueError, "^" + message)
        y = np.array([[0, 0, 0], [0, 1e39, 0], [0, 0, 0]])
        message = r"^y\[1, 1\]=1e\+39 \(too large for float32\): expected finite numbers$"
        yield Case(f"{where}: too large", bound(call, net("squared_error", "float32"), X, y), ValueError, message)


ONE_TARGET = {
    "too large": (3, r"y=3: expected a class index, an integer from 0 to 2$"),
    "negative": (-1, r"y=-1: expected a class index, an integer from 0 to 2$"),
    "a fraction": (0.5, r"y=0\.5: expected a class index, an integer from 0 to 2$"),
    "NaN": (NAN, r"y=nan: expected a class index, an integer from 0 to 2$"),
    "huge": (2**70, r"y=1\.18\d*e\+21: expected a class index, an integer from 0 to 2$"),
    "a short row": ([0.5, 0.5], r"y has shape \(2,\): expected a class index or \(3,\)$"),
    "an index with an axis": ([1], r"y has shape \(1,\): expected a class index or \(3,\)$"),
    "a batch of rows": ([[0.0, 0.0, 1.0]], r"y has shape \(1, 3\): expected a class index or \(3,\)$"),
    "a row of another sum": ([0.5, 0.5, 0.5], r"y\[0\] sums to 1\.5: cross_entropy expects rows that sum to 1$"),
}


def one_target_cases():
    x = np.ascontiguousarray(SAMPLES[0])
    calls = {**LEARNING, "Network.trace": lambda network, x, y: network.trace(x, y)}
    for where in set(calls) - {"Network.fit"}:
        for what, (y, message) in ONE_TARGET.items():
            yield Case(f"{where}: one target, {what}", bound(calls[where], net(), x, y), ValueError, "^" + message)
        for what, y, message in [
            ("None", None, "=None"),
            ("a word", "a", " has dtype <U1"),
            ("complex", 1j, " has dtype complex128"),
        ]:
            pattern = rf"^y{message}.*: expected real numbers$"
            yield Case(f"{where}: one target, {what}", bound(calls[where], net(), x, y), TypeError, pattern)


# ---- sample weights ----

WEIGHTS = {
    "negative": ([1, -2, 1], ValueError, r"\[1\]=-2\.0: expected weights of at least 0$"),
    "all zero": ([0, 0, 0], ValueError, r" is all zero: expected at least one positive weight$"),
    "NaN": ([1, NAN, 1], ValueError, r"\[1\]=nan: expected finite numbers$"),
    "infinity": ([1, 1, INF], ValueError, r"\[2\]=inf: expected finite numbers$"),
    "too few": ([1, 1], ValueError, r" has shape \(2,\): expected \(3,\)$"),
    "too many": ([1, 1, 1, 1], ValueError, r" has shape \(4,\): expected \(3,\)$"),
    "empty": ([], ValueError, r" has shape \(0,\): expected \(3,\)$"),
    "a number": (2.0, ValueError, r"=2\.0 has shape \(\): expected \(3,\)$"),
    "a column": ([[1], [1], [1]], ValueError, r" has shape \(3, 1\): expected \(3,\)$"),
    "text": ("balanced", TypeError, r" has dtype <U8: expected real numbers$"),
    "words": (["a", "b", "c"], TypeError, r" has dtype <U1: expected real numbers$"),
    "a dict": ({0: 1, 1: 2}, TypeError, r"=\{0: 1, 1: 2\}: expected real numbers$"),
    "None among them": ([1, None, 1], TypeError, r"\[1\]=None: expected real numbers$"),
    "complex": ([1, 1, 1j], TypeError, r" has dtype complex128: expected real numbers$"),
    "masked": (np.ma.masked_array([1.0, 1, 1], [1, 0, 0]), ValueError, r" has 1 masked entries: expected none"),
    "masked in a list": ([np.ma.masked_array([1.0], [1])] * 3, ValueError, r" has 3 masked entries: expected none"),
    "masked among integers": ([1, MASKED, 1], ValueError, r" has masked entries: expected none, fill or drop them fi"),
    "a type": (int, TypeError, r"=<class 'int'>: expected real numbers$"),
    "ragged": ([[1], [1, 2], 1], ValueError, r": expected a rectangular array of numbers \("),
}  # fmt: skip
WEIGHTED = {
    "Network.loss": lambda w: net().loss(SAMPLES[:3], [0, 1, 2], w),
    "Network.loss_and_gradients": lambda w: net().loss_and_gradients(SAMPLES[:3], [0, 1, 2], 0.0, w),
    "Network.step": lambda w: net().step(SAMPLES[:3], [0, 1, 2], momentum=0.9, sample_weight=w),
    "Network.fit": lambda w: net().fit(SAMPLES[:3], [0, 1, 2], sample_weight=w),
    "cmlp.fit": lambda w: cmlp.fit(SAMPLES[:3], [0, 1, 2], sample_weight=w, **QUICK),
    "Model.score": lambda w: model().score(SAMPLES[:3], [0, 1, 2], w),
    "Model.score of a regression": lambda w: model("regression").score(SAMPLES[:3], [0.0, 1, 2], sample_weight=w),
}


def weights_cases():
    for where, call in WEIGHTED.items():
        for what, (weights, error, message) in WEIGHTS.items():
            yield Case(f"{where}: weights, {what}", bound(call, weights), error, "^sample_weight" + message)
        message = r"^sample_weight is a sparse matrix: expected a dense array"
        yield Case(f"{where}: weights, sparse", of_sparse(call, SPARSE["csr matrix"]), TypeError, message)
    message = r"^sample_weight is at most 1e-50, which is zero in float32: expected at least one positive weight$"
    for where, call in {"loss": net(dtype="float32").loss, "fit": net(dtype="float32").fit}.items():
        use = lambda call=call: call(SAMPLES, CLASSES, sample_weight=np.full(N, 1e-50))  # noqa: E731
        yield Case(f"Network.{where}, float32: weights that round to zero", use, ValueError, message)
    held_out = np.r_[1, np.zeros(N - 1)]
    yield Case(
        "cmlp.fit: no weight held out",
        lambda: cmlp.fit(SAMPLES, CLASSES, sample_weight=held_out, early_stopping=True, **QUICK),
        ValueError, r"^sample_weight is zero for all the \d+ samples to train on, or for all the 1 held out: expected",
    )  # fmt: skip


# ---- y of a model ----

KINDS = ": expected labels of one type, strings, integers or booleans$"
TWO = ": expected two or more$"
ANY_SHAPE = r": expected \(n,\) or \(n, outputs\)$"
CLASS_KINDS = ": expected booleans, numbers or strings$"
NO_TYPE = " holds integers that no type of 64 bits has room for: expected smaller labels or values$"
COLUMNS_OF = (
    r": expected class labels \(n,\), indicators of 0 and 1 \(n, labels\), or, with loss='squared_error', values"
)
Y_TO_FIT = {
    ValueError: {
        "one class": ([7] * N, r" has one class, \[7\]" + TWO),
        "one class of strings": (["a"] * N, r" has one class, \['a'\]" + TWO),
        "one class of whole floats": ([1.0] * N, r" has one class, \[1\.0\]" + TWO),
        "too few": (CLASSES[1:], rf" has shape \({N - 1},\): expected \({N},\)$"),
        "too many": (np.r_[CLASSES, 1], rf" has shape \({N + 1},\): expected \({N},\)$"),
        "too few values": (SAMPLES[1:, 0], rf" has shape \({N - 1},\): expected \({N}, 1\) or \({N},\)$"),
        "too few rows of values": (SAMPLES[1:], rf" has shape \({N - 1}, 4\): expected \({N}, 4\)$"),
        "too few indicators": (ONE_HOT[1:], rf" has shape \({N - 1}, 3\): expected indicators \({N}, 3\)$"),
        "0-d": (1, r"=1 has shape \(\)" + ANY_SHAPE),
        "a string": ("roses", r"='roses' has shape \(\)" + ANY_SHAPE),
        "3-d": (np.zeros((N, 1, 3)), rf" has shape \({N}, 1, 3\)" + ANY_SHAPE),
        "3-d values": (np.full((N, 1, 3), 0.5), rf" has shape \({N}, 1, 3\)" + ANY_SHAPE),
        "empty": ([], r" has shape \(0,\): expected at least one label$"),
        "no columns": (np.zeros((N, 0)), rf" has shape \({N}, 0\): expected at least one label$"),
        "NaN among classes": (np.r_[NAN, CLASSES[1:]], r"\[0\]=nan: expected finite numbers$"),
        "NaN among values": (np.r_[SAMPLES[1:, 0], NAN], rf"\[{N - 1}\]=nan: expected finite numbers$"),
        "infinity": (np.r_[-INF, CLASSES[1:]], r"\[0\]=-inf: expected finite numbers$"),
        "beyond 64 bits": ([1, 2**70] * 6, NO_TYPE),
        "beyond float64": ([0.5, 10**400] * 6, NO_TYPE),
        "masked": (np.ma.masked_array(CLASSES, CLASSES == 1), " has 4 masked entries: expected none, fill or drop"),
        "masked in a list": ([np.ma.masked_array([1.5, 9], [0, 1])] * N, " has 12 masked entries: expected none"),
        "masked among integers": ([0, 1, MASKED] * 4, " has masked entries: expected none, fill or drop them first$"),
        "masked among integers of rows": ([(0,), (1,), (MASKED,)] * 4, " has masked entries: expected none, fill or"),
        "of 64 bits and negative": ([2**63, -1] * 6, NO_TYPE),
        "integers that floats round": (
            [2**53 + 1, 2**53, 1.0] * 4,
            " holds 9007199254740993 among floats, which round it: expected integers alone, or of at most",
        ),
        "integers that floats round, of objects": (
            np.array([np.int64(2**53 + 1), 2**53, 1.0] * 4, object),
            " holds 9007199254740993 among floats, which round it: expected integers alone, or of at most",
        ),
        "a null at the end": (
            ["a", "a\0", "b"] * 4,
            r" holds 'a\\x00': expected labels that do not end in a null char",
        ),
        "a null at the end of bytes": (
            np.array([b"a", b"a\0", b"b"] * 4, object),
            r" holds b'a\\x00': expected labels that do not end in a null char",
        ),
        "ragged": ([[1, 2], [1]] * 6, r": expected a rectangular array of labels \(.*shape was \(12,\)"),
        "columns of classes": ([[0, 2]] * N, rf" has shape \({N}, 2\) and holds 2" + COLUMNS_OF),
        "columns of strings": ([["a", "b"]] * N, rf" has shape \({N}, 2\) and holds 'a'" + COLUMNS_OF),
    },
    TypeError: {
        "None": (None, " is None: expected labels or values$"),
        "NaN among strings": (["a", NAN] * 6, " holds objects of type float, str" + KINDS),
        "None among strings": (["a", None] * 6, " holds objects of type NoneType, str" + KINDS),
        "numbers among strings": ([1, "a"] * 6, " holds objects of type int, str" + KINDS),
        "tuples of two types": ([(1, "a")] * N, " holds objects of type int, str in rows of 2" + KINDS),
        "objects of two types": (np.array([1, "a"] * 6, object), " holds objects of type int, str" + KINDS),
        "booleans among integers": (np.array([2, True] * 6, object), " holds objects of type bool, int" + KINDS),
        "odd objects": ([Odd(), Odd()] * 6, " holds objects of type Odd" + KINDS),
        "a dict": ({0: 1}, " holds objects of type dict" + KINDS),
        "what NumPy cannot read": (Failing(), r": expected an array of labels \(detach it\)$"),
        "complex objects": (
            np.array([np.complex64(1), 2] * 6, object),
            " holds objects of type complex64, int" + KINDS,
        ),
        "complex": ([1j, 2j] * 6, " has dtype complex128" + CLASS_KINDS),
        "datetimes": (np.zeros(N, "M8[s]"), r" has dtype datetime64\[s\]" + CLASS_KINDS),
        "records": (np.zeros(N, "i4,i4"), r" has dtype \[.*\]" + CLASS_KINDS),
    },
}
Y_UNDER_A_LOSS = {
    "huber": {
        "strings": (["a", "b"] * 6, TypeError, " has dtype <U1" + REAL),
        "None": (None, TypeError, "=None" + REAL),
        "empty": ([], ValueError, r" has shape \(0,\)" + ANY_SHAPE),
        "0-d": (0.5, ValueError, r"=0\.5 has shape \(\)" + ANY_SHAPE),
    },
    "poisson": {
        "negative": (SAMPLES[:, 0], ValueError, r"\[\d+, 0\]=-\S+: poisson expects entries of at least 0$"),
    },
    "cross_entropy": {
        "values": (SAMPLES[:, 0], ValueError, " is regression: loss='cross_entropy': expected one of squared_error, "),
        "indicators": (
            ONE_HOT,
            ValueError,
            " is multilabel: loss='cross_entropy': expected one of binary_cross_entropy$",
        ),
    },
    "binary_cross_entropy": {
        "classes": (CLASSES, ValueError, " is multiclass: loss='binary_cross_entropy': expected one of cross_entropy$"),
        "values": (SAMPLES, ValueError, " is regression: loss='binary_cross_entropy': expected one of squared_error, "),
    },
}
Y_TO_SCORE = {
    "multiclass": {
        "an unknown class": ([0, 1, 7], ValueError, r"\[2\]=7: expected one of the classes \[0, 1, 2\]$"),
        "a fraction": ([0, 1.5, 2], ValueError, r"\[1\]=1\.5: expected one of the classes \[0, 1, 2\]$"),
        "strings": (["0", "1", "2"], ValueError, r"\[0\]='0': expected one of the classes \[0, 1, 2\]$"),
        "NaN": ([0, NAN, 1], ValueError, r"\[1\]=nan: expected finite numbers$"),
        "too few": ([0, 1], ValueError, r" has shape \(2,\): expected \(3,\)$"),
        "one-hot rows": (np.eye(3), ValueError, r" has shape \(3, 3\): expected \(3,\)$"),
        "None": (None, TypeError, r" is None: expected labels or values$"),
        "complex": ([0, 1j, 2], TypeError, r" has dtype complex128: expected booleans, numbers or strings$"),
    },
    "strings": {
        "an unknown class": (["rose", "daisy", "rose"], ValueError, r"\[1\]='daisy': expected one of the classes \['"),
        "beyond the last": (["zinnia"] * 3, ValueError, r"\[0\]='zinnia': expected one of the classes \['lily'"),
        "numbers": ([0, 1, 2], ValueError, r"\[0\]=0: expected one of the classes \['lily', 'rose', 'tulip'\]$"),
        "None among them": (["rose", None, "rose"], TypeError, " holds objects of type NoneType, str" + KINDS),
    },
    "binary": {
        "an unknown class": ([0, 1, 2], ValueError, r"\[2\]=2: expected one of the classes \[False, True\]$"),
    },
    "multilabel": {
        "another number": ([[0, 1, 2]] * 3, ValueError, r"\[0, 2\]=2: expected indicators, 0 or 1$"),
        "a fraction": ([[0, 1, 0.5]] * 3, ValueError, r"\[0, 2\]=0\.5: expected indicators, 0 or 1$"),
        "too few columns": ([[0, 1]] * 3, ValueError, r" has shape \(3, 2\): expected indicators \(3, 3\)$"),
        "classes": ([0, 1, 2], ValueError, r" has shape \(3,\): expected indicators \(3, 3\)$"),
        "strings": ([["0", "1", "0"]] * 3, TypeError, r" has dtype <U1: expected indicators, 0 or 1$"),
    },
    "regression": {
        "NaN": ([0.5, NAN, 1], ValueError, r"\[1\]=nan: expected finite numbers$"),
        "infinity": ([0.5, 1, INF], ValueError, r"\[2\]=inf: expected finite numbers$"),
        "too few": ([0.5, 1], ValueError, r" has shape \(2,\): expected \(3, 1\) or \(3,\)$"),
        "too many columns": (np.zeros((3, 2)), ValueError, r" has shape \(3, 2\): expected \(3, 1\) or \(3,\)$"),
        "strings": (["a", "b", "c"], TypeError, r" has dtype <U1: expected real numbers$"),
    },
    "three outputs": {
        "one column": (np.zeros((3, 1)), ValueError, r" has shape \(3, 1\): expected \(3, 3\)$"),
        "1-d": (np.zeros(3), ValueError, r" has shape \(3,\): expected \(3, 3\)$"),
    },
}  # fmt: skip


def fit_validated(task, y_val):
    return cmlp.fit(SAMPLES, LABELS[task], X_val=SAMPLES[:3], y_val=y_val, **QUICK)


def labels_cases():
    for what, error, y, message in by_error(Y_TO_FIT):
        yield Case(f"cmlp.fit: y, {what}", lambda y=y: cmlp.fit(SAMPLES, y, **QUICK), error, "^y" + message)
    for loss, entries in Y_UNDER_A_LOSS.items():
        for what, (y, error, message) in entries.items():
            call = lambda y=y, loss=loss: cmlp.fit(SAMPLES, y, loss=loss, **QUICK)  # noqa: E731
            yield Case(f"cmlp.fit: y, {what}, {loss}", call, error, "^y" + message)
    large = np.full(N, 1e39)
    call = lambda: cmlp.fit(SAMPLES, large, loss="huber", dtype="float32", **QUICK)  # noqa: E731
    message = r"^y\[0, 0\]=1e\+39 \(too large for float32\): expected finite numbers$"
    yield Case("cmlp.fit, float32: y too large", call, ValueError, message)
    use = lambda y: cmlp.fit(SAMPLES, y, **QUICK)  # noqa: E731
    message = r"^y is a sparse matrix: expected a dense array, as y\.toarray\(\) gives$"
    yield Case("cmlp.fit: y, sparse", of_sparse(use, SPARSE["csr matrix"]), TypeError, message)
    for task, targets in Y_TO_SCORE.items():
        for what, (y, error, message) in targets.items():
            name = f"{task}: y, {what}"
            yield Case(f"Model.score, {name}", bound(model(task).score, SAMPLES[:3], y), error, "^y" + message)
            if y is not None:
                yield Case(f"cmlp.fit, {name}_val", bound(fit_validated, task, y), error, "^y_val" + message)
    both = r": expected both of X_val and y_val, or neither$"
    yield Case(
        "cmlp.fit: no y_val", lambda: cmlp.fit(SAMPLES, CLASSES, X_val=SAMPLES), ValueError, "^y_val=None" + both
    )
    yield Case(
        "cmlp.fit: no X_val", lambda: cmlp.fit(SAMPLES, CLASSES, y_val=CLASSES), ValueError, "^X_val=None" + both
    )
    yield Case(
        "cmlp.fit: nothing left to train on", lambda: cmlp.fit(SAMPLES[:1], [0.5], early_stopping=True, **QUICK),
        ValueError, r"^validation_fraction=0\.1 of 1 samples leaves none to train on: expected more samples$",
    )  # fmt: skip


# ---- parameters ----

STEP, FIT, MODEL = "Network.step", "Network.fit", "cmlp.fit"
CALLS = {
    STEP: lambda **options: net().step(SAMPLES, CLASSES, **options),
    FIT: lambda **options: net().fit(SAMPLES, CLASSES, **options),
    MODEL: lambda **options: cmlp.fit(SAMPLES, CLASSES, **(QUICK | options)),
    "Network.loss_and_gradients": lambda **options: net().loss_and_gradients(SAMPLES, CLASSES, **options),
    "Network.trace": lambda **options: net().trace(SAMPLES[0], 1, **options),
    "Network": lambda **options: cmlp.Network(**({"layer_sizes": (4, 5, 6, 3)} | options)),
}
OF_WRONG_KIND = {
    "None": None, "a word": "x", "a number as text": "1", "bytes": b"1", "a list": [1], "an empty list": [],
    "a dict": {}, "a set": {1},
    "an object": Odd(), "a type": int, "True": True, "np.True_": np.True_, "complex": 1 + 0j,
    "complex64": np.complex64(1), "an array": np.array([1, 2]), "an array of one": np.array([1]),
    "a time": np.datetime64("2020"), "a time span": np.timedelta64(1, "s"), "a boolean, no axes": np.array(True),
    "text, no axes": np.array("1"),
}  # fmt: skip
NUMBERS = {  # parameter: (calls, what the interval is called, values outside)
    "learning_rate": ((STEP, FIT, "Network.trace"), r"at least 0 and at most 1\.79769e\+308", [-1e-300, -1]),
    "alpha": ((STEP, FIT, "Network.loss_and_gradients"), r"at least 0 and at most 1\.79769e\+308", [-1e-300, -1]),
    "alpha ": ((MODEL,), r"at least 0 and at most 3\.40282e\+38", [-1e-300, -1, 1e39]),
    "learning_rate_init": ((MODEL,), r"above 0 and at most 3\.40282e\+38", [0, 0.0, -1, 1e39]),
    "power_t": ((MODEL,), "at least 0 and at most 10", [-0.5, 10.5, 400]),
    "tol": ((MODEL,), "at least 0", [-1e-4]),
    "momentum": ((STEP, FIT, MODEL), "at least 0 and at most 1", [-0.1, 1.1, 2]),
    "validation_fraction": ((MODEL,), "above 0 and below 1", [0, 1, 0.0, 1.0, -0.1, 20]),
    "beta_1": ((STEP, FIT, MODEL), "at least 0 and below 1", [1, 1.0, -0.1]),
    "beta_2": ((STEP, FIT, MODEL), "at least 0 and below 1", [1, 1.0, -0.1]),
    "epsilon": ((STEP, FIT, MODEL), "above 0", [0, 0.0, -1e-8]),
    "quantile": (("Network", MODEL), "above 0 and below 1", [0, 1, 0.0, 1.0, -0.1]),
    "label_smoothing": ((MODEL,), "at least 0 and below 1", [1, 1.0, -0.1]),
    "input_dropout": ((MODEL,), "at least 0 and below 1", [1, 1.0, -0.1]),
    "warmup_epochs": ((MODEL,), r"at least 0 and at most 3\.40282e\+38", [-1, -0.5]),
}
NOT_FINITE = [NAN, INF, -INF, np.float32("nan"), np.float64("inf"), 10**400, np.array(NAN)]

NATURAL, WHOLE = "a positive integer", "an integer, 0 or more"
AUTO, VERBOSE = r"'auto' or a positive integer", "True, False or an integer, 0 or more"
WIDTH = "a positive integer or a sequence of them"
SEED = r"None, a RandomState, a Generator or a seed, an integer from 0 to 2\*\*32 - 1"
FLOATS = {
    "a float": 2.5,
    "a whole float": 2.0,
    "a float32": np.float32(2),
    "NaN": NAN,
    "infinity": INF,
    "Decimal": Decimal(2),
}
INTEGERS = {  # parameter: (calls, what is expected, values outside, kinds that it takes beyond integers)
    "batch_size": ((FIT,), NATURAL, [0, -1, np.int8(-3), -(10**30)], ()),
    "batch_size ": ((MODEL,), AUTO, [0, -1, np.int64(0)], ("a word", "a number as text")),
    "epochs": ((FIT,), WHOLE, [-1, np.int64(-1)], ()),
    "max_iter": ((MODEL,), NATURAL, [0, -1], ()),
    "n_iter_no_change": ((MODEL,), NATURAL, [0, -5], ()),
    "max_fun": ((MODEL,), NATURAL, [0, -5], ()),
    "checkpoint_every": ((MODEL,), NATURAL, [0, -5], ()),
    "n_threads": ((FIT, MODEL), "None or a positive integer", [0, -1], ("None",)),
    "verbose": ((MODEL,), VERBOSE, [-1], ("True", "np.True_")),
    "random_state": ((MODEL, "Network"), SEED, [-1, 2**32, 2**64, np.int64(-1)], ("None",)),
    "hidden_layer_sizes": ((MODEL,), WIDTH, [0, -1], ("a list", "an empty list", "an array", "an array of one", *(
        "None", "a dict", "a set", "an object", "a type", "a boolean, no axes", "text, no axes", "Decimal",
    ))),
}  # fmt: skip
FLAGS = {"shuffle": (FIT, MODEL), "nesterov": (STEP, FIT), "nesterovs_momentum": (MODEL,), "early_stopping": (MODEL,)}
OF_NO_FLAG = {**OF_WRONG_KIND, "0": 0, "1": 1, "1.0": 1.0, "NaN": NAN, "'True'": "True", "'auto'": "auto"}

RATES = "constant, invscaling, adaptive, cosine, one_cycle; the rate itself is learning_rate_init"
DISTANCES = "squared_error, absolute_error, huber, log_cosh, quantile"
NAMES = {
    "solver": ((STEP, FIT), "sgd, adam, adamw, rmsprop", ["lbfgs", "SGD", "sgd ", "", "ada\0m"]),
    "solver ": ((MODEL,), "sgd, adam, adamw, rmsprop, lbfgs", ["LBFGS", "SGD", "sgd ", "", "ada\0m"]),
    "learning_rate": ((MODEL,), RATES, ["linear", "Constant", ""]),
    "loss": (("Network",), f"cross_entropy, binary_cross_entropy, poisson, {DISTANCES}", ["mse", "log_loss", ""]),
    "loss ": ((MODEL,), f"cross_entropy, binary_cross_entropy, {DISTANCES}, poisson", ["mse", "hinge", ""]),
    "scoring": ((MODEL,), "accuracy, r2, loss", ["f1", "Accuracy", ""]),
}
OF_NO_NAME = {**OF_WRONG_KIND, "0": 0, "0.1": 0.1, "NaN": NAN, "a tuple": ("adam",)}
ACTIVATION_NAMES = "one of identity, relu, sigmoid, tanh, leaky_relu, elu, selu, softplus, silu, gelu, logistic"


def pattern(name, value, expected):
    """The argument, its value as Python shows it (cut at 60 characters) and what was expected."""
    text = " ".join(repr(value).split())
    text = re.escape(text) if len(text) <= 60 else re.escape(text[:57]) + r"\.\.\."
    return rf"^{name.strip()}={text}: expected {expected}$"


def parameter(name, where, value, error, expected):
    call = lambda: CALLS[where](**{name.strip(): value})  # noqa: E731
    return Case(f"{where}: {name.strip()}={value!r:.30}", call, error, pattern(name, value, expected))


def parameter_cases():
    for name, (calls, interval, outside) in NUMBERS.items():
        for where in calls:
            for value in (*outside, *NOT_FINITE):
                yield parameter(name, where, value, ValueError, f"a finite number {interval}")
            for value in OF_WRONG_KIND.values():
                yield parameter(name, where, value, TypeError, f"a finite number {interval}")
    for name, (calls, expected, outside, taken) in INTEGERS.items():
        for where in calls:
            for value in outside:
                yield parameter(name, where, value, ValueError, expected)
            for kind, value in (OF_WRONG_KIND | FLOATS).items():
                if kind not in taken:
                    yield parameter(name, where, value, TypeError, expected)
    for name, calls in FLAGS.items():
        for where in calls:
            for kind, value in OF_NO_FLAG.items():
                if kind not in ("True", "np.True_"):
                    yield parameter(name, where, value, TypeError, "True or False")
    for name, (calls, known, unknown) in NAMES.items():
        for where in calls:
            for value in unknown:
                yield parameter(name, where, value, ValueError, f"one of {known}")
            taken = ("a word", "a number as text", *(["None"] if name in ("loss ", "scoring") else []))
            taken += ("a type",) if name == "scoring" else ()
            for kind, value in OF_NO_NAME.items():
                if kind not in taken:
                    yield parameter(name, where, value, TypeError, f"one of {known}")


def other_parameter_cases():
    yield parameter("batch_size", MODEL, "all", ValueError, AUTO)
    for value in (0, 2.5, True, [], {}, object()):
        yield parameter("checkpoint", MODEL, value, TypeError, "a str, bytes or os.PathLike")
    for value in ("x", -1, 2.0, True, 2**32, [1], Odd()):
        error = ValueError if type(value) is int else TypeError
        call = lambda value=value: net().fit(SAMPLES, CLASSES, shuffle=True, random_state=value)  # noqa: E731
        yield Case(f"{FIT}: random_state={value!r}", call, error, pattern("random_state", value, SEED))
    float32 = {STEP: net(dtype="float32").step, FIT: net(dtype="float32").fit}
    for where, call in float32.items():
        for name in ("learning_rate", "alpha"):
            use = lambda name=name, call=call: call(SAMPLES, CLASSES, **{name: 1e39})  # noqa: E731
            message = pattern(name, 1e39, r"a finite number at least 0 and at most 3\.40282e\+38")
            yield Case(f"{where}, float32: {name} too large", use, ValueError, message)
    for value in (
        None,
        "float16",
        "int32",
        "x",
        ">f8",
        "longdouble",
        "f8,f4",
        8,
        [],
        {},
        True,
        Odd(),
        int,
        complex,
        object,
        "\ud800",
    ):
        for where in ("Network", MODEL):
            if value is not None or where == "Network":
                yield parameter("dtype", where, value, ValueError, "one of float32, float64")


OPTIONS = {  # parameter: values with the error and what it says
    "out_activation": [
        ("tanh", ValueError, "cross_entropy goes with softmax: expected that or None$"),
        (1, ValueError, "cross_entropy goes with softmax: expected that or None$"),
        (np.array([1, 2]), ValueError, r"^out_activation=array\(\[1, 2\]\): cross_entropy goes with softmax: expected"),
        (Unclear(), ValueError, "^out_activation=<unclear>: cross_entropy goes with softmax: expected that or None$"),
    ],
    "dropout": [
        (1, ValueError, "^dropout=1: expected a finite number at least 0 and below 1$"),
        (-0.1, ValueError, r"^dropout=-0\.1: expected a finite number at least 0 and below 1$"),
        ("x", TypeError, "^dropout='x': expected a finite number"),
        (None, TypeError, "^dropout=None: expected a finite number"),
        ([0.5, 0.5], ValueError, r"^dropout=\(0\.5, 0\.5\): expected a number or a sequence of 1, one per hidden"),
        ([], ValueError, r"^dropout=\(\): expected a number or a sequence of 1, one per hidden layer$"),
        ([1.0], ValueError, r"^dropout\[0\]=1\.0: expected a finite number at least 0 and below 1$"),
        (["a"], TypeError, r"^dropout\[0\]='a': expected a finite number"),
        (np.array(1.0), ValueError, r"^dropout=array\(1\.\): expected a finite number at least 0 and below 1$"),
        (np.array("x"), TypeError, r"^dropout=array\('x'.*\): expected a finite number at least 0 and below 1$"),
    ],
    "max_grad_norm": [
        (0, ValueError, "^max_grad_norm=0: expected a finite number above 0"),
        (-1, ValueError, "^max_grad_norm=-1: expected a finite number above 0"),
        (INF, ValueError, "^max_grad_norm=inf: expected a finite number above 0"),
        ("x", TypeError, "^max_grad_norm='x': expected a finite number above 0"),
    ],
    "class_weight": [
        ("auto", ValueError, "^class_weight='auto': expected a dict or 'balanced'$"),
        (1, TypeError, "^class_weight=1: expected a dict or 'balanced'$"),
        ([1, 2, 3], TypeError, r"^class_weight=\[1, 2, 3\]: expected a dict or 'balanced'$"),
        ({7: 1}, ValueError, r"^class_weight has 7: expected labels among \[0, 1, 2\]$"),
        ({0: -1}, ValueError, r"^class_weight\[0\]=-1: expected a finite number at least 0$"),
        ({0: "a"}, TypeError, r"^class_weight\[0\]='a': expected a finite number at least 0$"),
        ({0: 0, 1: 0, 2: 0}, ValueError, "^class_weight is zero for every class in y: expected at least one"),
    ],
    "callbacks": [
        (1, TypeError, "^callbacks=1: expected a callable or a sequence of callables$"),
        ([print, 1], TypeError, "^callbacks=.*: expected a callable or a sequence of callables$"),
        ({print}, TypeError, "^callbacks=.*: expected a callable or a sequence of callables$"),
    ],
}


def option_cases():
    for name, cases in OPTIONS.items():
        for value, error, message in cases:
            yield Case(
                f"cmlp.fit: {name}={value!r:.30}", lambda n=name, v=value: CALLS[MODEL](**{n: v}), error, message
            )
    values = (SAMPLES, np.linspace(0, 0.5, len(SAMPLES)))
    for keyword, value, message in (
        ("out_activation", "softmax", "^out_activation='softmax': expected one of identity, relu"),
        ("class_weight", "balanced", "^class_weight='balanced': expected None for regression$"),
        ("label_smoothing", 0.1, r"^label_smoothing=0\.1: expected 0 for a regression$"),
    ):
        call = lambda k=keyword, v=value: cmlp.fit(*values, **QUICK, **{k: v})  # noqa: E731
        yield Case(f"cmlp.fit: {keyword}={value!r} of a regression", call, ValueError, message)
    for keyword, value in {"dropout": 0.1, "input_dropout": 0.1, "max_grad_norm": 1.0, "warmup_epochs": 1.0}.items():
        call = lambda k=keyword, v=value: CALLS[MODEL](solver="lbfgs", **{k: v})  # noqa: E731
        message = f"^{keyword}={value}: expected none with solver='lbfgs'$"
        yield Case(f"cmlp.fit: {keyword} with lbfgs", call, ValueError, message)


UNKNOWN = {
    "Network": lambda **more: cmlp.Network((4, 3), **more),
    "forward": lambda **more: net().forward(SAMPLES, **more),
    "loss": lambda **more: net().loss(SAMPLES, CLASSES, **more),
    "loss_and_gradients": lambda **more: net().loss_and_gradients(SAMPLES, CLASSES, **more),
    "step": lambda **more: net().step(SAMPLES, CLASSES, **more),
    "fit": lambda **more: net().fit(SAMPLES, CLASSES, **more),
    "trace": lambda **more: net().trace(SAMPLES[0], 1, **more),
    "cmlp.fit": lambda **more: cmlp.fit(SAMPLES, CLASSES, **more),
    "predict": lambda **more: cmlp.predict(model(), SAMPLES, **more),
    "predict_proba": lambda **more: cmlp.predict_proba(model(), SAMPLES, **more),
    "score": lambda **more: model().score(SAMPLES, CLASSES, **more),
    "save": lambda **more: cmlp.save(model(), "x", **more),
    "load": lambda **more: cmlp.load("x", **more),
}


def unknown_keyword_cases():
    for where, call in UNKNOWN.items():
        message = (
            rf"{where.removeprefix('cmlp.')}\S*\(\) got an unexpected keyword argument 'lr'|__init__\(\) got .* 'lr'"
        )
        yield Case(f"{where}: an unknown keyword", lambda call=call: call(lr=1), TypeError, message)


# ---- sizes ----

POSITIVE, SEQUENCE = ": expected a positive integer$", ": expected a sequence of positive integers$"
NO_ROOM = r" parameters do not fit into memory$"
SIZES = {
    ValueError: {
        "none": ((), r"=\(\): expected at least 2 widths$"),
        "one": ((4,), r"=\(4,\): expected at least 2 widths$"),
        "zero inputs": ((0, 3), r"\[0\]=0" + POSITIVE),
        "zero units": ((4, 0, 3), r"\[1\]=0" + POSITIVE),
        "zero outputs": ((4, 0), r"\[1\]=0" + POSITIVE),
        "negative": ((4, -5, 3), r"\[1\]=-5" + POSITIVE),
        "one output of a softmax": (
            (4, 5, 1),
            r"\[-1\]=1: a softmax of one output is always 1: expected two outputs or more for cross_entropy, or "
            "loss='squared_error' for a regression, 'binary_cross_entropy' for two classes$",
        ),
    },
    TypeError: {
        "a float": ((4, 5.0, 3), r"\[1\]=5\.0" + POSITIVE),
        "NaN": ((4, NAN, 3), r"\[1\]=nan" + POSITIVE),
        "a boolean": ((4, True, 3), r"\[1\]=True" + POSITIVE),
        "text": ((4, "5", 3), r"\[1\]='5'" + POSITIVE),
        "None among them": ((4, None, 3), r"\[1\]=None" + POSITIVE),
        "nested": ((4, (5, 6), 3), r"\[1\]=\(5, 6\)" + POSITIVE),
        "an array of floats": (np.array([4.0, 3.0]), r"\[0\]=(np.float64\()?4\.0\)?" + POSITIVE),
        "a matrix": (np.array([[4, 3]]), r"\[0\]=array\(\[4, 3\]\)" + POSITIVE),
        "a number": (4, "=4" + SEQUENCE),
        "an array of no axes": (np.array(4), r"=array\(4\)" + SEQUENCE),
        "a string": ("443", "='443'" + SEQUENCE),
        "bytes": (b"443", "=b'443'" + SEQUENCE),
        "None": (None, "=None" + SEQUENCE),
        "a set": ({4, 3}, r"=\{3, 4\}" + SEQUENCE),
        "a dict": ({4: 0, 3: 0}, r"=\{4: 0, 3: 0\}" + SEQUENCE),
        "an object": (Odd(), "=<odd>" + SEQUENCE),
    },
    MemoryError: {
        "800 TB": ((10**7, 10**7, 10), r"=\(10000000, 10000000, 10\): 100000110000010" + NO_ROOM),
        "64 bits": ((2**32, 2**32, 3), r"=\(4294967296, 4294967296, 3\): 18446744090889420803" + NO_ROOM),
        "64 bits to zero": ((2**63, 2, 3), r"=\(9223372036854775808, 2, 3\): 18446744073709551627" + NO_ROOM),
        "63 bits in bytes": ((2**30, 2**30, 2), r"=\(1073741824, 1073741824, 2\): 1152921507828072450" + NO_ROOM),
        "one wide layer": ((1, 2**61, 2), r"=\(1, 2305843009213693952, 2\): 9223372036854775810" + NO_ROOM),
        "beyond 64 bits": ((10**30, 3), r"=\(10{30}, 3\): 30{29}3" + NO_ROOM),
    },
}
HIDDEN = {
    "zero": ((5, 0), ValueError, r"hidden_layer_sizes\[1\]=0: expected a positive integer$"),
    "negative": ([-2], ValueError, r"hidden_layer_sizes\[0\]=-2: expected a positive integer$"),
    "a float": ([2.0], TypeError, r"hidden_layer_sizes\[0\]=2\.0: expected a positive integer$"),
    "None": (None, TypeError, r"hidden_layer_sizes=None: expected a sequence of positive integers$"),
    "a set": ({5, 6}, TypeError, r"hidden_layer_sizes=\{5, 6\}: expected a sequence of positive integers$"),
    "an object": (Odd(), TypeError, r"hidden_layer_sizes=<odd>: expected a sequence of positive integers$"),
    "too large": ((10**7, 10**7), MemoryError, r"layer_sizes=\(4, 10000000, 10000000, 3\): .*" + NO_ROOM),
    "beyond 64 bits": (10**20, MemoryError, r"layer_sizes=\(4, 10{20}, 3\): .*" + NO_ROOM),
}  # fmt: skip
ACTIVATIONS = {
    "unknown": ("step", ValueError, rf"activation='step': expected {ACTIVATION_NAMES}$"),
    "another case": ("ReLU", ValueError, rf"activation='ReLU': expected {ACTIVATION_NAMES}$"),
    "one unknown": (("relu", "step"), ValueError, rf"activation\[1\]='step': expected {ACTIVATION_NAMES}$"),
    "None among them": (("relu", None), TypeError, rf"activation\[1\]=None: expected {ACTIVATION_NAMES}$"),
    "a number among them": ((0, "relu"), TypeError, rf"activation\[0\]=0: expected {ACTIVATION_NAMES}$"),
    "a list among them": (("relu", ["relu"]), TypeError, rf"activation\[1\]=\['relu'\]: expected {ACTIVATION_NAMES}$"),
    "too few": (("relu",), ValueError, r"activation=\('relu',\): expected a name or a sequence of 2, one per"),
    "too many": (["relu"] * 3, ValueError, r"activation=\[('relu'(, )?){3}\]: expected a name or a sequence of 2, one"),
    "none": ([], ValueError, r"activation=\[\]: expected a name or a sequence of 2, one per hidden layer$"),
    "None": (None, TypeError, r"activation=None: expected a name or a name per hidden layer$"),
    "bytes": (b"relu", TypeError, r"activation=b'relu': expected a name or a name per hidden layer$"),
    "a number": (1, TypeError, r"activation=1: expected a name or a name per hidden layer$"),
    "a dict": ({"relu": 1}, TypeError, r"activation=\{'relu': 1\}: expected a name or a name per hidden layer$"),
    "a set": ({"relu"}, TypeError, r"activation=\{'relu'\}: expected a name or a name per hidden layer$"),
    "a function": (np.tanh, TypeError, r"activation=<ufunc 'tanh'>: expected a name or a name per hidden layer$"),
    "an object": (Odd(), TypeError, r"activation=<odd>: expected a name or a name per hidden layer$"),
}  # fmt: skip


def sizes_cases():
    for what, error, sizes, message in by_error(SIZES):
        yield Case(f"Network: layer_sizes, {what}", bound(cmlp.Network, sizes), error, "^layer_sizes" + message)
    for what, (sizes, error, message) in HIDDEN.items():
        call = lambda sizes=sizes: CALLS[MODEL](hidden_layer_sizes=sizes)  # noqa: E731
        yield Case(f"cmlp.fit: hidden_layer_sizes, {what}", call, error, "^" + message)
    for what, (names, error, message) in ACTIVATIONS.items():
        options = {MODEL: {"hidden_layer_sizes": (5, 6)}, "Network": {}}
        for where, more in options.items():
            call = lambda names=names, where=where, more=more: CALLS[where](activation=names, **more)  # noqa: E731
            yield Case(f"{where}: activation, {what}", call, error, "^" + message)


# ---- models and paths ----


def model_cases():
    calls = {
        "cmlp.predict": lambda value: cmlp.predict(value, SAMPLES),
        "cmlp.predict_proba": lambda value: cmlp.predict_proba(value, SAMPLES),
        "cmlp.save": lambda value: cmlp.save(value, "x"),
    }
    for where, call in calls.items():
        for value in (None, net(), Odd(), "x", {}, cmlp.Model):
            expected = "a cmlp.Model, as cmlp.fit returns it; an estimator or a Network has methods of its own, and can"
            message = pattern("model", value, f"{expected} be pickled")
            yield Case(f"{where}: model={value!r:.20}", bound(call, value), TypeError, message)
    needs = r"^predict_proba needs a classifier: this model is a regression$"
    yield Case(
        "predict_proba of a regression", bound(cmlp.predict_proba, model("regression"), SAMPLES), TypeError, needs
    )
    for where, call in {"cmlp.save": lambda path: cmlp.save(model(), path), "cmlp.load": cmlp.load}.items():
        for value in (None, 3, 3.5, True, [], {}, Odd(), model(), str):
            message = pattern("path", value, r"a str, bytes or os\.PathLike")
            yield Case(f"{where}: path={value!r:.20}", bound(call, value), TypeError, message)
        yield Case(f"{where}: a null", bound(call, "a\0b"), ValueError, pattern("path", "a\0b", "no null character"))


BAD = cases(
    samples_cases(), other_samples_cases(), targets_cases(), one_target_cases(), weights_cases(), labels_cases(),
    parameter_cases(), other_parameter_cases(), option_cases(), unknown_keyword_cases(), sizes_cases(), model_cases(),
)  # fmt: skip


def name_of(case):
    return case.name.encode("unicode_escape").decode()


def assert_refused(case):
    with pytest.raises(case.error) as caught:
        case.call()
    assert caught.type is case.error
    message = str(caught.value)
    assert re.search(case.message, message), message
    assert re.search("expect|needs a classifier|do not fit into memory", message), message


def test_the_table_is_long():
    assert len(BAD) > 2000


@pytest.mark.parametrize("case", BAD, ids=name_of)
def test_bad(case, behaviours):
    assert_refused(case)
    assert all(network.parameters.tobytes() == before[1] for network, before in behaviours.items())
    on = [net(), net(dtype="float32"), model(), *getattr(case.call, "on", [])]
    for network in {getattr(each, "network", each) for each in on} & set(behaviours):
        assert behaviour(network) == behaviours[network]


def test_every_parameter_is_in_the_table():
    """A parameter that is added must be given bad values too."""
    tried = {name.strip() for name in (*NUMBERS, *INTEGERS, *FLAGS, *NAMES)}
    tried |= {name.split(": ")[1].split("=")[0].split("[")[0] for name in (case.name for case in option_cases())}
    tried |= {
        "self",
        "X",
        "x",
        "y",
        "sample_weight",
        "X_val",
        "y_val",
        "dtype",
        "activation",
        "layer_sizes",
        "checkpoint",
    }
    network = cmlp.Network
    for call in (network, network.step, network.fit, network.loss_and_gradients, network.trace, cmlp.fit):
        assert set(inspect.signature(call).parameters) <= tried, call


# ---- what network.py does not refuse yet --------------------------------------------------------------


def fresh(dtype="float64", loss="cross_entropy", sizes=(4, 5, 3)):
    return cmlp.Network(sizes, activation="tanh", loss=loss, dtype=dtype, random_state=0)


def beyond_cases():
    tiny = r"^epsilon=1e-60: expected a finite number"
    for solver in ("adam", "rmsprop"):
        call = lambda solver=solver: fresh("float32").step(SAMPLES[0], 1, solver=solver, epsilon=1e-60)  # noqa: E731
        yield Case(f"step, float32, {solver}: an epsilon that is 0 in float32", call, ValueError, tiny)
    large = r"^{}=1e\+39: expected a finite number at least 0 and at most 3\.40282e\+38"
    call = lambda: fresh("float32").trace(SAMPLES[0], 1, learning_rate=1e39)  # noqa: E731
    yield Case("trace, float32: learning_rate too large", call, ValueError, large.format("learning_rate"))
    call = lambda: fresh("float32").loss_and_gradients(SAMPLES, CLASSES, alpha=1e39)  # noqa: E731
    yield Case("loss_and_gradients, float32: alpha too large", call, ValueError, large.format("alpha"))
    for value in ("x", -1, 2.5):
        call = lambda value=value: fresh().fit(SAMPLES, CLASSES, random_state=value)  # noqa: E731
        error = ValueError if value == -1 else TypeError
        yield Case(f"fit without shuffle: random_state={value!r}", call, error, pattern("random_state", value, SEED))
    for value in (10**30, 2**62):
        call = lambda value=value: fresh().fit(SAMPLES, CLASSES, epochs=value)  # noqa: E731
        yield Case(f"fit: epochs={value}", call, MemoryError, rf"^epochs={value}: .*expected")
    ragged = r"^sample_weight: expected a rectangular array"
    yield Case(
        "step: ragged weights", lambda: fresh().step(SAMPLES[0], 1, sample_weight=[[1], [1, 2]]), ValueError, ragged
    )
    call = lambda: cmlp.Network((4, 10**5000, 3))  # noqa: E731
    yield Case("Network: a width of 5000 digits", call, MemoryError, r"^layer_sizes=.* do not fit into memory$")


@pytest.mark.parametrize("case", list(beyond_cases()), ids=name_of)
def test_beyond_the_precision_or_the_memory(case):
    assert_refused(case)


# ---- calls that look bad but must work ----------------------------------------------------------------

BITS = (SAMPLES > 0).astype(float)  # which every type of number holds


class HasArray:
    """What NumPy can read but is no array."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return self.array


def apart(array):
    """A view whose entries lie apart."""
    room = np.full([3 * size for size in array.shape], NAN if array.dtype.kind == "f" else 9, array.dtype)
    view = room[tuple(slice(1, None, 3) for _ in array.shape)]
    view[...] = array
    return view


def backwards(array):
    everywhere = (slice(None, None, -1),) * array.ndim
    return array[everywhere].copy()[everywhere]


def unaligned(array):
    room = np.empty(array.nbytes + 1, np.uint8)
    view = room[1:].view(array.dtype).reshape(array.shape)
    view[...] = array
    return view


def read_only(array):
    copied = array.copy()
    copied.flags.writeable = False
    return copied


def mapped(array):
    """Of a file, read-only."""
    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/a.npy", array)
        return np.load(f"{folder}/a.npy", mmap_mode="r")


def objects(make):
    return lambda array: np.array([make(entry) for entry in array.ravel().tolist()], object).reshape(array.shape)


def of_pandas(make):
    return lambda array: make(pytest.importorskip("pandas"), array)


def as_type(dtype):
    return lambda array: array.astype(dtype)


LAYOUTS = {
    "lists": lambda array: array.tolist(),
    "a tuple": lambda array: tuple(map(np.ndarray.tolist, array)) if array.ndim > 1 else tuple(array.tolist()),
    "a list of arrays": list,
    "Fortran order": np.asfortranarray,
    "apart": apart,
    "backwards": backwards,
    "unaligned": unaligned,
    "read-only": read_only,
    "memory-mapped": mapped,
    "object": as_type(object),
    "no entry masked": lambda array: np.ma.masked_array(array, np.zeros(array.shape, bool)),
    "array-like": HasArray,
}
TYPES = {dtype: as_type(dtype) for dtype in (
    "float16", "float32", "longdouble", ">f8", ">f4", "<f2", "int8", "uint8", "int64", "uint64", ">i2", "bool",
)}  # fmt: skip
ONLY_SAMPLES = {
    "integers in lists": lambda array: array.astype(int).tolist(),
    "booleans in lists": lambda array: array.astype(bool).tolist(),
    "fractions": objects(lambda entry: fractions.Fraction(int(entry))),
    "decimals": objects(lambda entry: Decimal(int(entry))),
    "NumPy scalars": objects(np.float32),
    "mixed objects": lambda array: np.array(
        [[bool(a), int(b), c, np.float16(d)] for a, b, c, d in array.tolist()], object
    ),
    "a frame": of_pandas(lambda pandas, array: pandas.DataFrame(array, columns=list("abcd"))),
    "a frame of many types": of_pandas(
        lambda pandas, array: pandas.DataFrame(array, columns=list("abcd")).astype(
            {"a": bool, "b": "int8", "c": "Float64"}
        )
    ),
    "a frame with rows left out": of_pandas(
        lambda pandas, array: pandas.DataFrame(np.repeat(array, 2, axis=0)).iloc[::2]
    ),
}


def bits(*values):
    """What must be the same to the last bit."""
    return [np.asarray(value).tobytes() for value in values]


def changed(network, train):
    """What a call returns and makes of the parameters."""
    return bits(train(network), network.parameters)


def rows_of(X):
    return [X[i] for i in range(N)] if isinstance(X, np.ndarray | list | tuple) else list(np.asarray(X))


USES = {
    "Network.__call__": lambda X: bits(*(net()(x) for x in rows_of(X))),
    "Network.forward": lambda X: bits(net().forward(X)),
    "Network.forward, float32": lambda X: bits(net(dtype="float32").forward(X)),
    "Network.loss": lambda X: bits(net().loss(X, CLASSES)),
    "Network.loss_and_gradients": lambda X: bits(*net().loss_and_gradients(X, CLASSES)[1]),
    "Network.trace": lambda X: bits(*(net().trace(x, 1).grad_W_1 for x in rows_of(X))),
    "Network.step": lambda X: changed(fresh(), lambda network: network.step(X, CLASSES)),
    "Network.step, one sample": lambda X: changed(fresh(), lambda network: [network.step(x, 2) for x in rows_of(X)]),
    "Network.fit": lambda X: changed(fresh(), lambda network: network.fit(X, CLASSES, epochs=2)),
    "cmlp.fit": lambda X: bits(cmlp.fit(X, CLASSES, dtype="float64", **QUICK).network.parameters),
    "cmlp.fit, X_val": lambda X: cmlp.fit(BITS, CLASSES, X_val=X, y_val=CLASSES, **QUICK).validation_scores_,
    "cmlp.predict": lambda X: bits(cmlp.predict(model(), X)),
    "cmlp.predict_proba": lambda X: bits(cmlp.predict_proba(model(), X)),
    "Model.score": lambda X: model().score(X, CLASSES),
}


@pytest.mark.parametrize("form", LAYOUTS | TYPES | ONLY_SAMPLES)
@pytest.mark.parametrize("use", USES)
def test_samples_in_any_form(use, form):
    X = (LAYOUTS | TYPES | ONLY_SAMPLES)[form](BITS)
    before = np.array(X, float)
    assert USES[use](X) == USES[use](BITS)
    np.testing.assert_array_equal(np.array(X, float), before)


def test_precision_follows_the_samples():
    for dtype in ("float32", ">f4", "float64", "float16", "int64", "bool"):
        expected = "float32" if dtype == "float32" else "float64"
        assert cmlp.fit(BITS.astype(dtype), CLASSES, **QUICK).network.dtype == expected


@pytest.mark.parametrize("form", LAYOUTS | TYPES)
def test_classes_in_any_form(form):
    y = (LAYOUTS | TYPES)[form](CLASSES % 2)
    two, expected = fresh(sizes=(4, 5, 2)), fresh(sizes=(4, 5, 2))
    assert two.loss(BITS, y) == two.loss(BITS, CLASSES % 2)
    assert changed(two, lambda network: network.fit(BITS, y)) == changed(
        expected, lambda network: network.fit(BITS, CLASSES % 2)
    )
    read, plain = cmlp.fit(BITS, y, **QUICK), cmlp.fit(BITS, CLASSES % 2, **QUICK)
    assert read.task == plain.task == "binary"
    assert bits(read.network.parameters) == bits(plain.network.parameters)
    assert read.score(BITS, y) == plain.score(BITS, CLASSES % 2) == read.score(BITS, CLASSES % 2)


@pytest.mark.parametrize("form", LAYOUTS | TYPES)
@pytest.mark.parametrize("loss", ["cross_entropy", "binary_cross_entropy", "squared_error", "poisson"])
def test_rows_of_targets_in_any_form(loss, form):
    Y = (LAYOUTS | TYPES)[form](ONE_HOT)
    assert net(loss).loss(BITS, Y) == net(loss).loss(BITS, ONE_HOT)
    one, other = fresh(loss=loss), fresh(loss=loss)
    assert changed(one, lambda network: network.step(BITS, Y)) == changed(
        other, lambda network: network.step(BITS, ONE_HOT)
    )


@pytest.mark.parametrize("form", LAYOUTS | TYPES)
@pytest.mark.parametrize("where", WEIGHTED)
def test_weights_in_any_form(where, form):
    weights = np.array([1.0, 0, 1])
    uses = {
        "Network.step": lambda w: changed(
            fresh(), lambda network: network.step(SAMPLES[:3], [0, 1, 2], sample_weight=w)
        ),
        "Network.fit": lambda w: changed(fresh(), lambda network: network.fit(SAMPLES[:3], [0, 1, 2], sample_weight=w)),
        "cmlp.fit": lambda w: bits(WEIGHTED["cmlp.fit"](w).network.parameters),
        "Network.loss_and_gradients": lambda w: bits(*WEIGHTED["Network.loss_and_gradients"](w)[1]),
    }
    use = uses.get(where, WEIGHTED[where])
    assert use((LAYOUTS | TYPES)[form](weights)) == use(weights)


COLUMNS = {
    "classes": (CLASSES, {}),
    "strings": (LABELS["strings"], {}),
    "two classes": (CLASSES > 0, {}),
    "integers as values": (CLASSES, {"loss": "squared_error"}),
    "values": (SAMPLES[:, 0], {}),
}


@pytest.mark.parametrize("labels", COLUMNS)
def test_a_column_of_labels(labels):
    y, options = COLUMNS[labels]
    flat, column = (cmlp.fit(SAMPLES, y.reshape(shape), **options, **QUICK) for shape in (N, (N, 1)))
    assert column.task == flat.task
    assert bits(column.network.parameters) == bits(flat.network.parameters)
    assert column.score(SAMPLES, y[:, None]) == flat.score(SAMPLES, y) == flat.score(SAMPLES, y[:, None])
    validated = cmlp.fit(SAMPLES, y, X_val=SAMPLES, y_val=y[:, None], **options, **QUICK)
    assert len(validated.validation_scores_) == QUICK["max_iter"]


@pytest.mark.parametrize("loss", ["binary_cross_entropy", "squared_error", "absolute_error", "huber", "poisson"])
def test_a_column_of_targets(loss):
    network, y = fresh(loss=loss, sizes=(4, 3, 1)), BITS[:, 0]
    assert network.loss(BITS, y) == network.loss(BITS, y[:, None])


def test_labels_of_a_frame():
    pandas = pytest.importorskip("pandas")
    y = np.array(["rose", "lily", "tulip"])[CLASSES]
    expected = cmlp.fit(SAMPLES, y, **QUICK)
    for column in (
        pandas.Series(y),
        pandas.DataFrame({"y": y})["y"],
        pandas.DataFrame({"y": y}),
        pandas.Series(y, dtype="category"),
    ):
        found = cmlp.fit(pandas.DataFrame(SAMPLES), column, sample_weight=pandas.Series(np.ones(N)), **QUICK)
        assert found.classes_.tolist() == expected.classes_.tolist()
        assert bits(found.network.parameters) == bits(expected.network.parameters)
        assert found.score(SAMPLES, column) == expected.score(SAMPLES, y)


def test_labels_of_numpys_strings():
    dtype = getattr(getattr(np, "dtypes", None), "StringDType", None)
    if dtype is None:
        pytest.skip("came with NumPy 2.0")
    words = LABELS["strings"]
    found, expected = (cmlp.fit(SAMPLES, y, **QUICK) for y in (words.astype(dtype()), words))
    assert found.classes_.tolist() == expected.classes_.tolist()
    assert bits(found.network.parameters) == bits(expected.network.parameters)
    assert found.score(SAMPLES, words.astype(dtype())) == expected.score(SAMPLES, words)
    missing = np.array(["a", None] * 6, dtype(na_object=None))
    with pytest.raises(TypeError, match="^y holds objects of type NoneType, str" + KINDS):
        cmlp.fit(SAMPLES, missing, **QUICK)


def test_labels_with_nulls_within_and_as_objects_are_kept():
    for first, second in (("a\0b", "a"), (b"a\0b", b"a")):
        trained = cmlp.fit(SAMPLES[:4], [first, second, second, first], **QUICK)
        assert set(trained.classes_.tolist()) == {first, second}
    trained = cmlp.fit(SAMPLES, np.array(["a", "a\0", "b"] * 4, object), **QUICK)
    assert trained.classes_.tolist() == ["a", "a\0", "b"]


def test_what_cannot_be_shown_is_named():
    with pytest.raises(TypeError, match=r"^model=<Failing that cannot be shown>: expected a cmlp\.Model"):
        cmlp.predict(Failing(), SAMPLES)


def test_labels_of_any_scalar_type():
    for first, second in (
        (np.str_("a"), "b"),
        (b"a", np.bytes_(b"b")),
        (True, np.False_),
        (np.int8(1), 2),
        (0.0, np.float32(1)),
    ):
        trained = cmlp.fit(SAMPLES[:4], [first, second, second, first], **QUICK)
        assert set(trained.classes_.tolist()) == {first, second}
        assert trained.score(SAMPLES[:4], [first, second, second, first]) in (0, 0.25, 0.5, 0.75, 1)


LARGE_INTEGERS = {
    "as they are": lambda labels: labels,
    "as objects": lambda labels: np.array(labels, object),
    "as scalars of NumPy": lambda labels: [np.uint64(label) for label in labels],
    "as uint64": lambda labels: np.array(labels, np.uint64),
    "as a column": lambda labels: [[label] for label in labels],
}


@pytest.mark.parametrize("form", LARGE_INTEGERS)
def test_integers_that_only_uint64_holds_stay_what_they_are(form):
    """Of which, as of those among floats, NumPy makes floats."""
    labels = [2**63, 2**63 + 1, 1] * 4
    trained = cmlp.fit(SAMPLES, LARGE_INTEGERS[form](labels), **QUICK)
    assert trained.classes_.tolist() == [1, 2**63, 2**63 + 1]
    assert trained.score(SAMPLES, LARGE_INTEGERS[form](labels)) == trained.score(SAMPLES, np.array(labels, np.uint64))


@pytest.mark.parametrize(("dtype", "other"), [(np.int64, np.uint64), (np.uint64, np.int64)])
def test_integers_are_the_same_with_and_without_a_sign(dtype, other):
    labels = np.array([2**53, 2**53 + 1, 1] * 4)
    trained = cmlp.fit(SAMPLES, labels.astype(dtype), **QUICK)
    assert trained.score(SAMPLES, labels.astype(other)) == trained.score(SAMPLES, labels.astype(dtype))
    for wrong in (-1, 2**64 - 1, 2):
        with pytest.raises(ValueError, match=rf"^y\[0\]={wrong}: expected one of the classes"):
            trained.score(SAMPLES[:2], [wrong, 1] if wrong < 0 else np.array([wrong, 1], np.uint64))


def test_labels_that_floats_round_are_not_compared_with_integers():
    labels = np.array([2**53, 2**53 + 1, 1] * 4)
    whole, real = (cmlp.fit(SAMPLES, y, **QUICK) for y in (labels, [2.0**53, 3.0, 1.0] * 4))
    for model_of_labels, y in ((whole, labels.astype(float)), (whole, [2.0**53] * N), (real, labels)):
        with pytest.raises(
            ValueError, match=r"^y\[0\]=9\S+ has dtype (float64|int64), the classes have (int64|float64): "
        ):
            model_of_labels.score(SAMPLES, y)
    assert whole.score(SAMPLES, np.ones(N)) == whole.score(SAMPLES, np.ones(N, int))


def test_one_target_of_a_regression():
    for outputs, y, expected in ((1, [1.0, 2.0], r"a number or \(1,\)"), (2, 1.0, r"\(2,\)"), (2, [1.0], r"\(2,\)")):
        net = cmlp.Network((4, 3, outputs), loss="squared_error", random_state=0)
        with pytest.raises(ValueError, match=rf"^y has shape \(.*\): expected {expected}$"):
            net.step(SAMPLES[0], y)
    net = cmlp.Network((4, 3, 1), loss="squared_error", random_state=0)
    assert net.loss(SAMPLES[0], 1.0) == net.loss(SAMPLES[0], [1.0])


@pytest.mark.parametrize(
    ("loss", "y", "expected"),
    [
        ("poisson", -1, "y=-1: poisson expects entries of at least 0"),
        ("binary_cross_entropy", 1.5, r"y=1\.5: binary_cross_entropy expects entries from 0 to 1"),
        ("squared_error", NAN, "y=nan: expected a finite number"),
        ("poisson", [-1], r"y\[0, 0\]=-1\.0: poisson expects entries of at least 0"),
    ],
)
def test_a_number_that_is_no_target_has_no_place(loss, y, expected):
    network = cmlp.Network((4, 3, 1), loss=loss, random_state=0)
    for call in (network.loss, network.step, network.trace):
        with pytest.raises(ValueError, match=f"^{expected}$"):
            call(SAMPLES[0], y)


def test_targets_of_one_axis_are_named_by_it():
    network = cmlp.Network((4, 3, 1), loss="poisson", random_state=0)
    with pytest.raises(ValueError, match=r"^y has shape \(11,\): expected \(12, 1\) or \(12,\)$"):
        network.step(SAMPLES, np.zeros(11))
    with pytest.raises(ValueError, match=r"^y\[2\]=-1\.0: poisson expects"):
        network.step(SAMPLES, np.where(np.arange(N) == 2, -1, 1))


def test_a_step_whose_loss_is_infinite_names_what_may_be_too_large():
    network = cmlp.Network((4, 3, 1), loss="squared_error", random_state=0)
    with pytest.raises(cmlp.DivergenceError, match=r"try smaller numbers in x and y, or a smaller learning_rate$"):
        network.step(SAMPLES[0], 1e300)


def test_long_doubles_that_float64_merges_are_no_labels():
    labels = np.array([2**53, 2**53 + 1, 1], np.longdouble)
    if labels[0] == labels[1]:
        pytest.skip("long double is float64 here")
    with pytest.raises(ValueError, match=r"^y\[1\]=9007199254740993(\.0)? is no float64: expected classes that are"):
        cmlp.fit(SAMPLES, np.tile(labels, 4), **QUICK)
    assert cmlp.fit(SAMPLES, np.tile(labels + 0.5, 4), loss="squared_error", **QUICK).task == "regression"
    assert cmlp.fit(SAMPLES, np.tile([1, 2, 3], 4).astype(np.longdouble), **QUICK).task == "multiclass"


def test_the_callers_handling_of_floating_point_errors_does_not_matter():
    tiny, net = np.full(4, 1e-310), fresh("float32")
    weights = np.r_[1e-320, np.ones(N - 1)]
    with np.errstate(all="raise"):
        net(tiny), net.forward(tiny), net.loss(tiny, 1), net.step(tiny, 1)
        net.parameters = np.full(len(net.parameters), 1e-310)
        for solver in ("adam", "lbfgs"):
            options = {**QUICK, "solver": solver, "dtype": "float32"}
            cmlp.fit(SAMPLES, CLASSES, sample_weight=weights * 1e300, **{**options, "dtype": "float64"})
            trained = cmlp.fit(SAMPLES, CLASSES, sample_weight=weights, **options)
            trained.predict(tiny), trained.score(SAMPLES, CLASSES, weights)


def test_strings_are_labels_where_comparisons_with_bytes_are_errors():
    code = f"""
import cmlp
for labels in (["a", "b", ""], [b"a", b"b", b""]):
    cmlp.fit({SAMPLES[:3].tolist()}, labels, max_iter=1)
"""
    subprocess.run([sys.executable, "-bb", "-W", "ignore:::sklearn", "-c", code], check=True)


def test_numbers_of_few_bits_in_a_list_are_labels():
    assert cmlp.fit(SAMPLES, [np.float16(label) for label in CLASSES], **QUICK).task == "multiclass"


@pytest.mark.parametrize(("name", "each"), [("class_weight", 1e300), (r"class_weight \* sample_weight", 1e30)])
def test_weights_that_overflow_are_named_by_what_they_are_made_of(name, each):
    sample_weight = np.full(N, 1e20) if "sample" in name else None
    class_weight = dict.fromkeys(range(3), each)
    with pytest.raises(ValueError, match=rf"^{name}\[0\]=inf"):
        cmlp.fit(SAMPLES, CLASSES, class_weight=class_weight, sample_weight=sample_weight, dtype="float32", **QUICK)


@pytest.mark.parametrize(
    ("sample_weight", "name"), [(None, "class_weight"), (np.ones(N), r"class_weight \* sample_.*")]
)
def test_weights_that_leave_a_part_without_any_are_named_by_what_they_are_made_of(sample_weight, name):
    rare = {0: 0, 1: 0, 2: 0, 3: 1}
    classes = np.r_[CLASSES[:-1], 3]
    with pytest.raises(
        ValueError, match=rf"^{name} is zero for all the \d+ samples to train on, or for all the 1 held"
    ):
        cmlp.fit(SAMPLES, classes, early_stopping=True, class_weight=rare, sample_weight=sample_weight, **QUICK)


@pytest.mark.parametrize("options", [{}, {"solver": "lbfgs"}, {"early_stopping": True}], ids=str)
@pytest.mark.parametrize("value", [NAN, INF])
def test_a_callback_that_writes_nan_is_told_from_a_training_that_diverges(options, value):
    def spoil(state):
        state.model.network.parameters[5] = value

    if options.get("solver") == "lbfgs":
        pytest.importorskip("scipy")
    with pytest.raises(
        ValueError, match=rf"^a callback made parameters\[5\]={value}: expected finite numbers; "
    ) as error:
        cmlp.fit(SAMPLES, CLASSES, callbacks=spoil, **{**QUICK, **options})
    assert not isinstance(error.value, cmlp.DivergenceError)


def test_large_numbers_among_values_are_taken_as_they_are():
    for y in ([0.5, 2**60 + 1] * 6, [1e300, 2] * 6, [2.0**70, 2**53] * 6):
        assert cmlp.fit(SAMPLES, y, loss="huber", **QUICK).task == "regression"
    assert cmlp.fit(SAMPLES, [0.5, 2**53 + 1] * 6, **QUICK).task == "regression"
    assert cmlp.fit(SAMPLES, [2.0**70, 2**53] * 6, **QUICK).classes_.tolist() == [2.0**53, 2.0**70]


@pytest.mark.parametrize("weight", [5e-324, 1e-300, 3.0, 1e300, 1.7e308])
def test_weights_of_any_size(weight):
    expected = cmlp.fit(SAMPLES, CLASSES, **QUICK)
    found = cmlp.fit(SAMPLES, CLASSES, sample_weight=np.full(N, weight), **QUICK)
    assert bits(found.network.parameters) == bits(expected.network.parameters)


@pytest.mark.parametrize("weight", [1e-300, 3.0, 1e300, 1.7e308])
def test_class_weights_of_any_size_in_a_validation_set(weight):
    expected, found = (
        cmlp.fit(SAMPLES, CLASSES, X_val=SAMPLES, y_val=CLASSES, class_weight=dict.fromkeys(range(3), each), **QUICK)
        for each in (1.0, weight)
    )
    assert found.validation_scores_ == pytest.approx(expected.validation_scores_, rel=1e-12)
    assert found.validation_loss_curve_ == pytest.approx(expected.validation_loss_curve_, rel=1e-12)


SCALARS = {
    "float16": np.float16, "float32": np.float32, "float64": np.float64, "longdouble": np.longdouble,
    "no axes": np.array, "Fraction": fractions.Fraction, "Decimal": Decimal,
}  # fmt: skip
WHOLES = {"int8": np.int8, "uint64": np.uint64, "int64": np.int64, "no axes": np.array}
HALVES = {"learning_rate": 0.5, "momentum": 0.5, "alpha": 0.25, "beta_1": 0.5, "beta_2": 0.75, "epsilon": 0.125}
SOLVING = ("sgd", "adam", "adamw", "rmsprop")


@pytest.mark.parametrize("kind", SCALARS)
@pytest.mark.parametrize("solver", SOLVING)
def test_numbers_of_any_type(solver, kind):
    given = {name: SCALARS[kind](value) for name, value in HALVES.items()}
    for use in (
        lambda options: changed(
            fresh(), lambda network: [network.step(BITS, CLASSES, solver=solver, **options) for _ in "ab"]
        ),
        lambda options: changed(
            fresh(), lambda network: network.fit(BITS, CLASSES, solver=solver, epochs=2, **options)
        ),
    ):
        assert use(given) == use(HALVES)
    halves = {**HALVES, "learning_rate_init": 0.5, "power_t": 0.25, "tol": 0.125, "validation_fraction": 0.25}
    del halves["learning_rate"]
    given = {name: SCALARS[kind](value) for name, value in halves.items()}
    for schedule in ("invscaling", "adaptive", "cosine"):
        options = {**QUICK, "solver": solver, "learning_rate": schedule, "early_stopping": True}
        found, expected = cmlp.fit(BITS, CLASSES, **options, **given), cmlp.fit(BITS, CLASSES, **options, **halves)
        assert bits(found.network.parameters) == bits(expected.network.parameters)
        assert (found.loss_curve_, found.validation_scores_) == (expected.loss_curve_, expected.validation_scores_)


@pytest.mark.parametrize("kind", WHOLES)
def test_integers_of_any_type(kind):
    make = WHOLES[kind]
    assert bits(cmlp.Network((make(4), 5, make(3)), random_state=make(7)).parameters) == bits(
        cmlp.Network((4, 5, 3), random_state=7).parameters
    )
    options = {"batch_size": 5, "epochs": 3, "shuffle": True, "random_state": 1}
    given = {name: make(value) if type(value) is int else np.bool_(value) for name, value in options.items()}
    one, other = fresh(), fresh()
    assert changed(one, lambda network: network.fit(BITS, CLASSES, **given)) == changed(
        other, lambda network: network.fit(BITS, CLASSES, **options)
    )
    options = {"batch_size": 5, "max_iter": 3, "n_iter_no_change": 2, "random_state": 1, "verbose": 0}
    given = {name: make(value) for name, value in options.items()}
    hidden = 6 if kind == "no axes" else make(6)
    found = cmlp.fit(BITS, CLASSES, hidden_layer_sizes=hidden, shuffle=np.True_, early_stopping=np.False_, **given)
    expected = cmlp.fit(BITS, CLASSES, hidden_layer_sizes=6, **options)
    assert bits(found.network.parameters) == bits(expected.network.parameters)


def test_dropout_of_no_axes():
    found, expected = (cmlp.fit(BITS, CLASSES, dropout=rate, **QUICK) for rate in (np.array(0.25), 0.25))
    assert bits(found.network.parameters) == bits(expected.network.parameters)


@pytest.mark.parametrize("verbose", [True, np.True_, 1, np.int64(2), False, np.False_, 0], ids=repr)
def test_verbose_of_any_type(verbose, capsys):
    cmlp.fit(BITS, CLASSES, verbose=verbose, **QUICK)
    assert len(capsys.readouterr().out.splitlines()) == (QUICK["max_iter"] if verbose else 0)


def test_names_and_sizes_of_any_type():
    expected = bits(cmlp.Network((4, 5, 6, 3), ("tanh", "relu"), dtype="float32", random_state=0).parameters)
    for sizes in ([4, 5, 6, 3], np.array([4, 5, 6, 3], np.uint8), (np.int64(i) for i in (4, 5, 6, 3))):
        network = cmlp.Network(sizes, [np.str_("tanh"), "relu"], np.str_("cross_entropy"), np.float32, np.uint32(0))
        assert bits(network.parameters) == expected
    assert cmlp.Network(range(3, 6)).layer_sizes == (3, 4, 5)
    for dtype in (np.float64, "f8", float, np.dtype("d"), "double"):
        assert cmlp.Network((4, 3), dtype=dtype).dtype == "float64"
    for hidden in (5, [5], (5,), np.array([5]), range(5, 6)):
        assert cmlp.fit(BITS, CLASSES, **{**QUICK, "hidden_layer_sizes": hidden}).network.layer_sizes == (4, 5, 3)


@pytest.mark.parametrize("make", [np.random.RandomState, np.random.default_rng], ids=["RandomState", "Generator"])
def test_sources_of_random_numbers(make):
    one, other = (cmlp.fit(BITS, CLASSES, **{**QUICK, "random_state": make(3)}) for _ in range(2))
    assert bits(one.network.parameters) == bits(other.network.parameters)
    networks = [cmlp.Network((4, 3), random_state=make(seed)) for seed in (3, 3, 4)]
    assert bits(networks[0].parameters) == bits(networks[1].parameters) != bits(networks[2].parameters)


EXTREMES = {
    "the largest numbers": np.full((2, 4), np.finfo(float).max),
    "the smallest numbers": np.full((2, 4), 5e-324),
    "negative zero": np.full((2, 4), -0.0),
    "large integers": np.full((2, 4), 10**30, object),
}


@pytest.mark.parametrize("X", EXTREMES.values(), ids=EXTREMES)
def test_finite_numbers_of_any_size(X):
    outputs = net().forward(X)
    assert np.isfinite(outputs).all()
    np.testing.assert_allclose(outputs.sum(axis=1), 1)


def test_a_batch_larger_than_the_samples():
    one, other = (
        changed(fresh(), lambda network, size=size: network.fit(BITS, CLASSES, batch_size=size)) for size in (N, 10**30)
    )
    assert one == other


def test_rows_that_sum_to_one_but_for_rounding():
    rows = np.full((N, 3), 1 / 3).astype(np.float16)
    assert rows.astype(float).sum(axis=1).max() < 1
    assert net().loss(BITS, rows) == pytest.approx(net().loss(BITS, np.full((N, 3), 1 / 3)), rel=1e-3)
