"""What the hostile_*.py tables are made of: cases, and what they are made on."""

from __future__ import annotations

import contextlib
import copy
import functools
import importlib.util
import warnings

import numpy as np

import cmlp
from contents import content, inputs_of

HAS = {name: importlib.util.find_spec(name) is not None for name in ("sklearn", "scipy", "pandas", "polars")}
NAN, INF = float("nan"), float("inf")
N = 24
X = np.random.default_rng(0).standard_normal((N, 4))
BITS = (X > 0).astype(float)  # which every type of number holds
CODES = np.arange(N) % 3
WORDS = np.array(["lily", "rose", "tulip"])[CODES]
LABELS = np.eye(3, dtype=int)[CODES] | (X[:, :3] > 0)
VALUES = X[:, 0] * X[:, 1]
PAIRS = X[:, :2] + X[:, 2:]
QUICK = {"hidden_layer_sizes": 5, "max_iter": 2, "random_state": 0}


# ---- cases -------------------------------------------------------------------------------------------


class Refused:
    """A call that must raise, with these words in the message, and leave as they were what it is made on and given."""

    def __init__(self, name, subject, call, error, *words):
        self.name, self.subject, self.call, self.error, self.words = name, subject, call, error, words

    def problem(self):
        with quiet():
            subject = self.subject()
        before, options = behaviour(subject), options_of(subject)
        given = inputs_of(self.call)
        held = content(given)
        caught = raised(self.call, subject)
        if options:
            subject.set_params(**options)
        if not isinstance(caught, self.error):
            return f"expected {self.error}, got {caught!r}"
        missing = [word for word in self.words if word not in str(caught)]
        if missing:
            return f"{type(caught).__name__} does not say {missing}: {caught}"
        if behaviour(subject) != before:
            return f"it behaves otherwise after {caught!r}: {differing(before, behaviour(subject))}"
        if content(given) != held:
            return f"what it was given is changed after {caught!r}"
        return ""


class Works:
    """A call whose result must be that of another call, made on a copy; to the bit unless `close`."""

    def __init__(self, name, subject, call, same_as, close=False):
        self.name, self.subject, self.call, self.same_as, self.close = name, subject, call, same_as, close

    def problem(self):
        given = inputs_of(self.call)
        held = content(given)
        with quiet():
            expected = self.same_as(self.subject())
            found = self.call(self.subject())
        if content(given) != held:
            return "what it was given is changed"
        if self.close:
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
        else:
            np.testing.assert_array_equal(found, expected, strict=True)
        return ""


def differing(before, after):
    """The names of what an estimator holds that is not the same."""
    states = [state[0] if isinstance(state, tuple) else state for state in (before, after)]
    if not all(isinstance(state, dict) for state in states):
        return "in its numbers"
    return [name for name in {**states[0], **states[1]} if states[0].get(name) != states[1].get(name)]


@contextlib.contextmanager
def quiet():
    """Any warning is an error, but what scikit-learn's manners ask for."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*(onverged|batch_size|valid feature names|column-vector y).*")
        yield


def raised(call, subject):
    """The exception, or what the call returned without one."""
    with quiet():
        try:
            return call(subject)
        except Exception as error:
            return error


# ---- what they are made on ---------------------------------------------------------------------------


def nothing():
    """Of calls that need no object."""
    return None


MAKERS = []


def warm_up():
    """Imports and makes what nearly every case needs."""
    for make in MAKERS:
        with quiet():
            behaviour(copy.deepcopy(make()))


def subject(make):
    """Makes a thing once and hands out copies, in what state the making left it."""
    made = functools.cache(make)
    MAKERS.append(made)

    def fresh():
        with quiet():
            return copy.deepcopy(made())

    return fresh


def trained(dtype="float64", loss="cross_entropy"):
    net = cmlp.Network((4, 5, 3), activation="tanh", loss=loss, dtype=dtype, random_state=0)
    targets = CODES if loss == "cross_entropy" else LABELS
    for _ in range(3):
        net.step(X, targets, momentum=0.9)
    return net


NET = subject(trained)
NET32 = subject(lambda: trained("float32"))
NET_BITS = subject(lambda: trained(loss="binary_cross_entropy"))
NET_VALUES = subject(lambda: trained(loss="squared_error"))
MODEL = subject(lambda: cmlp.fit(X, CODES, **QUICK))
MODEL_BINARY = subject(lambda: cmlp.fit(X, CODES > 0, **QUICK))
MODEL_WORDS = subject(lambda: cmlp.fit(X, WORDS, **QUICK))
MODEL_LABELS = subject(lambda: cmlp.fit(X, LABELS, **QUICK))
MODEL_VALUES = subject(lambda: cmlp.fit(X, VALUES, **QUICK))


def classifier(y=CODES, samples=X, **options):
    return cmlp.MLPClassifier(**{**QUICK, **options}).fit(samples, y)


def regressor(y=VALUES, samples=X, **options):
    return cmlp.MLPRegressor(**{**QUICK, **options}).fit(samples, y)


if HAS["sklearn"]:
    NEW_CLF = subject(lambda: cmlp.MLPClassifier(**QUICK))
    NEW_REG = subject(lambda: cmlp.MLPRegressor(**QUICK))
    CLF = subject(classifier)
    CLF32 = subject(lambda: classifier(samples=X.astype(np.float32)))
    CLF_BINARY = subject(lambda: classifier(CODES > 0))
    CLF_WORDS = subject(lambda: classifier(WORDS))
    CLF_LABELS = subject(lambda: classifier(LABELS))
    REG = subject(regressor)
    REG32 = subject(lambda: regressor(samples=X.astype(np.float32)))
    REG_PAIRS = subject(lambda: regressor(PAIRS))


def options_of(made):
    return made.get_params() if hasattr(made, "get_params") else {}


# ---- what they do ------------------------------------------------------------------------------------


def behaviour(made):
    """All that a call may have changed, as bytes: what it holds, what it predicts and how its training goes on."""
    if made is None or isinstance(made, Exception):
        return None
    if isinstance(made, cmlp.Network):
        return of_network(made)
    if isinstance(made, cmlp.Model):
        outputs = np.asarray(made.predict(X)).tolist()
        return of_network(made.network), outputs, repr(made), content(vars(made))
    return of_estimator(made)


def of_network(net):
    parameters = net.parameters.tobytes()
    y = [1 if net.loss_name == "cross_entropy" else np.ones(net.layer_sizes[-1])]
    x = np.linspace(0, 1, net.layer_sizes[0])
    twin = copy.deepcopy(net)
    with np.errstate(all="ignore"):
        try:
            went_on = [twin.step(x[None], y, momentum=0.9) for _ in range(2)]
        except cmlp.DivergenceError as error:  # of a network that holds NaN
            went_on = str(error)
    return parameters, net(x).tobytes(), went_on, twin.parameters.tobytes(), repr(net)


def of_estimator(made):
    state = {name: content(value) for name, value in vars(made).items() if name != "_validated"}  # a cache
    if "coefs_" not in state:
        return state
    with quiet():
        predicted = made.predict(X)
        went_on = copy.deepcopy(made)
        if made.solver != "lbfgs":
            went_on.partial_fit(X, predicted)
    return state, predicted.tolist(), parameters(went_on).tobytes()


def parameters(made):
    """Every parameter in one array."""
    if isinstance(made, cmlp.Network | cmlp.Model):
        return (made if isinstance(made, cmlp.Network) else made.network).parameters.copy()
    return np.concatenate([np.ravel(a) for a in (*made.coefs_, *made.intercepts_)])
