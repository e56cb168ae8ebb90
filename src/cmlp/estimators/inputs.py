"""X as the kernels take it: dense rows or sparse ones, and pieces of it to predict."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy import sparse

from .. import validation as check
from ..network import Network
from ..validation import Array

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
    try:
        if X.format == "coo":
            _check_coordinates(X)
        elif hasattr(X, "check_format"):
            X.check_format(full_check=True)
    except (ValueError, IndexError) as error:
        raise ValueError(f"{name} is a malformed sparse matrix: {error}; expected a sound one") from None


def _check_coordinates(X: Any) -> None:
    for indices, size in zip((X.row, X.col), X.shape, strict=True):
        if len(indices) != len(X.data):
            raise ValueError(f"{len(indices)} indices for {len(X.data)} entries")
        if len(indices) and not 0 <= indices.min() <= indices.max() < size:
            raise ValueError(f"indices from {indices.min()} to {indices.max()} of {size}")


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
