"""Estimators for scikit-learn, in place of those of sklearn.neural_network; the only package that imports sklearn."""

from .classifier import MLPClassifier
from .regressor import MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]
