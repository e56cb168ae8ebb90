"""Sources of random numbers: a seed of one, its state to JSON and back, with suspicion: NumPy sets what it is given."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from . import validation as check
from .validation import RandomSource

LARGEST = {  # by the name of an integer: places in a buffer that NumPy reads at without a look, flags, half a word
    "pos": 624,
    "buffer_pos": 4,
    "has_gauss": 1,
    "has_uint32": 1,
    "uinteger": 2**32 - 1,
}
LARGEST_WORD = 2**128 - 1


def seed_of(random: Any) -> int:
    """A seed for the kernels from a RandomState or a Generator."""
    draw = random.randint if isinstance(random, np.random.RandomState) else random.integers
    return int(draw(0, 2**63 - 1, dtype=np.int64))


def state_of(random: RandomSource) -> dict[str, Any]:
    state = random.get_state(legacy=False) if isinstance(random, np.random.RandomState) else random.bit_generator.state
    return dict(state)


def set_state(random: RandomSource, state: dict[str, Any]) -> None:
    if isinstance(random, np.random.RandomState):
        random.set_state(state)
    else:
        random.bit_generator.state = state


@contextmanager
def unmoved_if_refused(random: Any) -> Iterator[None]:
    """Sets a caller's source of random numbers back where anything is raised within."""
    before = state_of(random) if isinstance(random, np.random.RandomState | np.random.Generator) else None
    try:
        yield
    except BaseException:
        if before is not None:
            set_state(random, before)
        raise


def as_json(value: Any) -> Any:
    """What json does not know: arrays and numbers of NumPy."""
    return {"array": value.tolist(), "dtype": value.dtype.str} if isinstance(value, np.ndarray) else value.item()


def from_json(random: RandomSource, found: Any) -> dict[str, Any]:
    """A state of this source from what `as_json` made of one.

    Raises
    ------
    ValueError
        If it has not the names, dtypes and shapes that the source's own state has, or numbers out of their range.
    """
    state: dict[str, Any] = _like("random", found, state_of(random))
    return state


def _like(name: str, found: Any, own: Any) -> Any:
    if isinstance(own, dict):
        if isinstance(found, dict) and set(found) == set(own):
            return {key: _like(key, found[key], own[key]) for key in own}
    elif isinstance(own, np.ndarray):
        array = _array_like(found, own)
        if array is not None:
            return array
    elif _is_like(name, found, own):
        return found
    raise ValueError(f"{name}={check.shown(found)}: expected that of a state of these random numbers")


def _array_like(found: Any, own: Any) -> Any:
    """None for what is not an array of this dtype and shape; never one of a dtype that the file names."""
    if not isinstance(found, dict) or set(found) != {"array", "dtype"} or found["dtype"] != own.dtype.str:
        return None
    try:
        with np.errstate(all="ignore"):
            array = np.array(found["array"], own.dtype)
    except (TypeError, ValueError, OverflowError):
        return None
    return array if array.shape == own.shape and array.tolist() == found["array"] else None


def _is_like(name: str, found: Any, own: Any) -> bool:
    if isinstance(own, float):
        return type(found) is float and bool(np.isfinite(found))
    if isinstance(own, str | bool) or not isinstance(own, int | np.integer):
        return type(found) is type(own) and bool(found == own)
    if name == "inc" and isinstance(found, int) and found % 2 == 0:
        return False  # PCG64 could stand still, and a shuffle wait for ever for another number
    return type(found) is int and 0 <= found <= LARGEST.get(name, LARGEST_WORD)
