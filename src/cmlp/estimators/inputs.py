"""What callers pass, checked by scikit-learn and beyond, as the kernels take it; and pieces of it to predict."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from numbers import Number
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils.multiclass import unique_labels
from sklearn.utils.validation import _check_sample_weight, _check_y, validate_data

from .. import validation as check
from ..labels import as_they_are_meant, refuse_nulls
from ..network import Network
from ..validation import Array

LONGEST_MESSAGE = 800
LARGEST_OFFSET = 2**30  # SciPy narrows them to 32 bits unseen
ENTRIES_AT_A_TIME = 1 << 20  # of sparse rows that are made dense to predict them
MOST_COLUMNS = 2**31 - 1  # of sparse rows, whose columns the kernels take as 32 bits


def as_rows(name: str, X: Any, network: Network) -> Any:
    """A C-contiguous array, or (entries, columns, starts) of sparse rows."""
    if X.shape[1] != network.layer_sizes[0]:
        raise ValueError(f"{name} has shape {X.shape}: expected (n, {network.layer_sizes[0]}) as coefs_ have it")
    if not sparse.issparse(X):
        return check.in_precision(name, X, network.dtype, network._kernels)
    X = X.tocsr()
    _refuse_malformed(name, X)  # again: from other formats whatever they held has come along
    entries = check.in_precision(name, X.data, network.dtype, network._kernels)
    return entries, check.arranged(X.indices, np.int32), check.arranged(X.indptr, np.intp)


def checked_samples(estimator: Any, name: str, X: Any, reset: bool, dtype: Any = "numeric") -> Any:
    """X as scikit-learn checks it, and refused where it would read as numbers what is none."""
    X = _sparse(name, X) if sparse.issparse(X) else _dense(name, X, "mMVT")
    if getattr(getattr(X, "dtype", None), "kind", "") in ("U", "S"):
        dtype = "numeric"  # of which scikit-learn refuses text, and for other dtypes makes numbers of it
    with naming(name, "finite real numbers, (n_samples, n_features)"):
        X = validate_data(estimator, X, accept_sparse=["csr", "csc"], dtype=dtype, reset=reset)
        return X.astype(np.float64) if X.dtype == object else X  # of data frames with extension types


def _sparse(name: str, X: Any) -> Any:
    _refuse_malformed(name, X)
    _refuse_complex(name, X)
    if X.shape[1] > MOST_COLUMNS:
        raise ValueError(f"{name} has shape {X.shape}: expected at most {MOST_COLUMNS} features of a sparse matrix")
    return X


def _refuse_complex(name: str, X: Any) -> None:
    """As scikit-learn, which prints all of it."""
    if check.holds(X, "c"):
        raise ValueError(f"{name} has complex numbers, expected real ones: Complex data not supported")


def _dense(name: str, X: Any, refused: str) -> Any:
    """A data frame, which has names, as it is, all else as an array; refused where it would lose its meaning as one."""
    check.refuse_masked(name, X)
    if not isinstance(X, np.ndarray) and not hasattr(X, "columns"):
        X = check.array_of(name, X, "numbers")
    check.refuse_kinds(name, X, refused)
    _refuse_complex(name, X)
    if check.holds(X, "O"):
        check.refuse_unreal_objects(name, check.array_of(name, X, "numbers"))
    return X


def checked_labels(estimator: Any, name: str, y: Any, X: Any, numeric: bool) -> Array:
    """y as scikit-learn checks it beside X, a column as one axis."""
    if y is None:
        raise ValueError(
            f"This {type(estimator).__name__} estimator requires y to be passed, but the target y is None."
        )
    y = sound_labels(estimator, name, y, numeric)
    with naming(f"X and {name}", "as many samples"):
        check_consistent_length(X, y)
    labels: Array = column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y
    return labels


def sound_labels(estimator: Any, name: str, y: Any, numeric: bool) -> Array:
    """y as scikit-learn checks it, and refused where it would read as values what is none."""
    y = _values(name, y) if numeric else as_labels(name, y)
    with naming(name, "finite values or labels, (n_samples,) or (n_samples, n_outputs)"):
        y = _check_y(y, multi_output=True, y_numeric=numeric, estimator=estimator)
        if 0 in y.shape or y.ndim > 2:
            raise ValueError(f"it has shape {y.shape}")
    if numeric:
        check.finite(name, y)  # of objects, too
    labels: Array = y.toarray() if sparse.issparse(y) else y
    return labels


def _values(name: str, y: Any) -> Any:
    if sparse.issparse(y):
        raise TypeError(f"{name} is a sparse matrix: expected a dense array, as {name}.toarray() gives")
    return _dense(name, y, "mMVUST")


def as_labels(name: str, y: Any) -> Any:
    """A sound sparse matrix of indicators, or an array of labels, which NumPy and scikit-learn do not change."""
    if sparse.issparse(y):
        _refuse_malformed(name, y)
        return y
    check.refuse_masked(name, y)
    labels = as_they_are_meant(name, y, check.array_of(name, y, "labels"))
    if labels.dtype == object:  # strings, which scikit-learn makes an array of
        refuse_nulls(name, labels)
    check.refuse_kinds(name, labels, "mV")
    _refuse_complex(name, labels)
    return labels


def checked_classes(classes: Any) -> Array | None:
    """All labels of partial_fit's calls."""
    if classes is None:
        return None
    labels: Array = as_labels("classes", classes)
    with naming("classes", "the labels of all calls, (n_classes,)"):
        if labels.ndim != 1 or not len(labels):
            raise ValueError(f"it has shape {labels.shape}")
        if labels.dtype.kind == "f":
            check.finite("classes", labels)
        unique_labels(labels)
    return labels


def checked_weights(sample_weight: Any, X: Any) -> Array | None:
    """Sample weights of at least 0, (n_samples,)."""
    if sample_weight is None:
        return None
    name = "sample_weight"
    if not isinstance(sample_weight, Number):
        sample_weight = check.numeric_array(name, sample_weight)
    elif isinstance(sample_weight, check.NOT_REAL):
        raise TypeError(f"{name}={check.shown(sample_weight)}: expected real numbers")
    with naming(name, "finite numbers of at least 0, (n_samples,)"):
        weights: Array = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    return weights


@contextlib.contextmanager
def naming(name: str, expected: str) -> Iterator[None]:
    """What scikit-learn and NumPy refuse, in their words, with the argument's name where these lack it.

    Where they print arrays, no more than LONGEST_MESSAGE characters.
    """
    try:
        with np.errstate(over="ignore"):  # what becomes infinite is refused
            yield
    except OverflowError:
        raise ValueError(f"{name} holds integers too large for float64: expected {expected}") from None
    except (TypeError, ValueError, LookupError, AttributeError) as error:
        said = str(error)
        short = said if len(said) <= LONGEST_MESSAGE else f"{said[:LONGEST_MESSAGE]} ..."
        kind = TypeError if isinstance(error, TypeError) else ValueError
        if not isinstance(error, kind) or not re.search(rf"(?<!\w){name}(?!\w)|feature names", said):
            raise kind(f"{name}: {short}; expected {expected}") from error
        if short == said:
            raise
        raise kind(short) from error


def _refuse_malformed(name: str, X: Any) -> None:
    """Before anything walks it: SciPy's conversions do not look where they read and write."""
    try:
        axes = X.ndim
        if axes == 2:
            CHECKS[X.format](X)
    except (ValueError, IndexError, TypeError, AttributeError, ZeroDivisionError) as error:
        raise ValueError(f"{name} is a malformed sparse matrix: {error}; expected a sound one") from None
    if axes != 2:
        raise ValueError(f"{name} is a sparse array of shape {X.shape}: expected two axes, with a row for each sample")


def _check_coordinates(X: Any) -> None:
    for indices, size in zip((X.row, X.col), X.shape, strict=True):
        if indices.shape != X.data.shape or indices.ndim != 1:
            raise ValueError(f"indices of shape {indices.shape} for entries of shape {X.data.shape}")
        _check_indices(indices, size)


def _check_indices(indices: Array, size: int) -> None:
    if indices.dtype.kind not in "iu":
        raise ValueError(f"indices of dtype {indices.dtype}")
    if len(indices) and not 0 <= indices.min() <= indices.max() < size:
        raise ValueError(f"indices from {indices.min()} to {indices.max()} of {size}")


def _check_keys(X: Any) -> None:
    if X.nnz:
        for indices, size in zip(np.array(list(X.keys())).T, X.shape, strict=True):
            _check_indices(indices, size)


def _check_compressed(X: Any) -> None:
    """What SciPy's own check passes over: numbers that are no integers, and starts that fall where the last is 0."""
    for indices in (X.indices, X.indptr):
        _check_indices(indices, np.iinfo(np.int64).max)
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
    for columns in X.rows:
        if columns:
            _check_indices(np.array(columns), X.shape[1])


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
    "dok": _check_keys,
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
