"""Files that lie, each with the checksum to match where its lie is to be found beyond that."""

import json
import math
import pickle
from functools import cache

import numpy as np

import cmlp
from model_files import TASKS, parts, samples, saved_bytes, signed, small_file, with_header

MISSING = object()


def nested(n):
    """The small file with one more entry in its header, lists n deep."""
    length = int.from_bytes(small_file()[:8], "little")
    text, data = small_file()[8 : 8 + length], small_file()[8 + length :]
    return with_header(text.rstrip()[:-1] + b',"a":' + b"[" * n + b"]" * n + b"}", data)


def with_length(length, content):
    return length.to_bytes(8, "little") + content[8:]


RAW = {
    "empty": lambda text, data: b"",
    "seven bytes": lambda text, data: bytes(7),
    "no header": lambda text, data: bytes(8),
    "length 2**63": lambda text, data: with_length(2**63, small_file()),
    "length 2**64 - 1": lambda text, data: with_length(2**64 - 1, small_file()),
    "length of the whole file": lambda text, data: with_length(len(small_file()), small_file()),
    "a shorter header": lambda text, data: with_length(len(text) - 8, small_file()),
    "a longer header": lambda text, data: with_length(len(text) + 8, small_file()),
    "not UTF-8": lambda text, data: with_header(text.replace(b"W_1", b"W_\xff"), data),
    "UTF-16": lambda text, data: with_header(text.decode().encode("utf-16"), data),
    "byte order mark": lambda text, data: with_header(b"\xef\xbb\xbf" + text, data),
    "a list": lambda text, data: with_header(b"[]"),
    "a number": lambda text, data: with_header(b"1"),
    "an integer of 5000 digits": lambda text, data: with_header(b"1" * 5000),
    "blanks": lambda text, data: with_header(b" " * 64),
    "blanks after the header": lambda text, data: with_header(text + b"\n", data),
    "two headers": lambda text, data: with_header(text + text, data),
    "an empty object": lambda text, data: with_header(b"{}"),
    "a duplicate array": lambda text, data: with_header(text.replace(b'"b_1":', b'"W_1":'), data),
    "duplicate metadata": lambda text, data: with_header(text.replace(b'"format":', b'"model":'), data),
    "a duplicate field": lambda text, data: with_header(text.replace(b'"shape":', b'"dtype":'), data),
    "a pickle": lambda text, data: pickle.dumps({"W_1": 1}),
    "a zip": lambda text, data: b"PK\x03\x04" + bytes(100),
    "HTML": lambda text, data: b"<!DOCTYPE html><html><body>404</body></html>",
    "nested 100 deep": lambda text, data: nested(100),
    "nested 100,000 deep": lambda text, data: nested(10**5),
    "nested 1,000,000 deep": lambda text, data: nested(10**6),
}

META, TASK, PAST = ("__metadata__",), ("model", "task"), ("model", "history")
ENTRY = {"dtype": "F64", "shape": [2, 1], "data_offsets": [0, 16]}
EDITS = {  # a place in the header or (below "model") in the description of the small file, and what to write there
    ("W_1",): [MISSING, None, 1, "x", [], {}, {**ENTRY, "more": 1}, {"dtype": "F64"}, [ENTRY]],
    ("b_1",): [MISSING],
    ("W_2",): [MISSING],
    ("b_2",): [MISSING],
    ("W_3",): [{**ENTRY, "shape": shape, "data_offsets": [56, end]} for shape, end in (([1], 64), ([0], 56), ([], 64))],
    ("",): [ENTRY],
    ("W_1", "dtype"): ["F32", "F16", "I64", "f64", None, 1, ["F64"], {"F64": 1}],
    ("W_1", "shape"): [
        None, 2, "21", {}, [], [2], [1, 2], [3, 1], [2, 2], [2, 1, 1], [1] * 100 + [2, 1], [2.0, 1], [True, 2],
        ["2", 1], [None, 1], [-2, -1], [0, 1], [2**40, 1], [2**62, 2], [2**63, 1], [10**400, 1], [2**62, 0],
        [1] * 10**5, [2**62] * 10**4,
    ],
    ("W_1", "data_offsets"): [
        None, 0, [], [0], [0, 16, 32], [0, 8], [0, 24], [8, 24], [16, 0], [-16, 0], [0.0, 16.0], [False, 16],
        ["0", "16"], [0, 2**40], [0, 2**63], [2**62, 2**62 + 16], [0, 10**400],
    ],
    ("b_1", "data_offsets"): [[0, 16], [8, 24], [24, 40]],
    ("b_2", "data_offsets"): [[56, 64], [40, 48]],
    (*META, "format"): [MISSING, "cmlp model 2", "cmlp model 0", "", "pt", "CMLP MODEL 1"],
    (*META, "model"): [MISSING, "", "{", "null", "[]", "1", '"x"', "{}", "[" * 10**5, "1" * 5000],
    ("model", "layer_sizes"): [
        MISSING, None, 3, "121", [], [1], [1, 2], [1, 3, 1], [1, 2, 2], [2, 2, 1], [1, 2, 1, 1], [1.0, 2, 1],
        [True, 2, 1], [1, -2, 1], [1, 0, 1], [2**40, 2**40, 1], [10**400, 1], [[1], 2, 1], {"1": 1, "2": 2},
    ],
    ("model", "activation"): [MISSING, None, 1, "step", [], ["step"], ["relu", "relu"], [None], [["relu"]], {}],
    ("model", "dtype"): [MISSING, None, "float32", "float16", ">f8", "O", 8, []],
    TASK: [MISSING, None, [], "regression", {}],
    (*TASK, "kind"): [MISSING, None, "binary", "multiclass", "multilabel", "clustering", 1, ["regression"]],
    (*TASK, "loss"): [MISSING, None, "cross_entropy", "binary_cross_entropy", "hinge", 0, []],
    (*TASK, "column"): [MISSING, None, 0, 1, "true", []],
    PAST: [MISSING, None, [], {}],
    (*PAST, "loss_curve_"): [MISSING, None, 1, "12", ["1"], [None], [[1]], [True], [10**400], {"1": 1}],
    (*PAST, "validation_scores_"): [MISSING, 1, "12", ["1"], [False], [10**400]],
    (*PAST, "validation_loss_curve_"): [MISSING, 1, "12", ["1"], [False], [10**400]],
    ("model", "out_activation"): [MISSING, 1, "exp", [], ["softmax"]],
    ("model", "quantile"): [MISSING, None, "0.5", 0, 1, -1, [0.5]],
    (*PAST, "best_loss_"): [MISSING, "1", [1], True, 10**400],
    (*PAST, "best_validation_score_"): [MISSING, "1", [1], True, 10**400],
    (*PAST, "converged_"): [MISSING, None, 0, "False", []],
}  # fmt: skip


def edited(place, value):
    """The small file with one item of its header or description replaced, and the checksum to match."""
    header, data = parts(small_file())
    description = json.loads(header["__metadata__"]["model"])
    *parents, last = place
    inner = {**header, "model": description}
    for key in parents:
        inner = inner[key]
    if value is MISSING:
        del inner[last]
    elif len(place) == 1:
        header[last] = value
    else:
        inner[last] = value
    if len(place) == 1 and value is MISSING:
        del header[last]
    if place[0] == "model":
        header["__metadata__"]["model"] = json.dumps(description)
    return signed(header, data)


CLASSES = {"dtype": "<i8", "values": [1, 2, 3]}
LYING_CLASSES = [
    *({"dtype": "<i8", "values": values} for values in (
        None, 3, "123", {}, [], [1], [1, 2], [1, 2, 3, 4], [1, 1, 2], [3, 2, 1], [1.5, 2, 3], [1, 2, "3"], [1, 2, None],
        [[1], [2], [3]], [[1, 2, 3]], [1, 2, 2**63], [1, 2, 10**400], [1, 2, float("nan")], [1, 2, float("inf")],
    )),
    *({"dtype": dtype, "values": [1, 2, 3]} for dtype in (
        None, 8, [], "", "i", "x", "V8", "M8[s]", "c16", "<f16", "O", "|b1", "<U1", "|S1", "i8,i8", "(2,)i8", "(2,i8",
        "a5", "U-1", "i8\0", "<U999999999", "|S999999999", "<U99999999999", "float", "void",
    )),
    *({"dtype": dtype, "values": ["a", "b", "cc"]} for dtype in (
        "<i8", "|b1", "<f8", "<U1", "|S1", "<U999999999", "|S999999999", "<U2000000",
    )),
    *({"dtype": dtype, "values": values} for dtype, values in (
        ("<f2", [1.0, 2.0, 1e6]), ("|u1", [1, 2, 256]), ("|u1", [-1, 2, 3]), ("<f8", [1, 2, float("nan")]),
        ("|S1", ["a", "b", "\u0416"]), ("<U2", ["a", "b", "c\0"]), ("<U1", ["b", "a", "c"]), ("|O", ["b", "a", "c"]),
        ("|O", [1, 2, 3]), ("|O", ["a", "b", None]), ("|O", ["a", "b", ["c"]]), ("|O", ["a", "b", {}]),
    )),
    None, [], 3, "x", {}, {"dtype": "<i8"}, {"values": [1, 2, 3]}, MISSING,
]  # fmt: skip
MULTICLASS = {"kind": "multiclass", "loss": "cross_entropy", "column": True, "label_dtype": "<i8", "classes": CLASSES}
MULTILABEL = {
    **MULTICLASS,
    "kind": "multilabel",
    "loss": "binary_cross_entropy",
    "classes": {"dtype": "<i8", "values": [0, 1, 2]},
}
LYING_TASKS = [
    *({**MULTICLASS, "classes": classes} for classes in LYING_CLASSES),
    *({**MULTILABEL, "label_dtype": dtype} for dtype in (
        MISSING, None, 8, "|O", "<U5", "|S5", "<U999999999", "V8", "x", "i8,i8", "",
    )),
    *({**MULTILABEL, "classes": classes} for classes in (CLASSES, {"dtype": "<i8", "values": [0, 1]}, None)),
    {**MULTICLASS, "kind": "binary"},
    {**MULTICLASS, "kind": "binary", "loss": "binary_cross_entropy"},
    {**MULTICLASS, "kind": "binary", "loss": "binary_cross_entropy", "classes": {"dtype": "<i8", "values": [1, 2]}},
    {**MULTICLASS, "kind": "binary", "classes": {"dtype": "<i8", "values": [1, 2]}},
    {**MULTICLASS, "kind": "multilabel"},
    {**MULTICLASS, "kind": "regression"},
    {**MULTICLASS, "kind": "regression", "loss": "squared_error"},
    {**MULTICLASS, "loss": "binary_cross_entropy"},
    {**MULTICLASS, "loss": "squared_error"},
]  # fmt: skip


@cache
def file_of_three_outputs():
    return saved_bytes(cmlp.fit(samples(), TASKS["int"], hidden_layer_sizes=2, max_iter=1, random_state=0))


def with_task(task):
    header, data = parts(file_of_three_outputs())
    known = {name: value for name, value in task.items() if value is not MISSING}
    description = {**json.loads(header["__metadata__"]["model"]), "task": known}
    header["__metadata__"]["model"] = json.dumps(description)
    return signed(header, data)


METADATA = [
    MISSING, None, [], "x", 1, {"format": 1}, {"format": None}, {"format": ["cmlp model 1"]}, {"model": {}},
    {"model": None}, {"more": "x"}, {"more": 1}, {"more": None}, {"sha256": None}, {"sha256": 0}, {"sha256": ""},
    {"sha256": "0" * 64}, {"sha256": "\ud800"}, {"sha256": MISSING},
]  # fmt: skip


def with_metadata(change):
    """The small file with metadata of the wrong type, or that its checksum does not cover."""
    header, data = parts(small_file())
    metadata = header.pop("__metadata__")
    metadata = {**metadata, **change} if isinstance(change, dict) else change
    if isinstance(metadata, dict):
        metadata = {name: value for name, value in metadata.items() if value is not MISSING}
    header |= {} if metadata is MISSING else {"__metadata__": metadata}
    return with_header(json.dumps(header).encode(), data)


def promising(shapes):
    """A file whose arrays are consistent and end far beyond it, or hold nothing."""
    header, _ = parts(small_file())
    end = 0
    for name, shape in shapes.items():
        start, end = end, end + 8 * math.prod(shape)
        header[name] = {"dtype": "F64", "shape": shape, "data_offsets": [start, end]}
    return signed(header, b"")


PROMISES = {
    "a terabyte": {"W_1": [2**36, 1], "b_1": [2**36], "W_2": [1, 2**36], "b_2": [1]},
    "all memory there is": {"W_1": [2**59, 1], "b_1": [2**59], "W_2": [1, 2**59], "b_2": [1]},
    "nothing": {"W_1": [0, 1], "b_1": [0], "W_2": [1, 0], "b_2": [0]},
    "nothing by huge shapes": {"W_1": [0, 2**62], "b_1": [0], "W_2": [2**62, 0], "b_2": [0, 2**62, 2**62]},
}


def with_parameters(change):
    """The small file with other parameters, and the checksum to match."""
    header, data = parts(small_file())
    return signed(header, change(np.frombuffer(data).copy()).tobytes())


PARAMETERS = {
    **{f"{value} at {i}": lambda a, i=i, value=value: np.r_[a[:i], value, a[i + 1 :]]
       for i in (0, 6) for value in (np.nan, np.inf, -np.inf)},
    "eight bytes more": lambda a: np.append(a, 1.0),
    "eight bytes fewer": lambda a: a[:-1],
    "none": lambda a: a[:0],
}  # fmt: skip


def raw(name):
    length = 8 + int.from_bytes(small_file()[:8], "little")
    return RAW[name](small_file()[8:length], small_file()[length:])


HOSTILE = [
    *((raw, (name,)) for name in RAW),
    *((edited, (place, value)) for place, values in EDITS.items() for value in values),
    *((with_task, (task,)) for task in LYING_TASKS),
    *((with_metadata, (change,)) for change in METADATA),
    *((promising, (shapes,)) for shapes in PROMISES.values()),
    *((with_parameters, (change,)) for change in PARAMETERS.values()),
]
