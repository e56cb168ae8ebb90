"""Turns what a caller passes into what the kernels take, or says what is wrong with it.

Every message names the argument, the value and what was expected.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .kernels.interface import Kernels

Array: TypeAlias = "NDArray[Any]"
RandomSource: TypeAlias = "np.random.RandomState | np.random.Generator"

SUMS_TO_ONE = 1e-3  # how far a row of target probabilities may be off
TARGET_RANGES = {
    "cross_entropy": (0.0, 1 + SUMS_TO_ONE),
    "binary_cross_entropy": (0.0, 1.0),
    "poisson": (0.0, math.inf),
}
NOT_REAL = (str, bytes, complex, np.complexfloating, np.datetime64, np.timedelta64)
NOT_NUMBERS = (*NOT_REAL, bool, np.bool_)
SEQUENCES, NUMBERS = (list, tuple), (float, int)
OF_THE_CALLERS = (  # what an object may raise when it is read; MemoryError and OSError say more as they are
    TypeError, ValueError, ArithmeticError, AttributeError, LookupError, BufferError, RuntimeError,
)  # fmt: skip


def shown(value: Any, limit: int = 60) -> str:
    """A value in a message: on one line, cut."""
    try:
        text = " ".join(repr(value).split())
    except ValueError:  # Python refuses to write out very long integers
        text = f"<{type(value).__name__} with too many digits>"
    except Exception:
        text = f"<{type(value).__name__} that cannot be shown>"
    return text if len(text) <= limit else text[: limit - 3] + "..."


# ---- single values ---------------------------------------------------------------------------------


def whole(name: str, value: Any, low: int, expected: str = "") -> int:
    """An integer of at least `low`."""
    kind = {0: "an integer, 0 or more", 1: "a positive integer"}.get(low, f"an integer, {low} or more")
    number = _index(value)
    if number is None:
        raise TypeError(f"{name}={shown(value)}: expected {expected or kind}")
    if number < low:
        raise ValueError(f"{name}={shown(value)}: expected {expected or kind}")
    return number


def _index(value: Any) -> int | None:
    """An integer of any type as Python's own, None for what is none."""
    if isinstance(value, NOT_NUMBERS):
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None


def number(
    name: str,
    value: Any,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    open_low: bool = False,
    open_high: bool = False,
) -> float:
    """A finite number in an interval."""
    if type(value) is float and low < value < high:
        return value
    low_text = f"{'above' if open_low else 'at least'} {low:g}"
    high_text = f"{'below' if open_high else 'at most'} {high:g}"
    texts = [low_text] * math.isfinite(low) + [high_text] * math.isfinite(high)
    expected = " ".join(["a finite number", " and ".join(texts)]).strip()
    scalar = value[()] if isinstance(value, np.ndarray) and value.ndim == 0 else value
    try:
        if isinstance(scalar, NOT_NUMBERS) or not hasattr(scalar, "__float__") or np.ndim(scalar) > 0:
            raise TypeError
        result = float(scalar)
    except OverflowError:
        result = math.inf
    except OF_THE_CALLERS:
        raise TypeError(f"{name}={shown(value)}: expected {expected}") from None
    inside = (low < result if open_low else low <= result) and (result < high if open_high else result <= high)
    if not (math.isfinite(result) and inside):
        raise ValueError(f"{name}={shown(value)}: expected {expected}")
    return result


def flag(name: str, value: Any) -> bool:
    """True or False."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name}={shown(value)}: expected True or False")
    return bool(value)


def choice(name: str, value: Any, options: Iterable[str], remark: str = "") -> str:
    """One of several names."""
    options = tuple(options)
    if not isinstance(value, str) or value not in options:
        error = ValueError if isinstance(value, str) else TypeError
        raise error(f"{name}={shown(value)}: expected one of {', '.join(options)}{remark}")
    return value


def sizes(name: str, value: Any, least: int) -> tuple[int, ...]:
    """Widths of layers: positive integers, `least` of them or more."""
    unordered = isinstance(value, str | bytes | Set | Mapping)
    if unordered or not isinstance(value, Iterable) or (isinstance(value, np.ndarray) and value.ndim == 0):
        raise TypeError(f"{name}={shown(value)}: expected a sequence of positive integers")
    result = tuple(whole(f"{name}[{i}]", width, 1) for i, width in enumerate(value))
    if len(result) < least:
        raise ValueError(f"{name}={shown(value)}: expected at least {least} widths")
    return result


def per_layer(name: str, value: Any, layers: int, options: Sequence[str], aliases: dict[str, str]) -> tuple[str, ...]:
    """One name for every hidden layer, or a name each."""
    named = (value,) * layers if isinstance(value, str) else value
    if not isinstance(named, Sequence) or isinstance(named, bytes):
        raise TypeError(f"{name}={shown(value)}: expected a name or a name per hidden layer")
    if len(named) != layers:
        raise ValueError(f"{name}={shown(value)}: expected a name or a sequence of {layers}, one per hidden layer")
    known = (*options, *aliases)
    if isinstance(value, str):
        choice(name, value, known)
    checked = (choice(f"{name}[{i}]", each, known) for i, each in enumerate(named))
    return tuple(aliases.get(each, each) for each in checked)


def random_source(name: str, value: Any) -> RandomSource:
    """A source of random numbers: from a seed as scikit-learn makes it, or the one that is passed."""
    if value is None:
        return np.random.RandomState()
    if isinstance(value, np.random.RandomState | np.random.Generator):
        return value
    expected = "None, a RandomState, a Generator or a seed, an integer from 0 to 2**32 - 1"
    seed = whole(name, value, 0, expected)
    if seed >= 2**32:
        raise ValueError(f"{name}={shown(value)}: expected {expected}")
    return np.random.RandomState(seed)


def state(kind: str, value: Any, needed: Iterable[str] = ()) -> dict[str, Any]:
    """What a pickle or a copy keeps of an object, with all that is needed; it may be of another version of cmlp."""
    if not isinstance(value, dict):
        raise TypeError(f"the state of a pickled {kind} is {shown(value)}: expected a dict")
    missing = [name for name in needed if name not in value]
    if missing:
        raise ValueError(
            f"the state of a pickled {kind} has no {', '.join(missing)}: expected what this version of cmlp pickles"
        )
    return value


# ---- arrays ----------------------------------------------------------------------------------------


def numeric_array(name: str, value: Any) -> Array:
    """An array of real numbers, of whatever type it had."""
    refuse_sparse_and_masked(name, value)
    if hasattr(value, "dtypes"):
        refuse_kinds(name, value, "mM")  # in a data frame of polars times become numbers
    array = array_of(name, value, "numbers")
    if array.dtype == object:
        array = _from_objects(name, array)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} has dtype {array.dtype}: expected real numbers")
    return array


def array_of(name: str, value: Any, what: str) -> Array:
    """np.asarray, where it fails by the argument's name."""
    try:
        return np.asarray(value)
    except ValueError as error:  # ragged
        raise ValueError(f"{name}: expected a rectangular array of {what} ({error})") from None
    except np.ma.MaskError:  # among integers in a list
        raise ValueError(f"{name} has masked entries: expected none, fill or drop them first") from None
    except OF_THE_CALLERS as error:  # as of a tensor with a gradient
        raise TypeError(f"{name}: expected an array of {what} ({error})") from error


def refuse_sparse_and_masked(name: str, value: Any) -> None:
    if hasattr(value, "toarray") and hasattr(value, "nnz"):
        raise TypeError(f"{name} is a sparse matrix: expected a dense array, as {name}.toarray() gives")
    refuse_masked(name, value)


def refuse_masked(name: str, value: Any) -> None:
    """Masked entries, in lists of arrays too; among numbers in a list they become NaN, and among integers an error."""
    if isinstance(value, SEQUENCES):
        if not value or isinstance(value[0], NUMBERS):
            return
        kinds = list(map(type, value))
        if kinds[0] in SEQUENCES and kinds.count(kinds[0]) == len(kinds):  # the quickest way to ask
            return
        arrays = [each for each in value if isinstance(each, np.ma.MaskedArray)]
    elif isinstance(value, np.ma.MaskedArray):
        arrays = [value]
    else:
        return
    masked = sum(int(np.count_nonzero(array.mask)) for array in arrays)
    if masked:
        raise ValueError(f"{name} has {masked} masked entries: expected none, fill or drop them first")


def _columns_of(frame: Any) -> list[Any]:
    """Of a data frame; a row of one, a Series, has them in its index."""
    columns = getattr(frame, "columns", getattr(frame, "index", None))
    return list(columns) if isinstance(columns, Iterable) else []


def column_names(frame: Any, name: str = "X") -> Array | None:
    """Of a data frame whose columns are named by strings; refused where only some of them are."""
    found = _columns_of(frame)
    texts = [isinstance(each, str) for each in found]
    if any(texts) and not all(texts):
        raise TypeError(f"{name} has columns {shown(found)}: expected names that are all strings, or none of them")
    return np.array(found, object) if any(texts) else None


def same_columns(name: str, frame: Any, known: Array | None) -> None:
    """Refuses a data frame with columns other than these, or in another order, where both have names."""
    if known is None:
        return
    found = column_names(frame, name)
    if found is None or np.array_equal(found, known):
        return
    if sorted(found) == sorted(known):
        i = int((found != known).argmax())
        raise ValueError(
            f"{name} has its columns in another order, {found[i]!r} at {i}: expected {known[i]!r}, as in fit"
        )
    new, missing = (
        [each for each in some if each not in set(others)] for some, others in ((found, known), (known, found))
    )
    said = [f"{verb} {shown(columns)}" for verb, columns in (("has columns", new), ("lacks", missing)) if columns]
    twice = f"has columns {shown(list(found))}"  # where none is new and none is missing
    raise ValueError(f"{name} {' and '.join(said) or twice}: expected those of fit, in their order")


def names(name: str, value: Any, n: int) -> Array | None:
    """n strings in an array, or None."""
    if value is None:
        return None
    if not isinstance(value, list | np.ndarray) or not all(isinstance(each, str) for each in value):
        raise TypeError(f"{name}={shown(value)}: expected strings or None")
    if len(value) != n:
        raise ValueError(f"{name} has length {len(value)}: expected {n}")
    return np.array(value, object)


def refuse_kinds(name: str, value: Any, refused: str) -> None:
    """Refuses an array, or a data frame with a column, of one of these kinds of dtype."""
    for dtype in _dtypes_of(value):
        if _kind_of(dtype) in refused:
            raise TypeError(f"{name} has dtype {dtype}: expected real numbers")


def holds(value: Any, kind: str) -> bool:
    """Whether an array, or a column of a data frame, is of this kind of dtype."""
    return any(_kind_of(dtype) == kind for dtype in _dtypes_of(value))


def _kind_of(dtype: Any) -> str:
    """As NumPy's; of polars' dtypes those of time and of numbers are known."""
    if hasattr(dtype, "is_temporal"):
        return "M" if dtype.is_temporal() else "f" if dtype.is_numeric() else "O"
    return str(getattr(dtype, "kind", "f"))


def _dtypes_of(value: Any) -> Any:
    """The dtypes of an array or of a data frame's columns."""
    dtype = getattr(value, "dtype", None)
    return [dtype] if dtype is not None else getattr(value, "dtypes", ())


def _from_objects(name: str, array: Array) -> Array:
    """Numbers that came as Python objects, as from a mixed data frame."""
    _refuse_types(name, array, lambda kind: issubclass(kind, NOT_REAL) or not _is_scalar(kind))
    try:
        return array.astype(np.float64)
    except OverflowError:
        raise ValueError(f"{name} holds integers too large for float64: expected finite numbers") from None
    except OF_THE_CALLERS as error:  # as of a signaling NaN
        raise ValueError(f"{name}: expected finite numbers ({error})") from error


def refuse_unreal_objects(name: str, array: Array) -> None:
    """Text, complex numbers and times among Python objects, of which NumPy makes real numbers."""
    _refuse_types(name, array, lambda kind: issubclass(kind, NOT_REAL))


def _refuse_types(name: str, array: Array, wrong: Callable[[type], bool]) -> None:
    found = tuple(kind for kind in set(map(type, array.flat)) if wrong(kind))
    if found:
        flat, value = next((i, value) for i, value in enumerate(array.flat) if type(value) in found)
        raise TypeError(f"{name}{_place(array, flat)}={shown(value)}: expected real numbers")


def _is_scalar(kind: type) -> bool:
    """Whether these can be numbers, rather than arrays of one number, or types themselves."""
    return hasattr(kind, "__float__") and not hasattr(kind, "__len__")


def arranged(array: Array, dtype: Any) -> Array:
    """C-contiguous and aligned, of this type; the array itself where it already is.

    np.require compares sets for that, and CPython 3.13 without the GIL then waits for a lock that it holds itself.
    NumPy 1 leaves what another type of C holds in the same way, a long long or a long double, of that type.
    """
    result: Array = np.asanyarray(array, dtype, order="C")
    if result.dtype.num != np.dtype(dtype).num:
        result = result.view(dtype)
    return result if result.flags.aligned else result.copy("C")


def in_precision(name: str, array: Array, dtype: np.dtype[Any], kernels: Kernels) -> Array:
    """C-contiguous, aligned, finite, in the network's precision; the array itself where it already is."""
    with np.errstate(over="ignore", under="ignore"):
        result = arranged(array, dtype)
    bad = kernels.first_not_finite(result)
    if bad >= 0:
        given = array.flat[bad]
        why = "" if not np.isfinite(given) else f" (too large for {dtype})"
        raise ValueError(f"{entry(name, array, bad)}{why}: expected finite numbers")
    return result


def finite(name: str, array: Array) -> None:
    """Refuses NaN and infinity in an array of any type of number."""
    wrong = ~np.isfinite(array)
    if wrong.any():
        raise ValueError(f"{entry(name, array, int(wrong.argmax()))}: expected finite numbers")


def shaped(name: str, array: Array) -> str:
    """The shape of an array in a message, and a value that is alone."""
    return f"{name}{f'={shown(array.item())}' if array.ndim == 0 else ''} has shape {array.shape}"


def entry(name: str, array: Array, flat: int) -> str:
    """An entry in a message: its place and value."""
    return f"{name}{_place(array, flat)}={array.flat[flat]!s}"


def _place(array: Array, flat: int) -> str:
    place = ", ".join(str(i) for i in np.unravel_index(flat, array.shape))
    return f"[{place}]" if place else ""


def samples(name: str, value: Any, features: int | None, dtype: np.dtype[Any], kernels: Kernels) -> Array:
    """Rows of samples, (n, features)."""
    array = numeric_array(name, value)
    rows_of(name, array, features)
    return in_precision(name, array, dtype, kernels)


def rows_of(name: str, array: Array, features: int | None) -> None:
    """Refuses any shape but (n, features); None stands for any number of features."""
    expected = f"(n, {features})" if features is not None else "(n, features)"
    if array.ndim != 2 or (features is not None and array.shape[1] != features):
        raise ValueError(f"{name} has shape {array.shape}: expected {expected}")
    if 0 in array.shape:
        raise ValueError(
            f"{name} has shape {array.shape}: expected {expected} with at least one sample and one feature"
        )


def weights(name: str, value: Any, n: int, dtype: np.dtype[Any], kernels: Kernels) -> Array | None:
    """Sample weights, (n,), none negative and not all zero."""
    if value is None:
        return None
    array = numeric_array(name, value)
    if array.shape != (n,):
        raise ValueError(f"{shaped(name, array)}: expected ({n},)")
    rounded = in_precision(name, array, dtype, kernels)
    if rounded.min() < 0:
        i = int(rounded.argmin())
        raise ValueError(f"{name}[{i}]={rounded[i]}: expected weights of at least 0")
    if not rounded.any():
        what = f"at most {array.max():g}, which is zero in {dtype}" if array.any() else "all zero"
        raise ValueError(f"{name} is {what}: expected at least one positive weight")
    return rounded


# ---- targets ---------------------------------------------------------------------------------------


def targets(name: str, value: Any, n: int, C: int, loss: str, dtype: np.dtype[Any], kernels: Kernels) -> Array:
    """What a loss is measured against: class indices (n,) as intp under cross_entropy, else rows (n, C)."""
    array = numeric_array(name, value)
    if loss == "cross_entropy" and array.ndim == 1:
        return class_indices(name, array, n, C)
    if array.shape != (n, C) and (array.shape != (n,) or C > 1):
        wanted = f"({n}, {C})" + (f" or ({n},)" if C == 1 or loss == "cross_entropy" else "")
        raise ValueError(f"{shaped(name, array)}: expected {wanted}")
    checked = in_precision(name, array, dtype, kernels)
    _check_range(name, checked, loss)
    return checked.reshape(n, C)


def refuse_number(name: str, value: Array, C: int, loss: str) -> None:
    """One that is no target of a sample, by its name alone: among others it would have a place too."""
    number = value.item()
    if loss == "cross_entropy":
        if not (0 <= number < C and number == int(number)):
            raise ValueError(f"{name}={value}: expected a class index, an integer from 0 to {C - 1}")
    elif not math.isfinite(number):
        raise ValueError(f"{name}={value}: expected a finite number")
    elif loss in TARGET_RANGES:
        _check_range(name, value, loss)


def class_indices(name: str, array: Array, n: int, C: int) -> Array:
    if array.shape != (n,):
        raise ValueError(f"{name} has shape {array.shape}: expected ({n},)")
    wrong = (array < 0) | (array >= C)
    if array.dtype.kind == "f":
        wrong |= array != np.floor(array)  # NaN is not equal to itself
    if wrong.any():
        first = entry(name, array, int(wrong.argmax()))
        raise ValueError(f"{first}: expected class indices, integers from 0 to {C - 1}")
    return arranged(array, np.intp)


def _check_range(name: str, rows: Array, loss: str) -> None:
    low, high = TARGET_RANGES.get(loss, (-math.inf, math.inf))
    expected = "from 0 to 1" if math.isfinite(high) else "of at least 0"
    for extreme in (int(rows.argmin()), int(rows.argmax())):
        if not low <= rows.flat[extreme] <= high:
            raise ValueError(f"{entry(name, rows, extreme)}: {loss} expects entries {expected}")
    if loss == "cross_entropy":
        off = np.abs(rows.sum(axis=1) - 1)
        if off.max() > SUMS_TO_ONE:
            i = int(off.argmax())
            raise ValueError(f"{name}[{i}] sums to {rows[i].sum():g}: cross_entropy expects rows that sum to 1")
