"""Pickles of another version, or altered: what lacks is filled in or named, what does not go together is refused."""

import copy
import pickle

import numpy as np
import pytest

import cmlp
from cmlp.labels import Task
from cmlp.network import FIXED, INNER
from cmlp.training import History
from model_files import TASKS, assert_same_model, samples, trained

MISSING = object()


def changed(state, name, value):
    state = {**state, name: value}
    return {key: each for key, each in state.items() if each is not MISSING}


def restored(original, state):
    """As unpickling makes it: without a call of __init__."""
    twin = type(original).__new__(type(original))
    twin.__setstate__(state)
    return twin


def refused(original, state, error, match):
    """By a new object, and by one that is there already and stays as it was."""
    with pytest.raises(error, match=match):
        restored(original, state)
    other = copy.deepcopy(original)
    before = pickle.dumps(other)
    with pytest.raises(error, match=match):
        other.__setstate__(state)
    assert pickle.dumps(other) == before


every_odd_state = pytest.mark.parametrize("state", [None, 3, "x", [], (), b"", ({}, {})], ids=repr)


# ---- networks ---------------------------------------------------------------------------------------


def network(dtype="float32"):
    """With what Adam knows of three updates."""
    net = cmlp.Network((3, 4, 2), "tanh", "huber", dtype, 0, "sigmoid")
    for _ in range(3):
        net.step([1.0, 2.0, 3.0], [0.5, 0.25], 0.01, "adam")
    return net


P, A = 3 * 4 + 4 + 4 * 2 + 2, ("adam", 0.01, 0.0, False, 0.0, 0.9, 0.999, 1e-8)
WRONG_NETWORKS = [
    *((name, MISSING, ValueError, f"pickled Network has no {name}")
      for name in ("layer_sizes", "activation", "loss_name", "dtype", "parameters")),
    *(("layer_sizes", sizes, error, "layer_sizes") for sizes, error in (
        (None, TypeError), (3, TypeError), ((), ValueError), ((3,), ValueError), ((3, -4, 2), ValueError),
        ((3, 4.0, 2), TypeError), ("342", TypeError), ((3, 2**62, 2), MemoryError), ((3, 10**400, 2), MemoryError),
    )),
    ("layer_sizes", (3, 4, 3), ValueError, r"parameters is .*26.*: expected an array of shape \(31,\)"),
    ("layer_sizes", (3, 2), ValueError, "activation"),
    *(("activation", names, error, "activation") for names, error in (
        (None, TypeError), ((), ValueError), (("step",), ValueError), (("tanh", "tanh"), ValueError), ((3,), TypeError),
    )),
    *(("loss_name", name, error, "loss") for name, error in ((None, TypeError), ("hinge", ValueError))),
    *(("dtype", dtype, ValueError, "dtype") for dtype in (None, "float16", ">f8", "O", 3, np.dtype("i4"))),
    ("dtype", np.dtype("float64"), ValueError, "parameters is .*: expected .* dtype float64"),
    *(("parameters", values, ValueError, rf"parameters is .*: expected an array of shape \({P},\) and dtype float32")
      for values in (
        None, 1.0, np.float32(1), [0.0] * P, np.ones(P), np.ones(P - 1, "f4"), np.ones(P + 1, "f4"), np.ones(1, "f4"),
        np.ones((1, P), "f4"), np.ones((), "f4"), np.array([None] * P), np.ones(P, ">f4"), np.ones(P, "i4"),
    )),
    *(("out_activation", name, error, "out_activation") for name, error in (
        ("softmax", ValueError), ("step", ValueError), (3, TypeError),
    )),
    *(("quantile", value, error, "quantile") for value, error in (
        (None, TypeError), ("x", TypeError), (0.0, ValueError), (1, ValueError), (np.nan, ValueError),
    )),
    *(("settings", settings, ValueError, "settings") for settings in (
        (), "adam", ("adam",), A[:7], (*A, False), (*A, False, 0.0, 0.0), list(A), {}, 3,
    )),
    ("settings", ("sgdx", *A[1:]), ValueError, "solver"),
    ("settings", (*A[:1], -1.0, *A[2:]), ValueError, "learning_rate"),
    ("settings", (*A[:1], np.nan, *A[2:]), ValueError, "learning_rate"),
    ("settings", (*A[:3], "no", *A[4:]), TypeError, "nesterov"),
    ("settings", (*A[:5], 1.0, *A[6:]), ValueError, "beta_1"),
    ("settings", (*A[:7], 0.0), ValueError, "epsilon"),
    ("settings", (*A, "no", 0.0), TypeError, "epsilon_outside"),
    ("settings", (*A, False, -1.0), ValueError, "clip_norm"),
    ("settings", (*A, False, np.nan), ValueError, "clip_norm"),
    ("settings", (*A, False, "x"), TypeError, "clip_norm"),
    *(("solver_state", state, ValueError, "solver_state") for state in (
        None, 3, (), (1,), (1, None, None), [1, None], (-1, None), (2**63, None), (10**400, None), (1, 0.0),
        (1, np.zeros((2, P))), (1, np.zeros((2, P - 1), "f4")), (1, np.zeros((1, P), "f4")), (1, np.zeros(P, "f4")),
        (1, np.zeros((2, 2, P), "f4")), (1, [[0.0] * P] * 2),
    )),
    *(("solver_state", (t, None), TypeError, "solver_state") for t in (None, 1.0, "1", True)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value", "error", "match"), WRONG_NETWORKS)
def test_a_network_of_a_wrong_state(name, value, error, match):
    net = network()
    refused(net, changed(net.__getstate__(), name, value), error, match)


@every_odd_state
def test_a_network_of_no_state(state):
    refused(network(), state, TypeError, "state of a pickled Network is .*: expected a dict")


def test_a_network_of_a_fuller_state():
    net = network()
    twin = restored(net, {**net.__getstate__(), "of a later version": 1})
    assert pickle.dumps(twin) == pickle.dumps(net)
    assert vars(twin).keys() == vars(net).keys()


def test_a_network_of_a_version_without_output_functions():
    net = cmlp.Network((3, 4, 2), random_state=0)
    state = net.__getstate__()
    for name in ("out_activation", "quantile", "settings", "solver_state"):
        del state[name]
    assert pickle.dumps(restored(net, state)) == pickle.dumps(net)


def test_a_network_whose_solver_has_no_state_begins_one():
    net = network()
    twin = restored(net, changed(net.__getstate__(), "solver_state", MISSING))
    fresh = cmlp.Network((3, 4, 2), "tanh", "huber", "float32", 1, "sigmoid")
    fresh.parameters = net.parameters
    for each in (twin, fresh):
        each.step([1.0, 2.0, 3.0], [0.5, 0.25], 0.01, "adam")
    np.testing.assert_array_equal(twin.parameters, fresh.parameters)


def test_a_network_that_diverged_is_copied():
    net = network()
    net.parameters[3] = np.nan
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(net)).parameters, net.parameters)


def test_a_network_takes_the_state_of_another():
    net, other = network("float32"), cmlp.Network((2, 2), dtype="float64")
    other.__setstate__(net.__getstate__())
    assert pickle.dumps(other) == pickle.dumps(net)
    x = np.array([0.5, 1, 2], np.float32)
    np.testing.assert_array_equal(other(x), net(x))


every_protocol = pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))


@every_protocol
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_network_by_every_protocol(protocol, dtype):
    net = network(dtype)
    twin = pickle.loads(pickle.dumps(net, protocol))
    assert twin.__getstate__().keys() == net.__getstate__().keys()
    for each in (net, twin):
        each.step([1.0, 2.0, 3.0], [0.5, 0.25], 0.01, "adam")
    np.testing.assert_array_equal(twin.parameters, net.parameters, strict=True)


class Tagged(cmlp.Network):
    def __init__(self, *arguments, tag):
        super().__init__(*arguments)
        self.tag = tag


@every_protocol
def test_a_network_keeps_what_was_added_to_it(protocol):
    net = Tagged((3, 2), tag=["a"])
    net.note, net.settings, net.itself = "x", "of its own", net
    twins = [pickle.loads(pickle.dumps(net, protocol)), copy.deepcopy(net), copy.copy(net)]
    for twin in twins:
        assert (type(twin), twin.tag, twin.note, twin.settings) == (Tagged, ["a"], "x", "of its own")
    assert [twin.itself is twin for twin in twins] == [True, True, False]
    assert [twin.tag is net.tag for twin in twins] == [False, False, True]
    np.testing.assert_array_equal(twins[0].parameters, net.parameters)


def test_a_network_holds_what_its_pickles_know_of():
    assert vars(network()).keys() == {*FIXED, *INNER}


@pytest.mark.parametrize("attributes", [None, 3, ["a"], {"_engine": None}, {"layer_sizes": (3, 4, 2)}], ids=repr)
def test_a_network_of_wrong_attributes(attributes):
    net = network()
    refused(net, changed(net.__getstate__(), "attributes", attributes), ValueError, "attributes=.*: expected a dict")


# ---- models -----------------------------------------------------------------------------------------

LABELS3 = np.array(["a", "b", "c"])
WRONG_MODELS = [
    ("network", MISSING, ValueError, "has no network"),
    ("_task", MISSING, ValueError, "has no _task"),
    ("network", None, TypeError, "network of a pickled Model is None: expected a Network"),
    ("_task", "multiclass", TypeError, "_task of a pickled Model is 'multiclass': expected a Task"),
    ("_task", ("multiclass", "cross_entropy", 3), TypeError, "expected a Task"),
    ("_history", {}, TypeError, "_history of a pickled Model is {}: expected a History"),
    *(("_task", task, ValueError, "expected parts that go together") for task in (
        Task("multiclass", "cross_entropy", 3),
        Task("multiclass", "cross_entropy", 3, LABELS3[:2]),
        Task("multiclass", "cross_entropy", 2, LABELS3[:2]),
        Task("multiclass", "cross_entropy", 4, np.arange(4)),
        Task("binary", "cross_entropy", 3, LABELS3),
        Task("regression", "squared_error", 3),
        Task("regression", "cross_entropy", 3, LABELS3),
        Task("multilabel", "binary_cross_entropy", 3, np.arange(3)),
    )),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value", "error", "match"), WRONG_MODELS)
def test_a_model_of_a_wrong_state(name, value, error, match):
    model = trained("str")
    refused(model, changed(vars(model), name, value), error, match)


@every_odd_state
def test_a_model_of_no_state(state):
    refused(trained("str"), state, TypeError, "state of a pickled Model is .*: expected a dict")


@pytest.mark.parametrize("task", TASKS)
def test_a_model_of_a_fuller_state(task):
    model = trained(task)
    twin = restored(model, {**vars(model), "note": "kept"})
    assert_same_model(model, twin)
    assert twin.note == "kept"


@every_protocol
@pytest.mark.parametrize("task", [task for task in TASKS if task != "big-endian"])  # NumPy's pickles turn it round
def test_a_model_by_every_protocol(protocol, task):
    model = trained(task)
    assert_same_model(model, pickle.loads(pickle.dumps(model, protocol)))


@pytest.mark.parametrize("name", vars(History()))
def test_a_history_of_a_thinner_state(name):
    model = trained("str")
    state = changed(vars(model._history), name, MISSING)
    if name in ("loss_curve_", "best_loss_"):
        refused(model._history, state, ValueError, f"pickled History has no {name}")
        return
    twin = restored(model, {**vars(model), "_history": restored(model._history, state)})
    assert_same_model(model, twin)
    assert vars(twin._history).keys() == vars(History()).keys()


def test_a_model_without_a_history():
    model = restored(trained("str"), changed(vars(trained("str")), "_history", MISSING))
    assert (model.n_iter_, model.loss_curve_, model.converged_) == (0, [], False)
    np.testing.assert_array_equal(model.predict(samples()), trained("str").predict(samples()))


# ---- estimators -------------------------------------------------------------------------------------

X = samples(24, 3)
TARGETS = {"MLPClassifier": TASKS["str"], "MLPRegressor": TASKS["regression"]}
every_estimator = pytest.mark.parametrize("kind", TARGETS)


def fitted(kind, **options):
    pytest.importorskip("sklearn")
    options = {"hidden_layer_sizes": 4, "solver": "adam", "random_state": 0, **options}
    model = getattr(cmlp, kind)(**options)
    for _ in range(3):
        model.partial_fit(
            X, TARGETS[kind], **({"classes": np.unique(TARGETS[kind])} if kind == "MLPClassifier" else {})
        )
    return model


@every_estimator
def test_an_estimator_of_a_version_without_some_parameters(kind):
    model = fitted(kind)
    state = model.__getstate__()
    for name in set(model.get_params()) - {"hidden_layer_sizes", "random_state"}:
        assert state.pop(name, MISSING) is not MISSING
    twin = restored(model, state)
    assert twin.get_params() == model.get_params()
    np.testing.assert_array_equal(twin.predict(X), model.predict(X))
    twin.partial_fit(X, TARGETS[kind]), model.partial_fit(X, TARGETS[kind])
    np.testing.assert_array_equal(twin.coefs_[0], model.coefs_[0])
    assert repr(twin) == repr(model)


@every_estimator
@every_protocol
def test_an_estimator_by_every_protocol(kind, protocol):
    model = fitted(kind)
    twin = pickle.loads(pickle.dumps(model, protocol))
    for each in (model, twin):
        each.partial_fit(X, TARGETS[kind])
    np.testing.assert_array_equal(twin.coefs_[0], model.coefs_[0])
    np.testing.assert_array_equal(twin.predict(X), model.predict(X))


@every_estimator
def test_an_estimator_never_fitted(kind):
    pytest.importorskip("sklearn")
    model = getattr(cmlp, kind)(dropout=0.25)
    twin = restored(model, {"dropout": 0.25, "of a later version": 1})
    assert twin.get_params() == model.get_params()
    twin.fit(X, TARGETS[kind])


@every_estimator
@pytest.mark.parametrize("name", ["n_features_in_", "n_outputs_", "out_activation_", "classes_", "_label_binarizer"])
def test_an_estimator_that_lacks_what_a_fit_leaves(kind, name):
    model = fitted(kind)
    if hasattr(model, name):
        refused(model, changed(model.__getstate__(), name, MISSING), ValueError, f"pickled {kind} has no {name}")


WRONG_ESTIMATORS = [
    ("_network", 3, TypeError, "_network=3: expected a cmlp.Network"),
    ("_network", cmlp.Network((3, 4, 2)), ValueError, "n_features_in_ and n_outputs_ are"),
    ("_network", cmlp.Network((2, 4, 3)), ValueError, "n_features_in_ and n_outputs_ are"),
    ("n_features_in_", 4, ValueError, r"n_features_in_ and n_outputs_ are \(4, .\)"),
    ("n_outputs_", 7, ValueError, r"n_features_in_ and n_outputs_ are \(3, 7\)"),
    ("_history", [], TypeError, "_history or _optimizer"),
    ("_optimizer", "adam", TypeError, "_history or _optimizer"),
]


@every_estimator
@pytest.mark.parametrize(("name", "value", "error", "match"), WRONG_ESTIMATORS)
def test_an_estimator_of_a_wrong_state(kind, name, value, error, match):
    model = fitted(kind)
    refused(model, changed(model.__getstate__(), name, value), error, match)


@pytest.mark.parametrize("classes", [None, ["a", "b"], np.array(["a", "b"]), np.arange(4)], ids=repr)
def test_a_classifier_of_other_classes(classes):
    model = fitted("MLPClassifier")
    refused(
        model, changed(model.__getstate__(), "classes_", classes), ValueError, "classes_=.*: expected those of 3 out"
    )


@every_estimator
@every_odd_state
def test_an_estimator_of_no_state(kind, state):
    refused(fitted(kind), state, TypeError, f"state of a pickled {kind} is .*: expected a dict")


@every_estimator
@pytest.mark.parametrize("name", ["_history", "_optimizer", "_random_state", "loss_curve_", "t_", "best_loss_"])
def test_an_estimator_without_notes_predicts_and_trains(kind, name):
    model = fitted(kind, warm_start=True)
    twin = restored(model, changed(model.__getstate__(), name, MISSING))
    np.testing.assert_array_equal(twin.predict(X), model.predict(X))
    twin.partial_fit(X, TARGETS[kind])
    twin.set_params(max_iter=1, tol=0, n_iter_no_change=5)
    with pytest.warns(UserWarning, match="Maximum iterations"):
        twin.fit(X, TARGETS[kind])
    assert np.isfinite(twin.loss_)


@every_estimator
@pytest.mark.parametrize("name", ["seed", "learning_rate", "last_rate", "epochs"])
def test_a_solver_of_a_thinner_state(kind, name):
    model = fitted(kind)
    solver = model._optimizer
    twin = restored(
        model, {**model.__getstate__(), "_optimizer": restored(solver, changed(vars(solver), name, MISSING))}
    )
    twin.partial_fit(X, TARGETS[kind])
    assert np.isfinite(twin.loss_)
    for state, error in (({}, ValueError), ({"options": None}, TypeError), ({"options": ()}, TypeError)):
        refused(solver, state, error, "options")


@every_estimator
def test_a_subclass_with_parameters_of_its_own(kind):
    pytest.importorskip("sklearn")

    class Own(getattr(cmlp, kind)):
        def __init__(self, width=4, *, max_iter=2):
            super().__init__(hidden_layer_sizes=width, max_iter=max_iter, random_state=0)
            self.width = width

    model = Own()
    twin = restored(model, {"max_iter": 5})
    assert twin.get_params() == {"width": 4, "max_iter": 5}
