"""MLPClassifier and MLPRegressor in place of scikit-learn's: the same fits, attributes, manners and refusals."""

import copy
import inspect
import io
import pickle
import re
import subprocess
import sys
from functools import cache

import numpy as np
import pytest

pytest.importorskip("sklearn", minversion="1.6")

import joblib
import sklearn
from scipy import sparse
from sklearn import datasets, neural_network
from sklearn.base import ClassifierMixin, RegressorMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import VotingClassifier
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.inspection import permutation_importance
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import GridSearchCV, cross_val_predict, learning_curve
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

import cmlp

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:scipy.optimize:DeprecationWarning"),  # scikit-learn 1.6 and a newer SciPy
]

VERSION = tuple(map(int, re.findall(r"\d+", sklearn.__version__)[:2]))
since_1_7 = pytest.mark.skipif(VERSION < (1, 7), reason="new in scikit-learn 1.7")

CLASSIFIER, REGRESSOR = "MLPClassifier", "MLPRegressor"
STOCHASTIC = ["sgd", "adam"]
EVERY_STOCHASTIC = ["sgd", "adam", "adamw", "rmsprop"]
every_estimator = pytest.mark.parametrize("name", [CLASSIFIER, REGRESSOR])
every_stochastic = pytest.mark.parametrize("solver", EVERY_STOCHASTIC)


# ---- data ---------------------------------------------------------------------------------------------


def standardised(X):
    return StandardScaler().fit_transform(X)


@cache
def load(name):
    X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    return standardised(X), y


@cache
def of_task(task):
    """Samples, labels or values, and the estimator for them."""
    X, y = load("iris")
    D, v = load("diabetes")
    words = np.array(["setosa", "versicolor", "virginica"])
    return {
        "digits": (*load("digits"), CLASSIFIER),
        "iris": (X, y, CLASSIFIER),
        "words": (X, words[y], CLASSIFIER),
        "binary": (X, y > 0, CLASSIFIER),
        "multilabel": (X, np.stack([y > 0, y > 1, X[:, 0] > 0], axis=1).astype(int), CLASSIFIER),
        "diabetes": (D, (v - v.mean()) / v.std(), REGRESSOR),
        "column": (D, ((v - v.mean()) / v.std()).reshape(-1, 1), REGRESSOR),
        "two outputs": (D[:, :8], np.stack([D[:, 8], D[:, 9]], axis=1), REGRESSOR),
        "counts": (X, np.random.RandomState(0).poisson(np.exp(X[:, 0] / 2)).astype(float), REGRESSOR),
        "sparse": (load("digits")[0][:500].clip(0), load("digits")[1][:500], CLASSIFIER),
    }[task]


SMALL = {"hidden_layer_sizes": (9, 6), "batch_size": 32, "max_iter": 15, "random_state": 3, "learning_rate_init": 0.01}


def both(name, **options):
    """scikit-learn's estimator and ours."""
    return [getattr(module, name)(**{**SMALL, **options}) for module in (neural_network, cmlp)]


def ours(task="iris", **options):
    """Our estimator, fitted."""
    X, y, name = of_task(task)
    return both(name, **options)[1].fit(X, y)


def both_fitted(task, sample_weight=None, **options):
    X, y, name = of_task(task)
    weight = {} if sample_weight is None else {"sample_weight": sample_weight}
    return [estimator.fit(X, y, **weight) for estimator in both(name, **options)]


def random_weights(n):
    return np.random.RandomState(5).uniform(0.1, 3, n)


LOSSES = ("loss_", "loss_curve_", "best_loss_")


# ---- comparison ---------------------------------------------------------------------------------------


def fitted_attributes(estimator):
    return {name for name in vars(estimator) if name.endswith("_") and not name.startswith("_")}


def assert_same_value(name, theirs, ours, tolerance):
    if theirs is None or isinstance(theirs, str):
        assert ours == theirs, name
    elif name in ("coefs_", "intercepts_"):
        assert [(a.shape, a.dtype) for a in ours] == [(a.shape, a.dtype) for a in theirs], name
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * abs(b).max(), err_msg=name)
    elif np.asarray(theirs).dtype.kind == "f":
        np.testing.assert_allclose(ours, theirs, rtol=tolerance / 1e3, atol=tolerance / 1e3, err_msg=name)
    else:
        np.testing.assert_array_equal(ours, theirs, err_msg=name)


def assert_summed_over_values(theirs, ours, k):
    """Ours is the loss that is minimised, theirs divides all but the L2 term, which is small here, by k."""
    if theirs is not None:
        np.testing.assert_allclose(ours, np.multiply(theirs, k), rtol=0.01)


def assert_same_fit(theirs, ours, X, tolerance=1e-6):
    """Every attribute of scikit-learn's, and the outputs."""
    assert fitted_attributes(theirs) <= fitted_attributes(ours)
    for name in sorted(fitted_attributes(theirs)):
        if name in LOSSES and theirs.n_outputs_ > 1 and theirs.out_activation_ == "identity":
            assert_summed_over_values(getattr(theirs, name), getattr(ours, name), theirs.n_outputs_)
            continue
        assert_same_value(name, getattr(theirs, name), getattr(ours, name), tolerance)
    for method in ("predict", "predict_proba", "predict_log_proba"):
        if hasattr(theirs, method):
            expected, outputs = getattr(theirs, method)(X), getattr(ours, method)(X)
            assert (outputs.shape, outputs.dtype) == (expected.shape, expected.dtype)
            assert_same_value(method, expected, outputs, 1e3 * tolerance)
    assert hasattr(ours, "predict_proba") == hasattr(theirs, "predict_proba")


def state_of(estimator):
    """All that is public, copied."""
    fitted = {name: copy.deepcopy(getattr(estimator, name)) for name in fitted_attributes(estimator)}
    return {**fitted, **estimator.get_params()}


def assert_same_state(before, after):
    assert before.keys() == after.keys()
    for name, value in before.items():
        flat = value if isinstance(value, list) else [value]
        for a, b in zip(flat, after[name] if isinstance(value, list) else [after[name]], strict=True):
            np.testing.assert_array_equal(a, b, err_msg=name)


# ---- whole fits ---------------------------------------------------------------------------------------


TASKS = ["digits", "iris", "words", "binary", "multilabel", "diabetes", "column", "two outputs"]


@pytest.mark.filterwarnings("ignore:A column-vector y was passed")
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("solver", STOCHASTIC)
def test_a_fit_is_scikit_learns(task, solver):
    options = {"solver": solver, "hidden_layer_sizes": (20,), "batch_size": "auto", "max_iter": 40}
    assert_same_fit(*both_fitted(task, **options), of_task(task)[0])


SGD = {"solver": "sgd", "learning_rate_init": 0.05}
OPTIONS = {
    "invscaling": {**SGD, "learning_rate": "invscaling"},
    "invscaling, other power": {**SGD, "learning_rate": "invscaling", "power_t": 0.1},
    "adaptive": {**SGD, "learning_rate": "adaptive", "tol": 0.01, "n_iter_no_change": 1, "max_iter": 40},
    "adam has no schedule": {"learning_rate": "invscaling"},
    "adam does not shrink": {"learning_rate": "adaptive", "tol": 0.05, "n_iter_no_change": 1, "max_iter": 40},
    "no momentum": {**SGD, "momentum": 0.0},
    "momentum of Polyak": {**SGD, "momentum": 0.7, "nesterovs_momentum": False},
    "momentum of Nesterov": {**SGD, "momentum": 0.7},
    "other betas": {"beta_1": 0.5, "beta_2": 0.9},
    "large epsilon": {"epsilon": 0.01},
    "identity": {"activation": "identity"},
    "logistic": {"activation": "logistic"},
    "tanh": {"activation": "tanh"},
    "sgd unshuffled": {**SGD, "shuffle": False},
    "adam unshuffled": {"shuffle": False},
    "sgd, batches of one": {"solver": "sgd", "batch_size": 1, "max_iter": 3},
    "adam, batches of one": {"batch_size": 1, "max_iter": 3},
    "all in one batch": {"batch_size": 100, "max_iter": 30},
    "no L2 term": {"alpha": 0.0},
    "large L2 term": {**SGD, "alpha": 1.0},
    "patience at an end": {"tol": 0.1, "n_iter_no_change": 2, "max_iter": 60},
    "endless patience": {"tol": 0.1, "n_iter_no_change": np.inf, "max_iter": 30},
    "no hidden layer": {"hidden_layer_sizes": ()},
    "width as a number": {"hidden_layer_sizes": 7},
    "widths as an array": {"hidden_layer_sizes": np.array([7, 3])},
    "four hidden layers": {"hidden_layer_sizes": [8, 7, 6, 5]},
    "early stopping": {"early_stopping": True, "max_iter": 60, "n_iter_no_change": 3},
    "early stopping, a third held out": {**SGD, "early_stopping": True, "validation_fraction": 1 / 3},
    "early stopping, adaptive": {
        **SGD, "early_stopping": True, "learning_rate": "adaptive", "n_iter_no_change": 1, "tol": 0.02, "max_iter": 60,
    },
}  # fmt: skip


@pytest.mark.parametrize("task", ["iris", "diabetes"])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_options_act_as_scikit_learns(task, options):
    assert_same_fit(*both_fitted(task, **options), of_task(task)[0])


@pytest.mark.parametrize("task", ["words", "binary", "multilabel", "two outputs"])
def test_other_tasks_hold_out_what_scikit_learn_does(task):
    if task == "words" and VERSION < (1, 9):
        pytest.skip("scikit-learn before 1.9 cannot score words")
    options = {"early_stopping": True, "max_iter": 40, "n_iter_no_change": 5}
    theirs, mine = both_fitted(task, **options)
    assert len(mine.validation_scores_) == mine.n_iter_
    assert_same_fit(theirs, mine, of_task(task)[0])


def test_several_values_stop_where_scikit_learn_stops():
    """Its loss is the mean over the values, to which the L2 term is added as it is."""
    options = {"alpha": 1.0, "tol": 0.01, "n_iter_no_change": 2, "max_iter": 200}
    theirs, mine = both_fitted("two outputs", **options)
    assert mine.n_iter_ == theirs.n_iter_ < 200


@pytest.mark.parametrize("options", [{}, SGD, {"early_stopping": True}], ids=["adam", "sgd", "early stopping"])
def test_a_random_state_is_drawn_from_as_by_scikit_learn(options):
    X, y, name = of_task("iris")
    estimators = both(name, **options)
    for estimator in estimators:
        estimator.set_params(random_state=np.random.RandomState(7)).fit(X, y).fit(X, y)
    assert_same_fit(*estimators, X)
    assert len({estimator.random_state.randint(10**9) for estimator in estimators}) == 1


@since_1_7
@pytest.mark.parametrize("task", ["iris", "binary", "multilabel", "diabetes", "two outputs"])
@pytest.mark.parametrize("options", [{}, SGD, {"early_stopping": True}], ids=["adam", "sgd", "early stopping"])
def test_sample_weights_are_scikit_learns(task, options):
    X = of_task(task)[0]
    assert_same_fit(*both_fitted(task, random_weights(len(X)), **options), X)


SIZES = {"float64": (-1074, -1030, -900, 900, 1023), "float32": (-149, -130, -100, 90, 127)}


def weighted_fit(task, dtype, weights, **options):
    """All numbers that a fit leaves."""
    X, y, name = of_task(task)
    model = both(name, max_iter=3, **options)[1]
    model.fit(X.astype(dtype), y, sample_weight=weights.astype(dtype))
    validated = getattr(model, "validation_loss_curve_", None) or []
    return [*model.coefs_, *model.intercepts_, model.loss_, *validated]


def assert_same_numbers(first, second):
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("task", ["iris", "diabetes"])
@pytest.mark.parametrize("dtype", SIZES)
@pytest.mark.parametrize(
    "options",
    [{}, {"solver": "sgd", "batch_size": 1, "momentum": 0.0}, {"solver": "lbfgs"}, {"early_stopping": True}],
    ids=["adam", "sgd, one by one", "lbfgs", "early stopping"],
)
def test_weights_of_any_size(task, dtype, options):
    """A factor of all of them is none of the loss, to the bit."""
    ones = np.ones(len(of_task(task)[0]))
    expected = weighted_fit(task, dtype, ones, alpha=0.0, **options)
    for size in SIZES[dtype]:
        assert_same_numbers(weighted_fit(task, dtype, np.ldexp(ones, size), alpha=0.0, **options), expected)


@pytest.mark.parametrize("options", [{}, {"solver": "lbfgs"}], ids=["adam", "lbfgs"])
@pytest.mark.parametrize("power", [-90, -40, -3, 3, 40, 90])
def test_the_l2_term_is_divided_by_the_weights_whatever_their_size(options, power):
    weights = random_weights(150)
    expected = weighted_fit("iris", "float64", weights, alpha=0.01, **options)
    found = weighted_fit("iris", "float64", np.ldexp(weights, power), alpha=float(np.ldexp(0.01, power)), **options)
    assert_same_numbers(found, expected)


def test_an_l2_term_that_the_weights_make_too_large_is_refused():
    for dtype, weight in (("float32", 1e-45), ("float64", 5e-324)):
        X, y, _ = of_task("iris")
        with pytest.raises(ValueError, match=r"^sample_weight has \S+ as its largest, and alpha=1\.0 by that is too"):
            cmlp.MLPClassifier(alpha=1.0).fit(X.astype(dtype), y, sample_weight=np.full(150, weight))


@pytest.mark.parametrize("weight", [1e-300, 1e300])
def test_class_weights_of_any_size_in_a_validation_set(weight):
    X, y, _ = of_task("iris")
    models = [
        cmlp.MLPClassifier((5,), alpha=0.0, max_iter=3, random_state=0, class_weight=dict.fromkeys(range(3), each))
        for each in (1.0, weight)
    ]
    for model in models:
        model.fit(X, y, X_val=X, y_val=y)
    for curve in ("validation_scores_", "validation_loss_curve_", "loss_curve_"):
        np.testing.assert_allclose(getattr(models[1], curve), getattr(models[0], curve), rtol=1e-12)


@pytest.mark.parametrize("batch_size", [1, 8, 24])
@pytest.mark.parametrize("alpha", [0.0, 0.5])
@pytest.mark.parametrize("solver", ["sgd", "lbfgs"])
def test_the_loss_reported_is_that_of_the_samples_with_weight(batch_size, alpha, solver):
    X, y, _ = of_task("binary")
    rows = np.random.RandomState(0).permutation(150)[:24]
    X, y, weights = X[rows], y[rows], (np.arange(24) >= 8).astype(float)
    options = {
        "solver": solver, "learning_rate_init": 1e-12, "shuffle": False, "alpha": alpha, "batch_size": batch_size,
        "hidden_layer_sizes": (4,), "random_state": 0, "max_iter": 1,
    }  # fmt: skip
    weighted = cmlp.MLPClassifier(**options).fit(X, y, sample_weight=weights)
    options["batch_size"] = min(batch_size, 16)
    without = cmlp.MLPClassifier(**options).fit(X[8:], y[8:])
    assert weighted.loss_ == pytest.approx(without.loss_, rel=1e-9)


@since_1_7
@pytest.mark.parametrize("solver", STOCHASTIC)
@pytest.mark.parametrize("options", [{}, {"early_stopping": True}], ids=["", "early stopping"])
def test_poisson_is_scikit_learns(solver, options):
    X = of_task("counts")[0]
    options = {"loss": "poisson", "solver": solver, "learning_rate_init": 0.002, **options}
    assert_same_fit(*both_fitted("counts", **options), X)
    assert_same_fit(*both_fitted("counts", random_weights(len(X)), **options), X)


@since_1_7
def test_poisson_of_several_values_is_scikit_learns():
    X, y, name = of_task("counts")
    Y = np.stack([y, y[::-1]], axis=1)
    assert_same_fit(*(model.fit(X, Y) for model in both(name, loss="poisson")), X)


@pytest.mark.parametrize("task", ["iris", "binary", "multilabel", "diabetes"])
def test_lbfgs_ends_where_scikit_learns_does(task):
    """Both stand at the same minimum; on the way there rounding grows.

    Not so with several values per sample: there scikit-learn's gradient is not that of its loss.
    """
    options = {"solver": "lbfgs", "activation": "tanh", "max_iter": 2000, "tol": 1e-5, "alpha": 1.0, "max_fun": 10**5}
    theirs, mine = both_fitted(task, **options)
    assert fitted_attributes(theirs) <= fitted_attributes(mine)
    assert mine.loss_ == pytest.approx(theirs.loss_, rel=1e-3)
    assert mine.n_iter_ < 2000
    X, y, _ = of_task(task)
    assert mine.score(X, y) == pytest.approx(theirs.score(X, y), abs=0.02)


def test_few_iterations_of_lbfgs_are_scikit_learns():
    assert_same_fit(*both_fitted("iris", solver="lbfgs", max_iter=8), of_task("iris")[0])
    assert_same_fit(*both_fitted("diabetes", solver="lbfgs", max_fun=8), of_task("diabetes")[0])


# ---- training that goes on ----------------------------------------------------------------------------


@pytest.mark.parametrize("task", ["iris", "multilabel", "diabetes"])
@pytest.mark.parametrize("options", [{}, SGD, {**SGD, "learning_rate": "invscaling"}])
def test_a_warm_start_goes_on_as_scikit_learns(task, options):
    X, y, name = of_task(task)
    theirs, mine = both(name, warm_start=True, **options)
    for max_iter in (4, 1, 6):
        for estimator in (theirs, mine):
            estimator.set_params(max_iter=max_iter).fit(X, y)
        assert_same_fit(theirs, mine, X)


@pytest.mark.parametrize("task", ["iris", "binary", "diabetes"])
def test_a_warm_start_with_early_stopping_keeps_the_best_of_its_own(task):
    """The curves agree.  scikit-learn measures a later fit by the best of those before, which may have been on other
    data, and writes over the parameters that it holds as the best.
    """
    X, y, name = of_task(task)
    theirs, mine = both(name, warm_start=True, early_stopping=True, max_iter=6)
    for estimator in (theirs, mine):
        estimator.fit(X, y)
    assert_same_fit(theirs, mine, X)
    for estimator in (theirs, mine):
        estimator.fit(X, y)
    for curve in ("loss_curve_", "validation_scores_"):
        assert_same_value(curve, getattr(theirs, curve), getattr(mine, curve), 1e-6)
    assert theirs.best_validation_score_ == pytest.approx(max(mine.validation_scores_))
    assert mine.best_validation_score_ == max(mine.validation_scores_[6:])


@pytest.mark.parametrize("how", ["held out", "X_val", "not validated"])
def test_a_warm_start_on_other_data_learns_these(how):
    """However well the first went: what it reached says nothing about them."""
    X, y, _ = of_task("binary")
    options = {**SMALL, "max_iter": 60, "n_iter_no_change": 3, "early_stopping": how == "held out"}
    model = cmlp.MLPClassifier(**{**options, "warm_start": True})
    for target in (y, ~y):
        given = {"X_val": X, "y_val": target} if how == "X_val" else {}
        before = model.fit(X, target, **given).n_iter_
    assert model.score(X, ~y) > 0.9
    assert before > 4
    if how != "not validated":
        assert model.best_validation_score_ == max(model.validation_scores_[-before:])


@pytest.mark.parametrize("task", ["iris", "words", "binary", "multilabel", "diabetes", "two outputs"])
@pytest.mark.parametrize("options", [{}, SGD, {**SGD, "learning_rate": "invscaling"}, {**SGD, "shuffle": False}])
def test_pieces_are_taken_as_by_scikit_learn(task, options):
    X, y, name = of_task(task)
    order = np.random.RandomState(0).permutation(len(X))
    theirs, mine = both(name, batch_size=16, **options)
    labels = np.arange(y.shape[1]) if task == "multilabel" else np.unique(y)
    first = {"classes": labels} if name == CLASSIFIER else {}
    for estimator in (theirs, mine):
        estimator.partial_fit(X[order[:40]], y[order[:40]], **first)
        for rows in np.array_split(order, 5):
            estimator.partial_fit(X[rows], y[rows])
    assert_same_fit(theirs, mine, X)


@pytest.mark.parametrize("task", ["iris", "diabetes"])
@pytest.mark.parametrize("solver", STOCHASTIC)
def test_pieces_after_a_fit_and_a_fit_after_pieces(task, solver):
    X, y, name = of_task(task)
    theirs, mine = both(name, solver=solver)
    for estimator in (theirs, mine):
        estimator.fit(X, y).partial_fit(X[:50], y[:50]).partial_fit(X[50:], y[50:])
    assert_same_fit(theirs, mine, X)
    for estimator in (theirs, mine):
        estimator.fit(X, y)
    assert_same_fit(theirs, mine, X)


@since_1_7
def test_pieces_with_weights_are_scikit_learns():
    X, y, name = of_task("iris")
    theirs, mine = both(name)
    for estimator in (theirs, mine):
        for weight in (random_weights(150), None, np.arange(1.0, 151)):
            estimator.partial_fit(X, y, sample_weight=weight, classes=np.unique(y))
    assert_same_fit(theirs, mine, X)


# ---- sparse rows, precisions --------------------------------------------------------------------------


def duplicated(X):
    """Each entry as two halves, in falling order of the columns."""
    X = sparse.csr_matrix(X)
    for_each_row = [np.repeat(np.arange(a, b)[::-1], 2) for a, b in zip(X.indptr, X.indptr[1:], strict=False)]
    entries = np.concatenate(for_each_row)
    return sparse.csr_matrix((X.data[entries] / 2, X.indices[entries], X.indptr * 2), X.shape)


def long_indices(X):
    X = sparse.csr_matrix(X)
    X.indices, X.indptr = X.indices.astype(np.int64), X.indptr.astype(np.int64)
    return X


CONTAINERS = {
    "csr_matrix": sparse.csr_matrix,
    "csc_matrix": sparse.csc_matrix,
    "csr_array": sparse.csr_array,
    "csc_array": sparse.csc_array,
    "coo_array": sparse.coo_array,
    "duplicates": duplicated,
    "long indices": long_indices,
}
every_container = pytest.mark.parametrize("container", CONTAINERS.values(), ids=CONTAINERS)


@every_container
@pytest.mark.parametrize("options", [{}, SGD, {"early_stopping": True}], ids=["adam", "sgd", "early stopping"])
def test_sparse_rows_are_as_good_as_dense_ones(container, options):
    X, y, name = of_task("sparse")
    dense, mine = (both(name, max_iter=6, **options)[1] for _ in range(2))
    S = container(X)
    dense.fit(X, y), mine.fit(S, y)
    if "early_stopping" not in options:
        dense.partial_fit(X, y), mine.partial_fit(S, y)
    assert_same_fit(dense, mine, X, 1e-9)
    np.testing.assert_allclose(mine.predict_proba(S), mine.predict_proba(X), rtol=1e-12)
    assert mine.score(S, y) == mine.score(X, y)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rows", [1, 3, 40, 300])
def test_predictions_of_rows_with_few_of_many_columns(rows, dtype):
    X = sparse.random(300, 2000, 0.02, "csr", dtype, np.random.default_rng(0))
    model = cmlp.MLPClassifier((17,), max_iter=2, random_state=0).fit(X, np.arange(300) % 3)
    expected = model.predict_proba(X.toarray())[:rows]
    np.testing.assert_allclose(model.predict_proba(X[:rows]), expected, rtol=1e-5 if dtype == np.float32 else 1e-12)
    empty = sparse.csr_matrix((rows, 2000), dtype=dtype)
    np.testing.assert_allclose(model.predict_proba(empty), model.predict_proba(empty.toarray()), rtol=1e-5)


def test_class_weights_count_in_a_validation_set():
    X, y, _ = of_task("iris")
    model = cmlp.MLPClassifier((5,), max_iter=1, class_weight={2: 0.0}, random_state=0)
    model.fit(X, y, X_val=X, y_val=y)
    counts = y != 2
    assert model.validation_scores_[0] == pytest.approx(np.mean(model.predict(X)[counts] == y[counts]))
    log_loss = -np.log(model.predict_proba(X)[counts, y[counts]])
    assert model.validation_loss_curve_[0] == pytest.approx(log_loss.mean())


@pytest.mark.parametrize("container", [sparse.csr_matrix, sparse.csc_matrix])
@pytest.mark.parametrize("solver", [*STOCHASTIC, "lbfgs"])
def test_sparse_fits_are_scikit_learns(container, solver):
    X, y, name = of_task("sparse")
    estimators = [e.fit(container(X), y) for e in both(name, max_iter=6, solver=solver)]
    assert_same_fit(*estimators, container(X))


@pytest.mark.parametrize("task", ["iris", "multilabel", "diabetes", "two outputs"])
@pytest.mark.parametrize("solver", [*STOCHASTIC, "lbfgs"])
def test_float32_stays_float32(task, solver):
    X, y, name = of_task(task)
    X = X.astype(np.float32)
    y = y.astype(np.float32) if name == REGRESSOR else y
    theirs, mine = (e.fit(X, y) for e in both(name, solver=solver, max_iter=4))
    assert {a.dtype for a in (*mine.coefs_, *mine.intercepts_)} == {np.dtype("float32")}
    output = "predict_proba" if name == CLASSIFIER else "predict"
    expected, outputs = (getattr(estimator, output)(X) for estimator in (theirs, mine))
    assert outputs.dtype == np.float32
    np.testing.assert_allclose(outputs, expected, rtol=2e-3, atol=2e-3)
    assert name == CLASSIFIER or mine.predict(X).dtype == np.float32  # scikit-learn's lbfgs makes float64 of it


@every_estimator
@pytest.mark.parametrize("dtype", ["int64", "float16", "bool", "O", ">f8", ">f4"])
def test_any_other_numbers_become_float64(name, dtype):
    X, y = np.round(load("iris")[0]), load("iris")[1]
    theirs, mine = (e.fit(X.astype(dtype), y) for e in both(name))
    assert_same_fit(theirs, mine, X.astype(dtype), 1e-6 if theirs.coefs_[0].dtype == np.float64 else 1)


@every_estimator
def test_the_order_in_memory_makes_no_difference(name):
    X, y = load("iris")
    models = [both(name)[1].fit(Z, y) for Z in (X, np.asfortranarray(X), np.repeat(X, 2, axis=0)[::2], X.tolist())]
    for model in models:
        assert_same_fit(models[0], model, np.asfortranarray(X), 1e-14)


# ---- parameters and methods ---------------------------------------------------------------------------


@every_estimator
def test_arguments_results_and_exceptions_are_documented(name):
    of_a_classifier = ["predict_proba", "predict_log_proba", "score"] * (name == CLASSIFIER)
    for method in ("fit", "partial_fit", "predict", *of_a_classifier):
        documented = inspect.getdoc(getattr(getattr(cmlp, name), method))
        assert all(f"\n{section}\n---" in documented for section in ("Parameters", "Returns", "Raises")), method


@every_estimator
def test_parameters_have_scikit_learns_defaults_and_order(name):
    theirs, mine = (inspect.signature(getattr(module, name)).parameters for module in (neural_network, cmlp))
    assert [parameter for parameter in mine if parameter in theirs] == list(theirs)
    for parameter in theirs:
        assert mine[parameter].default == theirs[parameter].default, parameter
        assert mine[parameter].kind == theirs[parameter].kind, parameter
    positional = [p for p in mine if mine[p].kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    if VERSION >= (1, 7):  # which put the regressor's loss first
        assert positional == [p for p in theirs if theirs[p].kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    assert getattr(neural_network, name)().get_params().items() <= getattr(cmlp, name)().get_params().items()


@every_estimator
def test_methods_are_scikit_learns(name):
    theirs, mine = getattr(neural_network, name), getattr(cmlp, name)
    public = [method for method in dir(theirs) if not method.startswith("_")]
    assert set(public) <= set(dir(mine))
    for method in ("fit", "partial_fit", "predict", "predict_proba", "predict_log_proba", "score"):
        if hasattr(theirs(), method) and (VERSION >= (1, 7) or method != "partial_fit"):  # which got sample_weight
            expected = list(inspect.signature(getattr(theirs(), method)).parameters)
            assert list(inspect.signature(getattr(mine(), method)).parameters)[: len(expected)] == expected


@every_estimator
def test_an_estimator_that_is_not_fitted_has_only_its_parameters(name):
    model = getattr(cmlp, name)()
    assert vars(model) == model.get_params()
    assert model.fit(*load("iris")) is model


# ---- coefs_ and intercepts_ ---------------------------------------------------------------------------


def square_layers():
    """Both, fitted, with two layers of the same shape."""
    return both_fitted("iris", hidden_layer_sizes=(6, 6, 6))


def zeroed(model):
    model.coefs_[0][:, 2] = 0
    model.intercepts_[1][...] += 1


def scaled_in_place(model):
    model.coefs_[1] *= 2


def item_assigned(model):
    model.coefs_[0] = np.linspace(-1, 1, model.coefs_[0].size).reshape(model.coefs_[0].shape)


def fortran_item_assigned(model):
    model.coefs_[1] = np.asfortranarray(model.coefs_[1]).T.copy()


def list_assigned(model):
    model.coefs_ = [1.1 * c for c in model.coefs_]
    model.intercepts_ = [b + 1 for b in model.intercepts_]


def transposed(model):
    model.coefs_[1] = model.coefs_[1].T


def swapped(model):
    model.coefs_[1], model.coefs_[2] = model.coefs_[2], model.coefs_[1]


def intercepts_swapped(model):
    model.intercepts_[0], model.intercepts_[1] = model.intercepts_[1], model.intercepts_[0]


def two_made_one(model):
    model.coefs_[2] = model.coefs_[1]


def other_widths(model):
    rng = np.random.RandomState(0)
    model.coefs_ = [rng.normal(size=shape) for shape in ((4, 5), (5, 3))]
    model.intercepts_ = [rng.normal(size=n) for n in (5, 3)]
    model.n_layers_, model.hidden_layer_sizes = 3, 5


EDITS = [
    zeroed, scaled_in_place, item_assigned, fortran_item_assigned, list_assigned, transposed, swapped,
    intercepts_swapped, two_made_one, other_widths,
]  # fmt: skip
every_edit = pytest.mark.parametrize("edit", EDITS)


@every_edit
def test_parameters_may_be_changed(edit):
    X = load("iris")[0]
    theirs, mine = square_layers()
    before = mine.predict_proba(X)
    for model in (theirs, mine):
        edit(model)
    assert abs(mine.predict_proba(X) - before).max() > 1e-3
    assert_same_fit(theirs, mine, X)
    assert_same_fit(theirs, pickle.loads(pickle.dumps(mine)), X)


@pytest.mark.parametrize("edit", [zeroed, scaled_in_place, item_assigned, list_assigned])
@pytest.mark.parametrize("solver", STOCHASTIC)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_training_goes_on_from_changed_parameters(edit, solver, method):
    """partial_fit with what the solver knows of the updates before."""
    X, y = load("iris")
    theirs, mine = both_fitted("iris", hidden_layer_sizes=(6, 6, 6), solver=solver, warm_start=True)
    for model in (theirs, mine):
        edit(model)
        getattr(model, method)(X, y)
    assert_same_fit(theirs, mine, X)


def test_parameters_stay_the_same_arrays_through_training():
    """As long as it goes on; a new fit begins with new ones."""
    X, y = load("iris")
    model = ours()
    coefs = model.coefs_
    model.partial_fit(X, y)
    assert all(a is b or np.shares_memory(a, b) for a, b in zip(coefs, model.coefs_, strict=True))
    before = [c.copy() for c in coefs]
    model.fit(X, y)
    for c, b in zip(coefs, before, strict=True):
        np.testing.assert_array_equal(c, b)


NOT_FITTING = {
    "another width": (0, np.ones((4, 5))),
    "another number of inputs": (1, np.ones((8, 6))),
    "a vector": (0, np.ones(4)),
    "a number": (0, 1.0),
    "three axes": (1, np.ones((9, 6, 1))),
    "NaN": (0, np.full((4, 9), np.nan)),
    "infinite": (2, np.full((6, 3), np.inf)),
}


@pytest.mark.parametrize(("layer", "value"), NOT_FITTING.values(), ids=NOT_FITTING)
@pytest.mark.parametrize("whole", [False, True], ids=["item", "list"])
def test_parameters_that_do_not_fit_are_refused(layer, value, whole):
    X, y = load("iris")
    model = ours()
    before, kept = model.predict_proba(X), model.coefs_[layer]
    if whole:
        model.coefs_ = [value if i == layer else c for i, c in enumerate(model.coefs_)]
    else:
        model.coefs_[layer] = value
    for call in (lambda: model.predict(X), lambda: model.partial_fit(X, y), lambda: pickle.dumps(model)):
        with pytest.raises(ValueError, match="coefs_ "):
            call()
    model.coefs_[layer] = kept
    np.testing.assert_array_equal(model.predict_proba(X), before)


@pytest.mark.parametrize("coefs", [[], [np.ones((4, 3))]], ids=["none", "too few"])
def test_too_few_layers_are_refused(coefs):
    model = ours()
    model.coefs_ = coefs
    with pytest.raises(ValueError, match="coefs_ and intercepts_ have shapes"):
        model.predict(load("iris")[0])


def assigning(epoch, values, then=lambda model: None, dtype=None):
    """A callback that assigns these values to each of coefs_ in that epoch, and intercepts_ of this dtype."""

    def callback(state):
        if state.epoch == epoch:
            state.model.coefs_ = [np.full_like(a, values, dtype) for a in state.model.coefs_]
            state.model.intercepts_ = [a.astype(dtype or a.dtype) for a in state.model.intercepts_]
            then(state.model)

    return callback


@every_stochastic
@pytest.mark.parametrize("predicts", [False, True])
@pytest.mark.parametrize("dtype", [None, "float32"])
def test_training_goes_on_from_what_a_callback_has_assigned(solver, predicts, dtype):
    X, y = load("iris")
    then = (lambda model: model.predict(X)) if predicts else (lambda model: None)

    def fill(state):
        for a in state.model.coefs_ if state.epoch == 3 else ():
            a.fill(0.25)
        for a in state.model.intercepts_ if state.epoch == 3 else ():
            a[...] = a.astype(dtype or a.dtype)

    model, same = (ours(solver=solver, activation="tanh") for _ in range(2))
    model.set_params(callbacks=assigning(3, 0.25, then, dtype)).fit(X, y)
    same.set_params(callbacks=fill)
    assert_same_arrays(model.coefs_, same.fit(X, y).coefs_)
    assert model.loss_curve_ == same.loss_curve_
    for W, coefs in zip(model._network.weights, model.coefs_, strict=True):
        assert np.shares_memory(W, coefs)


def assert_same_arrays(ours, theirs):
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("options", "shape", "words"),
    [
        ({"solver": "lbfgs"}, (4, 9), "assigned during a search by lbfgs"),
        ({}, (4, 8), r"coefs_ and intercepts_ have shapes"),
        ({}, (3, 9), r"layers of \(3, 9, 6, 3\): expected \(4, 9, 6, 3\)"),
        ({"early_stopping": True}, (3, 9), "expected"),
    ],
)
def test_what_a_callback_cannot_assign_ends_the_fit(options, shape, words):
    X, y = load("iris")

    def assign(state):
        if state.epoch == 3:
            state.model.coefs_ = [np.ones(shape), *state.model.coefs_[1:]]

    model, same = (both(CLASSIFIER, **options)[1] for _ in range(2))
    model.set_params(callbacks=assign), same.set_params(callbacks=lambda state: state.epoch == 3)
    with pytest.raises(ValueError, match=words):
        model.fit(X, y)
    assert_same_arrays(model.coefs_, same.fit(X, y).coefs_)
    np.testing.assert_array_equal(model.predict(X), same.predict(X))


NOT_KEPT = "those from before are not kept"
SPOILT = {
    "adam": ({}, NOT_KEPT),
    "the last epoch": ({"max_iter": 2}, NOT_KEPT),
    "early stopping": ({"early_stopping": True}, "those of the best validation score are kept"),
    "lbfgs": ({"solver": "lbfgs"}, "those of the iteration are kept"),
}


@pytest.mark.parametrize("value", [np.nan, -np.inf])
@pytest.mark.parametrize("case", SPOILT)
def test_a_callback_that_writes_nan_is_told_from_a_training_that_diverges(case, value):
    options, kept = SPOILT[case]
    X, y = load("iris")

    def spoil(state):
        if state.epoch == 2:
            state.model.intercepts_[0][1] = value

    model, same = (both(CLASSIFIER, **options)[1] for _ in range(2))
    with pytest.raises(
        ValueError, match=rf"^a callback made parameters\[37\]={value}: expected finite.*; {kept}$"
    ) as error:
        model.set_params(callbacks=spoil).fit(X, y)
    assert not isinstance(error.value, cmlp.DivergenceError)
    if kept == NOT_KEPT:
        np.testing.assert_equal(model.intercepts_[0][1], value)
    else:
        same.set_params(callbacks=lambda state: state.epoch == 2).fit(X, y)
        assert_same_arrays(model.coefs_, same.coefs_)
        assert_same_arrays(model.intercepts_, same.intercepts_)


@pytest.mark.parametrize("value", [0.0, np.array(0.0), None])
def test_coefs_that_are_no_list_are_named(value):
    X, y = load("iris")
    model = ours(max_iter=2)
    model.coefs_ = value
    with pytest.raises(ValueError, match=r"^coefs_=.*: expected a list of arrays, one for each layer"):
        model.predict(X)

    def delete(state):
        del state.model.coefs_

    model.set_params(callbacks=delete)
    with pytest.raises(ValueError, match=r"^coefs_=None: expected a list of arrays, one for each layer"):
        model.fit(X, y)
    assert_same_arrays(model.coefs_, ours(max_iter=1).coefs_)


# ---- what ends a fit ------------------------------------------------------------------------------------


UNSUITABLE = {
    "roc_auc": (ValueError, r"^scoring='roc_auc': .*multi_class.*; expected one that suits y"),
    "precision": (ValueError, r"^scoring='precision': .*(multiclass|pos_label=1 is not a valid label)"),
    "no number": (TypeError, r"^scoring=<function .* returned None: expected a number"),
    "NaN": (ValueError, r"^scoring=<function .* returned nan: expected a number"),
    "text": (TypeError, r"^scoring=<function .* returned '1': expected a number"),
    "an array": (TypeError, r"^scoring=<function .* returned array.*: expected a number"),
    "an error": (KeyError, "mine"),
}


def mine(*_):
    raise KeyError("mine")


SCORERS = {
    "no number": lambda *_: None,
    "NaN": lambda *_: np.nan,
    "text": lambda *_: "1",
    "an array": lambda *_: np.ones(3),
    "an error": mine,
}


@pytest.mark.parametrize("scoring", UNSUITABLE)
@pytest.mark.parametrize("options", [{}, {"warm_start": True}, {"solver": "lbfgs"}], ids=str)
def test_a_scorer_that_does_not_suit_leaves_the_fit_from_before(scoring, options):
    X, y = load("iris")
    model = ours(**options)
    same, state, curve = copy.deepcopy(model), dict(vars(model)), list(vars(model).get("loss_curve_", ()))
    kind, words = UNSUITABLE[scoring]
    model.set_params(scoring=SCORERS.get(scoring, scoring))
    with pytest.raises(kind, match=words):
        model.fit(X, y if model.warm_start else y + 10, X_val=X, y_val=y if model.warm_start else y + 10)
    model.set_params(scoring=None)
    assert vars(model) == state
    assert list(vars(model).get("loss_curve_", ())) == curve
    np.testing.assert_array_equal(model.predict_proba(X), same.predict_proba(X))
    for each in (model, same):
        each.set_params(warm_start=True).fit(X, y)
    assert_same_arrays(model.coefs_, same.coefs_)


def test_a_metric_is_no_scorer():
    X, y = load("iris")
    model = cmlp.MLPClassifier(**SMALL, scoring=accuracy_score, early_stopping=True)
    state = dict(vars(model))
    with pytest.raises(TypeError, match=r"^scoring=<function accuracy_score.*: expected a callable of a model, X and"):
        model.fit(X, y)
    assert vars(model) == state
    assert model.set_params(scoring=make_scorer(accuracy_score)).fit(X, y).best_validation_score_ > 0


@pytest.mark.parametrize("solver", [*EVERY_STOCHASTIC, "lbfgs"])
@pytest.mark.parametrize("who", ["callbacks", "scoring"])
def test_an_exception_in_a_later_epoch_leaves_the_best_parameters(solver, who):
    X, y = load("iris")
    scores, best = iter([0.1, 0.9, 0.3, 0.2]), []

    def score(model, *_):
        best[:] = [*best, model.predict_proba(X)][:2]  # of the second epoch
        return next(scores, None)

    def fails(state):
        if state.epoch == 4 and who == "callbacks":
            raise RuntimeError("mine")

    model = cmlp.MLPClassifier(**SMALL, solver=solver, callbacks=fails, scoring=score)
    with pytest.raises(RuntimeError if who == "callbacks" else TypeError):
        model.fit(X, y, X_val=X, y_val=y)
    np.testing.assert_array_equal(model.predict_proba(X), best[1])


def test_a_warm_start_that_is_undone_leaves_the_solver_what_it_knew():
    X, y = load("iris")
    model = both(CLASSIFIER)[1]
    for _ in range(5):
        model.partial_fit(X, y, classes=[0, 1, 2])
    undone = copy.deepcopy(model).set_params(warm_start=True, scoring=mine, dropout=0.5, solver="sgd")
    with pytest.raises(KeyError, match="mine"):
        undone.fit(X, y, X_val=X, y_val=y)
    undone.set_params(warm_start=False, scoring=None, dropout=0.0, solver="adam")
    assert undone._network._engine.settings == model._network._engine.settings
    assert_same_state(state_of(model), state_of(undone))
    model.partial_fit(X, y), undone.partial_fit(X, y)
    assert_same_state(state_of(model), state_of(undone))


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_a_fit_that_is_undone_leaves_the_random_state_where_it_was(solver):
    X, y = load("iris")
    random = np.random.RandomState(3)
    model = both(CLASSIFIER, solver=solver, random_state=random)[1].set_params(scoring=mine)
    with pytest.raises(KeyError, match="mine"):
        model.fit(X, y, X_val=X, y_val=y)
    assert random.randint(2**31) == np.random.RandomState(3).randint(2**31)


@pytest.mark.parametrize("validated", [False, True])
def test_curves_that_a_callback_empties_are_no_sign_of_a_fit_without_an_epoch(validated):
    X, y = load("iris")

    def fails(state):
        heard.append(copy.deepcopy(state.model.coefs_))
        state.model.loss_curve_.clear()
        if len(heard) == 2:
            raise RuntimeError("mine")

    heard = []
    model = both(CLASSIFIER)[1].set_params(callbacks=fails, scoring="loss" if validated else None)
    with pytest.raises(RuntimeError, match="mine"):
        model.fit(X, y, **({"X_val": X, "y_val": y} if validated else {}))
    assert_same_arrays(model.coefs_, heard[1])


@pytest.mark.parametrize("validated", [False, True])
def test_callbacks_of_lbfgs_see_the_notes_of_the_iteration(validated):
    X, y = load("iris")
    heard, names = [], ("validation_scores_", "validation_loss_curve_", "best_validation_score_")

    def hears(state):
        model = state.model
        heard.append((model.n_iter_, model.loss_))
        assert heard[-1] == (state.epoch, state.loss)
        scores = [copy.copy(vars(model).get(name)) for name in names]
        if validated:
            assert len(scores[0]) == state.epoch
            assert (scores[0][-1], scores[1][-1]) == (state.validation_score, state.validation_loss)
            assert scores[2] == max(scores[0])
        else:
            assert scores == [None] * 3
        if state.epoch == 4:
            raise RuntimeError("mine")

    model = both(CLASSIFIER, solver="lbfgs")[1].set_params(callbacks=hears)
    with pytest.raises(RuntimeError, match="mine"):
        model.fit(X, y, **({"X_val": X, "y_val": y} if validated else {}))
    assert len(heard) == 4
    assert (model.n_iter_, model.loss_) == heard[-1]


# ---- copies -------------------------------------------------------------------------------------------


def by_joblib(model):
    file = io.BytesIO()
    joblib.dump(model, file)
    file.seek(0)
    return joblib.load(file)


COPIES = {
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "oldest pickle": lambda model: pickle.loads(pickle.dumps(model, protocol=2)),
    "joblib": by_joblib,
    "deepcopy": copy.deepcopy,
}
every_copy = pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)


@every_copy
@every_stochastic
@pytest.mark.parametrize("task", ["iris", "diabetes"])
def test_a_copy_goes_on_as_the_original(copied, solver, task):
    X, y, _ = of_task(task)
    model = ours(task, solver=solver, warm_start=True, max_iter=4)
    twin = copied(model)
    assert_same_state(state_of(model), state_of(twin))
    assert not any(np.shares_memory(a, b) for a, b in zip(model.coefs_, twin.coefs_, strict=True))
    for _ in range(2):
        model.partial_fit(X, y), twin.partial_fit(X, y)
        assert_same_state(state_of(model), state_of(twin))
    model.fit(X, y), twin.fit(X, y)
    assert_same_state(state_of(model), state_of(twin))
    np.testing.assert_array_equal(model.predict(X), twin.predict(X))


CARRIED = {
    "early stopping": {"early_stopping": True, "warm_start": True},
    "adaptive": {**SGD, "learning_rate": "adaptive", "warm_start": True},
    "invscaling": {**SGD, "learning_rate": "invscaling"},
    "cosine": {"learning_rate": "cosine"},
    "dropout": {"dropout": 0.3, "input_dropout": 0.1},
    "float32": {},
    "lbfgs": {"solver": "lbfgs", "warm_start": True},
}


@pytest.mark.parametrize("case", CARRIED)
def test_a_pickle_carries_all_that_training_needs(case):
    X, y = load("iris")
    X = X.astype(np.float32) if case == "float32" else X
    model = cmlp.MLPClassifier(**{**SMALL, "max_iter": 5, **CARRIED[case]})

    def train(model):
        model.fit(X, y) if model.warm_start else model.partial_fit(X, y, classes=[0, 1, 2])

    train(model), train(model)
    twin = pickle.loads(pickle.dumps(model))
    train(model), train(twin)
    assert_same_state(state_of(model), state_of(twin))


def test_a_pickle_holds_the_parameters_once():
    """And what Adam knows of each."""
    model = ours("digits", hidden_layer_sizes=(300,), max_iter=1)
    parameters = sum(a.nbytes for a in (*model.coefs_, *model.intercepts_))
    assert len(pickle.dumps(model)) < 3.2 * parameters
    fresh = pickle.dumps(clone(model))
    assert len(fresh) < 2000


@every_estimator
def test_a_clone_has_the_parameters_only(name):
    model = getattr(cmlp, name)(hidden_layer_sizes=[3, 4], dropout=[0.1, 0.2], max_iter=3).fit(*load("iris"))
    assert vars(clone(model)).keys() == model.get_params().keys()
    assert clone(model).get_params() == model.get_params()


# ---- refusals -----------------------------------------------------------------------------------------


def with_entry(X, value):
    X = X.copy()
    X[3, 1] = value
    return X


REFUSED = {
    "NaN in X": lambda m, X, y: m.fit(with_entry(X, np.nan), y),
    "infinity in X": lambda m, X, y: m.fit(with_entry(X, np.inf), y),
    "NaN in sparse X": lambda m, X, y: m.fit(sparse.csr_matrix(with_entry(X, np.nan)), y),
    "beyond float32": lambda m, X, y: m.fit(X.astype(np.float32), y, sample_weight=np.full(len(y), 1e300)),
    "text in X": lambda m, X, y: m.fit(with_entry(X.astype(object), "three"), y),
    "one axis": lambda m, X, y: m.fit(X[0], y),
    "three axes": lambda m, X, y: m.fit(X[None], y),
    "no samples": lambda m, X, y: m.fit(X[:0], y[:0]),
    "no features": lambda m, X, y: m.fit(X[:, :0], y),
    "another length of y": lambda m, X, y: m.fit(X, y[:-1]),
    "NaN in y": lambda m, X, y: m.fit(X, np.where(np.arange(len(y)) == 3, np.nan, y)),
    "three axes of y": lambda m, X, y: m.fit(X, np.zeros((len(y), 2, 2))),
    "no y": lambda m, X, y: m.fit(X, None),
    "negative weight": lambda m, X, y: m.fit(X, y, sample_weight=-np.ones(len(y))),
    "no weight": lambda m, X, y: m.fit(X, y, sample_weight=np.zeros(len(y))),
    "another length of weights": lambda m, X, y: m.fit(X, y, sample_weight=np.ones(3)),
    "X_val alone": lambda m, X, y: m.fit(X, y, X_val=X),
    "other features in X_val": lambda m, X, y: m.fit(X, y, X_val=X[:, :2], y_val=y),
    "NaN in X_val": lambda m, X, y: m.fit(X, y, X_val=with_entry(X, np.nan), y_val=y),
    "other features in a piece": lambda m, X, y: m.partial_fit(X[:, :2], y),
    "NaN in a piece": lambda m, X, y: m.partial_fit(with_entry(X, np.nan), y),
    "another length of a piece": lambda m, X, y: m.partial_fit(X, y[:-1]),
    "a piece with early stopping": lambda m, X, y: m.set_params(early_stopping=True).partial_fit(X, y),
    "a warm start with other widths": lambda m, X, y: m.set_params(warm_start=True, hidden_layer_sizes=2).fit(X, y),
    "a warm start with other features": lambda m, X, y: m.set_params(warm_start=True).fit(X[:, :2], y),
    "alpha": lambda m, X, y: m.set_params(alpha=-1).fit(X, y),
    "solver": lambda m, X, y: m.set_params(solver="newton").fit(X, y),
    "widths": lambda m, X, y: m.set_params(hidden_layer_sizes=(3, 0)).fit(X, y),
    "width": lambda m, X, y: m.set_params(hidden_layer_sizes=-1).fit(X, y),
    "activation": lambda m, X, y: m.set_params(activation="cosine").fit(X, y),
    "activations": lambda m, X, y: m.set_params(activation=["relu"] * 5).fit(X, y),
    "dropout": lambda m, X, y: m.set_params(dropout=[0.1] * 5).fit(X, y),
    "random_state": lambda m, X, y: m.set_params(random_state="x").fit(X, y),
    "too little to hold out": lambda m, X, y: m.set_params(early_stopping=True, warm_start=True).fit(X[:2], y[:2]),
    "scoring": lambda m, X, y: m.set_params(scoring="best", early_stopping=True).fit(X, y),
    "callbacks": lambda m, X, y: m.set_params(callbacks=[3], warm_start=True).fit(X, y),
}
FOR_CLASSIFIERS = {
    "another class in a piece": lambda m, X, y: m.partial_fit(X, y + 1),
    "other classes in a call": lambda m, X, y: m.partial_fit(X, y, classes=[0, 1, 5]),
    "a warm start with other classes": lambda m, X, y: m.set_params(warm_start=True).fit(X, y + 1),
    "values for classes": lambda m, X, y: m.fit(X, y + 0.5),
    "an unknown class in y_val": lambda m, X, y: m.fit(X, y, X_val=X, y_val=y + 1),
    "class_weight": lambda m, X, y: m.set_params(class_weight="heavy").fit(X, y),
}
REFUSALS = [(CLASSIFIER, *item) for item in {**REFUSED, **FOR_CLASSIFIERS}.items()]
REFUSALS += [(REGRESSOR, *item) for item in REFUSED.items()]


@pytest.mark.parametrize(("name", "case", "call"), REFUSALS, ids=[f"{n}: {c}" for n, c, _ in REFUSALS])
def test_a_refused_fit_leaves_the_estimator_as_it_was(name, case, call):
    X, y = load("iris")
    model = both(name, max_iter=3)[1].fit(X, y)
    twin, parameters, before = copy.deepcopy(model), model.get_params(), state_of(model)
    with pytest.raises((ValueError, TypeError)):
        call(model, X, y)
    model.set_params(**parameters)
    assert_same_state(before, state_of(model))
    np.testing.assert_array_equal(model.predict(X), twin.predict(X))
    model.partial_fit(X, y), twin.partial_fit(X, y)
    assert_same_state(state_of(model), state_of(twin))


@every_estimator
def test_what_is_refused_draws_nothing(name):
    X, y = load("iris")
    random = np.random.RandomState(3)
    model = both(name, random_state=random, max_iter=2)[1]
    for bad in ({"X_val": X[:, :2], "y_val": y}, {"sample_weight": -np.ones(len(X))}):
        with pytest.raises(ValueError, match=r"X_val|sample_weight"):
            model.fit(X, y, **bad)
    expected = both(name, random_state=np.random.RandomState(3), max_iter=2)[1].fit(X, y)
    np.testing.assert_array_equal(model.fit(X, y).coefs_[0], expected.coefs_[0])


@every_estimator
def test_weights_that_round_to_zero_are_named(name):
    X, y = load("iris")
    with pytest.raises(ValueError, match=r"^sample_weight is at most 1e-50, which is zero in float32: expected"):
        both(name)[1].fit(X.astype(np.float32), y, np.full(len(X), 1e-50))


WEIGHTS_OF_CLASSES = {
    "too small": (
        {0: 1e-50, 1: 0.0, 2: 0.0},
        None,
        "class_weight by sample is at most 1e-50, which is zero in float32",
    ),
    "too large": ({0: 1e50}, None, r"class_weight by sample\[0\]=1e\+50 \(too large for float32\)"),
    "times too large": ({0: 1e308}, 100.0, r"class_weight \* sample_weight\[0\]=inf: expected finite numbers"),
    "times too small": (
        dict.fromkeys(range(3), 1e-30),
        1e-30,
        r"class_weight \* sample_weight is at most 1e-60, which",
    ),
}


@pytest.mark.parametrize("case", WEIGHTS_OF_CLASSES)
def test_class_weights_beyond_the_precision_are_named(case):
    X, y = load("iris")
    X, (class_weight, weight, words) = X.astype(np.float32), WEIGHTS_OF_CLASSES[case]
    model = cmlp.MLPClassifier((3,), class_weight=class_weight, random_state=0)
    with pytest.raises(ValueError, match=f"^{words}"):
        model.fit(X, y, None if weight is None else np.full(len(y), weight))


def test_class_weights_beyond_the_precision_in_a_validation_set_are_named():
    X, y = load("iris")
    model = cmlp.MLPClassifier((3,), class_weight={0: 1e-50, 1: 1.0, 2: 1.0}, random_state=0)
    with pytest.raises(
        ValueError, match=r"^class_weight by sample is at most 1e-50, which is zero in float32: expected"
    ):
        model.fit(X.astype(np.float32), y, X_val=X[:9].astype(np.float32), y_val=y[:9])


ONLY_RARE, RARE = {0: 0, 1: 0, 2: 1}, np.r_[np.zeros(30, int), np.ones(28, int), 2, 2]


@pytest.mark.parametrize(
    ("weight", "named"), [(None, "class_weight by sample"), (np.ones(60), r"class_weight \* sample_weight")]
)
def test_weights_that_leave_a_part_without_any_are_named_by_what_they_are_made_of(weight, named):
    X = load("iris")[0][:60]
    model = cmlp.MLPClassifier((3,), early_stopping=True, class_weight=ONLY_RARE, random_state=0)
    words = "is zero for all the 54 samples to train on, or for all the 6 held out: expected a positive one in each"
    with pytest.raises(ValueError, match=f"^{named} {words} part, or X_val and y_val$"):
        model.fit(X, RARE, weight)
    model.set_params(early_stopping=False, class_weight=dict.fromkeys(range(3), 1e-320))
    with pytest.raises(ValueError, match=rf"^{named} has \S+ as its largest, and alpha=0\.0001 by that is too large"):
        model.fit(X, RARE, weight)


def test_classes_without_weight_in_a_part_of_the_samples_are_refused_by_its_name():
    X, y = load("iris")
    model = cmlp.MLPClassifier((3,), class_weight={2: 0}, random_state=0)
    words = "expected at least one positive weight"
    with pytest.raises(ValueError, match=f"^class_weight is zero for every class in y: {words}$"):
        model.partial_fit(X[y == 2], y[y == 2], classes=[0, 1, 2])
    with pytest.raises(ValueError, match=f"^class_weight is zero for every class in y_val: {words}$"):
        model.fit(X, y, X_val=X[y == 2], y_val=y[y == 2])


def test_label_smoothing_that_rounds_to_one_is_refused():
    almost = np.longdouble(1) - np.finfo(np.longdouble).eps / 2
    if float(almost) < 1:
        pytest.skip("long double is double")
    with pytest.raises(ValueError, match=r"^label_smoothing=.*: expected a finite number at least 0 and below 1$"):
        cmlp.MLPClassifier((3,), label_smoothing=almost).fit(*load("iris"))


def test_too_few_samples_to_hold_out_are_named():
    X, y = load("iris")
    with pytest.raises(
        ValueError, match=r"^validation_fraction: The test_size = 1 .*; expected one that leaves enough"
    ):
        cmlp.MLPClassifier(early_stopping=True).fit(X[48:52], y[48:52])


@pytest.mark.parametrize("kinds", [(np.int64, np.uint64), (np.uint64, np.int64), (np.int64, float), (float, np.int64)])
def test_labels_that_numpy_would_compare_as_floats_are_refused(kinds):
    X = np.random.default_rng(0).standard_normal((12, 4))
    known, other = (np.array([2**53, 2**53 + 2, 1] * 4).astype(kind) for kind in kinds)
    trained = cmlp.MLPClassifier(max_iter=2, random_state=0)
    refused = pytest.raises(
        ValueError, match=r"^y(_val)? has dtype \S+, the classes have \S+: expected the same beyond"
    )
    with refused:
        clone(trained).fit(X, known, X_val=X, y_val=other)
    trained.partial_fit(X, known, classes=np.unique(known))
    with refused:
        trained.partial_fit(X, other)
    small = (np.array([1, 3, 1] * 4).astype(kind) for kind in kinds)
    clone(trained).partial_fit(X, next(small), classes=[1, 3]).partial_fit(X, next(small))


def test_integers_in_lists_are_labels_as_they_are():
    X, y = load("iris")
    labels = (np.array([2**63, 2**63 + 1, 1], np.uint64)[y]).tolist()
    assert cmlp.MLPClassifier((3,), max_iter=1).fit(X, labels).classes_.tolist() == [1, 2**63, 2**63 + 1]
    with pytest.raises(ValueError, match=r"^classes has masked entries: expected none, fill or drop them first$"):
        cmlp.MLPClassifier((3,)).partial_fit(X, y, classes=[0, 1, np.ma.masked_array(2, True)])


@every_estimator
@pytest.mark.parametrize("make", [sparse.csr_matrix, sparse.coo_array])
def test_more_columns_than_32_bits_count_are_refused(name, make):
    wide = make((3, 2**31))
    with pytest.raises(ValueError, match=r"^X has shape \(3, 2147483648\): expected at most 2147483647 features"):
        both(name)[1].fit(wide, [0, 1, 1])


CHANGED = {
    "missing": (["a", np.nan, "b"], TypeError, "objects of type float, str"),
    "None": (["a", None, "b"], TypeError, "objects of type NoneType, str"),
    "numbers": (["a", 1, "b"], TypeError, "objects of type int, str"),
    "a null": (["a", "a\0", "b"], ValueError, "do not end in a null character"),
}


@pytest.mark.parametrize("case", CHANGED)
def test_labels_that_numpy_would_change_are_refused_in_pieces(case):
    given, error, words = CHANGED[case]
    X, good = load("iris")[0][:3], ["a", "b", "b"]
    with pytest.raises(error, match=f"^y holds .*{words}"):
        both(CLASSIFIER)[1].partial_fit(X, given, classes=["a", "b"])
    with pytest.raises(error, match=f"^classes holds .*{words}"):
        both(CLASSIFIER)[1].partial_fit(X, good, classes=given)


def test_labels_of_numpys_strings_and_objects():
    X, words = load("iris")[0][:4], np.array(["rose", "lily", "tulip", "rose"])
    numbers = np.array([3, 1, 2, 3])
    forms = [(numbers.astype(object), numbers)]
    if hasattr(getattr(np, "dtypes", None), "StringDType"):
        forms.append((words.astype(np.dtypes.StringDType()), words))
    options = {"batch_size": 4, "max_iter": 2}
    for y, plain in forms:
        expected = both(CLASSIFIER, **options)[1].fit(X, plain)
        for found in (
            both(CLASSIFIER, **options)[1].fit(X, y),
            both(CLASSIFIER, **options)[1].partial_fit(X, y, classes=y).partial_fit(X, y),
        ):
            np.testing.assert_array_equal(found.classes_, expected.classes_)
            np.testing.assert_array_equal(found.predict(X), expected.predict(X))


class OnlyAnArray:
    """What NumPy makes an array of, and nothing else is known of."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype)

    def __len__(self):
        return len(self.values)


FORMS_OF_LABELS = {
    "objects": lambda y: y.astype(object),
    "booleans as objects": lambda y: (y > 0).astype(object),
    "numbers as objects": lambda y: np.array([(0, 1.0)[i] for i in y], object),
    "large integers": lambda y: [(1, 2**63)[i] for i in y],
    "a column of objects": lambda y: y.astype(object).reshape(-1, 1),
    "NumPy's strings": lambda y: np.array(["a", "b"])[y].astype(np.dtypes.StringDType()),
    "a buffer": memoryview,
    "an array's interface": OnlyAnArray,
    "sparse indicators": lambda y: sparse.coo_matrix(np.stack([y, 1 - y], axis=1)),
}


@pytest.mark.filterwarnings("ignore:A column-vector y was passed")
@pytest.mark.parametrize("form", FORMS_OF_LABELS)
def test_labels_that_fit_takes_are_scored(form):
    if form == "NumPy's strings" and not hasattr(getattr(np, "dtypes", None), "StringDType"):
        pytest.skip("NumPy before 2")
    X, classes = load("iris")
    binary = (classes > 0).astype(int)
    y, weight = FORMS_OF_LABELS[form](binary), random_weights(len(X))
    model = both(CLASSIFIER, max_iter=3)[1].fit(X, y)
    wrong = model.predict(X) != (y.toarray() if sparse.issparse(y) else model.classes_[binary])  # ascending in all
    right = 1 - (wrong.any(axis=1) if wrong.ndim == 2 else wrong)
    assert model.score(X, y) == pytest.approx(right.mean())
    assert model.score(X, y, weight) == pytest.approx(np.average(right, weights=weight))
    model.set_params(scoring="accuracy").fit(X, y, X_val=X, y_val=y)
    assert model.validation_scores_[-1] == model.score(X, y)
    scored = [
        both(CLASSIFIER, max_iter=3, early_stopping=True)[1].set_params(scoring=scoring).fit(X, y)
        for scoring in (None, "accuracy")
    ]
    assert scored[0].validation_scores_ == pytest.approx(scored[1].validation_scores_)


@every_estimator
@pytest.mark.parametrize("form", [OnlyAnArray, memoryview, np.ndarray.tolist])
def test_samples_that_fit_takes_are_scored(name, form):
    X, y = load("iris")
    scoring = "accuracy" if name == CLASSIFIER else "r2"
    models = [both(name, early_stopping=True, max_iter=3)[1].set_params(scoring=scoring) for _ in range(2)]
    models[0].fit(form(X), form(y)), models[1].fit(X, y)
    assert models[0].validation_scores_ == models[1].validation_scores_


@pytest.mark.parametrize(("dtype", "labels"), [("Int64", [3, 7, 3]), ("boolean", [False, True, False])])
def test_classes_of_nullable_types_are_what_they_were(dtype, labels):
    pandas = pytest.importorskip("pandas")
    model = both(CLASSIFIER, batch_size=3, max_iter=2)[1].fit(load("iris")[0][:3], pandas.array(labels, dtype=dtype))
    assert model.classes_.tolist() == sorted(set(labels))
    assert model.classes_.dtype.kind == {"Int64": "i", "boolean": "b"}[dtype]


@every_estimator
def test_a_refused_first_fit_leaves_nothing(name):
    X, y = load("iris")
    model = both(name)[1]
    calls = [REFUSED[case] for case in ("NaN in X", "NaN in y", "X_val alone", "no weight", "NaN in a piece")]
    for call in calls:
        with pytest.raises(ValueError):  # noqa: PT011 (of all kinds)
            call(model, X, y)
        assert vars(model) == model.get_params()
        with pytest.raises(NotFittedError):
            model.predict(X)


@every_estimator
@pytest.mark.parametrize("copied", [copy.copy, lambda it: pickle.loads(pickle.dumps(it))])
def test_parameters_that_are_assigned_before_any_fit_fit_nothing(name, copied):
    X, y = load("iris")
    model = both(name)[1]
    model.coefs_, model.intercepts_ = [np.ones((X.shape[1], 1))], [np.ones(1)]
    for each in (model, copied(model)):
        for call in (each.predict, lambda X, each=each: each.score(X, y)):
            with pytest.raises(NotFittedError):
                call(X)
    assert copied(model).coefs_[0].shape == (X.shape[1], 1)
    assert_same_arrays(model.fit(X, y).coefs_, both(name)[1].fit(X, y).coefs_)


DIVERGING = {
    "sgd": {"solver": "sgd", "learning_rate_init": 1e30},
    "large values": {"solver": "sgd", "activation": "identity"},
    "lbfgs": {"solver": "lbfgs", "activation": "identity"},
}


@pytest.mark.parametrize("case", DIVERGING)
def test_a_diverging_fit_is_a_value_error_and_leaves_finite_parameters(case):
    X, y, name = of_task("diabetes")
    X = X if case == "sgd" else X * 1e160
    model = both(name, **DIVERGING[case])[1]
    with pytest.raises(ValueError, match="Solver produced non-finite parameter weights") as caught:
        model.fit(X, y)
    assert isinstance(caught.value, cmlp.DivergenceError)
    assert all(np.isfinite(a).all() for a in (*model.coefs_, *model.intercepts_))
    assert model.predict(X[:5]).shape == (5,)
    assert fitted_attributes(model) >= {"n_iter_", "loss_", "n_layers_", "n_outputs_", "n_features_in_"}


def test_a_diverging_piece_leaves_finite_parameters():
    X, y, _ = of_task("diabetes")
    model = ours("diabetes", **SGD)
    with pytest.raises(cmlp.DivergenceError):
        model.partial_fit(X, 1e300 * y)
    assert np.isfinite(model.predict(X)).all()
    assert model.fit(X, y).score(X, y) > 0.3


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # overflow in scikit-learn
def test_a_diverging_fit_with_early_stopping_restores_the_best():
    """As scikit-learn, which goes on to count epochs with NaN."""
    X, y, name = of_task("diabetes")
    estimators = both(name, solver="sgd", activation="identity", learning_rate_init=0.1, early_stopping=True)
    theirs, mine = (estimator.fit(X, y) for estimator in estimators)
    assert np.isnan(theirs.validation_scores_[-1])
    assert np.isnan(mine.validation_scores_[-1])
    assert mine.best_validation_score_ == np.nanmax(mine.validation_scores_)
    assert mine.best_validation_score_ == pytest.approx(theirs.best_validation_score_, rel=1e-9)
    np.testing.assert_allclose(mine.predict(X), theirs.predict(X), rtol=1e-9)


# ---- malformed sparse matrices ------------------------------------------------------------------------


def malformed(change):
    def make(container):
        X = container(of_task("sparse")[0])
        change(X)
        return X

    return make


def put(array, index, value):
    return lambda X: getattr(X, array).__setitem__(index, value)


def cut(array):
    return lambda X: setattr(X, array, getattr(X, array)[:-5])


MALFORMED = {
    "an index beyond": put("indices", 7, 10**8),
    "an index one beyond": put("indices", 7, 500),
    "a negative index": put("indices", 7, -1),
    "a very negative index": put("indices", 7, -(10**8)),
    "a start beyond": put("indptr", 5, 10**8),
    "a falling start": put("indptr", 5, 0),
    "a negative start": put("indptr", 5, -(10**8)),
    "a first start": put("indptr", 0, 1),
    "a last start beyond": put("indptr", -1, 10**8),
    "too few entries": cut("data"),
    "too few indices": cut("indices"),
    "too few starts": cut("indptr"),
}
SPARSE_CALLS = {
    "fit": lambda m, S, X, y: m.fit(S, y),
    "partial_fit": lambda m, S, X, y: m.partial_fit(S, y),
    "predict": lambda m, S, X, y: m.predict(S),
    "predict_proba": lambda m, S, X, y: m.predict_proba(S),
    "score": lambda m, S, X, y: m.score(S, y),
    "X_val": lambda m, S, X, y: m.fit(X, y, X_val=S, y_val=y),
}


@pytest.mark.parametrize("container", [sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array])
@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_sparse_matrix_is_refused(container, case):
    X, y, _ = of_task("sparse")
    model = ours("sparse", max_iter=1)
    before = model.predict_proba(X)
    for call in SPARSE_CALLS.values():
        with pytest.raises(ValueError, match="is a malformed sparse matrix"):
            call(model, malformed(MALFORMED[case])(container), X, y)
    np.testing.assert_array_equal(model.predict_proba(X), before)


@pytest.mark.parametrize("axes", [1, 3])
def test_sparse_arrays_of_other_than_two_axes_are_refused(axes):
    X, y, _ = of_task("sparse")
    S = sparse.coo_array(np.ones((2,) * axes))
    model = ours("sparse", max_iter=1)
    expected = r"is a sparse array of shape \(.*\): expected two axes, with a row for each sample$"
    for call in (*SPARSE_CALLS.values(), lambda m, S, X, y: m.fit(X, S)):
        with pytest.raises(ValueError, match=expected):
            call(model, S, X, y)


COO = """
import numpy as np, cmlp
from scipy import sparse
X, y = np.eye(6), np.arange(6) % 2
model = cmlp.MLPClassifier(3, max_iter=1).fit(X, y)
for value in (-1, 6, 10**8, -10**8):
    S = sparse.coo_matrix(X)
    S.{axis}[2] = value
    for call in (lambda: model.predict(S), lambda: model.fit(S, y), lambda: model.fit(X, y, X_val=S, y_val=y)):
        try:
            call()
        except ValueError as error:
            print("refused:", error)
"""


@pytest.mark.parametrize("axis", ["row", "col"])
def test_malformed_coordinates_are_refused(axis):
    """In a process of its own: SciPy's conversion to rows does not look where it writes."""
    run = in_a_process("-W", "ignore", "-c", COO.format(axis=axis))
    assert run.stdout.count("is a malformed sparse matrix") == 12, (run.returncode, run.stdout, run.stderr)


def in_a_process(*arguments):
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=120)


# ---- the rest of scikit-learn -------------------------------------------------------------------------


def grid(backend):
    def search(model, X, y):
        search = GridSearchCV(model, {"solver": ["sgd", "adam"]}, cv=2, n_jobs=2)
        with joblib.parallel_backend(backend):
            search.fit(X, y)
        return [*search.cv_results_["mean_test_score"], *search.best_estimator_.predict_proba(X).ravel()]

    return search


def voted(model, X, y):
    members = [("a", model), ("b", clone(model).set_params(solver="sgd"))]
    return VotingClassifier(members, voting="soft").fit(X, y).predict_proba(X)


def calibrated(model, X, y):
    return CalibratedClassifierCV(model, cv=3).fit(X, y).predict_proba(X)


def piped(model, X, y):
    pipe = make_pipeline(StandardScaler(), model).fit(X + 3, y)
    return [pipe.score(X + 3, y), *pipe.predict_proba(X + 3).ravel()]


def cross_predicted(model, X, y):
    return cross_val_predict(model, X, y, method="predict_proba")


def permuted(model, X, y):
    return permutation_importance(model.fit(X, y), X, y, n_repeats=3, random_state=0).importances


def learned(model, X, y):
    return np.concatenate(learning_curve(model, X, y, cv=3, shuffle=True, random_state=0)[1:])


def learned_in_pieces(model, X, y):
    curves = learning_curve(model, X, y, cv=3, shuffle=True, random_state=0, exploit_incremental_learning=True)
    return np.concatenate(curves[1:])


TOOLS = [grid("loky"), grid("threading"), voted, calibrated, piped, cross_predicted, permuted, learned]
TOOLS += [learned_in_pieces]
TOOL_NAMES = ["grid, loky", "grid, threading", *(tool.__name__ for tool in TOOLS[2:])]


@pytest.mark.parametrize("tool", TOOLS, ids=TOOL_NAMES)
def test_tools_of_scikit_learn_find_the_same(tool):
    X, y = load("iris")
    theirs, mine = (tool(model, X, y) for model in both(CLASSIFIER, batch_size="auto"))
    np.testing.assert_allclose(mine, theirs, rtol=1e-8, atol=1e-12)


def test_a_regressor_in_a_grid():
    X, y, name = of_task("diabetes")
    scores = [
        GridSearchCV(model, {"hidden_layer_sizes": [3, (4, 4)]}, cv=3).fit(X, y).cv_results_["mean_test_score"]
        for model in both(name)
    ]
    np.testing.assert_allclose(scores[0], scores[1], rtol=1e-8)


@since_1_7
def test_sample_weights_find_their_way_through_a_pipeline():
    X, y, name = of_task("iris")
    weight = random_weights(len(X))
    with sklearn.config_context(enable_metadata_routing=True):
        theirs, mine = (
            Pipeline([
                ("scale", StandardScaler().set_fit_request(sample_weight=True)),
                ("mlp", model.set_fit_request(sample_weight=True).set_score_request(sample_weight=True)),
            ]).fit(X, y, sample_weight=weight)
            for model in both(name)
        )  # fmt: skip
        assert_same_fit(theirs["mlp"], mine["mlp"], theirs[:-1].transform(X))
        assert mine.score(X, y, sample_weight=weight) == pytest.approx(theirs.score(X, y, sample_weight=weight))
        unasked = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), both(name)[1])
        with pytest.raises(ValueError, match=r"not explicitly set as requested or not requested for MLPC"):
            unasked.fit(X, y, sample_weight=weight)


def test_a_validation_set_finds_its_way_through_a_pipeline():
    """Scaled as X is, by transform_input."""
    X, y, name = of_task("iris")
    X = 5 * X + 1
    with sklearn.config_context(enable_metadata_routing=True):
        model = both(name)[1].set_fit_request(X_val=True, y_val=True)
        pipe = Pipeline([("scale", StandardScaler()), ("mlp", model)], transform_input=["X_val"])
        pipe.fit(X[::2], y[::2], X_val=X[1::2], y_val=y[1::2])
    scaler = StandardScaler().fit(X[::2])
    alone = both(name)[1].fit(scaler.transform(X[::2]), y[::2], None, scaler.transform(X[1::2]), y[1::2])
    assert pipe["mlp"].validation_scores_ == alone.validation_scores_


@every_estimator
def test_html_shows_the_estimator(name):
    model = both(name, max_iter=2)[1]
    for each in (model, model.fit(*load("iris"))):
        assert name in each._repr_html_()
        assert name in sklearn.utils.estimator_html_repr(make_pipeline(StandardScaler(), each))
        assert {"text/plain", "text/html"} <= each._repr_mimebundle_().keys()
    assert repr(getattr(cmlp, name)(alpha=0.5)) == f"{name}(alpha=0.5)"


@every_estimator
def test_a_model_that_transforms_nothing_has_no_set_output(name):
    theirs, mine = both(name)
    assert not hasattr(mine, "set_output")
    assert not hasattr(theirs, "set_output")
    pipe = make_pipeline(StandardScaler(), mine)
    pytest.importorskip("pandas")
    pipe[:-1].set_output(transform="pandas")
    assert pipe.fit(*load("iris"))[-1].feature_names_in_.tolist() == [f"x{i}" for i in range(4)]


# ---- tables with names --------------------------------------------------------------------------------


NAMES = ["a", "b", "c", "d"]


@pytest.fixture(params=["pandas", "polars"])
def frame(request):
    """A function that gives a table its names."""
    library = pytest.importorskip(request.param)

    def frame(X, names=NAMES):
        return library.DataFrame(dict(zip(names, np.asarray(X).T, strict=True)))

    if not hasattr(StandardScaler().fit(frame(np.eye(4))), "feature_names_in_"):
        pytest.skip("the two versions of the libraries do not know each other's names")
    return frame


def refusal(call, *arguments):
    with pytest.raises(ValueError, match=r"feature names|Complex data") as refused:
        call(*arguments)
    return str(refused.value)


@every_estimator
@pytest.mark.parametrize("argument", ["X", "y"])
def test_a_refusal_does_not_print_the_data(name, argument):
    X, y = load("iris")
    given = {"X": X, "y": y, argument: np.full((len(X), 600), 1 / 3 + 1j)}
    model = getattr(cmlp, name)(max_iter=1).fit(X, y)
    for call in (model.score, model.partial_fit, model.fit):
        said = refusal(call, given["X"], given["y"])
        assert said.startswith(argument)
        assert len(said) < 100


@every_estimator
@pytest.mark.parametrize("options", [{}, {"early_stopping": True}], ids=["", "early stopping"])
def test_names_of_features_are_kept_and_held_to(frame, name, options):
    X, y = load("iris")
    theirs, mine = (model.fit(frame(X), y) for model in both(name, **options))
    assert mine.feature_names_in_.tolist() == NAMES
    assert_same_fit(theirs, mine, frame(X))
    with pytest.warns(UserWarning, match=f"X does not have valid feature names, but {name} was fitted with"):
        np.testing.assert_array_equal(mine.predict(X), mine.predict(frame(X)))
    for names in (NAMES[::-1], ["a", "b", "c", "z"]):
        said = [refusal(model.predict, frame(X, names)) for model in (theirs, mine)]
        assert said[0] == said[1]
    mine.fit(X, y)
    assert not hasattr(mine, "feature_names_in_")
    with pytest.warns(UserWarning, match=f"X has feature names, but {name} was fitted without feature names"):
        mine.predict(frame(X))


@every_estimator
@pytest.mark.parametrize("how", ["held out", "X_val"])
def test_scorers_get_tables_as_they_are(frame, name, how):
    X, y = load("iris")
    heard = []

    def score(model, X, y):
        heard.append((list(X.columns), type(y)))
        return model.score(X, y)

    model = both(name, early_stopping=True, max_iter=2)[1].set_params(scoring=score)
    model.fit(frame(X), y, **({"X_val": frame(X), "y_val": y} if how == "X_val" else {}))
    assert heard == [(NAMES, np.ndarray)] * 2


def test_pieces_are_held_to_the_names(frame):
    X, y = load("iris")
    model = both(CLASSIFIER)[1].partial_fit(frame(X), y, classes=[0, 1, 2]).partial_fit(frame(X), y)
    with pytest.raises(ValueError, match="The feature names should match"):
        model.partial_fit(frame(X, NAMES[::-1]), y)
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        model.partial_fit(X, y)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_labels_come_as_a_column_of_a_table(library):
    library = pytest.importorskip(library)
    X, y, name = of_task("iris")
    theirs, mine = (model.fit(X, library.Series(y)) for model in both(name, early_stopping=True))
    assert_same_fit(theirs, mine, X)


# ---- words --------------------------------------------------------------------------------------------


BAD_CALLS = {
    "not fitted": lambda m, X, y: m.predict(X),
    "other features": lambda m, X, y: m.fit(X, y).predict(X[:, :2]),
    "one axis": lambda m, X, y: m.fit(X, y).predict(X[0]),
    "no axis": lambda m, X, y: m.fit(X, y).predict(3.0),
    "NaN to predict": lambda m, X, y: m.fit(X, y).predict(with_entry(X, np.nan)),
    "infinity to predict": lambda m, X, y: m.fit(X, y).predict(with_entry(X, np.inf)),
    "text to predict": lambda m, X, y: m.fit(X, y).predict([["a", "b", "c", "d"]]),
    "nothing to predict": lambda m, X, y: m.fit(X, y).predict(X[:0]),
    "complex to predict": lambda m, X, y: m.fit(X, y).predict(X + 1j),
    "NaN in X": REFUSED["NaN in X"],
    "one axis of X": REFUSED["one axis"],
    "another length": REFUSED["another length of y"],
    "no y": REFUSED["no y"],
    "alpha": REFUSED["alpha"],
    "widths": REFUSED["widths"],
    "width": REFUSED["width"],
    "batch size": lambda m, X, y: m.set_params(batch_size=0).fit(X, y),
    "learning rate": lambda m, X, y: m.set_params(learning_rate_init=0).fit(X, y),
    "momentum": lambda m, X, y: m.set_params(momentum=2).fit(X, y),
    "max_iter": lambda m, X, y: m.set_params(max_iter=0).fit(X, y),
    "shuffle": lambda m, X, y: m.set_params(shuffle="yes").fit(X, y),
    "unknown parameter": lambda m, X, y: m.set_params(width=3),
    "a piece with early stopping": lambda m, X, y: m.set_params(early_stopping=True).fit(X, y).partial_fit(X, y),
    "too little to hold out": lambda m, X, y: m.set_params(early_stopping=True, batch_size=1).fit(X[-2:], y[-2:]),
    "other features in a piece": lambda m, X, y: m.fit(X, y).partial_fit(X[:, :2], y),
}
BAD_CALLS_OF_CLASSIFIERS = {
    "values for classes": FOR_CLASSIFIERS["values for classes"],
    "no classes": lambda m, X, y: m.partial_fit(X, y),
    "another class in a piece": lambda m, X, y: m.partial_fit(X, y, classes=[0, 1]),
    "a warm start with other classes": lambda m, X, y: m.set_params(warm_start=True).fit(X, y).fit(X, y > 0),
}
WORDED = [(CLASSIFIER, *item) for item in {**BAD_CALLS, **BAD_CALLS_OF_CLASSIFIERS}.items()]
WORDED += [(REGRESSOR, *item) for item in BAD_CALLS.items()]


@pytest.mark.parametrize(("name", "case", "call"), WORDED, ids=[f"{n}: {c}" for n, c, _ in WORDED])
def test_errors_are_worded_as_scikit_learns(name, case, call):
    if case == "too little to hold out" and VERSION < (1, 7):
        pytest.skip("new in scikit-learn 1.7")
    errors = []
    for model in both(name, max_iter=2):
        with pytest.raises((ValueError, TypeError)) as caught:
            call(model, *load("iris"))
        errors.append(caught.value)
    theirs, mine = errors
    assert isinstance(mine, type(theirs))
    if case != "unknown parameter":  # whose message lists all there are
        assert str(theirs).split("\n[[")[0][:500] in str(mine)  # which names the argument and prints no data


@every_estimator
def test_lbfgs_has_no_partial_fit(name):
    """Nor has scikit-learn's classifier; its regressor fails in the call."""
    model = both(name, solver="lbfgs")[1]
    assert not hasattr(model, "partial_fit")
    with pytest.raises(AttributeError, match="partial_fit"):
        model.partial_fit(*load("iris"))


WARNED = {
    "max_iter": ({}, ConvergenceWarning),
    "max_iter of sgd": (SGD, ConvergenceWarning),
    "clipped batches": ({"batch_size": 1000, "tol": 100.0, "n_iter_no_change": 1, "max_iter": 100}, UserWarning),
    "lbfgs": ({"solver": "lbfgs", "max_iter": 3}, ConvergenceWarning),
}


@pytest.mark.filterwarnings("default")
@every_estimator
@pytest.mark.parametrize("case", WARNED)  # of lbfgs the kind only: SciPy words it, from version to version
def test_warnings_are_scikit_learns(name, case):
    options, category = WARNED[case]
    heard = []
    for model in both(name, **options):
        with pytest.warns(category) as caught:
            model.fit(*load("iris"))
        heard.append(
            [
                (w.category, options.get("solver") == "lbfgs" or str(w.message))
                for w in caught
                if w.category is not DeprecationWarning
            ]
        )
    assert heard[0] == heard[1]


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("options", [{}, {"batch_size": 1000}, {"solver": "lbfgs", "max_iter": 2}])
def test_warnings_point_at_the_line_that_called_fit(options):
    with pytest.warns(Warning, match=r"(?i)iterations|clipped") as caught:
        both(CLASSIFIER, **options)[1].fit(*load("iris"))
    assert {w.filename for w in caught} == {__file__}


@pytest.mark.parametrize("options", [SGD, {"early_stopping": True}, {**SGD, "learning_rate": "adaptive"}])
def test_verbose_prints_what_scikit_learn_does(options, capsys):
    printed = []
    for model in both(CLASSIFIER, verbose=True, tol=0.05, n_iter_no_change=1, **{**options, "max_iter": 60}):
        model.fit(*load("iris"))
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
    assert "Iteration 1, loss = " in printed[0]


# ---- without scikit-learn -----------------------------------------------------------------------------


WITHOUT = """
import sys
sys.modules["sklearn"] = None
import cmlp
assert "MLPClassifier" in dir(cmlp)
for name in ("MLPClassifier", "MLPRegressor"):
    try:
        getattr(cmlp, name)
    except ImportError as error:
        assert f"cmlp.{name} needs scikit-learn" in str(error), error
    else:
        raise AssertionError(name)
print(cmlp.fit([[0.0], [1.0]], ["a", "b"], max_iter=200, learning_rate_init=0.1).predict([[0.0], [1.0]]).tolist())
"""


def test_all_but_the_estimators_works_without_scikit_learn():
    run = in_a_process("-W", "error", "-c", WITHOUT)
    assert run.stdout == "['a', 'b']\n", run.stderr


def test_cmlp_does_not_import_scikit_learn_unasked():
    assert in_a_process("-c", "import sys, cmlp; print('sklearn' in sys.modules)").stdout == "False\n"


def test_they_are_the_classes_of_cmlp_estimators():
    from cmlp import estimators

    assert (cmlp.MLPClassifier, cmlp.MLPRegressor) == (estimators.MLPClassifier, estimators.MLPRegressor)
    assert issubclass(cmlp.MLPClassifier, ClassifierMixin)
    assert issubclass(cmlp.MLPRegressor, RegressorMixin)


# ---- what is easily lost -------------------------------------------------------------------------------


def test_malformed_lists_are_refused():
    X, y, _ = of_task("iris")
    rows = sparse.lil_matrix(X)
    rows.rows[0] = [X.shape[1] + 5] * len(rows.rows[0])
    with pytest.raises(ValueError, match="malformed"):
        cmlp.MLPClassifier((3,), max_iter=1).fit(rows, y)


def test_a_refused_piece_leaves_the_solver_as_it_was():
    X, y, _ = of_task("iris")
    X = X.astype(np.float32)
    disturbed, other = (cmlp.MLPClassifier((5,), random_state=0) for _ in range(2))
    for estimator in (disturbed, other):
        for _ in range(3):
            estimator.partial_fit(X, y, classes=np.unique(y))
    with pytest.raises(ValueError, match="learning_rate"):
        disturbed.set_params(learning_rate_init=1e300).partial_fit(X, y)
    disturbed.set_params(learning_rate_init=other.learning_rate_init)
    for estimator in (disturbed, other):
        estimator.partial_fit(X, y)
    np.testing.assert_array_equal(disturbed.coefs_[0], other.coefs_[0])


def test_indicators_are_refused_where_labels_were_fitted():
    X, y, _ = of_task("iris")
    one_hot = np.eye(3, dtype=int)[y]
    with pytest.raises(ValueError, match=r"^y(_val)? has shape \(150, 3\)"):
        cmlp.MLPClassifier((3,), max_iter=1).partial_fit(X, y, classes=[0, 1, 2]).partial_fit(X, one_hot)
    with pytest.raises(ValueError, match=r"^y(_val)? has shape \(150, 3\)"):
        cmlp.MLPClassifier((3,), max_iter=1).fit(X, y, X_val=X, y_val=one_hot)


def test_balanced_weights_are_refused_for_pieces():
    X, y, _ = of_task("iris")
    with pytest.raises(ValueError, match=r"class_weight='balanced' is not for partial_fit"):
        cmlp.MLPClassifier((3,), class_weight="balanced").partial_fit(X, y, classes=np.unique(y))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_warm_start_without_validation_tells_of_none():
    X, y, _ = of_task("iris")
    states = []
    mlp = cmlp.MLPClassifier((3,), max_iter=2, early_stopping=True, warm_start=True, callbacks=states.append).fit(X, y)
    mlp.set_params(early_stopping=False).fit(X, y)
    assert [state.validation_score is None for state in states] == [False, False, True, True]
    assert mlp.best_loss_ is not None


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_lbfgs_shows_no_curves_of_an_earlier_fit():
    X, y, _ = of_task("iris")
    for options in ({}, {"warm_start": True}, {"warm_start": True, "early_stopping": True}):
        mlp = cmlp.MLPClassifier((3,), max_iter=3, **options).fit(X, y).set_params(solver="lbfgs").fit(X, y)
        for name in ("loss_curve_", "best_loss_", "validation_scores_", "validation_loss_curve_"):
            assert not hasattr(mlp, name)
        assert not hasattr(mlp, "best_validation_score_")
        assert mlp.t_ == 0
        mlp.set_params(solver="adam").fit(X, y)
        assert len(mlp.loss_curve_) == mlp.n_iter_ == 3
        assert mlp.t_ in (3 * len(X), 3 * (len(X) - 15))


def test_dropout_that_comes_later_is_drawn_by_the_random_state():
    X, y, _ = of_task("iris")
    seeds = set()
    for seed in (1, 2):
        mlp = cmlp.MLPClassifier((9,), random_state=seed).partial_fit(X, y, classes=np.unique(y))
        mlp.set_params(dropout=0.5).partial_fit(X, y)
        seeds.add(mlp._optimizer.seed)
    assert len(seeds) == 2
    assert 0 not in seeds


@pytest.mark.skipif(VERSION < (1, 9), reason="scikit-learn has no callbacks")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("options", [{"tol": 10.0, "n_iter_no_change": 2}, {"solver": "lbfgs"}, {"max_iter": 3}])
def test_scikit_learns_callbacks_hear_the_end_of_what_begins(options):
    heard = []

    class Ear:
        def setup(self, estimator, context):
            pass

        def teardown(self, estimator, context):
            pass

        def on_fit_task_begin(self, estimator, context):
            heard.append("begin")

        def on_fit_task_end(self, estimator, context):
            heard.append("end")

    X, y, _ = of_task("iris")
    mlp = cmlp.MLPClassifier((3,), **{"max_iter": 20, **options})
    mlp.set_callbacks(Ear()).fit(X, y)
    assert heard.count("begin") == heard.count("end") == mlp.n_iter_ + 1


@pytest.mark.skipif(VERSION < (1, 9), reason="scikit-learn has no callbacks")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("callbacks", [None, lambda state: None], ids=["alone", "beside ours"])
def test_training_goes_on_from_what_scikit_learns_callbacks_assign(callbacks):
    class Filler:
        def setup(self, estimator, context):
            self.epochs = 0

        def teardown(self, estimator, context):
            pass

        def on_fit_task_begin(self, estimator, context):
            pass

        def on_fit_task_end(self, estimator, context):
            self.epochs += 1
            if self.epochs == 1:
                estimator.coefs_ = [np.full_like(a, 0.25) for a in estimator.coefs_]

    X, y, _ = of_task("iris")
    model, same = (cmlp.MLPClassifier((3,), max_iter=3, random_state=0) for _ in range(2))
    model.set_params(callbacks=callbacks).set_callbacks(Filler()).fit(X, y)
    same.set_params(callbacks=lambda state: state.epoch == 1 and [a.fill(0.25) for a in state.model.coefs_] and None)
    assert_same_arrays(model.coefs_, same.fit(X, y).coefs_)


def test_assigned_arrays_are_taken_over_once():
    X, y, name = of_task("iris")
    model = both(name)[1].fit(X, y)
    model.coefs_[0] = 2 * model.coefs_[0]
    given = model.coefs_[0]
    first = model.predict_proba(X)
    assert model.coefs_[0] is not given  # but a view of the network
    network = model._network
    np.testing.assert_array_equal(model.predict_proba(X), first)
    assert model._network is network
    given *= 10
    np.testing.assert_array_equal(model.predict_proba(X), first)


@every_container
def test_sparse_rows_of_any_format_are_validated_by_a_scorer(container):
    X, y, name = of_task("sparse")
    models = [both(name, early_stopping=True, max_iter=3)[1].set_params(scoring="accuracy") for _ in range(2)]
    models[0].fit(container(X), y), models[1].fit(X, y)
    assert models[0].validation_scores_ == models[1].validation_scores_
