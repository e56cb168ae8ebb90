"""Cases with faults, to see that they are found."""

import ctypes
import os
import time

import numpy as np

import hostile
from hostile import HAS, NET, Refused, Works, X, nothing


def raising(error):
    def call(_):
        raise error

    return call


def spoiling(net):
    net.parameters[3] += 1
    raise ValueError("alpha")


def spoiling_input(_):
    X[0, 0] += 1
    raise ValueError("alpha")


RANDOM = np.random.RandomState(0)


def using_up(_):
    RANDOM.randint(3)
    raise ValueError("alpha")


def spoiling_history(estimator):
    estimator._history.stalled += 1
    raise ValueError("alpha")


def spoiling_optimizer(estimator):
    estimator._optimizer.learning_rate *= 2
    raise ValueError("alpha")


CASES = [
    Refused("crash", nothing, lambda _: ctypes.string_at(8), ValueError),
    Refused("abort", nothing, lambda _: os.abort(), ValueError),
    Refused("exit", nothing, lambda _: os._exit(3), ValueError),
    Refused("hang", nothing, lambda _: time.sleep(60), ValueError),
    Works("exception", nothing, lambda _: 1 / 0, lambda _: 1),
    Refused("not refused", nothing, lambda _: 3, ValueError),
    Refused("other words", nothing, raising(ValueError("beta")), ValueError, "alpha"),
    Refused("other error", nothing, raising(TypeError("alpha")), ValueError, "alpha"),
    Refused("changed", NET, spoiling, ValueError, "alpha"),
    Refused("input changed", nothing, spoiling_input, ValueError, "alpha"),
    Refused("random numbers drawn", nothing, using_up, ValueError, "alpha"),
    Works("input changed on the way", nothing, lambda _: X.sort(), lambda _: None),
    Works("other result", nothing, lambda _: np.ones(2), lambda _: np.array([1, 2.0])),
    Refused("fine", nothing, raising(ValueError("alpha")), ValueError, "alpha"),
]
if HAS["sklearn"]:
    CASES += [
        Refused("history changed", hostile.CLF, spoiling_history, ValueError, "alpha"),
        Refused("solver changed", hostile.CLF, spoiling_optimizer, ValueError, "alpha"),
    ]
