"""scikit-learn's own tests, on cmlp's estimators; `python tests/sklearn_suite.py` runs the same without pytest."""

import re

import pytest

pytest.importorskip("sklearn", minversion="1.6")

from sklearn.utils.estimator_checks import parametrize_with_checks

import sklearn_suite as suite


@pytest.mark.skipif(suite.test_file() is None, reason="scikit-learn is installed without its tests")
def test_scikit_learns_test_mlp():
    run = suite.run_test_file()
    assert run.returncode == 0, run.stdout + run.stderr
    passed = re.search(r"(\d+) passed", run.stdout)
    assert passed, run.stdout
    assert int(passed[1]) > 50


# Many checks stop long before convergence, and some pass batch sizes beyond their few samples.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(suite.estimators())
def test_scikit_learns_check_estimator(estimator, check):
    check(estimator)


SOURCES = {
    "from sklearn.neural_network import MLPClassifier, MLPRegressor": "from cmlp import MLPClassifier, MLPRegressor",
    "from sklearn.neural_network import (\n    BernoulliRBM,  # not ours\n    MLPClassifier as M,\n)": (
        "from cmlp import MLPClassifier as M\nfrom sklearn.neural_network import BernoulliRBM"
    ),
    "from sklearn.neural_network._multilayer_perceptron import MLPRegressor, _pack": (
        "from cmlp import MLPRegressor\nfrom sklearn.neural_network._multilayer_perceptron import _pack"
    ),
}


@pytest.mark.parametrize("source", SOURCES)
def test_imports_of_the_two_classes_are_replaced(source):
    assert suite.with_cmlps_classes(source + "\n") == SOURCES[source] + "\n" + suite.GUARD


def test_a_file_without_them_is_refused():
    with pytest.raises(ValueError, match="no import"):
        suite.with_cmlps_classes("import sklearn\n")
