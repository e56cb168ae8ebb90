"""Cases with faults, to see that they are found."""

import ctypes
import os
import time

import numpy as np

from hostile import NET, Refused, Works, nothing


def raising(error):
    def call(_):
        raise error

    return call


def spoiling(net):
    net.parameters[3] += 1
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
    Works("other result", nothing, lambda _: np.ones(2), lambda _: np.array([1, 2.0])),
    Refused("fine", nothing, raising(ValueError("alpha")), ValueError, "alpha"),
]
