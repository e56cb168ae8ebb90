"""Calls in the wrong order, labels that change between calls, attributes and pickles that were tampered with."""

from __future__ import annotations

import copy
import io
import os
import pickle
import tempfile
import threading

import numpy as np

import cmlp
from hostile import (
    CLF,
    CLF_BINARY,
    CLF_LABELS,
    CLF_WORDS,
    CODES,
    HAS,
    INF,
    LABELS,
    MODEL,
    MODEL_BINARY,
    MODEL_LABELS,
    MODEL_VALUES,
    MODEL_WORDS,
    NAN,
    NET,
    NEW_CLF,
    NEW_REG,
    PAIRS,
    QUICK,
    REG,
    REG_PAIRS,
    VALUES,
    WORDS,
    N,
    Refused,
    Works,
    X,
    classifier,
    nothing,
    parameters,
    regressor,
    subject,
)  # fmt: skip

KINDS = (TypeError, ValueError)


# ---- order -------------------------------------------------------------------------------------------


def order_cases():
    if not HAS["sklearn"]:
        return
    from sklearn.exceptions import NotFittedError

    for method in ("predict", "predict_proba", "predict_log_proba"):
        call = lambda m, method=method: getattr(m, method)(X)
        yield Refused(f"MLPClassifier.{method} before fit", NEW_CLF, call, NotFittedError, "not fitted yet")
    yield Refused("MLPRegressor.predict before fit", NEW_REG, lambda m: m.predict(X), NotFittedError, "not fitted yet")
    yield Refused("MLPClassifier.score before fit", NEW_CLF, lambda m: m.score(X, CODES), NotFittedError, "not fitted")
    yield Refused("MLPRegressor.score before fit", NEW_REG, lambda m: m.score(X, VALUES), NotFittedError, "not fitted")
    after = subject(lambda: failed_fit(cmlp.MLPClassifier(**QUICK)))
    yield Refused(
        "MLPClassifier.predict after a refused fit", after, lambda m: m.predict(X), NotFittedError, "not fitted"
    )
    call = lambda m: m.partial_fit(X, CODES)
    yield Refused("MLPClassifier.partial_fit without classes", NEW_CLF, call, ValueError, "classes must be passed")
    for made, what, y in ((NEW_CLF, "MLPClassifier", CODES), (NEW_REG, "MLPRegressor", VALUES)):
        call = lambda m, y=y: m.set_params(solver="lbfgs").partial_fit(X, y)
        yield Refused(f"{what}.partial_fit with lbfgs", made, call, AttributeError, "partial_fit")
        call = lambda m, y=y: m.set_params(early_stopping=True).partial_fit(X, y)
        yield Refused(f"{what}.partial_fit with early stopping", made, call, ValueError)
        yield Refused(f"{what}.fit: X_val alone", made, lambda m, y=y: m.fit(X, y, X_val=X), ValueError, "y_val")
        yield Refused(f"{what}.fit: y_val alone", made, lambda m, y=y: m.fit(X, y, y_val=y), ValueError, "X_val")
    yield Refused("MLPRegressor.predict_proba", REG, lambda m: m.predict_proba(X), AttributeError, "predict_proba")
    yield Refused("MLPClassifier.fit without y", CLF, lambda m: m.fit(X), TypeError, "'y'")
    yield Refused(
        "MLPClassifier.partial_fit, unknown word", CLF, lambda m: m.partial_fit(X, CODES, weights=1), TypeError
    )
    yield Refused("set_params of an unknown name", CLF, lambda m: m.set_params(units=3), ValueError, "units")
    call = lambda m: m.partial_fit(X, CODES)
    yield Tampered("MLPClassifier.partial_fit beyond max_iter", OVER, call, ValueError, "max_iter=2", "larger max_iter")
    for method in ("predict_proba",):
        yield Refused(
            f"Model.{method} of a regression", MODEL_VALUES, lambda m: m.predict_proba(X), TypeError, "classifier"
        )


def failed_fit(model):
    try:
        model.fit(X * NAN, CODES)
    except ValueError:
        return model
    raise AssertionError("the fit was not refused")


def OVER():
    """A classifier whose schedule has come to its end."""
    m = cmlp.MLPClassifier(**{**QUICK, "solver": "sgd", "learning_rate": "cosine"})
    for _ in range(2):
        m.partial_fit(X, CODES, classes=[0, 1, 2])
    return m


# ---- labels that change ------------------------------------------------------------------------------


def label_cases():
    if not HAS["sklearn"]:
        return
    pieces = {  # fitted, then y
        "a new class": (CLF, CODES + 1, "classes not in"),
        "a negative class": (CLF, CODES - 1, "classes not in"),
        "fractions": (CLF, CODES + 0.5, "y"),
        "text for numbers": (CLF, CODES.astype(str), "expected labels like [0, 1, 2]"),
        "bytes for numbers": (CLF, CODES.astype("S"), "expected labels like [0, 1, 2]"),
        "text objects for numbers": (CLF, CODES.astype(str).astype(object), "expected labels like [0, 1, 2]"),
        "numbers for text": (CLF_WORDS, CODES, "expected labels like ['lily'"),
        "bytes for text": (CLF_WORDS, WORDS.astype("S"), "expected labels like ['lily'"),
        "a new word": (CLF_WORDS, np.where(CODES == 0, "oak", WORDS), "classes not in"),
        "longer words": (CLF_WORDS, np.char.add(WORDS, "s"), "classes not in"),
        "numbers for booleans": (CLF_BINARY, CODES, "classes not in"),
        "text for booleans": (CLF_BINARY, np.array(["False", "True"])[(CODES > 0).astype(int)], "expected labels like"),
        "indicators for classes": (CLF, LABELS, "expected class labels (n,)"),
        "two columns for two classes": (CLF_BINARY, LABELS[:, :2], "expected class labels (n,)"),
        "classes for indicators": (CLF_LABELS, CODES, "expected indicators (n, 3)"),
        "two classes for indicators": (CLF_LABELS, CODES > 0, "expected indicators (n, 3)"),
        "a column for indicators": (CLF_LABELS, LABELS[:, :1], "y"),
        "two indicators for three": (CLF_LABELS, LABELS[:, :2], "y"),
        "four indicators for three": (CLF_LABELS, np.hstack([LABELS, LABELS[:, :1]]), "y"),
    }
    for what, (made, y, words) in pieces.items():
        yield Refused(f"MLPClassifier.partial_fit: {what}", made, lambda m, y=y: m.partial_fit(X, y), KINDS, "y", words)
        call = lambda m, y=y: m.set_params(warm_start=True).fit(X, y)
        yield Refused(f"MLPClassifier.fit, warm start: {what}", made, call, KINDS, "y")
        clean = lambda m: m.classes_[np.arange(N) % len(m.classes_)] if not m._is_multilabel() else LABELS
        call = lambda m, y=y, clean=clean: m.fit(X, clean(m), X_val=X, y_val=y)
        yield Refused(f"MLPClassifier.fit, y_val: {what}", made, call, KINDS, "y_val")
    values = {
        "two columns for one": (REG, PAIRS, "(4, 5, 2)"),
        "a column for two": (REG_PAIRS, VALUES.reshape(-1, 1), "(4, 5, 1)"),
        "one axis for two": (REG_PAIRS, VALUES, "(4, 5, 1)"),
        "three columns for two": (REG_PAIRS, X[:, :3], "(4, 5, 3)"),
    }
    for what, (made, y, words) in values.items():
        call = lambda m, y=y: m.partial_fit(X, y)
        yield Refused(f"MLPRegressor.partial_fit: {what}", made, call, ValueError, "layers", words)
        call = lambda m, y=y: m.set_params(warm_start=True).fit(X, y)
        yield Refused(f"MLPRegressor.fit, warm start: {what}", made, call, ValueError, "layers", words)
        clean = lambda m: PAIRS if m.n_outputs_ == 2 else VALUES
        call = lambda m, y=y, clean=clean: m.fit(X, clean(m), X_val=X, y_val=y)
        yield Refused(f"MLPRegressor.fit, y_val: {what}", made, call, ValueError, "y_val")
    for what, classes in BAD_CLASSES.items():
        call = lambda m, classes=classes: m.partial_fit(X, CODES, classes=classes)
        words = "classes" if what != "text" else "expected labels like ['0', '1', '2']"
        yield Refused(f"MLPClassifier.partial_fit(classes): {what}", NEW_CLF, call, KINDS, words)
        yield Refused(f"MLPClassifier.partial_fit(classes) again: {what}", CLF, call, KINDS, "classes")
    alike = {
        "float64": CODES.astype(float), "int8": CODES.astype(np.int8), "a list":
        CODES.tolist(), "uint64": CODES.astype(np.uint64), "big-endian": CODES.astype(">i4"),
        "objects": CODES.astype(object),
    }  # fmt: skip
    for what, y in alike.items():
        yield Works(
            f"MLPClassifier.partial_fit: classes as {what}", CLF, lambda m, y=y: parameters(m.partial_fit(X, y)),
            lambda m: parameters(m.partial_fit(X, CODES)),
        )  # fmt: skip
    words = {"objects": WORDS.astype(object), "a list": WORDS.tolist(), "wider": WORDS.astype("U50")}
    for what, y in words.items():
        yield Works(
            f"MLPClassifier.partial_fit: words as {what}", CLF_WORDS, lambda m, y=y: parameters(m.partial_fit(X, y)),
            lambda m: parameters(m.partial_fit(X, WORDS)),
        )  # fmt: skip
    yield Works(
        "MLPClassifier.partial_fit: one of the classes", CLF, lambda m: parameters(m.partial_fit(X[:1], CODES[:1])),
        lambda m: parameters(m.partial_fit(X[:1], np.array([0.0]))),
    )  # fmt: skip
    yield Works(
        "MLPClassifier.partial_fit: class_weight of a class that the piece lacks", CLF,
        lambda m: parameters(m.set_params(class_weight={2: 5}).partial_fit(X[CODES < 2], CODES[CODES < 2])),
        lambda m: parameters(m.partial_fit(X[CODES < 2], CODES[CODES < 2])), close=True,
    )  # fmt: skip
    yield Works(
        "MLPClassifier.fit: from two columns back to one", CLF_LABELS, lambda m: parameters(m.fit(X, CODES)),
        lambda m: parameters(classifier(CODES)),
    )  # fmt: skip
    yield Works(
        "MLPRegressor.fit: from two columns back to one", REG_PAIRS, lambda m: m.fit(X, VALUES).predict(X),
        lambda m: regressor(VALUES).predict(X),
    )  # fmt: skip


BAD_CLASSES = {
    "one more": [0, 1, 2, 2.5], "fewer": [0, 1], "text": ["0", "1", "2"], "none": [], "None among them": [0, 1, None],
    "NaN": [0, 1, NAN], "0-d": 2, "two axes": [[0, 1, 2]] * 2, "a string": "012", "objects": [object(), object()],
    "masked": np.ma.masked_array([0, 1, 2], [1, 0, 0]), "complex": [0j, 1j, 2j], "infinity": [0, 1, INF],
    "a mix": [0, "1", 2], "time spans": np.arange(3).astype("m8[s]"),
}  # fmt: skip


# ---- attributes ----------------------------------------------------------------------------------------


class Tampered(Refused):
    """A refusal of what was tampered with, which has no behaviour of before."""

    def problem(self):
        from hostile import raised

        caught = raised(self.call, self.subject())
        if not isinstance(caught, self.error):
            return f"expected {self.error}, got {caught!r}"
        missing = [word for word in self.words if word not in str(caught)]
        return f"{type(caught).__name__} does not say {missing}: {caught}" if missing else ""


def put(name, value):
    def change(m):
        setattr(m, name, value(m) if callable(value) else value)

    return change


def item(name, at, value):
    return lambda m: getattr(m, name).__setitem__(at, value)


def inside(name, at, value):
    return lambda m: getattr(m, name)[at].__setitem__(0, value)


ERRORS = (AttributeError, TypeError, ValueError)
CHANGES = {  # and what the message must say
    "coefs_ None": (put("coefs_", None), "coefs_"),
    "coefs_ a number": (put("coefs_", 3), "coefs_"),
    "coefs_ text": (put("coefs_", "abc"), "coefs_"),
    "coefs_ of text": (put("coefs_", ["a", "b"]), "coefs_"),
    "coefs_ of None": (put("coefs_", [None, None]), "coefs_"),
    "coefs_ empty": (put("coefs_", []), "coefs_"),
    "coefs_ reversed": (put("coefs_", lambda m: m.coefs_[::-1]), "coefs_"),
    "coefs_ transposed": (put("coefs_", lambda m: [W.T for W in m.coefs_]), "coefs_"),
    "coefs_ for intercepts_": (put("coefs_", lambda m: m.intercepts_), "coefs_"),
    "coefs_ one layer less": (put("coefs_", lambda m: m.coefs_[:-1]), "coefs_"),
    "coefs_ one layer more": (put("coefs_", lambda m: [*m.coefs_, m.coefs_[-1]]), "coefs_"),
    "coefs_ complex": (put("coefs_", lambda m: [W + 1j for W in m.coefs_]), "coefs_"),
    "coefs_ ragged": (item("coefs_", 0, [[1.0], [1.0, 2.0]]), "coefs_"),
    "coefs_ masked": (item("coefs_", 0, np.ma.masked_all((4, 5))), "coefs_"),
    "coefs_ datetimes": (item("coefs_", 0, np.zeros((4, 5), "M8[s]")), "coefs_"),
    "coefs_[0] None": (item("coefs_", 0, None), "coefs_"),
    "coefs_[0] with NaN": (item("coefs_", 0, np.full((4, 5), NAN)), "coefs_"),
    "coefs_[1] infinite": (item("coefs_", 1, np.full((5, 3), INF)), "coefs_"),
    "coefs_[0] narrow": (item("coefs_", 0, np.ones((3, 5))), "coefs_"),
    "coefs_[0] without rows": (item("coefs_", 0, np.ones((0, 5))), "coefs_"),
    "coefs_[0] 3-d": (item("coefs_", 0, np.ones((4, 5, 1))), "coefs_"),
    "coefs_ NaN in place": (inside("coefs_", 0, NAN), "coefs_"),
    "coefs_ NaN in the last layer in place": (inside("coefs_", 1, NAN), "coefs_"),
    "coefs_ infinite in place": (inside("coefs_", 1, INF), "coefs_"),
    "intercepts_ NaN in place": (inside("intercepts_", 0, NAN), "coefs_"),
    "intercepts_ infinite in place": (inside("intercepts_", 1, INF), "coefs_"),
    "intercepts_ None": (put("intercepts_", None), "intercepts_"),
    "intercepts_ empty": (put("intercepts_", []), "intercepts_"),
    "intercepts_ reversed": (put("intercepts_", lambda m: m.intercepts_[::-1]), "intercepts_"),
    "intercepts_[0] long": (item("intercepts_", 0, np.ones(6)), "intercepts_"),
    "intercepts_[0] 2-d": (item("intercepts_", 0, np.ones((5, 1))), "intercepts_"),
    "intercepts_[1] a number": (item("intercepts_", 1, 1.0), "intercepts_"),
    "intercepts_ deleted": (lambda m: delattr(m, "intercepts_"), "intercepts_"),
    "n_features_in_ larger": (put("n_features_in_", 9), "features"),
}
OF_CLASSIFIER = {
    "classes_ shortened": (lambda m: setattr(m, "classes_", m.classes_[:2]), "classes"),
    "classes_ of one": (lambda m: setattr(m, "classes_", m.classes_[:1]), "classes"),
    "classes_ empty": (lambda m: setattr(m, "classes_", m.classes_[:0]), "classes"),
    "classes_ lengthened": (put("classes_", np.arange(4)), "classes"),
    "classes_ None": (put("classes_", None), "classes"),
    "classes_ a number": (put("classes_", 3), "classes"),
    "classes_ 2-d": (put("classes_", np.zeros((3, 2))), "classes"),
    "classes_ deleted": (lambda m: delattr(m, "classes_"), "classes"),
}
HARMLESS = {  # predictions go by the network
    "n_outputs_": 1, "n_layers_": 9, "out_activation_": "logistic", "loss_": NAN, "t_": None, "n_iter_": "x",
    "loss_curve_": None, "best_loss_": None,
}  # fmt: skip


def tampered_cases():
    if not HAS["sklearn"]:
        return
    for what, (change, words) in CHANGES.items():
        methods = ("partial_fit",) if what.startswith("n_features") else ("predict", "predict_proba", "partial_fit")
        for method in methods:
            call = lambda m, change=change, method=method: (change(m), used(m, method))
            yield Tampered(f"MLPClassifier.{method}: {what}", CLF, call, ERRORS, words)
        if what in ("n_features_in_ larger",):
            from scipy import sparse

            call = lambda m, change=change: (change(m), m.predict(sparse.csr_matrix(np.ones((N, 9)))))
            yield Tampered(f"MLPClassifier.predict, sparse: {what}", CLF, call, ValueError, "coefs_")
            call = lambda m, change=change: (change(m), m.predict(np.ones((N, 9))))
            yield Tampered(f"MLPClassifier.predict, dense: {what}", CLF, call, ValueError, "coefs_")
    for what, (change, words) in OF_CLASSIFIER.items():
        for made, kind in ((CLF, ""), (CLF_LABELS, " of indicators")):
            for method in ("predict", "predict_proba", "partial_fit"):
                call = lambda m, change=change, method=method: (change(m), used(m, method))
                yield Tampered(f"MLPClassifier{kind}.{method}: {what}", made, call, ERRORS, words)
    for name, value in HARMLESS.items():
        for method in ("predict", "predict_proba"):
            call = lambda m, name=name, value=value, method=method: (
                setattr(m, name, value), getattr(m, method)(X)
            )[1]  # fmt: skip
            expected = lambda m, method=method: getattr(m, method)(X)
            yield Works(f"MLPClassifier.{method}: {name}={value!r}", CLF, call, expected)
        call = lambda m, name=name, value=value: (setattr(m, name, value), m.fit(X, CODES).predict_proba(X))[1]
        yield Works(f"MLPClassifier.fit: {name}={value!r}", CLF, call, lambda m: m.fit(X, CODES).predict_proba(X))
        call = lambda m, name=name: (delattr(m, name), m.predict_proba(X))[1]
        yield Works(f"MLPClassifier.predict_proba: {name} deleted", CLF, call, lambda m: m.predict_proba(X))
    for name in ("coefs_", "intercepts_", "classes_", "_network", "_label_binarizer"):
        call = lambda m, name=name: (setattr(m, name, None), m.fit(X, CODES).predict_proba(X))[1]
        yield Works(f"MLPClassifier.fit mends {name}", CLF, call, lambda m: m.fit(X, CODES).predict_proba(X))
    call = lambda m: (delattr(m, "coefs_"), m.predict(X))
    yield Tampered("MLPClassifier.predict: coefs_ deleted", CLF, call, ERRORS, "not fitted")


def used(m, method):
    return (
        m.partial_fit(X, CODES if not m._is_multilabel() else LABELS)
        if method == "partial_fit"
        else getattr(m, method)(X)
    )


# ---- data that change while they train -------------------------------------------------------------


class Meddling(np.random.RandomState):
    """Runs a task whenever it shuffles."""

    def shuffle(self, order):
        self.task()


def meddling(task):
    random = Meddling(0)
    random.task = task
    return random


def changed_labels(what, value):
    """Labels that become others, between epochs or by another thread within one."""
    y = CODES.astype(np.intp)

    def call(net):
        if what != "by a thread":
            change = lambda: y.__setitem__(slice(None), value)
            return net.fit(X, y, epochs=3, batch_size=5, shuffle=True, random_state=meddling(change))
        many, labels = np.tile(X, (200, 1)), np.tile(y, 200)
        later = threading.Timer(0.05, labels.__setitem__, (slice(None), value))
        later.start()
        try:
            return net.fit(many, labels, batch_size=50, epochs=10**6, learning_rate=1e-6)
        finally:
            later.join()

    return call


def change(array, value):
    """A callback that does, once."""
    return lambda state: array.__setitem__(slice(None), value) if state.epoch == 1 else None


def changing_cases():
    for what in ("by a shuffle", "by a thread"):
        for value in (3, -1, 10**12, -(10**12)):
            call = changed_labels(what, value)
            yield Tampered(f"Network.fit: labels become {value} {what}", NET, call, cmlp.DivergenceError, "diverged")
    for value in (3, -1, 10**12):

        def call(_, value=value):
            y = CODES.astype(np.intp)
            return cmlp.fit(X, y, callbacks=change(y, value), **QUICK).n_iter_

        yield Works(f"cmlp.fit: labels become {value} by a callback", nothing, call, lambda _: 2)
    if not HAS["sklearn"]:
        return
    from scipy.sparse import csr_matrix

    dense = np.where(X > 0.8, X, 0)
    for part, value in (("indices", 2**30), ("indices", -1), ("indptr", 2**30), ("indptr", -5)):
        for where in ("X", "X_val"):

            def call(_, part=part, value=value, where=where):
                samples = csr_matrix(dense)
                val = samples.copy()
                spoilt = getattr(samples if where == "X" else val, part)
                heard = {**QUICK, "max_iter": 4, "callbacks": change(spoilt, value)}
                return parameters(cmlp.MLPClassifier(**heard).fit(samples, CODES, X_val=val, y_val=CODES))

            def undisturbed(_):
                samples = csr_matrix(dense)
                return parameters(
                    cmlp.MLPClassifier(**{**QUICK, "max_iter": 4}).fit(samples, CODES, X_val=samples, y_val=CODES)
                )

            name = f"MLPClassifier.fit: {part} of a sparse {where} become {value} by a callback"
            yield Works(name, nothing, call, undisturbed)


SPOILT = [(which, layer, NAN) for which in ("weights", "biases") for layer in (0, 1)] + [("weights", 1, INF)]


def network_cases():
    models = {"classes": MODEL, "two": MODEL_BINARY, "indicators": MODEL_LABELS, "values": MODEL_VALUES}
    for which, layer, value in SPOILT:

        def spoil(net, which=which, layer=layer, value=value):
            getattr(net, which)[layer].ravel()[0] = value

        where = f"a network with {value} in {which}[{layer}]"
        for what, call in {
            "step": lambda net: net.step(X, CODES), "fit": lambda net: net.fit(X, CODES, epochs=2),
            "step on one": lambda net: net.step(X[0], 1),
        }.items():  # fmt: skip
            bad = lambda net, spoil=spoil, call=call: (spoil(net), call(net))
            yield Tampered(f"{what}: {where}", NET, bad, cmlp.DivergenceError, "NaN")
        for name, made in models.items():
            if value == INF and name in ("two", "indicators"):  # a sigmoid of infinity is 0 or 1
                continue
            for method in ("predict", "predict_proba") if name != "values" else ("predict",):
                bad = lambda m, spoil=spoil, method=method: (spoil(m.network), getattr(m, method)(X))
                yield Tampered(f"Model.{method} of {name}: {where}", made, bad, ValueError, "parameters")
    for name in ("network", "_task", "_history"):
        for method in ("predict", "score", "save"):
            if (name, method) in {("_history", "predict"), ("_history", "score")}:
                continue

            def call(m, name=name, method=method):
                delattr(m, name)
                return (
                    m.predict(X)
                    if method == "predict"
                    else m.score(X, CODES)
                    if method == "score"
                    else m.save(os.devnull + "x")
                )

            yield Tampered(f"Model.{method}: {name} deleted", MODEL, call, AttributeError, name)


# ---- pickles ---------------------------------------------------------------------------------------------


def state_changed(made, change):
    """The object whose pickled state a change was made to."""
    m = made()
    state = m.__getstate__() if not isinstance(m, cmlp.Model) else dict(vars(m))
    state = dict(state)
    change(state)
    new = type(m).__new__(type(m))
    new.__setstate__(state)
    return new


def without(name):
    return lambda state: state.pop(name)


def with_(name, value):
    return lambda state: state.__setitem__(name, value)


NETWORK_STATES = {
    **{f"without {name}": (without(name), name) for name in (
        "layer_sizes", "activation", "loss_name", "dtype", "parameters",
    )},
    "short parameters": (with_("parameters", np.ones(10)), "parameters"),
    "one parameter for all": (with_("parameters", np.ones(1)), "parameters"),
    "parameters of text": (with_("parameters", np.full(43, "x")), "parameters"),
    "parameters None": (with_("parameters", None), "parameters"),
    "parameters of objects": (with_("parameters", np.array([object()] * 43)), "parameters"),
    "other layer_sizes": (with_("layer_sizes", (4, 6, 3)), "parameters"),
    "layer_sizes of text": (with_("layer_sizes", "453"), "layer_sizes"),
    "another loss": (with_("loss_name", "hinge"), "loss"),
    "another dtype": (with_("dtype", "float16"), "dtype"),
    "short solver state": (with_("solver_state", (3, np.ones((2, 10)))), "solver_state"),
    "solver state of text": (with_("solver_state", "x"), "solver_state"),
    "solver state None": (with_("solver_state", None), "solver_state"),
    "solver state of float32": (with_("solver_state", (3, np.ones((2, 43), np.float32))), "solver_state"),
    "solver state of no steps": (with_("solver_state", ("x", None)), "solver_state"),
    "settings of text": (with_("settings", "sgd"), "settings"),
    "few settings": (with_("settings", ("sgd", 0.1)), "settings"),
    "settings out of range": (with_("settings", ("sgd", -0.1, 0.9, False, 0.0, 0.9, 0.999, 1e-8)), "learning_rate"),
}  # fmt: skip


def pickle_cases():
    for what, (change, words) in NETWORK_STATES.items():
        call = lambda _, change=change: state_changed(NET, change)
        yield Refused(f"Network, pickle {what}", nothing, call, KINDS, words)
    for name in ("out_activation", "quantile", "settings", "solver_state"):  # younger than the oldest pickles
        call = lambda _, name=name: state_changed(NET, without(name)).forward(X)
        yield Works(f"Network, pickle without {name}", nothing, call, lambda _: NET().forward(X))
    call = lambda _: state_changed(NET, with_("colour", "red")).forward(X)
    yield Works("Network, pickle with more", nothing, call, lambda _: NET().forward(X))
    for what, state in {"None": None, "a list": [], "text": "x", "nothing": {}}.items():
        call = lambda _, state=state: cmlp.Network.__new__(cmlp.Network).__setstate__(state)
        yield Refused(f"Network, pickle of {what}", nothing, call, KINDS, "state")
    made = {"Network": NET, "Model": MODEL}
    if HAS["sklearn"]:
        made |= {"MLPClassifier": CLF, "MLPRegressor": REG}
    for name, make in made.items():
        for part in range(0, 20):
            call = lambda _, make=make, part=part: pickle.loads(shortened(make(), part / 20))
            yield Refused(
                f"{name}, {5 * part} % of a pickle", nothing, call, (pickle.UnpicklingError, EOFError, ValueError)
            )
    if HAS["sklearn"]:
        yield from estimator_pickle_cases()
    for what, call in {
        "net(x)": lambda net: net(X[0]), "forward": lambda net: net.forward(X), "step": lambda net: net.step(X, CODES),
        "parameters": lambda net: net.parameters, "repr": repr, "pickle": pickle.dumps, "copy": copy.deepcopy,
    }.items():  # fmt: skip
        yield Tampered(f"Network without __init__: {what}", lambda: cmlp.Network.__new__(cmlp.Network), call, ERRORS)


def shortened(made, share):
    content = pickle.dumps(made)
    return content[: int(len(content) * share)]


def estimator_pickle_cases():
    options = {"dropout", "class_weight", "n_threads", "quantile", "alpha", "solver"}
    for made, what in ((CLF, "MLPClassifier"), (REG, "MLPRegressor")):
        for name in sorted(options & set(made().get_params())):
            call = lambda _, made=made, name=name: goes_on(state_changed(made, without(name)))
            yield Works(f"{what}, pickle without {name}", nothing, call, lambda _, made=made: goes_on(made()))
        call = lambda _, made=made: goes_on(state_changed(made, with_("colour", "red")))
        yield Works(f"{what}, pickle with more", nothing, call, lambda _, made=made: goes_on(made()))
        for name in ("_history", "_optimizer", "_random_state"):
            call = lambda _, made=made, name=name: state_changed(made, without(name)).predict(X)
            yield Works(f"{what}, pickle without {name}", nothing, call, lambda _, made=made: made().predict(X))
            call = lambda _, made=made, name=name: goes_on(state_changed(made, without(name))).shape
            yield Works(
                f"{what}, pickle without {name}, in a piece", nothing, call, lambda _, made=made: goes_on(made()).shape
            )
        for name in ("n_features_in_", "n_outputs_"):
            call = lambda _, made=made, name=name: goes_on(state_changed(made, without(name)))
            yield Tampered(f"{what}, pickle without {name}", nothing, call, ValueError, name)
        for what_state, state in {"None": None, "a list": [], "text": "x"}.items():
            call = lambda _, made=made, state=state: type(made()).__new__(type(made())).__setstate__(state)
            yield Refused(f"{what}, pickle of {what_state}", nothing, call, TypeError, "state")
    for name in ("classes_", "_label_binarizer"):
        call = lambda _, name=name: state_changed(CLF, without(name)).predict(X)
        yield Tampered(f"MLPClassifier, pickle without {name}", nothing, call, ValueError, name)
    call = lambda _: state_changed(CLF, with_("_network", NET_OF_OTHERS())).predict(X)
    yield Tampered("MLPClassifier, pickle with another network", nothing, call, ValueError, "n_outputs_")
    call = lambda _: state_changed(CLF, with_("_network", "x")).predict(X)
    yield Tampered("MLPClassifier, pickle with no network", nothing, call, TypeError, "_network")


def NET_OF_OTHERS():
    return cmlp.Network((4, 5, 7), random_state=0)


def goes_on(m):
    y = CODES if isinstance(m, cmlp.MLPClassifier) else VALUES
    return np.concatenate([m.predict(X), parameters(m.partial_fit(X, y))])


# ---- saved models -------------------------------------------------------------------------------------------


def saved(model):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model")
        model.save(path)
        with open(path, "rb") as file:
            return file.read()


def loaded(content):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model")
        with open(path, "wb") as file:
            file.write(content)
        return cmlp.load(path)


def file_cases():
    makers = {"classes": MODEL, "words": MODEL_WORDS, "indicators": MODEL_LABELS, "values": MODEL_VALUES}
    for what, make in makers.items():
        for part in range(0, 20):
            call = lambda _, make=make, part=part: loaded(cut(saved(make()), part / 20))
            yield Refused(
                f"cmlp.load: {5 * part} % of a file of {what}", nothing, call, cmlp.ModelFileError, "cannot load"
            )
        call = lambda _, make=make: loaded(saved(make()) + b"\0")
        yield Refused(f"cmlp.load: a byte more of {what}", nothing, call, cmlp.ModelFileError, "cannot load")
    for seed in range(30):
        call = lambda _, seed=seed: loaded(flipped(saved(MODEL_WORDS()), seed))
        yield Refused(f"cmlp.load: a flipped bit, {seed}", nothing, call, cmlp.ModelFileError, "cannot load")
    for what, path in {"None": None, "a number": 3.5, "a list": [], "a file object": io.BytesIO(b"x")}.items():
        yield Refused(f"cmlp.load: path {what}", nothing, lambda _, path=path: cmlp.load(path), TypeError, "path=")
        yield Refused(f"Model.save: path {what}", MODEL, lambda m, path=path: m.save(path), TypeError, "path=")


def cut(content, share):
    return content[: int(len(content) * share)]


def flipped(content, seed):
    random = np.random.default_rng(seed)
    content = bytearray(content)
    content[random.integers(len(content))] ^= 1 << random.integers(8)
    return bytes(content)


# ---- sources of random numbers -----------------------------------------------------------------------


def random_cases():
    """What is refused draws no numbers from the source that was given."""
    wrong = {"sample_weight": {"sample_weight": -np.ones(N)}, "X_val": {"X_val": X[:, :3], "y_val": CODES}}
    for kind in (np.random.RandomState, np.random.default_rng):
        random = kind(0)
        quick = {**QUICK, "random_state": random}
        for name, options in wrong.items():
            call = lambda _, options=options, quick=quick: cmlp.fit(X, CODES, **quick, **options)
            yield Refused(f"cmlp.fit: {name}, random_state={kind.__name__}", nothing, call, ValueError, name)
        call = lambda _, random=random: cmlp.Network((4, 3), random_state=random, quantile=2)
        yield Refused(f"Network: quantile, random_state={kind.__name__}", nothing, call, ValueError, "quantile")
        call = lambda net, random=random: net.fit(X, CODES, solver="best", shuffle=True, random_state=random)
        yield Refused(f"Network.fit: solver, random_state={kind.__name__}", NET, call, ValueError, "solver")
    if HAS["sklearn"]:
        quick = {**QUICK, "random_state": np.random.RandomState(0)}
        for name, options in wrong.items():
            call = lambda m, options=options, quick=quick: m.set_params(**quick).fit(X, CODES, **options)
            yield Refused(f"MLPClassifier.fit: {name}, a RandomState", NEW_CLF, call, ValueError, name)


TABLES = [
    order_cases, random_cases, label_cases, tampered_cases, changing_cases, network_cases, pickle_cases, file_cases,
]  # fmt: skip
CASES = [case for table in TABLES for case in table()]
