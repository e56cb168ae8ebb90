"""Arrays of every kind that callers pass and should not, and sparse matrices that contradict themselves."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np

DTYPES = [
    "f8", "f4", "f8", "f4", ">f8", ">f4", "f2", "g", "i1", "i4", "i8", "u1", "u8", ">i4", "?", "c16", "O", "U3", "S3",
    "M8[s]", "m8[s]", "i4,f8", "V4",
]  # fmt: skip
SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, np.nan, np.inf, -np.inf, 1e308, -1e308, 1e39, 1e-320, 2.0**63, 2.0**53 + 2, -5.0]
SIZES = [3, 3, 3, 4, 2, 1, 0, 5, 17, 64]
FORMATS = ["csr", "csc", "coo", "lil", "dok", "bsr", "dia"]
INDICES = [-1, 0, 1, 3, 4, 5, 100, 2**31 - 1, -(2**31), 2**40, -(2**62)]


class Choices:
    """Numbers from bytes; 0 where they are at an end."""

    def __init__(self, data: bytes):
        self.data, self.at = data, 0

    def below(self, n: int) -> int:
        size = 1 if n <= 256 else 4
        number = int.from_bytes(self.data[self.at : self.at + size], "little")
        self.at += size
        return number % n

    def of(self, options: Any) -> Any:
        return options[self.below(len(options))]

    def seldom(self, n: int = 8) -> bool:
        return self.below(n) == n - 1


def shape(choices: Choices, like: tuple[int, ...]) -> tuple[int, ...]:
    """Most often the one expected."""
    if not choices.seldom(4):
        return like
    return tuple(choices.of(SIZES) for _ in range(choices.below(4)))


def array(choices: Choices, like: tuple[int, ...], scale: float = 1.0) -> Any:
    """Of a shape like this, in any type, memory layout and wrapping."""
    values = np.asarray(np.random.default_rng(choices.below(256)).standard_normal(shape(choices, like)) * scale)
    if choices.seldom(3) and values.size:
        values.flat[choices.below(values.size)] = choices.of(SPECIAL)
    with np.errstate(all="ignore"):
        try:
            typed = values.astype(choices.of(DTYPES))
        except (TypeError, ValueError):
            typed = values.astype(object)
    return wrapped(choices, laid_out(choices, typed))


def laid_out(choices: Choices, a: np.ndarray) -> np.ndarray:
    """The same numbers elsewhere in memory, or other ones that a view shows."""
    how = choices.below(16)
    if how == 0:
        return np.asfortranarray(a)
    if how == 1 and a.ndim:
        return np.repeat(a, 2, axis=-1)[..., ::2]
    if how == 2 and a.ndim:
        return a[::-1]
    if how == 3:
        return a.T
    if how == 4 and a.ndim:
        return np.broadcast_to(a[:1], a.shape) if len(a) else a
    if how == 5 and a.dtype != object:
        memory = np.zeros(a.nbytes + 1, np.uint8)
        unaligned = memory[1:].view(a.dtype).reshape(a.shape) if a.size else a
        unaligned[...] = a
        return unaligned
    if how == 6:
        a.flags.writeable = False
    return a


def wrapped(choices: Choices, a: np.ndarray) -> Any:
    how = choices.below(24)
    if how == 0:
        return a.tolist()
    if how == 1 and a.ndim:
        return tuple(a)
    if how == 2 and a.dtype.names is None:
        return np.ma.MaskedArray(a, mask=np.arange(a.size).reshape(a.shape) == choices.below(4))
    if how == 3 and a.ndim == 2:
        return a.view(np.matrix)
    if how == 4 and a.dtype != object and a.dtype.kind not in "mM":
        return memoryview(np.ascontiguousarray(a))
    if how == 5:
        return [a, None]
    if how == 6:
        return choices.of([None, "x", 3, np.float64(2), {}, [[]], [[1.0, 2.0], [3.0]], object(), slice(None), 10**400])
    return a


def sparse(choices: Choices, like: tuple[int, ...]) -> Any:
    """A matrix in any of SciPy's formats, most often with something overwritten that its format relies on."""
    from scipy import sparse as sp

    rows = np.random.default_rng(choices.below(256)).standard_normal(like)
    rows[rows < 0.3] = 0
    kind = sp.csr_array if choices.below(2) else sp.csr_matrix
    matrix = kind(rows.astype(choices.of(["f8", "f4", "f8", "f4", "i4", "u1", "g", "c16", "?"]))).asformat(
        choices.of(FORMATS)
    )
    for _ in range(choices.below(3)):
        with contextlib.suppress(TypeError, ValueError):  # SciPy's own refusals
            _spoil(choices, matrix)
    return matrix


def _spoil(choices: Choices, matrix: Any) -> None:
    name = choices.of(["indices", "indptr", "data", "row", "col", "coords", "rows", "offsets", "_shape"])
    part = getattr(matrix, name, None)
    if name == "_shape":
        matrix._shape = tuple(choices.of([*SIZES, 1000]) for _ in range(2))
    elif not isinstance(part, np.ndarray):
        return
    else:
        setattr(matrix, name, _spoilt(choices, part))


def _spoilt(choices: Choices, part: np.ndarray) -> Any:
    how = choices.below(8)
    if how == 0:
        return part[: choices.below(len(part) + 1)]
    if how == 1:
        return np.concatenate([part, part])
    if how == 2:
        return part.astype(choices.of(["i8", "u8", "i4", "i2", "f8", "O", ">i4"]))
    if how == 3:
        return part.reshape(1, -1)
    if how == 4:
        return part[::-1]
    part = part.copy()
    if part.size and part.dtype != object:
        value = choices.of(SPECIAL) if part.dtype.kind in "fc" else choices.of(INDICES)
        with np.errstate(all="ignore"):
            part.flat[choices.below(part.size)] = np.asarray(value).astype(part.dtype)
    return part
