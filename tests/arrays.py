"""Arrays for the kernels, each amid memory that must not matter and must not change."""

from __future__ import annotations

import ctypes
import mmap
from functools import cache

import numpy as np

BORDER = 67  # longer than the longest step of a kernel, and odd so that nothing is aligned
SENTINEL = 1e4


class Arrays:
    """Hands out random arrays in one precision; `check` says whether what surrounds them is as it was.

    An array that a kernel only reads lies between NaNs, which would show in any result, and must itself
    stay as it was; one that a kernel changes lies between finite numbers, which an update would change.
    """

    def __init__(self, dtype, seed=0):
        self.dtype = np.dtype(dtype)
        self.rng = np.random.default_rng(seed)
        self.kept = []

    def put(self, a, changes=False):
        a = np.asarray(a, self.dtype)
        border = np.full(BORDER, SENTINEL if changes else np.nan, a.dtype)
        buffer = np.concatenate([border, a.ravel(), border])
        inside = slice(BORDER, BORDER + a.size)
        self.kept.append((buffer, buffer.copy(), inside if changes else slice(0)))
        return buffer[inside].reshape(a.shape)

    def normal(self, *shape, changes=False):
        return self.put(self.rng.standard_normal(shape), changes)

    def index(self, n, below):
        """n row numbers in any order; some repeat where n allows, none where there is no row."""
        return self.rng.integers(0, below, n if below else 0).astype(np.intp)

    def check(self):
        for buffer, before, free in self.kept:
            buffer[free] = before[free]
            np.testing.assert_array_equal(buffer.view(np.uint8), before.view(np.uint8))


class ArraysAtPageEnds(Arrays):
    """Each array ends where memory ends: touching what comes after kills the process."""

    at_end = True

    def put(self, a, changes=False):
        return beside_guard(np.asarray(a, self.dtype), self.at_end)

    def index(self, n, below):
        return beside_guard(super().index(n, below), self.at_end)


class ArraysAtPageStarts(ArraysAtPageEnds):
    """Each array begins where memory begins: touching what comes before kills the process."""

    at_end = False


GUARDED = {"ends": ArraysAtPageEnds, "starts": ArraysAtPageStarts}


@cache
def c_library():
    return ctypes.CDLL(None)


def beside_guard(a, at_end):
    """A copy between two pages that nobody may touch, directly before the second or after the first."""
    pages = -(-a.nbytes // mmap.PAGESIZE)
    memory = mmap.mmap(-1, (pages + 2) * mmap.PAGESIZE)
    first = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for guard in (first, first + (pages + 1) * mmap.PAGESIZE):
        if c_library().mprotect(ctypes.c_void_p(guard), ctypes.c_size_t(mmap.PAGESIZE), 0):
            raise OSError("mprotect failed")
    start = (pages + 1) * mmap.PAGESIZE - a.nbytes if at_end else mmap.PAGESIZE
    view = np.frombuffer(memory, a.dtype, a.size, start).reshape(a.shape)
    view[...] = a
    return view
