"""Samples, targets and weights of every value, shape, type and layout, dense and sparse, and tables with names."""

from __future__ import annotations

import inspect
import tempfile
from decimal import Decimal
from fractions import Fraction
from importlib.metadata import version

import numpy as np
from numpy.lib.stride_tricks import as_strided, sliding_window_view

import cmlp
from hostile import (
    BITS,
    CLF,
    CLF32,
    CLF_LABELS,
    CODES,
    HAS,
    INF,
    LABELS,
    MODEL,
    MODEL_VALUES,
    NAN,
    NET,
    NET32,
    NET_VALUES,
    NEW_CLF,
    NEW_REG,
    PAIRS,
    QUICK,
    REG,
    VALUES,
    WORDS,
    N,
    Refused,
    Works,
    X,
    classifier,
    nothing,
    parameters,
    subject,
)  # fmt: skip

BEYOND = np.longdouble("1e4000") if np.finfo(np.longdouble).maxexp > 1024 else np.longdouble("inf")


# ---- where samples go in -----------------------------------------------------------------------------


def fitted(model, *arguments, **options):
    return parameters(model.fit(*arguments, **options))


ESTIMATOR_ENTRIES = {
    "MLPClassifier.fit again": (CLF, lambda m, X: fitted(m, X, CODES)),
    "MLPClassifier.partial_fit": (CLF, lambda m, X: parameters(m.partial_fit(X, CODES))),
    "MLPClassifier.predict": (CLF, lambda m, X: m.predict(X)),
    "MLPRegressor.fit": (NEW_REG, lambda m, X: fitted(m, X, VALUES)),
    "MLPRegressor.predict": (REG, lambda m, X: m.predict(X)),
    "MLPRegressor.score": (REG, lambda m, X: np.float64(m.score(X, VALUES))),
    "MLPRegressor.fit, X_val": (REG, lambda m, V: fitted(m, X, VALUES, X_val=V, y_val=VALUES)),
}
OWN_ENTRIES = {
    "cmlp.fit": (nothing, lambda _, X: parameters(cmlp.fit(X, CODES, dtype="float64", **QUICK))),
    "cmlp.fit, X_val": (nothing, lambda _, V: parameters(cmlp.fit(X, CODES, X_val=V, y_val=CODES, **QUICK))),
    "cmlp.predict": (MODEL, lambda m, X: cmlp.predict(m, X)),
    "Network.forward": (NET, lambda net, X: net.forward(X)),
    "Network.loss_and_gradients": (NET, lambda net, X: np.concatenate(gradients(net, X))),
    "Network.step": (NET, lambda net, X: stepped(net, X)),
    "Network.fit": (NET, lambda net, X: (net.fit(X, CODES), parameters(net))[1]),
}
ENTRIES = {**(ESTIMATOR_ENTRIES if HAS["sklearn"] else {}), **OWN_ENTRIES}


def gradients(net, X):
    loss, dW, db = net.loss_and_gradients(X, CODES)
    return [[loss], *(a.ravel() for a in (*dW, *db))]


def stepped(net, X):
    net.step(X, CODES, momentum=0.9)
    return parameters(net)


# ---- the same numbers in other clothes ---------------------------------------------------------------


def apart(a):
    """Every second row and third column of something larger."""
    wide = np.full((2 * a.shape[0], 3 * a.shape[1]), NAN)
    wide[::2, ::3] = a
    return wide[::2, ::3]


def misaligned(a):
    memory = np.zeros(a.nbytes + 1, np.uint8)
    view = memory[1:].view(a.dtype).reshape(a.shape)
    view[...] = a
    return view


def read_only(a):
    a = a.copy()
    a.flags.writeable = False
    return a


def mapped(a):
    with tempfile.TemporaryFile() as file:
        memory = np.memmap(file, a.dtype, "w+", shape=a.shape)
        memory[...] = a
        return memory


def mapped_read_only(a):
    """A mapping that the processor will not let anybody write to."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(a.tobytes())
        file.flush()
        return np.memmap(file.name, a.dtype, "r", shape=a.shape)


class Tables:
    """What only offers __array__."""

    def __init__(self, a):
        self.a = a

    def __array__(self, dtype=None, copy=None):
        return self.a.astype(dtype or self.a.dtype)

    def __len__(self):
        return len(self.a)


FORMS = {
    "Fortran order": np.asfortranarray,
    "strided": apart,
    "negative strides": lambda a: np.ascontiguousarray(a[::-1, ::-1])[::-1, ::-1],
    "negative row stride": lambda a: np.ascontiguousarray(a[::-1])[::-1],
    "read-only": read_only,
    "memory-mapped": mapped,
    "memory-mapped read-only": mapped_read_only,
    "misaligned": misaligned,
    "a subclass": lambda a: a.view(type("Sub", (np.ndarray,), {})),
    "masked without masked entries": lambda a: np.ma.masked_array(a, np.zeros(a.shape, bool)),
    "masked by nothing": lambda a: np.ma.masked_array(a),
    "lists": lambda a: a.tolist(),
    "tuples": lambda a: tuple(map(tuple, a.tolist())),
    "__array__": Tables,
    "big-endian": lambda a: a.astype(">f8"),
    "long double": lambda a: a.astype(np.longdouble),
    "objects": lambda a: a.astype(object),
}
TYPES = {  # of BITS
    "float16": lambda a: a.astype(np.float16),
    "big-endian float32": lambda a: a.astype(">f4"),
    "big-endian integers": lambda a: a.astype(">i2"),
    "booleans": lambda a: a.astype(bool),
    "int8": lambda a: a.astype(np.int8),
    "uint64": lambda a: a.astype(np.uint64),
    "Decimal": lambda a: np.array([[Decimal(int(v)) for v in row] for row in a]),
    "Fraction": lambda a: np.array([[Fraction(int(v)) for v in row] for row in a]),
    "mixed numbers": lambda a: [[int(r[0]), float(r[1]), bool(r[2]), np.float32(r[3])] for r in a],
}


def windows():
    """(N, 4) samples that share their memory, and the same on their own."""
    series = np.arange(N + 3.0) % 7 - 3
    return sliding_window_view(series, 4), np.array([series[i : i + 4] for i in range(N)])


def broadcast():
    return np.broadcast_to(BITS[3], (N, 4)), np.tile(BITS[3], (N, 1))


def backwards():
    """Rows that overlap and run backwards."""
    series = np.arange(N + 3.0) % 7 - 3
    view = as_strided(series[N + 2 :], (N, 4), (-8, -8))
    return view, view.copy()


def form_cases():
    for where in sorted(set(ENTRIES) - {"Network.fit", "cmlp.fit, X_val", "cmlp.predict", "MLPRegressor.score"}):
        made, call = ENTRIES[where]
        for what, form in {**FORMS, **TYPES}.items():
            clean = BITS if what in TYPES else X
            yield Works(f"{where}: {what}", made, with_samples(call, form(clean)), with_samples(call, clean.copy()))
        for what, make in {"broadcast": broadcast, "windows": windows, "windows backwards": backwards}.items():
            given, clean = make()
            yield Works(f"{where}: {what}", made, with_samples(call, given), with_samples(call, clean))


def with_samples(call, samples):
    return lambda made: call(made, samples)


# ---- values, shapes and types that are none ----------------------------------------------------------


def with_entry(value, dtype=None):
    a = X.astype(dtype or float)
    a[7, 2] = value
    return a


class Unreadable:
    """As a tensor with a gradient."""

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("detach it")


SPANS = [np.timedelta64(i, "s") for i in range(N)]
DAYS = [np.datetime64("2020-01-01") + np.timedelta64(i, "D") for i in range(N)]
RECORDS = np.zeros((N, 4), [("a", "f8"), ("b", "i4")])
FINITE = "expected finite numbers"
MASKED = np.ma.masked_array(1, True)
BAD = {  # samples: the exception, what cmlp says, what the estimators say beside the name
    "NaN": (with_entry(NAN), ValueError, "[7, 2]=nan", "contains NaN"),
    "infinity": (with_entry(INF), ValueError, "[7, 2]=inf", "contains infinity"),
    "-infinity": (with_entry(-INF), ValueError, "[7, 2]=-inf", "contains infinity"),
    "NaN of float32": (with_entry(NAN, np.float32), ValueError, "[7, 2]=nan", "contains NaN"),
    "NaN among objects": (with_entry(NAN, object), ValueError, "[7, 2]=nan", "contains NaN"),
    "None among objects": (with_entry(None, object), (TypeError, ValueError), "None", "NaN"),
    "beyond float64": (with_entry(10**400, object), ValueError, "too large for float64", "too large for float64"),
    "a Decimal beyond": (with_entry(Decimal("1e400"), object), ValueError, "=inf", "infinity"),
    "a long double beyond": (with_entry(BEYOND, np.longdouble), ValueError, FINITE, ""),
    "a word": (with_entry("many", object), (TypeError, ValueError), "'many'", "'many'"),
    "words": (np.full((N, 4), "many"), (TypeError, ValueError), "dtype <U4", "expected finite real numbers"),
    "bytes": (np.full((N, 4), b"many"), (TypeError, ValueError), "dtype |S4", "expected finite real numbers"),
    "an object": (with_entry(object(), object), TypeError, "<object", "real number"),
    "a dict": (with_entry({}, object), TypeError, "{}", "real number"),
    "a list among objects": (with_entry(None, object), (TypeError, ValueError), "None", ""),
    "complex": (X + 1j, (TypeError, ValueError), "complex128", "omplex data not supported"),
    "complex without imaginary part": (X + 0j, (TypeError, ValueError), "complex128", "omplex data not supported"),
    "complex among objects": (with_entry(1j, object), (TypeError, ValueError), "1j", "real number"),
    "datetimes": (np.zeros((N, 4), "M8[s]"), TypeError, "datetime64[s]", "datetime64[s]"),
    "time spans": (np.zeros((N, 4), "m8[ns]"), TypeError, "timedelta64[ns]", "timedelta64[ns]"),
    "datetimes in lists": ([DAYS[:4]] * N, TypeError, "datetime64[D]", "datetime64[D]"),
    "time spans in lists": ([SPANS[:4]] * N, TypeError, "timedelta64[s]", "timedelta64[s]"),
    "a time span among objects": (with_entry(SPANS[3], object), TypeError, "[7, 2]=", "[7, 2]="),
    "numbers as text": ([["1", "2", "3", "4"]] * N, (TypeError, ValueError), "<U1", "strings"),
    "a number as text among objects": (with_entry("1", object), TypeError, "[7, 2]='1'", "[7, 2]='1'"),
    "bytes among objects": (with_entry(b"1", object), TypeError, "[7, 2]=b'1'", "[7, 2]=b'1'"),
    "a type": (int, TypeError, "<class 'int'>", ""),
    "what NumPy cannot read": (Unreadable(), TypeError, "(detach it)", "(detach it)"),
    "masked among integers": ([[1, 2, MASKED, 3]] * N, ValueError, "has masked entries", "has masked entries"),
    "masked rows": ([np.ma.masked_array(row, [0, 0, 0, 1]) for row in X], ValueError, "24 masked", "24 masked"),
    "records": (RECORDS, (TypeError, ValueError), "dtype [('a'", "dtype [('a'"),
    "masked": (np.ma.masked_greater(X, 1), ValueError, "masked entries", "masked entries"),
    "masked all over": (np.ma.masked_all((N, 4)), ValueError, "96 masked entries", "96 masked entries"),
    "0-d": (np.float64(1), ValueError, "shape ()", "scalar"),
    "1-d": (X[0], ValueError, "shape (4,)", "1D array"),
    "3-d": (X[:, None], ValueError, f"shape ({N}, 1, 4)", "dim 3"),
    "no rows": (X[:0], ValueError, "(0, 4)", "0 sample(s)"),
    "no columns": (X[:, :0], ValueError, f"({N}, 0)", "0 feature(s)"),
    "no rows and columns": (np.zeros((0, 0)), ValueError, "(0, 0)", "0 "),
    "an empty list": ([], ValueError, "(0,)", ""),
    "lists of no numbers": ([[]] * N, ValueError, f"({N}, 0)", "0 feature(s)"),
    "ragged lists": ([[1.0, 2, 3, 4]] * (N - 1) + [[1.0]], ValueError, "rectangular", "inhomogeneous"),
    "None": (None, (TypeError, ValueError), "None", ""),
    "a string": ("1 2 3 4", (TypeError, ValueError), "dtype <U7", ""),
    "a generator": ((i for i in range(3)), (TypeError, ValueError), "generator", ""),
    "a dict of columns": ({"a": [1.0]}, (TypeError, ValueError), "{'a': [1.0]}", ""),
    "a set": ({1.0, 2.0}, (TypeError, ValueError), "{1.0, 2.0}", ""),
    "a lambda": (len, (TypeError, ValueError), "len", ""),
}
WIDE = {
    "three columns": (X[:, :3], ValueError, "(24, 3)", "3 features"),
    "five columns": (np.hstack([X, X[:, :1]]), ValueError, "(24, 5)", "5 features"),
}
ROWS = {
    "one row less": (X[:-1], ValueError, "", "inconsistent"),
    "one row": (X[:1], ValueError, "", "inconsistent"),
    "a row more": (np.vstack([X, X[:1]]), ValueError, "", "inconsistent"),
}


def bad_cases():
    for where in sorted(
        set(ENTRIES) - {"Network.loss_and_gradients", "Network.fit", "cmlp.predict", "MLPRegressor.fit"}
    ):
        made, call = ENTRIES[where]
        own = where not in ESTIMATOR_ENTRIES
        table = dict(BAD)
        fits_anew = where in ("MLPClassifier.fit again", "MLPRegressor.fit", "cmlp.fit")
        if not fits_anew:
            table |= WIDE
        if "predict" not in where and where != "Network.forward":
            table |= ROWS
        if where == "MLPRegressor.fit, X_val":
            table.pop("None")
        for what, (samples, error, mine, theirs) in table.items():
            if where == "Network.forward" and what == "1-d":  # one sample
                continue
            if own and what in ROWS:
                mine = "y has shape" if "X_val" not in where else "y_val has shape"
            if "predict" in where and own and what == "1-d":
                continue
            if own and what == "1-d" and where.startswith("Network") and where != "Network.fit":
                mine = "y has shape"  # one sample, for which there are many targets
            if where == "cmlp.fit, X_val" and what == "None":
                mine = "expected both"
            name = "x" if where == "Network.step" else "X"
            words = (mine,) if "has shape" in mine else (name, mine if own else theirs)
            if where == "MLPRegressor.score" and what in ROWS:  # by scikit-learn's own `score`
                words = (theirs,)
            yield Refused(f"{where}: {what}", made, with_samples(call, samples), error, *words)


# ---- numbers that leave the range on the way -----------------------------------------------------------

HUGE, TINY = np.full((N, 4), 1e300), np.full((N, 4), 5e-324)


def range_cases():
    tiny32 = np.full((N, 4), 1e-45, np.float32)
    for what, made, samples in (
        ("Network, subnormal", NET, TINY), ("Network32, subnormal", NET32, tiny32), ("Network, -0", NET, -0.0 * X),
    ):  # fmt: skip
        call = with_samples(lambda net, X: net.forward(X), samples)
        yield Works(f"{what}: as zeros", made, call, lambda net: net.forward(np.zeros((N, 4), net.dtype)), close=True)
    too_large = "X[0, 0]=1e+300 (too large for float32): expected finite numbers"
    for where, call in {"forward": lambda net, X: net.forward(X), "step": stepped}.items():
        yield Refused(f"Network32.{where}: 1e300", NET32, with_samples(call, HUGE), ValueError, too_large[1:])
    yield Works(
        "Network.forward: 1e300", NET, lambda net: net.forward(HUGE).sum(axis=1), lambda net: np.ones(N), close=True
    )
    yield Refused(
        "Network.step on 1e300: no update", NET_VALUES, lambda net: net.step(1e300 * X, 1e300 * LABELS),
        cmlp.DivergenceError, "the loss is inf", "smaller learning_rate",
    )  # fmt: skip
    yield Refused(
        "cmlp.fit: float32 samples and y beyond", nothing,
        lambda _: cmlp.fit(X.astype(np.float32), 1e300 * VALUES, loss="squared_error", **QUICK), ValueError, "y[",
        "too large for float32",
    )  # fmt: skip
    if not HAS["sklearn"]:
        return
    for method in ("predict", "predict_proba"):
        call = with_samples(lambda m, X, method=method: getattr(m, method)(X), HUGE)
        yield Refused(f"MLPClassifier.{method} of float32: 1e300", CLF32, call, ValueError, too_large)
        zeros = with_samples(lambda m, X, method=method: getattr(m, method)(X), 0 * X)
        tiny = with_samples(lambda m, X, method=method: getattr(m, method)(X), TINY)
        yield Works(f"MLPClassifier.{method}: subnormal", CLF, tiny, zeros, close=method == "predict_proba")
    yield Refused(
        "MLPRegressor.fit: float32 samples and y beyond", REG,
        lambda m: m.fit(X.astype(np.float32), 1e300 * VALUES), ValueError, "y[", "too large for float32",
    )  # fmt: skip


# ---- y -----------------------------------------------------------------------------------------------

PART = {
    "NaN": np.where(np.arange(N) == 3, NAN, VALUES),
    "infinity": np.where(np.arange(N) == 3, INF, VALUES),
    "beyond float64": [10**400, *VALUES[1:]],
    "complex": VALUES + 1j,
    "datetimes": np.zeros(N, "M8[s]"),
    "time spans": np.zeros(N, "m8[s]"),
    "time spans in a list": SPANS,
    "time spans among objects": np.array(SPANS, object),
    "numbers as text among objects": np.array(["1", "2"] * (N // 2), object),
    "masked rows": [np.ma.masked_array([1.0, 9], [0, 1])] * N,
    "masked among integers": [*CODES[1:].tolist(), MASKED],
    "what NumPy cannot read": Unreadable(),
    "words": WORDS,
    "bytes": WORDS.astype("S"),
    "records": np.zeros(N, "f8,f8"),
    "objects": np.array([object()] * N),
    "masked": np.ma.masked_greater(VALUES, 0),
    "masked column": np.ma.masked_greater(VALUES, 0).reshape(-1, 1),
    "0-d": np.float64(1),
    "3-d": VALUES[:, None, None],
    "none": VALUES[:0],
    "no columns": PAIRS[:, :0],
    "short": VALUES[:-1],
    "long": np.append(VALUES, 1),
    "ragged": [[1.0, 2]] * (N - 1) + [[1.0]],
    "None": None,
    "None among them": [None, *VALUES[1:]],
    "a string": "y",
    "a dict": {"y": 1},
}
CLASSES = {
    "NaN": np.where(np.arange(N) == 3, NAN, CODES),
    "infinity": np.where(np.arange(N) == 3, INF, CODES),
    "NaN among words": np.array([NAN, *WORDS[1:]], object),
    "None among words": np.array([None, *WORDS[1:]], object),
    "numbers among words": np.array([1, *WORDS[1:]], object),
    "NaN in a list of words": [NAN, *WORDS[1:]],
    "None in a list of words": [None, *WORDS[1:]],
    "numbers in a list of words": [1, *WORDS[1:].tolist()],
    "nulls at the end": [f"{word}\0" if i % 2 else f"{word}" for i, word in enumerate(WORDS)],
    "masked rows": [np.ma.masked_array([1, 9], [0, 1])] * N,
    "masked among integers": [*CODES[1:].tolist(), MASKED],
    "integers that floats round": [2**53 + 1, *CODES[1:-1].tolist(), 1.0],
    "what NumPy cannot read": Unreadable(),
    "fractions among classes": CODES + 0.5,
    "complex": CODES + 1j,
    "time spans": np.zeros(N, "m8[s]"),
    "records": np.zeros(N, "f8,f8"),
    "objects": np.array([object() for _ in range(N)]),
    "masked": np.ma.masked_greater(CODES, 1),
    "masked words": np.ma.masked_array(WORDS, CODES == 0),
    "masked column": np.ma.masked_greater(CODES, 0).reshape(-1, 1),
    "0-d": np.int64(1),
    "3-d": CODES[:, None, None],
    "none": CODES[:0],
    "short": CODES[:-1],
    "long": np.append(CODES, 1),
    "ragged": [[0, 1]] * (N - 1) + [[1]],
    "None": None,
    "a string": "y",
    "a dict": {"y": 1},
    "three values in columns": np.column_stack([CODES, CODES]),
}
KINDS = (TypeError, ValueError)


def target_cases():
    """y must be named, whatever else is said."""
    if HAS["sklearn"]:
        for what, y in PART.items():
            yield Refused(f"MLPRegressor.fit, y: {what}", REG, lambda m, y=y: m.fit(X, y), KINDS, "y")
            yield Refused(f"MLPRegressor.score, y: {what}", REG, lambda m, y=y: m.score(X, y), KINDS, "y")
            if what not in ("None",):
                yield Refused(
                    f"MLPRegressor.partial_fit, y: {what}", REG, lambda m, y=y: m.partial_fit(X, y), KINDS, "y"
                )
                call = lambda m, y=y: m.fit(X, VALUES, X_val=X, y_val=y)
                yield Refused(f"MLPRegressor.fit, y_val: {what}", REG, call, KINDS, "y")
        nulls = np.array(CLASSES["nulls at the end"], object)
        for what, y in {**CLASSES, "nulls at the end of objects": nulls}.items():
            yield Refused(f"MLPClassifier.fit, y: {what}", CLF, lambda m, y=y: m.fit(X, y), KINDS, "y")
            yield Refused(f"MLPClassifier.score, y: {what}", CLF, lambda m, y=y: m.score(X, y), KINDS, "y")
            yield Refused(f"MLPClassifier.partial_fit, y: {what}", CLF, lambda m, y=y: m.partial_fit(X, y), KINDS, "y")
            if y is not None:
                call = lambda m, y=y: m.fit(X, CODES, X_val=X, y_val=y)
                yield Refused(f"MLPClassifier.fit, y_val: {what}", CLF, call, KINDS, "y")
    for what, y in PART.items():
        call = lambda _, y=y: cmlp.fit(X, y, loss="squared_error", **QUICK)
        yield Refused(f"cmlp.fit, values: {what}", nothing, call, KINDS, "y")
        if what != "None":
            yield Refused(f"Model.score, values: {what}", MODEL_VALUES, lambda m, y=y: m.score(X, y), KINDS, "y")
    for what, y in CLASSES.items():
        if what not in ("fractions among classes",):
            yield Refused(f"cmlp.fit, classes: {what}", nothing, lambda _, y=y: cmlp.fit(X, y, **QUICK), KINDS, "y")
        yield Refused(f"Network.step, classes: {what}", NET, lambda net, y=y: net.step(X, y), KINDS, "y")


TARGET_FORMS = {
    "strided": lambda a: np.repeat(a, 2)[::2],
    "negative stride": lambda a: a[::-1].copy()[::-1],
    "read-only": read_only,
    "memory-mapped": mapped,
    "misaligned": misaligned,
    "a list": lambda a: a.tolist(),
    "a column": lambda a: a.reshape(-1, 1),
    "objects": lambda a: a.astype(object),
    "masked without masked entries": np.ma.masked_array,
    "big-endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
}


def target_form_cases():
    makers = {"cmlp.fit": lambda y: parameters(cmlp.fit(X, y, **QUICK))}
    if HAS["sklearn"]:
        makers["MLPClassifier.fit"] = lambda y: fitted(cmlp.MLPClassifier(**QUICK), X, y)
        makers["MLPRegressor.fit"] = lambda y: fitted(cmlp.MLPRegressor(**QUICK), X, y)
    for where, make in makers.items():
        clean = VALUES if where == "MLPRegressor.fit" else CODES
        for what, form in TARGET_FORMS.items():
            y = form(clean)
            call = lambda _, make=make, y=y: make(y)
            yield Works(f"{where}, y as {what}", nothing, call, lambda _, make=make, y=clean: make(y))


# ---- sample weights ------------------------------------------------------------------------------------

ONES = np.ones(N)
WEIGHTS = {
    "negative": np.where(np.arange(N) == 3, -1, 1),
    "all zero": 0 * ONES,
    "NaN": np.where(np.arange(N) == 3, NAN, 1),
    "infinity": np.where(np.arange(N) == 3, INF, 1),
    "-infinity": -INF * ONES,
    "short": ONES[1:],
    "long": np.ones(N + 1),
    "none": [],
    "2-d": np.ones((N, 1)),
    "a row": np.ones((1, N)),
    "3-d": np.ones((N, 1, 1)),
    "words": np.full(N, "heavy"),
    "a string": "balanced",
    "complex": ONES + 1j,
    "datetimes": np.zeros(N, "M8[s]"),
    "time spans": np.ones(N, "m8[s]"),
    "datetimes in a list": DAYS,
    "time spans in a list": SPANS,
    "time spans among objects": np.array(SPANS, object),
    "a time span": np.timedelta64(3, "s"),
    "numbers as text": ["1"] * N,
    "numbers as text among objects": np.array(["1"] * N, object),
    "a complex number": 2 + 5j,
    "a type": int,
    "what NumPy cannot read": Unreadable(),
    "objects": np.array([object()] * N),
    "masked": np.ma.masked_array(ONES, CODES == 0),
    "masked among integers": [*[1] * (N - 1), MASKED],
    "beyond float64": [10**400] * N,
    "ragged": [[1.0]] * (N - 1) + [[1.0, 2]],
    "a dict": {0: 1.0, 1: 2.0},
    "None among them": [None] * N,
    "records": np.ones(N, "f8,f8"),
}


def weight_cases():
    calls = {
        "cmlp.fit": (nothing, lambda _, w: cmlp.fit(X, CODES, sample_weight=w, **QUICK)),
        "Model.score": (MODEL, lambda m, w: m.score(X, CODES, w)),
        "Network.step": (NET, lambda net, w: net.step(X, CODES, sample_weight=w)),
        "Network.loss_and_gradients": (NET, lambda net, w: net.loss_and_gradients(X, CODES, sample_weight=w)),
        "Network.fit": (NET, lambda net, w: net.fit(X, CODES, sample_weight=w)),
    }
    if HAS["sklearn"]:
        calls |= {
            "MLPClassifier.fit": (CLF, lambda m, w: m.fit(X, CODES, w)),
            "MLPClassifier.partial_fit": (CLF, lambda m, w: m.partial_fit(X, CODES, w)),
            "MLPClassifier.score": (CLF, lambda m, w: m.score(X, CODES, w)),
            "MLPRegressor.fit": (REG, lambda m, w: m.fit(X, VALUES, w)),
            "MLPRegressor.score": (REG, lambda m, w: m.score(X, VALUES, w)),
        }
    for where, (made, call) in calls.items():
        for what, weights in WEIGHTS.items():
            bad = lambda m, call=call, w=weights: call(m, w)
            yield Refused(f"{where}, sample_weight: {what}", made, bad, KINDS, "sample_weight")


def zero_batch_cases():
    """A batch whose weights are all 0 changes nothing; so the others alone are as good."""
    if not HAS["sklearn"]:
        return
    options = {"batch_size": 8, "shuffle": False, "solver": "sgd", "max_iter": 3, "tol": 0.0}
    weights = np.where(np.arange(N) < 8, 0.0, 1.0)
    for what, make, y in (("MLPClassifier", NEW_CLF, CODES), ("MLPRegressor", NEW_REG, VALUES)):

        def all_of_them(m, y=y):
            return fitted(m.set_params(**options), X, y, sample_weight=weights)

        def the_others(m, y=y):
            return fitted(m.set_params(**options), X[8:], y[8:])

        yield Works(f"{what}.fit: a batch of weight 0", make, all_of_them, the_others)


# ---- sparse --------------------------------------------------------------------------------------------

THIN = np.where(np.random.default_rng(1).random((N, 4)) < 0.5, X, 0.0)
DOOMED = 10**8


def broken(make, change):
    """A sparse matrix that was sound when SciPy made it."""

    def made():
        matrix = make(THIN)
        change(matrix)
        return matrix

    return made


def put(name, at, value):
    def change(matrix):
        array = getattr(matrix, name).copy()
        array[at] = value
        setattr(matrix, name, array)

    return change


def cut(name, n):
    return lambda matrix: setattr(matrix, name, getattr(matrix, name)[:n])


COMPRESSED = {
    "an index beyond": put("indices", 5, DOOMED),
    "an index one beyond": put("indices", 5, 24),
    "an index beyond int32": lambda m: setattr(m, "indices", m.indices.astype(np.int64) + 2**40),
    "a negative index": put("indices", 5, -1),
    "a very negative index": put("indices", 5, -DOOMED),
    "a start beyond": put("indptr", 2, DOOMED),
    "a falling start": put("indptr", 2, 0),
    "a negative start": put("indptr", 1, -DOOMED),
    "a first start": put("indptr", 0, 1),
    "a last start beyond": put("indptr", -1, DOOMED),
    "short data": cut("data", -3),
    "no data": cut("data", 0),
    "short indices": cut("indices", -3),
    "short indptr": cut("indptr", -2),
    "no indptr": cut("indptr", 0),
    "indices of floats": lambda m: setattr(m, "indices", m.indices + 0.5),
    "2-d data": lambda m: setattr(m, "data", m.data[None]),
}
COORDINATES = {
    "a row beyond": put("row", 5, DOOMED),
    "a column beyond": put("col", 5, DOOMED),
    "a negative row": put("row", 5, -1),
    "a very negative column": put("col", 5, -DOOMED),
    "short rows": cut("row", -3),
    "short data": cut("data", -3),
}


ROW_LISTS = {
    "a column beyond": lambda m: (
        m.rows[3].__setitem__(slice(None), [DOOMED] * len(m.rows[3])) or m.rows[4].append(DOOMED)
    ),
    "a negative column": lambda m: m.rows[4].insert(0, -DOOMED) or m.data[4].insert(0, 1.0),
    "more columns than values": lambda m: m.rows[4].extend([0, 1, 2]),
    "more values than columns": lambda m: m.data[4].extend([1.0, 2.0]),
    "few rows": lambda m: setattr(m, "rows", m.rows[:-4]),
}
KEYS = {
    "a row beyond": lambda m: m._dict.__setitem__((DOOMED, 0), 1.0),
    "a column beyond": lambda m: m._dict.__setitem__((0, DOOMED), 1.0),
    "a negative row": lambda m: m._dict.__setitem__((-DOOMED, 0), 1.0),
}
DIAGONALS = {
    "more offsets than rows of data": lambda m: setattr(m, "offsets", np.arange(-20, 4, dtype=np.int32)),
    "fewer offsets": cut("offsets", 2),
    "1-d data": lambda m: setattr(m, "data", m.data[0]),
    "offsets of floats": lambda m: setattr(m, "offsets", m.offsets + 0.5),
}
ENTRY_VALUES = {
    "NaN": (NAN, "NaN"),
    "infinity": (INF, "infinity"),
}


def sparse_calls():
    yield "MLPClassifier.fit", CLF, lambda m, S: fitted(m, S, CODES)
    yield "MLPClassifier.partial_fit", CLF, lambda m, S: parameters(m.partial_fit(S, CODES))
    yield "MLPRegressor.predict", REG, lambda m, S: m.predict(S)
    yield "MLPRegressor.fit, X_val", REG, lambda m, S: fitted(m, X, VALUES, X_val=S, y_val=VALUES)


def sparse_cases():
    if not (HAS["sklearn"] and HAS["scipy"]):
        return
    from scipy import sparse

    tables = {
        "csr_matrix": (sparse.csr_matrix, COMPRESSED),
        "csc_array": (sparse.csc_array, COMPRESSED),
        "bsr_matrix": (lambda a: sparse.bsr_matrix(a, blocksize=(2, 2)), BLOCKS),
        "coo_array": (sparse.coo_array, COORDINATES),
        "lil_matrix": (sparse.lil_matrix, ROW_LISTS),
        "dok_matrix": (sparse.dok_matrix, KEYS),
        "dia_matrix": (sparse.dia_matrix, DIAGONALS),
    }
    for where, made, call in sparse_calls():
        for container, (make, changes) in tables.items():
            if container != "csr_matrix" and where in ("MLPClassifier.partial_fit",):
                continue
            for what, change in changes.items():
                bad = broken(make, change)
                yield Refused(
                    f"{where}, {container}: {what}", made, lambda m, call=call, bad=bad: call(m, bad()), KINDS,
                    "X", "malformed sparse matrix",
                )  # fmt: skip
        for what, (value, words) in ENTRY_VALUES.items():
            bad = broken(sparse.csr_matrix, put("data", 3, value))
            yield Refused(
                f"{where}, csr_matrix: {what}",
                made,
                lambda m, call=call, bad=bad: call(m, bad()),
                ValueError,
                "X",
                words,
            )
        for what, form in sound_forms(sparse).items():
            yield Works(
                f"{where}: {what}", made, lambda m, call=call, form=form: call(m, form(THIN)),
                lambda m, call=call: call(m, THIN.copy()), close=True,
            )  # fmt: skip


BLOCKS = {
    "an index beyond": put("indices", 3, DOOMED),
    "a negative index": put("indices", 3, -DOOMED),
    "a start beyond": put("indptr", 2, DOOMED),
    "a falling start": put("indptr", 2, 0),
    "short data": cut("data", -3),
    "short indptr": cut("indptr", -2),
}


def sound_forms(sparse):
    def doubled(a):
        """Each entry in two parts at the same place."""
        rows, columns = np.nonzero(a)
        values = a[rows, columns]
        return sparse.coo_matrix((np.r_[values / 2, values / 2], (np.r_[rows, rows], np.r_[columns, columns])), a.shape)

    def doubled_rows(a):
        """The same in CSR, where nothing adds them up."""
        S = sparse.csr_matrix(a)
        return sparse.csr_matrix((np.repeat(S.data / 2, 2), np.repeat(S.indices, 2), 2 * S.indptr), a.shape)

    def unsorted(a):
        S = sparse.csr_matrix(a)
        for start, end in zip(S.indptr, S.indptr[1:], strict=False):
            S.indices[start:end] = S.indices[start:end][::-1].copy()
            S.data[start:end] = S.data[start:end][::-1].copy()
        S.has_sorted_indices = False
        return S

    def of_int64(a):
        S = sparse.csr_matrix(a)
        S.indices, S.indptr = S.indices.astype(np.int64), S.indptr.astype(np.int64)
        return S

    def explicit_zeros(a):
        full = sparse.csr_matrix(np.ones(a.shape))
        full.data = a.ravel().copy()
        return full

    def longer(a):
        """Room behind the entries that no row uses."""
        S = sparse.csr_matrix(a)
        S.data, S.indices = np.r_[S.data, NAN, NAN], np.r_[S.indices, 2, 2].astype(S.indices.dtype)
        return S

    def read_only_parts(a):
        S = sparse.csr_matrix(a)
        for part in (S.data, S.indices, S.indptr):
            part.flags.writeable = False
        return S

    return {
        "csr_matrix": sparse.csr_matrix,
        "csc_matrix": sparse.csc_matrix,
        "bsr_matrix": lambda a: sparse.bsr_matrix(a, blocksize=(2, 2)),
        "coo_matrix": sparse.coo_matrix,
        "lil_array": sparse.lil_array,
        "dok_array": sparse.dok_array,
        "dia_array": sparse.dia_array,
        "duplicates in coo": doubled,
        "duplicates in csr": doubled_rows,
        "unsorted indices": unsorted,
        "int64 indices": of_int64,
        "explicit zeros": explicit_zeros,
        "room behind the entries": longer,
        "read-only parts": read_only_parts,
        "long doubles": lambda a: sparse.csr_matrix(a.astype(np.longdouble)),
    }


def sparse_kind_cases():
    """Kinds of entries, axes and targets."""
    if not (HAS["sklearn"] and HAS["scipy"]):
        return
    from scipy import sparse

    bad = {
        "complex": (lambda: sparse.csr_matrix(THIN + 1j), "omplex data not supported"),
        "no rows": (lambda: sparse.csr_matrix((0, 4)), "0 sample(s)"),
        "no columns": (lambda: sparse.csr_matrix((N, 0)), "0 feature(s)"),
        "1-d coo": (lambda: sparse.coo_array(THIN[0]), ""),
        "1-d csr": (lambda: sparse.csr_array(THIN[0]), ""),
        "3-d coo": (lambda: sparse.coo_array(THIN[:, None]), ""),
    }
    for where, made, call in sparse_calls():
        for what, (make, words) in bad.items():
            yield Refused(
                f"{where}, sparse: {what}", made, lambda m, call=call, make=make: call(m, make()), KINDS, "X", words
            )
    for what, make in {"matrix": sparse.csr_matrix, "coo": sparse.coo_matrix, "csc": sparse.csc_array}.items():
        yield Works(
            f"MLPClassifier.fit: indicators in a sparse {what}", NEW_CLF,
            lambda m, make=make: fitted(m, X, make(LABELS)), lambda m: fitted(m, X, LABELS),
        )  # fmt: skip
        wrong = lambda m, make=make: m.fit(X, make(VALUES.reshape(-1, 1)))
        yield Refused(f"MLPRegressor.fit: y in a sparse {what}", REG, wrong, KINDS, "y")
        weights = lambda m, make=make: m.fit(X, VALUES, make(ONES.reshape(-1, 1)))
        yield Refused(f"MLPRegressor.fit: weights in a sparse {what}", REG, weights, KINDS, "sample_weight")
    for name, change in COMPRESSED.items():
        y = broken(lambda _: sparse.csr_matrix(LABELS), change)
        yield Refused(
            f"MLPClassifier.fit: malformed sparse y, {name}", CLF_LABELS, lambda m, y=y: m.fit(X, y()), KINDS, "y"
        )
        y = broken(lambda _: sparse.csc_matrix(LABELS), change)
        yield Refused(
            f"MLPClassifier.partial_fit: malformed sparse csc y, {name}", CLF_LABELS,
            lambda m, y=y: m.partial_fit(X, y()),
            KINDS, "y",
        )  # fmt: skip


# ---- tables with names -----------------------------------------------------------------------------------


def frame_cases():
    if not (HAS["sklearn"] and HAS["pandas"]):
        return
    import pandas as pd

    names = list("abcd")
    frame = pd.DataFrame(X, columns=names)
    table = subject(lambda: classifier(samples=frame))
    bad = {
        "NaN": (frame.mask(frame > 1), ValueError, "NaN"),
        "strings": (frame.astype(object).assign(b="many"), KINDS, "many"),
        "numbers as text": (frame.astype(object).assign(b="1"), TypeError, "='1'"),
        "string dtype of numbers": (frame.assign(b=pd.array(["1"] * N, dtype="string")), TypeError, "='1'"),
        "string dtype": (frame.assign(b=pd.array(["many"] * N, dtype="string")), KINDS, "many"),
        "Int64 with NA": (frame.assign(b=pd.array([None] + [1] * (N - 1), dtype="Int64")), KINDS, "NaN"),
        "Float64 with NA": (frame.assign(b=pd.array([None] + [1.5] * (N - 1), dtype="Float64")), KINDS, "NaN"),
        "boolean with NA": (frame.assign(b=pd.array([None] + [True] * (N - 1), dtype="boolean")), KINDS, ""),
        "categories of words": (frame.assign(b=pd.Categorical(["many"] * N)), KINDS, "many"),
        "datetimes": (frame.assign(b=pd.Timestamp("2020")), KINDS, ""),
        "time spans": (frame.assign(b=pd.Timedelta("1s")), KINDS, ""),
        "periods": (frame.assign(b=pd.Period("2020")), KINDS, ""),
        "renamed": (frame.rename(columns={"a": "z"}), ValueError, "feature names"),
        "reordered": (frame[["b", "a", "c", "d"]], ValueError, "feature names"),
        "a column less": (frame[["a", "b", "c"]], ValueError, "feature names"),
        "a column more": (frame.assign(e=1.0), ValueError, "feature names"),
    }
    anew = {"renamed", "reordered", "a column less", "a column more"}
    for what, (given, error, words) in bad.items():
        for where, call in {
            "predict": lambda m, X: m.predict(X), "partial_fit": lambda m, X: m.partial_fit(X, CODES),
            "fit, X_val": lambda m, V: m.fit(frame, CODES, X_val=V, y_val=CODES), "fit": lambda m, X: m.fit(X, CODES),
        }.items():  # fmt: skip
            if what in anew and where == "fit":
                continue
            bad_call = lambda m, call=call, X=given: call(m, X)
            named = "feature names" if words == "feature names" else "X"
            yield Refused(f"MLPClassifier.{where}, pandas: {what}", table, bad_call, error, words, named)
    good = {
        "pandas": frame,
        "Float64": frame.astype("Float64"),
        "float32 and int": frame.assign(b=(frame.b > 0).astype(int)),
        "numbers for names": frame.set_axis([3, 1, 2, 0], axis=1),
        "another index": frame.set_axis(np.arange(N)[::-1], axis=0),
        "duplicate index": frame.set_axis([0] * N, axis=0),
        "categories of numbers": frame.assign(b=pd.Categorical((frame.b > 0).astype(int))),
        "sparse": frame.astype(pd.SparseDtype(float, 0.0)),
        "nullable without NA": frame.assign(b=pd.array((frame.b > 0).astype(int), dtype="Int64")),
    }
    for what, given in good.items():
        clean = given.astype(float).to_numpy(float)
        call = lambda m, X=given: fitted(m, X, CODES)
        yield Works(f"MLPClassifier.fit, pandas: {what}", NEW_CLF, call, lambda m, X=clean: fitted(m, X, CODES))
        weights = lambda m, X=given: fitted(m, X, CODES, sample_weight=X.index.to_series() * 0 + 1.0)
        expected = lambda m, X=clean: fitted(m, X, CODES, sample_weight=np.ones(N))
        yield Works(f"MLPClassifier.fit, pandas with weights: {what}", NEW_CLF, weights, expected)
        held = lambda m, X=given: fitted(m.set_params(early_stopping=True), X, CODES)
        same = lambda m, X=clean: fitted(m.set_params(early_stopping=True), X, CODES)
        yield Works(f"MLPClassifier.fit, pandas, early stopping: {what}", NEW_CLF, held, same)


def polars_frame(change=lambda pl, frame: frame):
    """Made in the process of the case: the threads of polars do not outlive a fork."""
    import polars as pl

    return change(pl, pl.DataFrame(X, schema=list("abcd")))


POLARS = {
    "null": (lambda pl, f: f.with_columns(pl.Series("b", [None, *X[1:, 1]])), ValueError, "NaN"),
    "words": (lambda pl, f: f.with_columns(pl.lit("many").alias("b")), KINDS, "many"),
    "numbers as text": (lambda pl, f: f.with_columns(pl.lit("1").alias("b")), TypeError, "='1'"),
    "dates": (lambda pl, f: f.with_columns(pl.date(2020, 1, 1).alias("b")), KINDS, ""),
    "lists": (lambda pl, f: f.with_columns(pl.Series("b", [[1.0]] * N)), KINDS, ""),
    "renamed": (lambda pl, f: f.rename({"a": "z"}), ValueError, "feature names"),
    "reordered": (lambda pl, f: f.select("b", "a", "c", "d"), ValueError, "feature names"),
}


def fitted_to_polars():
    return classifier(samples=polars_frame())


def sees_polars_columns():
    """scikit-learn asked polars by a protocol that polars has no longer, before it took narwhals."""
    from sklearn.utils.validation import _get_feature_names

    return int(version("polars").partition(".")[0]) < 2 or "narwhals" in inspect.getsource(_get_feature_names)


def polars_cases():
    if not (HAS["sklearn"] and HAS["polars"]):
        return
    calls = {"predict": lambda m, X: m.predict(X), "partial_fit": lambda m, X: m.partial_fit(X, CODES)}
    named = sees_polars_columns()
    for what, (change, error, words) in POLARS.items():
        if words == "feature names" and not named:
            continue
        for where, call in calls.items():
            bad = lambda m, call=call, change=change: call(m, polars_frame(change))
            yield Refused(f"MLPClassifier.{where}, polars: {what}", fitted_to_polars, bad, error, words)
    dates = POLARS["dates"][0]
    for where, call in {
        "cmlp.fit": lambda X: cmlp.fit(X, CODES, **QUICK), "cmlp.predict": lambda X: MODEL().predict(X),
        "Network.forward": lambda X: NET().forward(X), "Network.step": lambda X: NET().step(X, CODES),
    }.items():  # fmt: skip
        bad = lambda _, call=call: call(polars_frame(dates))
        yield Refused(f"{where}, polars: dates", nothing, bad, TypeError, "has dtype Date: expected real numbers")
    yield Works(
        "MLPClassifier.fit, polars", NEW_CLF, lambda m: fitted(m, polars_frame(), CODES), lambda m: fitted(m, X, CODES)
    )
    yield Works(
        "MLPClassifier.fit, polars of two types", NEW_CLF,
        lambda m: fitted(m, polars_frame(lambda pl, f: f.with_columns((pl.col("b") > 0).cast(pl.Int8))), CODES),
        lambda m: fitted(m, np.column_stack([X[:, 0], X[:, 1] > 0, X[:, 2:]]), CODES),
    )  # fmt: skip


CASES = [
    case
    for table in (
        form_cases, bad_cases, range_cases, target_cases, target_form_cases, weight_cases, zero_batch_cases,
        sparse_cases, sparse_kind_cases, frame_cases, polars_cases,
    )
    for case in table()
]  # fmt: skip
