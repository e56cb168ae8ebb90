"""cmlp.fit and Model: what they reach on real data; how they read labels, weights and seeds, and score."""

import copy
import pickle
import warnings
from functools import cache

import numpy as np
import pytest

import cmlp
from cmlp.labels import FEW_SAMPLES, MANY_CLASSES, read_task

QUICK = {"hidden_layer_sizes": (32,), "learning_rate_init": 0.02, "max_iter": 40, "random_state": 0}
PRECISION = {"float64": 1e-12, "float32": 1e-6}

both_precisions = pytest.mark.parametrize("dtype", PRECISION)


# ---- real data --------------------------------------------------------------------------------------


def real_data(name):
    X, y = getattr(pytest.importorskip("sklearn.datasets"), f"load_{name}")(return_X_y=True)
    return (X / 16 if name == "digits" else X), y


def standardised(train, test):
    mean, spread = train.mean(axis=0), train.std(axis=0)
    return (train - mean) / spread, (test - mean) / spread


def held_out_score(name, scale, seed, **options):
    """Of a model trained on 75 % of the samples, on the others."""
    split = pytest.importorskip("sklearn.model_selection").train_test_split
    X_train, X_test, y_train, y_test = split(*real_data(name), test_size=0.25, random_state=seed)
    if "X" in scale:
        X_train, X_test = standardised(X_train, X_test)
    if "y" in scale:
        y_train, y_test = standardised(y_train, y_test)
    return cmlp.fit(X_train, y_train, random_state=seed, **options).score(X_test, y_test)


DIABETES = {
    "loss": "squared_error", "hidden_layer_sizes": (16,), "activation": "tanh", "alpha": 5,
    "learning_rate_init": 0.003, "max_iter": 300,
}  # fmt: skip
REAL = {
    "digits-float32": ("digits", "", 5, {"dtype": "float32"}, 0.97),
    "digits-float64": ("digits", "", 5, {"dtype": "float64"}, 0.97),
    "breast_cancer": ("breast_cancer", "X", 5, {}, 0.96),
    "iris": ("iris", "X", 5, {}, 0.93),
    "diabetes": ("diabetes", "Xy", 20, DIABETES, 0.45),
}


@pytest.mark.parametrize(("name", "scale", "seeds", "options", "least"), REAL.values(), ids=REAL)
def test_real_data(name, scale, seeds, options, least):
    assert np.mean([held_out_score(name, scale, seed, **options) for seed in range(seeds)]) >= least


# ---- small tasks ------------------------------------------------------------------------------------


def clusters(C, per_class=20):
    """Samples of C classes that a plane tells apart, and the class of each."""
    rng = np.random.default_rng(C)
    classes = rng.permutation(np.repeat(np.arange(C), per_class))
    return np.eye(C)[classes] * 3 + 0.2 * rng.standard_normal((len(classes), C)), classes


def curves(outputs, n=60):
    """Samples of two features, and smooth functions of them."""
    rng = np.random.default_rng(outputs)
    X = rng.standard_normal((n, 2))
    return X, np.stack([np.sin(X[:, 0] + k) * X[:, 1] for k in range(outputs)], axis=1)


def multilabel():
    X, classes = clusters(4)
    return X, np.stack([classes % 2, classes // 2, classes == 3], axis=1)


def with_names(X, classes):
    return X, np.array(["rose", "lily", "tulip"])[classes]


def as_vector(X, y):
    return X, y[:, 0]


TASKS = {
    "binary": (clusters(2), {}),
    "binary, two outputs": (clusters(2), {"loss": "cross_entropy"}),
    "multiclass": (with_names(*clusters(3)), {}),
    "multilabel": (multilabel(), {}),
    "regression": (as_vector(*curves(1)), {}),
    "regression, one column": (curves(1), {}),
    "regression, several columns": (curves(3), {}),
}
CLASSIFIERS = [name for name in TASKS if "regression" not in name]

every_task = pytest.mark.parametrize("task", TASKS)
every_classifier = pytest.mark.parametrize("task", CLASSIFIERS)


@cache
def trained(task, dtype="float64"):
    """A model, and the samples and labels it was trained on."""
    (X, y), options = TASKS[task]
    return cmlp.fit(X, y, dtype=dtype, **options, **QUICK), X, y


@cache
def unsure(task, dtype="float64"):
    """The same of a model that has seen little, so that it is often wrong and seldom sure."""
    (X, y), options = TASKS[task]
    short = {**QUICK, "max_iter": 2, "learning_rate_init": 0.01}
    return cmlp.fit(X, y, dtype=dtype, **options, **short), X, y


@every_task
def test_the_task_is_read_and_learnt(task):
    model, X, y = trained(task)
    assert model.task == task.split(",")[0]
    assert model.predict(X).shape == y.shape
    assert model.score(X, y) > (0.9 if task in CLASSIFIERS else 0.5)


@every_task
@both_precisions
def test_one_sample_is_read_as_a_row_is(task, dtype):
    model, X, _ = trained(task, dtype)
    rows = model.predict(X)
    for i in range(5):
        one = model.predict(X[i])
        assert np.shape(one) == rows[i].shape
        if task in CLASSIFIERS:
            np.testing.assert_array_equal(one, rows[i])
        else:
            np.testing.assert_allclose(one, rows[i], rtol=PRECISION[dtype], atol=PRECISION[dtype])


@every_classifier
@both_precisions
def test_probabilities_of_one_sample_are_those_of_the_row(task, dtype):
    model, X, _ = trained(task, dtype)
    rows = model.predict_proba(X)
    assert rows.shape == (len(X), len(model.classes_))
    for i in range(5):
        np.testing.assert_allclose(model.predict_proba(X[i]), rows[i], rtol=PRECISION[dtype], atol=PRECISION[dtype])


@pytest.mark.parametrize("task", ["binary", "binary, two outputs", "multiclass"])
@both_precisions
def test_probabilities_sum_to_one_and_the_largest_is_the_prediction(task, dtype):
    model, X, y = trained(task, dtype)
    other = X[np.argmax(y != y[0])]
    X = np.linspace(X[0], other, 2001)  # from one class to another: somewhere the decision is close
    P = model.predict_proba(X)
    assert P.dtype == dtype
    assert P.min() >= 0
    assert P.max(axis=1).min() < 0.51
    np.testing.assert_allclose(P.sum(axis=1), 1, rtol=PRECISION[dtype])
    np.testing.assert_array_equal(model.classes_[P.argmax(axis=1)], model.predict(X))


def test_probabilities_of_a_multilabel_say_the_indicators():
    model, X, y = trained("multilabel")
    np.testing.assert_array_equal(model.predict_proba(X) > 0.5, model.predict(X))
    np.testing.assert_array_equal(model.classes_, np.arange(y.shape[1]))


def test_two_classes_take_one_sigmoid_output():
    model, X, _ = trained("binary")
    assert model.network.loss_name == "binary_cross_entropy"
    assert model.network.layer_sizes[-1] == 1
    np.testing.assert_array_equal(model.predict_proba(X)[:, 1:], model.network.forward(X))


def test_two_classes_take_two_softmax_outputs_if_the_loss_says_so():
    model, X, _ = trained("binary, two outputs")
    assert model.network.layer_sizes[-1] == 2
    np.testing.assert_array_equal(model.predict_proba(X), model.network.forward(X))


@every_task
def test_the_functions_are_the_methods(task):
    model, X, _ = trained(task)
    np.testing.assert_array_equal(cmlp.predict(model, X), model.predict(X))
    if task in CLASSIFIERS:
        np.testing.assert_array_equal(cmlp.predict_proba(model, X), model.predict_proba(X))


def test_a_regression_has_no_probabilities():
    model, X, _ = trained("regression")
    with pytest.raises(TypeError, match="needs a classifier"):
        model.predict_proba(X)


# ---- labels -----------------------------------------------------------------------------------------


LABELS = {
    "strings": np.array(["virginica", "setosa", "versicolor", "x"]),
    "two strings": np.array(["yes", "no"]),
    "integers": np.array([10, 30, 20]),
    "negative integers": np.array([-1, 1]),
    "integers far apart": np.array([-(2**62), 2**62, 0]),
    "bytes of memory": np.array([200, 100, 255], np.uint8),
    "integers beyond int64": np.array([2**64 - 1, 2**63, 1], np.uint64),
    "booleans": np.array([True, False]),
    "floats": np.array([2.0, -1.0, 0.0]),
    "two floats": np.array([1.0, -1.0]),
    "floats of single precision": np.array([2.0, 1.0, 7.0], np.float32),
    "bytes": np.array([b"yes", b"no", b"?"]),
    "strings as objects": np.array(["yes", "no", "perhaps"], object),
    "many": np.arange(40) * 3,
}

every_label_type = pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)


def labelled(labels):
    X, classes = clusters(len(labels))
    return X, labels[classes]


@every_label_type
def test_labels_come_back_as_they_were(labels):
    X, y = labelled(labels)
    model = cmlp.fit(X, y, **QUICK)
    predicted = model.predict(X)
    np.testing.assert_array_equal(model.classes_, np.sort(labels))
    assert predicted.dtype == y.dtype
    assert predicted.tolist() == y.tolist()
    assert model.score(X, y) == 1


@every_label_type
@pytest.mark.parametrize("form", [np.ndarray.tolist, lambda y: y.reshape(-1, 1)], ids=["list", "column"])
def test_labels_as_a_list_or_a_column(labels, form):
    X, y = labelled(labels)
    expected, model = cmlp.fit(X, y, **QUICK), cmlp.fit(X, form(y), **QUICK)
    np.testing.assert_array_equal(model.network.parameters, expected.network.parameters)
    np.testing.assert_array_equal(model.predict(X), y)
    assert model.score(X, form(y)) == 1


@pytest.mark.parametrize(("labels", "dtype"), [([7, -7, 0], "int64"), ([True, False], "bool")])
def test_numbers_as_objects_become_numbers(labels, dtype):
    X, y = labelled(np.array(labels, object))
    predicted = cmlp.fit(X, y, **QUICK).predict(X)
    assert predicted.dtype == dtype
    np.testing.assert_array_equal(predicted, y)


@pytest.mark.parametrize("dtype", ["bool", "int8", "int64", "float32", "float64"])
def test_indicators_come_back_in_their_type(dtype):
    X, y = multilabel()
    predicted = cmlp.fit(X, y.astype(dtype), **QUICK).predict(X)
    assert predicted.dtype == dtype
    np.testing.assert_array_equal(predicted, y)


READ = {
    "binary": [
        [0, 1], [1, 2, 1], [-1, 1], [1.0, 2.0], ["a", "b"], [True, False], [[0], [1]],
        np.array(["no", "yes"], object), np.array([0, 1], np.uint8),
    ],
    "multiclass": [
        [0, 1, 2], [-3, 5, 100], [0.0, 1.0, 2.0], [-1e9, 0.0, 1e9], ["a", "b", "c"], [[1], [2], [3]],
        [["a"], ["b"], ["c"]], np.array(["x", "y", "z"], object), list(range(100)),
    ],
    "multilabel-indicator": [
        [[0, 1], [1, 1]], [[0.0, 1.0], [1.0, 1.0]], [[True, False], [True, True]], [[0, 0], [0, 0]], [[1, 0, 1]],
    ],
    "continuous": [[0.5, 1.0], [1e-9, 1.0, 2.0], [[0.5], [2.0]], [0.1], np.array([0.5, 1], np.float16)],
    "continuous-multioutput": [[[0.5, 1.0], [2.0, 3.0]], [[0.0, 1.0], [1.0, 0.5]]],
}  # fmt: skip
KIND = {
    "binary": "binary", "multiclass": "multiclass", "multilabel-indicator": "multilabel",
    "continuous": "regression", "continuous-multioutput": "regression",
}  # fmt: skip
REFUSED = {
    "multiclass-multioutput": [[[1, 2], [3, 4]], [[1.0, 2.0], [3.0, 4.0]], [["a", "b"], ["b", "a"]]],
    "unknown": [np.array([1, "a"], object), [1, None], np.array([[], []])],
}


def listed(targets):
    return [(name, y) for name, many in targets.items() for y in many]


def type_of_target(y):
    return pytest.importorskip("sklearn.utils.multiclass").type_of_target(y)


@pytest.mark.parametrize(("name", "y"), listed(READ))
def test_the_task_is_read_as_scikit_learn_reads_it(name, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of many classes, here as there
        assert type_of_target(y) == name
        assert read_task(y, None).kind == KIND[name]


@pytest.mark.parametrize(("name", "y"), listed(REFUSED))
def test_what_scikit_learn_cannot_learn_is_refused(name, y):
    assert type_of_target(y) == name
    with pytest.raises((TypeError, ValueError), match=r"^y "):
        read_task(y, None)


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "huber", "poisson"])
@pytest.mark.parametrize("y", [[0, 1], [1, 2, 3], [0.5, 1.0], [[1, 2], [3, 4]], [[0, 1], [1, 1]]], ids=str)
def test_a_loss_of_regression_makes_a_regression(loss, y):
    task = read_task(y, loss)
    assert (task.kind, task.loss) == ("regression", loss)


@pytest.mark.parametrize(
    ("y", "loss"),
    [
        ([0.5, 1.0], "cross_entropy"),
        ([0.5, 1.0], "binary_cross_entropy"),
        ([0, 1, 2], "binary_cross_entropy"),
        ([[0, 1], [1, 1]], "cross_entropy"),
    ],
    ids=str,
)
def test_a_loss_that_does_not_fit_the_labels(y, loss):
    with pytest.raises(ValueError, match=f"loss='{loss}': expected one of"):
        read_task(y, loss)


@pytest.mark.parametrize("parts", [{"task": "multiclass"}, {"network": None}])
def test_a_model_of_other_parts_is_refused(parts):
    X, y = real_data("iris")
    fitted = cmlp.fit(X, y, max_iter=2, random_state=0)
    with pytest.raises(TypeError, match=r"^(task='multiclass'|network=None): expected a (Task|Network); cmlp\.fit"):
        cmlp.Model(**{"network": fitted.network, "task": fitted._task, **parts})


def test_counts_as_classes_are_warned_of():
    X, y = real_data("diabetes")
    with pytest.warns(UserWarning, match="214 different whole numbers as int64 .* pass loss='squared_error'"):
        cmlp.fit(X, y.astype(np.int64), max_iter=1)


@pytest.mark.parametrize("dtype", ["int64", "float64"])
def test_many_whole_floats_as_classes_are_warned_of(dtype):
    with pytest.warns(UserWarning, match=f"{MANY_CLASSES + 1} different whole numbers as {dtype}") as caught:
        model = cmlp.fit([[0.0]] * (MANY_CLASSES + 1), np.arange(MANY_CLASSES + 1, dtype=dtype), max_iter=1)
    assert model.task == "multiclass"
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    ("y", "options"),
    [
        (np.arange(float(MANY_CLASSES)), {}),
        (np.arange(FEW_SAMPLES * (MANY_CLASSES + 1)) % (MANY_CLASSES + 1), {}),
        (np.arange(MANY_CLASSES + 1.0), {"loss": "squared_error"}),
        (np.arange(MANY_CLASSES + 1.0) + 0.5, {}),
    ],
    ids=["few floats", "integers that recur", "loss given", "fractions"],
)
def test_nothing_else_is_warned_of(y, options):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cmlp.fit(np.zeros((len(y), 1)), y, max_iter=1, **options)


# ---- scores -----------------------------------------------------------------------------------------


def sklearn_score(model, X, y, weights):
    metrics = pytest.importorskip("sklearn.metrics")
    score = metrics.accuracy_score if model.classes_ is not None else metrics.r2_score
    return score(y, model.predict(X), sample_weight=weights)


def some_weights(n):
    return np.random.default_rng(0).integers(0, 4, n)


@every_task
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
def test_score_is_scikit_learns(task, weighted):
    model, X, y = unsure(task)
    weights = some_weights(len(y)) if weighted else None
    assert model.score(X, y, weights) == pytest.approx(sklearn_score(model, X, y, weights), rel=1e-12)


CONSTANT = {
    "met": np.full(8, 2.0),
    "missed": np.full(8, 3.0),
    "one column met": np.stack([np.full(8, 2.0), np.arange(8.0)], axis=1),
    "one column missed": np.stack([np.full(8, 3.0), np.arange(8.0)], axis=1),
}


@pytest.mark.parametrize("y", CONSTANT.values(), ids=CONSTANT)
@pytest.mark.parametrize("weights", [None, np.arange(8)], ids=["plain", "weighted"])
def test_score_of_a_constant_target_is_scikit_learns(y, weights):
    X = np.arange(8.0)[:, None]
    model = cmlp.fit(X, y, loss="squared_error", hidden_layer_sizes=(), max_iter=1)
    model.network.weights[0][...] = 0
    model.network.biases[0][...] = 2
    assert model.score(X, y, weights) == pytest.approx(sklearn_score(model, X, y, weights), abs=1e-12)


def line(slope=1.0, intercept=0.0):
    """A regression whose predictions are slope x + intercept."""
    model = cmlp.fit(np.arange(8.0)[:, None], np.arange(8.0), loss="squared_error", hidden_layer_sizes=(), max_iter=1)
    model.network.weights[0][...] = slope
    model.network.biases[0][...] = intercept
    return model


@pytest.mark.parametrize("n", [3, 7, 60])
@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e-200, -1e300, 0.0])
def test_the_score_of_a_constant_is_1_or_0(n, value):
    """Also where rounding makes its mean another number."""
    X = np.arange(float(n))[:, None]
    assert line(0, value).score(X, np.full(n, value)) == 1
    assert line(0, 2 * value + 1e-100).score(X, np.full(n, value)) == 0
    assert line().score(X, np.full(n, value), np.linspace(0.1, 1, n)) == 0
    varied = np.where(np.arange(n) < n - 1, value, 7.0)
    assert line(0, value).score(X, varied, np.arange(n) < n - 1) == 1


@pytest.mark.parametrize("size", [1e-300, 1e-200, 1e200, 1e300])
def test_scores_of_values_of_any_size(size):
    X = np.arange(8.0)[:, None]
    y = np.array([0.0, 1, 3, 2, 4, 6, 5, 7])
    assert line(size).score(X, size * y) == pytest.approx(line().score(X, y), rel=1e-12)
    assert line(1e-310).score(X, size * y) < 0
    assert line(size).score(X, 1e-310 * y) < 0


@pytest.mark.parametrize("far", [1e200, 1.7e308])
def test_samples_without_weight_are_not_scored(far):
    """Nor do they set the scale in which the others are."""
    X, y, weights = np.arange(8.0)[:, None], np.array([0.0, 1, 3, 2, 4, 6, 5, 7]), np.arange(8) < 7
    expected = line().score(X[:7], y[:7])
    assert line().score(X, np.r_[y[:7], far], weights) == expected
    assert line().score(np.r_[X[:7], [[far]]], y, weights) == expected


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_weights_of_a_score_are_not_of_the_networks_precision(task):
    _, X, y = unsure(task)
    single = cmlp.fit(X.astype(np.float32), y, dtype="float32", max_iter=2, random_state=0)
    for weight in (1e-50, 1e50):
        found = single.score(X, y, np.full(len(y), weight))
        assert found == pytest.approx(single.score(X, y), rel=1e-12)


@pytest.mark.parametrize("weight", [5e-324, 1e-310, 1e300, 1.7e308])
@every_task
def test_scores_by_weights_of_any_size(task, weight):
    model, X, y = unsure(task)
    assert model.score(X, y, np.full(len(y), weight)) == pytest.approx(model.score(X, y), rel=1e-12)


# ---- sample weights ---------------------------------------------------------------------------------


def full_batch(task, rows, sample_weight=None, epochs=3):
    """The parameters after some steps of gradient descent on rows of a task's samples."""
    (X, y), options = TASKS[task]
    model = cmlp.fit(
        X[rows], y[rows], solver="sgd", alpha=0.0, batch_size=len(rows), max_iter=epochs, learning_rate_init=0.05,
        random_state=0, hidden_layer_sizes=(8,), activation="tanh", sample_weight=sample_weight, **options,
    )  # fmt: skip
    return model.network.parameters


def assert_same_step(weighted, expected, task):
    """Equal but for rounding, unlike what no weights give."""
    everything = np.arange(len(TASKS[task][0][0]))
    np.testing.assert_allclose(weighted, expected, rtol=1e-11, atol=1e-13)
    assert np.abs(full_batch(task, everything) - expected).max() > 1e-5


@every_task
@pytest.mark.parametrize("epochs", [1, 3])
def test_a_whole_weight_repeats_a_sample(task, epochs):
    n = len(TASKS[task][0][0])
    weights = np.random.default_rng(1).integers(1, 4, n)
    weighted = full_batch(task, np.arange(n), weights, epochs)
    repeated = full_batch(task, np.repeat(np.arange(n), weights), None, epochs)
    assert_same_step(weighted, repeated, task)


@every_task
def test_a_weight_of_zero_removes_a_sample(task):
    n = len(TASKS[task][0][0])
    weights = np.where(np.arange(n) % 3 == 0, 0, 1)
    assert_same_step(full_batch(task, np.arange(n), weights), full_batch(task, np.flatnonzero(weights)), task)


@every_task
@pytest.mark.parametrize(
    "options", [{"solver": "adam"}, {"solver": "sgd", "batch_size": 7}, {"early_stopping": True}], ids=str
)
def test_the_scale_of_all_weights_does_not_matter(task, options):
    (X, y), of_task = TASKS[task]
    weights = 1.0 + some_weights(len(X))
    options = {**QUICK, **of_task, **options, "max_iter": 10}
    model, scaled, scaled_inexactly = (
        cmlp.fit(X, y, sample_weight=scale * weights, **options) for scale in (1, 4, 0.37)
    )
    np.testing.assert_array_equal(scaled.network.parameters, model.network.parameters)
    np.testing.assert_allclose(scaled_inexactly.network.parameters, model.network.parameters, rtol=1e-8, atol=1e-10)
    assert model.loss_curve_[0] != pytest.approx(cmlp.fit(X, y, **options).loss_curve_[0], rel=1e-3)


# ---- precision and seeds ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "chosen", "expected"),
    [
        ("float32", None, "float32"),
        ("float64", None, "float64"),
        ("float16", None, "float64"),
        ("int32", None, "float64"),
        ("bool", None, "float64"),
        ("float32", "float64", "float64"),
        ("float64", "float32", "float32"),
        ("float64", np.float32, "float32"),
    ],
)
@pytest.mark.parametrize("task", ["binary", "regression"])
def test_precision_follows_X_unless_it_is_given(task, given, chosen, expected):
    X, y = TASKS[task][0]
    model = cmlp.fit(X.astype(given), y, dtype=chosen, **{**QUICK, "max_iter": 1})
    assert model.network.dtype == model.network.forward(X).dtype == expected


def test_lists_are_read_in_double_precision():
    X, y = clusters(2)
    assert cmlp.fit(X.tolist(), y.tolist(), max_iter=1).network.dtype == "float64"


SEEDED = {
    "adam": {},
    "sgd, one by one": {"solver": "sgd", "batch_size": 1, "momentum": 0.0},
    "early stopping": {"early_stopping": True},
    "no shuffles": {"shuffle": False},
}

every_run = pytest.mark.parametrize("options", SEEDED.values(), ids=SEEDED)


def seeded_run(random_state, options, dtype="float64"):
    X, y = clusters(3)
    model = cmlp.fit(X, y, dtype=dtype, **{**QUICK, "max_iter": 5, **options, "random_state": random_state})
    return model.network.parameters, model.loss_curve_


@every_run
@both_precisions
def test_a_seed_repeats_a_run_bit_by_bit(options, dtype):
    first, again, other = (seeded_run(seed, options, dtype) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first[0], again[0])
    assert first[1] == again[1]
    assert np.abs(first[0] - other[0]).max() > 1e-3


@every_run
def test_no_seed_gives_another_run_each_time(options):
    assert np.abs(seeded_run(None, options)[0] - seeded_run(None, options)[0]).max() > 1e-3


@every_run
@pytest.mark.parametrize("source", [np.random.RandomState, np.random.default_rng], ids=["RandomState", "Generator"])
def test_a_source_of_random_numbers_is_drawn_from(options, source):
    shared = source(5)
    first, second, again = (seeded_run(random, options)[0] for random in (shared, shared, source(5)))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - second).max() > 1e-3


@pytest.mark.parametrize("source", [np.random.RandomState, np.random.default_rng], ids=["RandomState", "Generator"])
def test_what_is_refused_draws_nothing(source):
    X, y = real_data("iris")
    random, options = source(3), {"max_iter": 2, "hidden_layer_sizes": 5}
    for bad in (
        {"sample_weight": -np.ones(len(X))}, {"activation": "none"}, {"X_val": X[:, :2], "y_val": y},
        {"scoring": "r2", "early_stopping": True},
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"sample_weight|activation|X_val|scoring"):
            cmlp.fit(X, y, random_state=random, **options, **bad)
    after, expected = (cmlp.fit(X, y, random_state=each, **options) for each in (random, source(3)))
    np.testing.assert_array_equal(after.network.parameters, expected.network.parameters)


def test_a_seed_is_that_of_a_RandomState():
    np.testing.assert_array_equal(seeded_run(5, {})[0], seeded_run(np.random.RandomState(5), {})[0])


def test_numpys_own_random_numbers_are_left_alone():
    np.random.seed(3)  # noqa: NPY002
    seeded_run(None, {})
    assert np.random.random_sample() == np.random.RandomState(3).random_sample()  # noqa: NPY002


# ---- names of columns --------------------------------------------------------------------------------


@pytest.fixture(params=["pandas", "polars"])
def frames(request):
    """Makes data frames of an array's columns under names."""
    library = pytest.importorskip(request.param)
    return lambda X, names: library.DataFrame(dict(zip(names, X.T, strict=True)))


@pytest.mark.parametrize("call", ["predict", "predict_proba", "score"])
def test_columns_are_those_of_fit(frames, call, tmp_path):
    X, y = real_data("iris")
    names = ["sepal length", "sepal width", "petal length", "petal width"]
    fitted = cmlp.fit(frames(X, names), y, max_iter=3, random_state=0)
    path = tmp_path / "model.safetensors"
    fitted.save(path)
    rest = (y,) if call == "score" else ()
    for model in (fitted, cmlp.load(path), pickle.loads(pickle.dumps(fitted)), copy.deepcopy(fitted)):
        method = getattr(model, call)
        assert list(model.feature_names_in_) == names
        np.testing.assert_array_equal(method(frames(X, names), *rest), method(X, *rest))
        with pytest.raises(ValueError, match="X has its columns in another order, 'petal width' at 0: expected 'sepal"):
            method(frames(X[:, ::-1], names[::-1]), *rest)
        with pytest.raises(
            ValueError, match=r"X has columns \['w'\] and lacks \['petal width'\]: expected those of fit"
        ):
            method(frames(X, [*names[:3], "w"]), *rest)
        with pytest.raises(ValueError, match=r"X lacks \['petal width'\]: expected those of fit"):
            method(frames(X[:, :3], names[:3]), *rest)


def test_a_row_of_a_data_frame_has_its_columns_too():
    pandas = pytest.importorskip("pandas")
    X, y = real_data("iris")
    model = cmlp.fit(pandas.DataFrame(X, columns=list("abcd")), y, max_iter=3, random_state=0)
    row = pandas.Series(X[0], list("abcd"))
    assert model.predict(row) == model.predict(X[0])
    with pytest.raises(ValueError, match="X has its columns in another order, 'd' at 0: expected 'a'"):
        model.predict(row[::-1])
    assert model.predict(pandas.Series(X[0])) == model.predict(X[0])


def test_a_model_of_an_array_knows_no_columns(frames):
    X, y = real_data("iris")
    model = cmlp.fit(X, y, max_iter=3, random_state=0)
    assert model.feature_names_in_ is None
    np.testing.assert_array_equal(model.predict(frames(X, "abcd")), model.predict(X))


def test_columns_of_the_validation_set(frames):
    X, y = real_data("iris")
    with pytest.raises(ValueError, match="X_val has its columns in another order"):
        cmlp.fit(frames(X, "abcd"), y, X_val=frames(X, "dcba"), y_val=y, max_iter=3)


def test_names_that_are_not_all_strings_are_refused(frames):
    X, y = real_data("iris")
    with pytest.raises(
        TypeError, match=r"^X has columns \['a', 1, 2, 3\]: expected names that are all strings, or none"
    ):
        cmlp.fit(HasColumns(X, ["a", 1, 2, 3]), y, max_iter=3)
    model = cmlp.fit(frames(X, "abcd"), y, max_iter=3, random_state=0)
    odd = HasColumns(X, ["d", "c", "b", 0])
    with pytest.raises(TypeError, match=r"^X has columns \['d', 'c', 'b', 0\]: expected names that are all strings"):
        model.predict(odd)
    np.testing.assert_array_equal(model.predict(HasColumns(X, range(4))), model.predict(X))


class HasColumns:
    """What a data frame has, whatever the names."""

    def __init__(self, X, columns):
        self.X, self.columns = X, columns

    def __array__(self, dtype=None, copy=None):
        return self.X


def test_the_network_of_a_model_is_its_own():
    X, y = real_data("iris")
    model = cmlp.fit(X, y, max_iter=3, random_state=0)
    expected = model.predict_proba(X)
    for network in (cmlp.Network((4, 7)), cmlp.Network((4, 3)), None):
        with pytest.raises(TypeError, match=r"^feature_names_in_=3: expected strings or None"):
            model.feature_names_in_ = 3
        with pytest.raises(AttributeError, match=r"^network of a Model cannot be set: expected an array assigned"):
            model.network = network
    np.testing.assert_array_equal(model.predict_proba(X), expected)
    twin = copy.deepcopy(model)
    twin.network.parameters = np.zeros_like(twin.network.parameters)
    assert (twin.predict_proba(X) == twin.predict_proba(X)[0]).all()


@pytest.mark.parametrize(("names", "error"), [([1, 2, 3, 4], TypeError), (["a"], ValueError), ("abcd", TypeError)])
def test_pickled_names_are_checked(names, error):
    X, y = real_data("iris")
    model = cmlp.fit(X, y, max_iter=1)
    model.__dict__["feature_names_in_"] = names
    with pytest.raises(error, match="feature_names_in_"):
        pickle.loads(pickle.dumps(model))
