"""What values hold, to compare before and after a call: by content, and of a function also what it refers to."""

from __future__ import annotations

import functools
import types

import numpy as np

import cmlp

LARGEST = 1 << 20  # bytes of an array: some cases offer terabytes that are not there
CACHES = ("_has_sorted_indices", "_has_canonical_format", "maxprint")  # of SciPy, which finds them out when asked


def content(value):
    """All that a value holds, as text, bytes and tuples of these."""
    if isinstance(value, np.ma.MaskedArray):
        return "masked", content(np.ma.getdata(value)), content(np.ma.getmaskarray(value))
    if isinstance(value, np.ndarray):
        return of_array(value)
    if isinstance(value, np.random.RandomState):
        return content(value.get_state(legacy=False))
    if isinstance(value, np.random.Generator):
        return content(value.bit_generator.state)
    if isinstance(value, dict):
        return tuple((repr(name), content(each)) for name, each in value.items())
    if isinstance(value, list | tuple):
        return (type(value).__name__, *map(content, value))
    if isinstance(value, cmlp.Network):
        return content(value.__getstate__())
    if is_table(value):
        return type(value).__name__, repr(list(getattr(value, "columns", ()))), content(value.to_numpy())
    if holds_arrays(value):
        return type(value).__name__, content({k: v for k, v in vars(value).items() if k not in CACHES})
    text = repr(value)
    return text if " at 0x" not in text else type(value).__name__


def of_array(a):
    if a.nbytes > LARGEST:
        return a.shape, str(a.dtype)
    data = tuple(map(content, a.flat)) if a.dtype.hasobject else a.tobytes()
    return a.shape, str(a.dtype), a.flags.writeable, data


def is_table(value):
    """Of pandas or polars."""
    return type(value).__module__.partition(".")[0] in ("pandas", "polars") and hasattr(value, "to_numpy")


def holds_arrays(value):
    """An object of cmlp, of scikit-learn or a sparse matrix."""
    ours = type(value).__module__.partition(".")[0] in ("cmlp", "sklearn", "scipy")
    return ours and not isinstance(value, type | types.FunctionType) and hasattr(value, "__dict__")


def inputs_of(call):
    """The arrays, tables and sources of random numbers that a function of the tables refers to."""
    found, todo = {}, [call]
    while todo:
        value = todo.pop()
        if id(value) in found:
            continue
        found[id(value)] = value
        if isinstance(value, functools.partial):
            todo += [value.func, *value.args, *value.keywords.values()]
        elif isinstance(value, types.FunctionType):
            todo += referred_to(value)
        elif isinstance(value, list | tuple):
            todo += value
        elif isinstance(value, dict):
            todo += value.values()
    return [value for value in found.values() if is_input(value)]


def is_input(value):
    kinds = np.ndarray | np.random.RandomState | np.random.Generator
    return isinstance(value, kinds) or is_table(value) or (hasattr(value, "tocsr") and holds_arrays(value))


def referred_to(function):
    """Values of its arguments, of the functions around it and, for one of the tables, of its module."""
    yield from function.__defaults__ or ()
    yield from (function.__kwdefaults__ or {}).values()
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not set yet
            continue
    if function.__module__.startswith("hostile"):
        yield from (function.__globals__[name] for name in names_in(function.__code__) if name in function.__globals__)


def names_in(code):
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from names_in(constant)
