"""What is measured: each function takes a Run and adds to its results."""

from __future__ import annotations

from collections.abc import Callable

from .estimators import estimators
from .growth import growth
from .run import Plan, Run
from .speed import inference_of_many, inference_of_one, minibatches, single_samples
from .threads import threads
from .whole import imports, whole_fit

__all__ = ["WORKLOADS", "Plan", "Run"]

WORKLOADS: dict[str, tuple[str, Callable[[Run], None]]] = {
    "W1": ("SGD with batch size 1", single_samples),
    "W2": ("SGD and Adam with batches of 32 and 256", minibatches),
    "W3": ("inference of one sample, called from Python", inference_of_one),
    "W4": ("inference of 10,000 rows", inference_of_many),
    "W5": ("a whole fit of digits to a set accuracy", whole_fit),
    "W6": ("import time and installed size", imports),
    "W7": ("cost against depth, width, rows and batch size", growth),
    "W8": ("two threads in training, four in inference", threads),
    "W9": ("the estimators against scikit-learn's", estimators),
}
