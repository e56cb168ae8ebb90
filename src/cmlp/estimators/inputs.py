"""X as the kernels take it: dense rows or sparse ones, and pieces of it to predict."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy import sparse

from .. import validation as check
from ..network import Network
from ..validation import Array

LARGEST_OFFSET = 2**30  # SciPy narrows them to 32 bits unseen
ENTRIES_AT_A_TIME = 1 << 20  # of sparse rows that are made dense to predict them


def as_rows(name: str, X: Any, network: Network) -> Any:
    """A C-contiguous array, or (entries, columns, starts) of sparse rows."""
    if not sparse.issparse(X):
        return check.in_precision(name, X, network.dtype, network._kernels)
    X = X.tocsr()
    _refuse_malformed(name, X)  # again: from other formats whatever they held has come along
    entries = check.in_precision(name, X.data, network.dtype, network._kernels)
    columns = np.ascontiguousarray(X.indices, np.int32)
    return entries, columns, np.ascontiguousarray(X.indptr, np.intp)


def check_sparse(name: str, X: Any) -> None:
    """Refuses sparse matrices that contradict themselves, before anything walks them."""
    if not sparse.issparse(X):
        return
    _refuse_malformed(name, X)


def _refuse_malformed(name: str, X: Any) -> None:
    check_parts = CHECKS.get(X.format)
    if check_parts is None:
        return
    try:
        check_parts(X)
    except (ValueError, IndexError, TypeError, ZeroDivisionError) as error:
        raise ValueError(f"{name} is a malformed sparse matrix: {error}; expected a sound one") from None


def _check_coordinates(X: Any) -> None:
    for indices, size in zip((X.row, X.col), X.shape, strict=True):
        if indices.shape != X.data.shape or indices.ndim != 1:
            raise ValueError(f"indices of shape {indices.shape} for entries of shape {X.data.shape}")
        if len(indices) and not 0 <= indices.min() <= indices.max() < size:
            raise ValueError(f"indices from {indices.min()} to {indices.max()} of {size}")


def _check_compressed(X: Any) -> None:
    """What SciPy's own check passes over: numbers that are no integers, and starts that fall where the last is 0."""
    for indices in (X.indices, X.indptr):
        if indices.dtype.kind not in "iu":
            raise ValueError(f"indices of dtype {indices.dtype}")
    if X.indptr.ndim == 1 and (X.indptr[1:] < X.indptr[:-1]).any():
        raise ValueError("indptr must be a non-decreasing sequence")
    X.check_format(full_check=True)


def _check_blocks(X: Any) -> None:
    if any(size % width for size, width in zip(X.shape, X.data.shape[1:], strict=True)):
        raise ValueError(f"blocks of shape {X.data.shape[1:]} in a matrix of shape {X.shape}")
    _check_compressed(X)


def _check_lists(X: Any) -> None:
    if not X.rows.shape == X.data.shape == X.shape[:1]:
        raise ValueError(f"{X.rows.shape} lists of columns and {X.data.shape} of entries for {X.shape[0]} rows")
    if list(map(len, X.rows)) != list(map(len, X.data)):
        raise ValueError("the lists of columns and of entries differ in length")


def _check_diagonals(X: Any) -> None:
    offsets = X.offsets
    if offsets.ndim != 1 or X.data.ndim != 2 or len(offsets) != len(X.data):
        raise ValueError(f"offsets of shape {offsets.shape} for diagonals of shape {X.data.shape}")
    if offsets.dtype.kind not in "iu" or len(np.unique(offsets)) != len(offsets):
        raise ValueError("offsets that are no integers, or occur twice")
    if len(offsets) and not -LARGEST_OFFSET < offsets.min() <= offsets.max() < LARGEST_OFFSET:
        raise ValueError(f"offsets from {offsets.min()} to {offsets.max()}")


CHECKS: dict[str, Callable[[Any], None]] = {
    "coo": _check_coordinates,
    "csr": _check_compressed,
    "csc": _check_compressed,
    "bsr": _check_blocks,
    "lil": _check_lists,
    "dia": _check_diagonals,
}


def chunks(X: Any, features: int, rows: Array | None = None) -> Callable[[], Iterator[Array]]:
    """Gives dense pieces of X, or of its `rows`, as often as it is called."""
    if not isinstance(X, tuple):
        picked = X if rows is None else X[rows]
        return lambda: iter((picked,))
    matrix = sparse.csr_matrix(X, shape=(len(X[2]) - 1, features))
    if rows is not None:
        matrix = matrix[rows]
    step = max(1, ENTRIES_AT_A_TIME // features)
    return lambda: (matrix[i : i + step].toarray() for i in range(0, matrix.shape[0], step))


def outputs_of(network: Network, X: Any) -> Array:
    """o_L of what `as_rows` gives."""
    engine = network._engine
    out = engine.predict_sparse(X) if isinstance(X, tuple) else engine.predict(X)
    if out is None:
        out = np.concatenate([network._predict(part) for part in chunks(X, network.layer_sizes[0])()])
    return out
