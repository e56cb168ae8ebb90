"""Every parameter of every entry point at its limits, beyond them and of the wrong type."""

from __future__ import annotations

import operator
from fractions import Fraction

import numpy as np

import cmlp
from hostile import (
    CLF,
    CLF32,
    CODES,
    HAS,
    INF,
    NAN,
    NET,
    NEW_CLF,
    NEW_REG,
    QUICK,
    REG,
    VALUES,
    Refused,
    Works,
    X,
    nothing,
    parameters,
)  # fmt: skip

KINDS = (TypeError, ValueError)


class Odd:
    def __repr__(self):
        return "<odd>"


NO_NUMBER = {
    "None": None, "'x'": "x", "'1'": "1", "b'1'": b"1", "[0.5]": [0.5], "{}": {}, "1j": 1j, "NaN": NAN, "float32 NaN":
    np.float32("nan"), "<odd>": Odd(), "an array": np.full(2, 0.5), "a date": np.datetime64("2020"), "a span":
    np.timedelta64(1, "s"), "infinity": INF, "-infinity": -INF, "-1": -1,
}  # fmt: skip
NO_WHOLE = {**NO_NUMBER, "1.5": 1.5, "2.0": 2.0, "0": 0, "-10**400": -(10**400)}
NO_FLAG = {"None": None, "'yes'": "yes", "2": 2, "0.0": 0.0, "[True]": [True], "NaN": NAN, "<odd>": Odd()}
NO_NAME = {
    "None": None, "''": "", "'best'": "best", "1": 1, "True": True, "NaN": NAN, "bytes": b"adam", "{}": {},
    "a null": "adam\0", "'ADAM'": "ADAM", "['adam']": ["adam"],
}  # fmt: skip
ESTIMATOR = {
    "alpha": {**NO_NUMBER, "a Fraction": Fraction(1, 2)},
    "learning_rate_init": {**NO_NUMBER, "0": 0, "-0.0": -0.0, "10**400": 10**400, "a Fraction": Fraction(1, 2)},
    "power_t": {**NO_NUMBER, "1e3": 1e3, "1e300": 1e300},
    "tol": NO_NUMBER,
    "momentum": {**NO_NUMBER, "1.0001": 1.0001, "2": 2},
    "validation_fraction": {**NO_NUMBER, "0": 0, "0.0": 0.0, "1": 1, "1.5": 1.5, "a Fraction": Fraction(1, 2)},
    "beta_1": {**NO_NUMBER, "1": 1, "1.5": 1.5},
    "beta_2": {**NO_NUMBER, "1": 1, "1.5": 1.5},
    "epsilon": {**NO_NUMBER, "0": 0},
    "batch_size": {**NO_WHOLE, "'all'": "all", "'AUTO'": "AUTO"},
    "max_iter": NO_WHOLE,
    "n_iter_no_change": {name: value for name, value in NO_WHOLE.items() if name != "infinity"},
    "max_fun": NO_WHOLE,
    "shuffle": NO_FLAG,
    "warm_start": NO_FLAG,
    "nesterovs_momentum": NO_FLAG,
    "early_stopping": NO_FLAG,
    "solver": {**NO_NAME, "'newton'": "newton"},
    "learning_rate": {**NO_NAME, "0.1": 0.1, "'optimal'": "optimal"},
    "activation": {
        **NO_NAME, "two names": ("relu", "tanh"), "no name": (), "a number in a list": [1], "None in a list": [None],
        "a name of none": ["cosine"], "a set": {"relu"}, "an array": np.array(["relu"]),
    },
    "hidden_layer_sizes": {
        **{name: value for name, value in NO_WHOLE.items() if name not in ("{}",)}, "(0,)": (0,), "(3, -1)": (3, -1),
        "(3.5,)": (3.5,), "(3.0,)": (3.0,), "('a',)": ("a",), "('3',)": ("3",), "'abc'": "abc", "a dict": {3: 4},
        "a set": {3, 4}, "two axes": [[3, 4]], "ragged": [[3], [4, 5]], "no axes": np.array(5), "True": True,
        "(True,)": (True,), "(None,)": (None,), "(NaN,)": (NAN,), "(inf,)": (INF,), "(1j,)": (1j,),
        "bytes": b"\3\4", "a range of none": range(0, 3), "a generator": (i for i in (3, 4)), "<odd>s": [Odd()],
    },
    "random_state": {
        "'x'": "x", "-1": -1, "2**32": 2**32, "10**400": 10**400, "1.5": 1.5, "[1]": [1], "{}": {}, "NaN": NAN,
        "<odd>": Odd(), "a Generator": np.random.default_rng(0),
    },
    "verbose": {"None": None, "'x'": "x", "-1": -1, "1.5": 1.5, "[1]": [1], "NaN": NAN},
    "scoring": {"'best'": "best", "1": 1, "True": True, "[]": [], "b'r2'": b"r2"},
    "callbacks": {"1": 1, "'x'": "x", "[1]": [1], "[None]": [None], "{}": {}, "a set": {print}},
    "dropout": {
        **{name: value for name, value in NO_NUMBER.items() if name not in ("[0.5]",)}, "1": 1, "[1]": [1], "[-0.1]":
        [-0.1], "two": [0.1, 0.2], "none": [], "[NaN]": [NAN], "['x']": ["x"], "[None]": [None], "[[0.1]]": [[0.1]],
    },
    "input_dropout": {**NO_NUMBER, "1": 1},
    "max_grad_norm": {**{k: v for k, v in NO_NUMBER.items() if v is not None}, "0": 0},
    "warmup_epochs": NO_NUMBER,
    "n_threads": {**{k: v for k, v in NO_WHOLE.items() if v is not None}},
}  # fmt: skip
CLASSIFIER = {
    "class_weight": {
        "'heavy'": "heavy",
        "1": 1,
        "NaN": NAN,
        "a list": [1, 2],
        "a negative weight": {0: -1},
        "a weight NaN": {0: NAN},
        "a weight infinite": {1: INF},
        "a weight of text": {1: "x"},
        "a weight None": {1: None},
        "all zero": {0: 0, 1: 0, 2: 0},
        "an unknown label": {7: 2},
        "an unknown label beside all": {0: 1, 1: 2, 2: 1, 7: 2},
        "a label of text": {"0": 2},
        "a set": {0, 1},
        "a complex weight": {1: 1j},
        "a weight of two": {1: [1, 2]},
    },
    "label_smoothing": {**NO_NUMBER, "1": 1, "2": 2},
}
REGRESSOR = {
    "loss": {**NO_NAME, "'cross_entropy'": "cross_entropy", "'absolute'": "absolute"},
    "out_activation": {**{k: v for k, v in NO_NAME.items() if v is not None}, "'softmax'": "softmax", "'exp'": "exp"},
    "quantile": {**NO_NUMBER, "0": 0, "1": 1},
}
HUGE = {"10**9 units": (10**9, 10**9), "10**18 units": 10**18, "10**30 units": 10**30, "10**400": 10**400}


def options(name, value):
    """That let the parameter be used."""
    more = {"power_t": {"solver": "sgd", "learning_rate": "invscaling"}, "max_iter": {"solver": "sgd"}}
    if name in ("validation_fraction", "scoring"):
        more[name] = {"early_stopping": True}
    return {**more.get(name, {}), name: value}


def estimator_cases():
    if not HAS["sklearn"]:
        return
    kinds = {"MLPClassifier": (CLF, CODES, CLASSIFIER), "MLPRegressor": (REG, VALUES, REGRESSOR)}
    for where, (made, y, more) in kinds.items():
        common = ESTIMATOR if where == "MLPClassifier" else {"hidden_layer_sizes": ESTIMATOR["hidden_layer_sizes"]}
        for name, values in {**common, **more}.items():
            for what, value in values.items():

                def call(m, name=name, value=value, y=y):
                    return m.set_params(**options(name, value)).fit(X, y)

                yield Refused(f"{where}({name}), fit: {what}", made, call, KINDS, name)
        for what, value in HUGE.items():
            call = lambda m, value=value, y=y: m.set_params(hidden_layer_sizes=value).fit(X, y)
            yield Refused(f"{where}(hidden_layer_sizes), fit: {what}", made, call, MemoryError, "layer_sizes")


def piece_cases():
    """Parameters that are set between pieces."""
    if not HAS["sklearn"]:
        return
    for name in ("momentum", "power_t", "dropout", "class_weight", "label_smoothing", "activation"):
        for what, value in {**ESTIMATOR, **CLASSIFIER}[name].items():

            def call(m, name=name, value=value):
                return m.set_params(**options(name, value)).partial_fit(X, CODES)

            yield Refused(f"MLPClassifier({name}), partial_fit: {what}", CLF, call, KINDS, name)
    for name in ("loss", "quantile", "out_activation"):
        for what, value in REGRESSOR[name].items():
            call = lambda m, name=name, value=value: m.set_params(**{name: value}).partial_fit(X, VALUES)
            yield Refused(f"MLPRegressor({name}), partial_fit: {what}", REG, call, KINDS, name)
    for what, widths in {"other": (4,), "more": (5, 5), "none": ()}.items():
        call = lambda m, widths=widths: m.set_params(hidden_layer_sizes=widths).partial_fit(X, CODES)
        yield Refused(
            f"MLPClassifier(hidden_layer_sizes), partial_fit: {what}", CLF, call, ValueError, "layers of (4, 5, 3)"
        )
    call = lambda m: m.set_params(early_stopping=True).partial_fit(X, CODES)
    yield Refused("MLPClassifier(early_stopping), partial_fit", CLF, call, ValueError, "early_stopping")
    call = lambda m: m.set_params(class_weight="balanced").partial_fit(X, CODES)
    yield Refused(
        "MLPClassifier(class_weight), partial_fit: balanced", CLF, call, ValueError, "class_weight='balanced'"
    )
    call = lambda m: m.set_params(loss="poisson").partial_fit(X, -np.abs(VALUES))
    yield Refused("MLPRegressor(loss), partial_fit: poisson of negative y", REG, call, ValueError, "y[", "at least 0")
    for name, value in {"alpha": 1e39, "learning_rate_init": 1e39, "epsilon": 1e-60}.items():
        call = lambda m, name=name, value=value: m.set_params(**{name: value}).partial_fit(X.astype(np.float32), CODES)
        said = "learning_rate" if name == "learning_rate_init" else name
        yield Refused(f"MLPClassifier({name}) of float32, partial_fit: {value}", CLF32, call, ValueError, said)


HONOURED = {  # by partial_fit after a fit without
    "activation": "tanh", "alpha": 10.0, "momentum": 0.1, "dropout": 0.5, "batch_size": 3, "learning_rate_init": 0.1,
    "solver": "rmsprop", "class_weight": {0: 9.0}, "label_smoothing": 0.5, "max_grad_norm": 1e-3,
    "shuffle": False, "warmup_epochs": 50.0,
}  # fmt: skip


def honoured_cases():
    """What is set between pieces acts: as in a network that had it from the start and has the same state."""
    if not HAS["sklearn"]:
        return
    for name, value in HONOURED.items():

        def goes_on(m, name=name, value=value):
            before = m.partial_fit(X, CODES), parameters(m)
            other = parameters(m.set_params(**{name: value}).partial_fit(X, CODES))
            return bool(np.array_equal(before[1], other)), differs(name, value)

        yield Works(f"MLPClassifier({name}), partial_fit: honoured", NEW_PIECE, goes_on, lambda m: (False, True))


def differs(name, value):
    """Whether two copies that differ in a parameter alone go different ways."""
    ways = []
    for options in ({}, {name: value}):
        m = NEW_PIECE().partial_fit(X, CODES)
        ways.append(parameters(m.set_params(**options).partial_fit(X, CODES)))
    return not np.array_equal(*ways)


def piece():
    return cmlp.MLPClassifier(**{**QUICK, "solver": "sgd", "batch_size": 5}).partial_fit(X, CODES, classes=[0, 1, 2])


NEW_PIECE = piece


SAME = {  # of these numbers any type
    "alpha": 0.5, "learning_rate_init": 0.125, "momentum": 0.5, "beta_1": 0.5, "epsilon": 0.125, "tol": 0.25,
    "power_t": 0.5, "validation_fraction": 0.25, "input_dropout": 0.25,
}  # fmt: skip
WHOLE = {"max_iter": 3, "batch_size": 7, "n_iter_no_change": 2, "hidden_layer_sizes": 4, "random_state": 3}
LIMITS = {
    "alpha 0": {"alpha": 0}, "tol 0": {"tol": 0}, "momentum 1": {"solver": "sgd", "momentum": 1},
    "beta_1 0": {"beta_1": 0},
    "beta_2 0": {"beta_2": 0}, "power_t 0": {"power_t": 0}, "n_iter_no_change infinite": {"n_iter_no_change": INF},
    "batch_size 10**30": {"batch_size": 10**30}, "no hidden layer": {"hidden_layer_sizes": ()}, "n_threads 10**6":
    {"n_threads": 10**6}, "verbose 10**400": {"verbose": 10**400}, "max_fun 10**30": {"max_fun": 10**30},
}  # fmt: skip
NEVER_ENDING = {"cosine": {"learning_rate": "cosine"}, "one_cycle": {"learning_rate": "one_cycle"}, "constant": {}}


def limit_cases():
    if not HAS["sklearn"]:
        return
    for where, made, y in (("MLPClassifier", NEW_CLF, CODES), ("MLPRegressor", NEW_REG, VALUES)):
        for what, given in LIMITS.items():

            def finite(m, given=given, y=y):
                return bool(np.isfinite(parameters(m.set_params(**given).fit(X, y))).all())

            yield Works(f"{where}: {what}", made, finite, lambda _: True)
        for kind in (np.float32, np.float64, np.longdouble):
            for name, value in SAME.items():
                yield same(where, made, y, f"{name} of {kind.__name__}", {name: kind(value)}, {name: value})
        for kind in (np.int8, np.uint64, np.int64):
            for name, value in WHOLE.items():
                yield same(where, made, y, f"{name} of {kind.__name__}", {name: kind(value)}, {name: value})
        same_widths = {
            "a list": [4],
            "an array": np.array([4]),
            "uint8": np.array([4], np.uint8),
            "a range": range(4, 5),
        }
        for what, widths in same_widths.items():
            yield same(where, made, y, f"widths as {what}", {"hidden_layer_sizes": widths}, {"hidden_layer_sizes": 4})
        for what, schedule in NEVER_ENDING.items():
            for most in (10**30, 10**400):

                def ended(m, schedule=schedule, most=most, y=y):
                    stop = {"max_iter": most, "solver": "sgd", "callbacks": lambda state: state.epoch == 3}
                    return m.set_params(**schedule, **stop).fit(X, y).n_iter_

                yield Works(f"{where}: max_iter of {len(str(most))} digits, {what}", made, ended, lambda _: 3)


def same(where, made, y, what, given, plain):
    return Works(
        f"{where}: {what}", made, lambda m: parameters(m.set_params(**given).fit(X, y)),
        lambda m: parameters(m.set_params(**plain).fit(X, y)),
    )  # fmt: skip


# ---- Network and cmlp.fit ------------------------------------------------------------------------------

NETWORK = {
    "layer_sizes": {
        "None": None, "3": 3, "(3,)": (3,), "()": (), "'34'": "34", "(3, 0)": (3, 0), "(3, -1)": (3, -1),
        "(3, 2.0)": (3, 2.0),
        "(NaN, 3)": (NAN, 3), "(None, 3)": (None, 3), "a dict": {3: 4, 5: 6}, "a set": {3, 4}, "two axes": [[3, 4]],
        "(True, 3)": (True, 3),
    },
    "activation": {"None": None, "1": 1, "'x'": "x", "two": ["relu", "tanh"], "[None]": [None], "bytes": b"relu"},
    "loss": NO_NAME,
    "dtype": {"None": None, "float16": "float16", "int64": np.int64, "big-endian": ">f8", "long double": np.longdouble,
              "complex": complex, "object": object, "1": 1, "'x'": "x", "[]": []},
    "random_state": {k: v for k, v in ESTIMATOR["random_state"].items() if k != "a Generator"},
    "out_activation": {"'sigmoid'": "sigmoid", "1": 1, "[]": [], "''": ""},
    "quantile": {**NO_NUMBER, "0": 0, "1": 1},
}  # fmt: skip
STEP = {
    "learning_rate": {**NO_NUMBER, "10**400": 10**400}, "solver": {**NO_NAME, "'lbfgs'": "lbfgs"},
    "momentum": {**NO_NUMBER, "1.5": 1.5}, "nesterov": NO_FLAG, "alpha": NO_NUMBER, "beta_1": {**NO_NUMBER, "1": 1},
    "beta_2": {**NO_NUMBER, "1": 1}, "epsilon": {**NO_NUMBER, "0": 0},
}  # fmt: skip
FIT = {"batch_size": NO_WHOLE, "epochs": {k: v for k, v in NO_WHOLE.items() if k != "0"}, "shuffle": NO_FLAG,
       "n_threads": {k: v for k, v in NO_WHOLE.items() if v is not None},
       "random_state": NETWORK["random_state"]}  # fmt: skip


def network_cases():
    for name, values in NETWORK.items():
        for what, value in values.items():
            options = {"layer_sizes": (4, 5, 3), **({"loss": "quantile"} if name == "quantile" else {}), name: value}
            call = lambda _, options=options: cmlp.Network(**options)
            yield Refused(f"Network({name}): {what}", nothing, call, KINDS, name)
    for what, widths in HUGE.items():
        widths = (4, *widths) if isinstance(widths, tuple) else (4, widths)
        call = lambda _, widths=widths: cmlp.Network(widths)
        yield Refused(f"Network(layer_sizes): {what}", nothing, call, MemoryError, "layer_sizes")
    for where, table in {"step": STEP, "fit": FIT}.items():
        for name, values in table.items():
            for what, value in values.items():
                call = lambda net, where=where, o={name: value}: getattr(net, where)(X, CODES, **o)
                yield Refused(f"Network.{where}({name}): {what}", NET, call, KINDS, name)
    for what, value in {"10**18": 10**18, "10**30": 10**30}.items():
        call = lambda net, value=value: net.fit(X, CODES, epochs=value)
        yield Refused(f"Network.fit(epochs): {what}", NET, call, MemoryError, "epochs")
    for what, value in NO_NUMBER.items():
        call = lambda net, value=value: net.loss_and_gradients(X, CODES, alpha=value)
        yield Refused(f"Network.loss_and_gradients(alpha): {what}", NET, call, KINDS, "alpha")
        call = lambda net, value=value: net.trace(X[0], 1, learning_rate=value)
        yield Refused(f"Network.trace(learning_rate): {what}", NET, call, KINDS, "learning_rate")


PARAMETERS = {
    "short": np.zeros(10), "2-d": np.zeros((1, 43)), "0-d": 1.0, "NaN": np.full(43, NAN), "infinity": np.full(43, INF),
    "words": np.full(43, "x"), "complex": np.zeros(43) + 1j, "None": None, "empty": [], "masked":
    np.ma.masked_all(43), "beyond": [10**400] * 43,
    "objects": np.array([Odd()] * 43), "datetimes": np.zeros(43, "M8[s]"),
}  # fmt: skip


def assigned(net, values):
    net.parameters = values


def assignment_cases():
    for what, values in PARAMETERS.items():
        call = lambda net, values=values: assigned(net, values)
        yield Refused(f"Network.parameters = {what}", NET, call, KINDS, "parameters")
    for name in ("weights", "biases"):
        call = lambda net, name=name: setattr(net, name, [])
        yield Refused(f"Network.{name} = []", NET, call, AttributeError, name)
        call = lambda net, name=name: operator.setitem(getattr(net, name), 0, 1)
        yield Refused(f"Network.{name}[0] = 1", NET, call, TypeError, "tuple")
        call = lambda net, name=name: delattr(net, name)
        yield Refused(f"del Network.{name}", NET, call, AttributeError, name)
    for name in ("layer_sizes", "activation", "loss_name", "out_activation", "quantile", "dtype", "parameters"):
        yield Refused(f"del Network.{name}", NET, lambda net, name=name: delattr(net, name), AttributeError, name)
    for name, value in {"layer_sizes": (9, 5, 3), "dtype": np.dtype("float32"), "loss_name": "poisson"}.items():
        call = lambda net, name=name, value=value: setattr(net, name, value)
        yield Refused(f"Network.{name} = {value!r}", NET, call, AttributeError, name)


def function_cases():
    for name in ("predict", "predict_proba"):
        for what, model in {"None": None, "a network": NET(), "'x'": "x", "a class": cmlp.Model}.items():
            call = lambda _, name=name, model=model: getattr(cmlp, name)(model, X)
            yield Refused(f"cmlp.{name}: model {what}", nothing, call, TypeError, "model=", "cmlp.Model")
    names = (
        "power_t", "dropout", "max_grad_norm", "hidden_layer_sizes",
    )  # fmt: skip
    mine = {name: ESTIMATOR[name] for name in names}
    mine |= {"label_smoothing": CLASSIFIER["label_smoothing"], "class_weight": CLASSIFIER["class_weight"],
             "quantile": REGRESSOR["quantile"], "dtype": NETWORK["dtype"]}  # fmt: skip
    for name, values in mine.items():
        for what, value in values.items():
            if (name, what) in {("dtype", "None"), ("hidden_layer_sizes", "a generator")}:
                continue
            call = lambda _, o=QUICK | {name: value}: cmlp.fit(X, CODES, **o)
            yield Refused(f"cmlp.fit({name}): {what}", nothing, call, KINDS, name)


CASES = [
    case
    for table in (
        estimator_cases, piece_cases, honoured_cases, limit_cases, network_cases, assignment_cases, function_cases,
    )
    for case in table()
]  # fmt: skip
