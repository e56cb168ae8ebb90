"""Changes to a saved file's structure, by whatever makes the choices: a random generator, hypothesis, a fuzzer."""

from __future__ import annotations

import copy
import json
import struct
from collections.abc import Callable
from math import inf, nan, prod
from typing import Any

from model_files import parts, signed, with_header

Choose = Callable[[int], int]  # of n: a number from 0 to n - 1
Path = tuple[Any, ...]

ODD: list[Any] = [
    None, True, False, 0, 1, -1, 2, 3, 4, 5, 7, 8, 16, 24, 255, 2**31, 2**32, 2**40, 2**53 + 1, 2**61, 2**62, 2**63 - 1,
    2**63, 2**64, -(2**63), 10**400, 0.0, -0.0, 0.5, 1.0, 1.5, 1e-320, 1e308, nan, inf, -inf, "", "x", "\0", "a\0",
    "\ud800", "ß", "\U0001f339", "None", "nan", "F32", "F64", "F16", "BF16", "I64", "f8", "float32", "float64", "<i8",
    "<f4", "<f2", "<U1", "<U5", "<U40", "<U1000000", "<U999999999", "|S1", "|S3", "|O", "|b1", "|u1", ">i4", "<i1",
    "regression", "binary", "multiclass", "multilabel", "cross_entropy", "binary_cross_entropy", "squared_error",
    "huber", "quantile", "poisson", "relu", "tanh", "gelu", "softmax", "exp", "identity", "cmlp model 1",
    "cmlp model 2", "W_1", "b_1", "W_2", "__metadata__", [], [0], [1], [[]], [[[]]], [2, 1], [0, 16], [1, 2, 3],
    ["a", "b"], [None], [nan], [1] * 9, {}, {"a": 1}, {"dtype": "F64", "shape": [1], "data_offsets": [0, 8]},
    {"dtype": "<U2", "values": ["a", "b", "c"]}, 624, 625, 10**8, "cmlp checkpoint 1", "MT19937", "PCG64", "converged",
    "stopped", "max_iter", [0.5, 0.25], {"array": [1, 2], "dtype": "<u4"}, {"array": [1, 2], "dtype": "S500000000"},
]  # fmt: skip
KINDS = ("model", "training")  # under what name the metadata have the description
NUMBERS = [0.0, -0.0, 1.0, nan, inf, -inf, 1e308, -1e308, 1e-320, 1e39]


def mutated(content: bytes, choose: Choose) -> bytes:
    """A file with one or two changes, most often signed anew so that the checks beyond the checksum meet them."""
    try:
        header, data = parts(content)
        kind = next(name for name in KINDS if name in header["__metadata__"])
        document = {"header": header, "description": json.loads(header["__metadata__"][kind])}
    except (ValueError, TypeError, KeyError, StopIteration, RecursionError):
        return _bytes_changed(content, choose)
    for _ in range(1 + choose(2)):
        data = _change(document, data, choose)
    return _written(document, data, content, choose)


def _change(document: dict[str, Any], data: bytes, choose: Choose) -> bytes:
    if choose(5) == 0:
        return _bytes_changed(data, choose)
    paths = [path for path in _paths(document) if len(path) > 1]
    if not paths:
        return data
    parent, key = _at(document, paths[choose(len(paths))])
    action = choose(7)
    if action == 0:
        del parent[key]
    elif action == 1:
        parent[key] = copy.deepcopy(_value(document, paths[choose(len(paths))]))
    elif action == 2 and isinstance(parent, list):
        parent.insert(key, copy.deepcopy(parent[key]))
    elif action == 2:
        parent[str(ODD[choose(65)]) if choose(2) else f"{key}_"] = parent.pop(key)  # another name, and place
    elif action == 3 and type(parent[key]) in (int, float):
        parent[key] = _other_number(parent[key], choose)
    else:
        parent[key] = copy.deepcopy(ODD[choose(len(ODD))])
    return data


def _other_number(value: float, choose: Choose) -> float:
    return [value + 1, value - 1, -value, value * 2, value + 8, value - 8, value + 2**62][choose(7)]


def _paths(value: Any) -> list[Path]:
    """Every place in nested lists and dictionaries, of a long one the first."""
    found: list[Path] = [()]
    for path in found:
        inner = _value(value, path) if path else value
        keys = inner if isinstance(inner, dict) else range(len(inner)) if isinstance(inner, list) else ()
        found += [(*path, key) for key in list(keys)[:20]]
    return found


def _at(document: Any, path: Path) -> tuple[Any, Any]:
    for key in path[:-1]:
        document = document[key]
    return document, path[-1]


def _value(document: Any, path: Path) -> Any:
    parent, key = _at(document, path)
    return parent[key]


def _bytes_changed(content: bytes, choose: Choose) -> bytes:
    at = choose(len(content) + 1)
    number = struct.pack("<d", NUMBERS[choose(len(NUMBERS))])
    return [
        content[:at],
        content + bytes(choose(64)),
        content[:at] + bytes([choose(256)]) + content[at + 1 :],
        content[: at & -8] + number + content[(at & -8) + 8 :],
        content[:at] + content[at + 1 + choose(16) :],
        content[:at] + content[at : at + 16] + content[at:],
    ][choose(6)]


def _written(document: dict[str, Any], data: bytes, content: bytes, choose: Choose) -> bytes:
    header = document["header"]
    metadata = header.get("__metadata__") if isinstance(header, dict) else None
    if not isinstance(metadata, dict):
        return with_header(json.dumps(header).encode(), data)
    for kind in KINDS:
        if kind in metadata and choose(16):
            metadata[kind] = json.dumps(document["description"])
    if choose(3):
        data = _made_consistent(header, data)
    header = {str(name): entry for name, entry in header.items()}
    return signed(header, data) if choose(8) else with_header(json.dumps(header).encode(), data)


def _made_consistent(header: dict[str, Any], data: bytes) -> bytes:
    """Offsets and length as the shapes say, so that it is the description that is found wrong."""
    start = 0
    for name, entry in header.items():
        if name == "__metadata__" or not isinstance(entry, dict):
            continue
        shape, itemsize = entry.get("shape"), {"F32": 4, "F64": 8, "I64": 8}.get(str(entry.get("dtype")))
        if itemsize is None or not isinstance(shape, list) or not all(type(width) is int for width in shape):
            continue
        length = itemsize * prod(shape)
        if 0 <= length < 2**16:
            entry["data_offsets"] = [start, start := start + length]
    return data[:start] + bytes(max(0, start - len(data)))
