"""cmlp.save and cmlp.load: what comes back, what is refused, and what a failure leaves behind."""

import builtins
import hashlib
import json
import math
import os
import pathlib
import pickle
import random
import re
import signal
import stat
import subprocess
import sys
import tempfile
import time
import tracemalloc
from functools import cache

import numpy as np
import pytest

import cmlp
from cmlp.kernels import available

on_posix = pytest.mark.skipif(os.name != "posix", reason="a POSIX file system")
both_precisions = pytest.mark.parametrize("dtype", ["float32", "float64"])


# ---- models -----------------------------------------------------------------------------------------


def samples(n=24, features=3):
    return np.random.default_rng(0).standard_normal((n, features))


def labels(*names, dtype=None):
    """24 labels that take turns."""
    return np.array(names, dtype)[np.arange(24) % len(names)]


Z = samples(24, 3) @ samples(3, 3)
TASKS = {
    "binary str": labels("no", "yes"),
    "binary bool": labels(False, True),
    "binary int": labels(-1, 1),
    "binary float": labels(0.0, 1.0),
    "binary bytes": labels(b"no", b"yes"),
    "binary object": labels("no", "yes", dtype=object),
    "str": labels("rose", "ß", "\U0001f339 'quoted\"\n"),
    "wide str": labels("a", "b", "c", dtype="<U40"),
    "object": labels("rose", "lily", "a longer name", dtype=object),
    "bytes": labels(b"a", b"\xff\xfe", b"ccc"),
    "int": labels(7, -3, 2**62),
    "uint8": labels(0, 3, 255, dtype=np.uint8),
    "big-endian": labels(1, 2, 300, dtype=">i4"),
    "float": labels(0.0, 1.0, 5.0),
    "float16": labels(0.0, 1.0, 5.0, dtype=np.float16),
    "long double": labels(0.0, 1.0, 5.0, dtype=np.longdouble),
    "multilabel int": (Z > 0).astype(int),
    "multilabel bool": Z > 0,
    "multilabel float": (Z > 0).astype(np.float32),
    "regression": Z[:, 0],
    "regression, one column": Z[:, :1],
    "regression, three columns": Z,
}
OPTIONS = {"hidden_layer_sizes": (5, 2), "activation": ("tanh", "relu"), "max_iter": 3, "random_state": 0}


@cache
def trained(task, dtype="float64"):
    return cmlp.fit(samples(), TASKS[task], dtype=dtype, **OPTIONS)


@cache
def validated():
    return cmlp.fit(samples(), TASKS["int"], X_val=samples(), y_val=TASKS["int"], **OPTIONS)


@cache
def small_file():
    """The bytes of a file of one hidden layer, small so that every byte can be tried."""
    return saved_bytes(
        cmlp.fit([[0.0], [1.0], [2.0]], [0.5, 1.0, 2.0], hidden_layer_sizes=2, max_iter=1, random_state=0)
    )


def saved_bytes(model):
    with tempfile.TemporaryDirectory() as folder:
        cmlp.save(model, f"{folder}/m")
        return pathlib.Path(folder, "m").read_bytes()


HISTORY = (
    "loss_curve_", "validation_scores_", "validation_loss_curve_", "best_loss_", "best_validation_score_", "n_iter_",
    "converged_",
)  # fmt: skip
NETWORK = ("layer_sizes", "activation", "loss_name", "dtype")


def assert_same_bits(a, b):
    assert (type(a), a.dtype, a.shape) == (type(b), b.dtype, b.shape)
    assert a.tolist() == b.tolist() if a.dtype == object else a.tobytes() == b.tobytes()


def assert_same_model(a, b):
    for name in HISTORY:
        assert getattr(a, name) == getattr(b, name), name
        assert type(getattr(a, name)) is type(getattr(b, name)), name
    for name in NETWORK:
        assert getattr(a.network, name) == getattr(b.network, name), name
    assert_same_bits(a.network.parameters, b.network.parameters)
    assert (a.task, a.n_features_in_) == (b.task, b.n_features_in_)
    if a.classes_ is None:
        assert b.classes_ is None
    else:
        assert_same_bits(a.classes_, b.classes_)


# ---- what comes back --------------------------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS)
@both_precisions
def test_round_trip(task, dtype, tmp_path):
    model = trained(task, dtype)
    cmlp.save(model, tmp_path / "m")
    loaded = cmlp.load(tmp_path / "m")
    assert_same_model(model, loaded)
    X = samples(50)
    assert_same_bits(model.predict(X), loaded.predict(X))
    assert_same_bits(np.asarray(model.predict(X[0])), np.asarray(loaded.predict(X[0])))
    assert model.score(samples(), TASKS[task]) == loaded.score(samples(), TASKS[task])
    if model.classes_ is not None:
        assert_same_bits(model.predict_proba(X), loaded.predict_proba(X))


@pytest.mark.parametrize(
    "options", [{"loss": "cross_entropy"}, {"hidden_layer_sizes": ()}, {"dtype": "float32"}], ids=str
)
def test_round_trip_of_other_networks(options, tmp_path):
    model = cmlp.fit(samples(), TASKS["binary str"], **{**OPTIONS, "activation": "elu", **options})
    model.save(tmp_path / "m")
    assert_same_model(model, cmlp.load(tmp_path / "m"))


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "huber", "poisson"])
def test_round_trip_of_each_loss_of_regression(loss, tmp_path):
    model = cmlp.fit(samples(), abs(Z), loss=loss, **OPTIONS)
    model.save(tmp_path / "m")
    assert_same_model(model, cmlp.load(tmp_path / "m"))


def test_round_trip_of_a_validated_run(tmp_path):
    assert len(validated().validation_scores_) == OPTIONS["max_iter"]
    cmlp.save(validated(), tmp_path / "m")
    assert_same_model(validated(), cmlp.load(tmp_path / "m"))


@pytest.mark.parametrize("task", TASKS)
def test_a_loaded_model_is_saved_as_the_same_bytes(task, tmp_path):
    content = saved_bytes(trained(task))
    (tmp_path / "m").write_bytes(content)
    assert saved_bytes(cmlp.load(tmp_path / "m")) == content


def test_a_loaded_network_trains_on(tmp_path):
    cmlp.save(trained("regression"), tmp_path / "m")
    runs = [cmlp.load(tmp_path / "m").network for _ in range(2)]
    before = runs[0].parameters.copy()
    for network in runs:
        network.fit(samples(), Z[:, 0], learning_rate=0.1, epochs=2)
    assert_same_bits(runs[0].parameters, runs[1].parameters)
    assert not np.array_equal(runs[0].parameters, before)


def test_wide_labels_of_a_small_network_are_refused_when_saved(tmp_path):
    y = np.array(["a", "b"], f"<U{2**22}")
    model = cmlp.fit(samples(2), y, **OPTIONS)
    with pytest.raises(ValueError, match=r"2 labels of dtype <U4194304 take 33554432 bytes: expected at most 1\d{7}"):
        cmlp.save(model, tmp_path / "m")
    assert list(tmp_path.iterdir()) == []


# ---- the path ---------------------------------------------------------------------------------------


class PathLike:
    def __init__(self, path):
        self.path = path

    def __fspath__(self):
        return self.path


@pytest.mark.parametrize("kind", [str, pathlib.Path, os.fsencode, PathLike], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("name", ["model", "with space.cmlp", "Größe \U0001f339", ".hidden", "n" * 255, "ü" * 127])
def test_paths(kind, name, tmp_path):
    path = kind(str(tmp_path / name))
    cmlp.save(trained("str"), path)
    assert [each.name for each in tmp_path.iterdir()] == [name]
    assert_same_model(trained("str"), cmlp.load(path))


def test_a_relative_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cmlp.save(trained("str"), "m")
    assert_same_model(trained("str"), cmlp.load("m"))


@pytest.mark.parametrize("path", ["", "missing", "missing/m", "file/m"])
def test_no_file_to_load(path, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"No such file|Not a directory|Is a directory"):
        cmlp.load(str(tmp_path / path))


@pytest.mark.parametrize("path", ["", "missing/m", "file/m", "n" * 256])
def test_no_place_to_save(path, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=str(tmp_path)):
        cmlp.save(trained("str"), str(tmp_path / path))
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


@on_posix
def test_a_pipe_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match=r"Invalid argument.*pipe"):
        cmlp.save(trained("str"), tmp_path / "pipe")
    assert stat.S_ISFIFO(os.stat(tmp_path / "pipe").st_mode)
    assert len(list(tmp_path.iterdir())) == 1


# ---- the format -------------------------------------------------------------------------------------


def parts(content):
    """Header and data of a file."""
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def with_header(text, data=b""):
    return len(text).to_bytes(8, "little") + text + data


def signed(header, data):
    """A file with this header and its checksum, whatever the header says."""
    entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
    metadata = {name: text for name, text in header["__metadata__"].items() if name != "sha256"}
    described = json.dumps([metadata, entries], sort_keys=True, separators=(",", ":")).encode()
    metadata = {**metadata, "sha256": hashlib.sha256(described + data).hexdigest()}
    return with_header(json.dumps({**header, "__metadata__": metadata}).encode(), data)


@both_precisions
def test_safetensors_reads_the_file(dtype, tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy")
    model = trained("str", dtype)
    cmlp.save(model, tmp_path / "m")
    arrays = safetensors.load_file(tmp_path / "m")
    expected = {f"W_{l}": W for l, W in enumerate(model.network.weights, 1)}
    expected |= {f"b_{l}": b for l, b in enumerate(model.network.biases, 1)}
    assert set(arrays) == set(expected)
    for name, array in expected.items():
        assert_same_bits(arrays[name], array)


@pytest.mark.parametrize("task", ["object", "bytes", "regression"])
def test_the_file_is_json_and_numbers_and_nothing_is_executed(task, tmp_path, monkeypatch):
    model = trained(task)
    cmlp.save(model, tmp_path / "m")
    header, data = parts((tmp_path / "m").read_bytes())
    assert data == model.network.parameters.tobytes()
    assert set(header["__metadata__"]) == {"format", "model", "sha256"}

    def refuse(*args, **kwargs):
        raise AssertionError("executed")

    for module, name in [
        (pickle, "load"),
        (pickle, "loads"),
        (pickle, "Unpickler"),
        (builtins, "eval"),
        (builtins, "exec"),
    ]:
        monkeypatch.setattr(module, name, refuse)
    loaded = cmlp.load(tmp_path / "m")
    monkeypatch.undo()
    assert_same_model(model, loaded)


PREDICT = """
import sys, numpy as np, cmlp
from cmlp.kernels import ISA
model = cmlp.load(sys.argv[1])
np.savez(sys.argv[2], ISA=ISA, parameters=model.network.parameters, labels=model.predict(np.load(sys.argv[3])),
         outputs=model.network.forward(np.load(sys.argv[3])))
"""


@pytest.mark.parametrize("isa", available())
@pytest.mark.parametrize(("task", "dtype"), [("str", "float32"), ("regression", "float64")])
def test_another_instruction_set_loads_it(isa, task, dtype, tmp_path):
    model, X = trained(task, dtype), samples(50)
    cmlp.save(model, tmp_path / "m")
    np.save(tmp_path / "X.npy", X)
    files = [str(tmp_path / name) for name in ("m", "out.npz", "X.npy")]
    subprocess.run([sys.executable, "-c", PREDICT, *files], env={**os.environ, "CMLP_ISA": isa}, check=True)
    with np.load(tmp_path / "out.npz") as out:
        assert out["ISA"] == isa
        assert_same_bits(out["parameters"], np.array(model.network.parameters))
        close = {"rtol": 1e-5 if dtype == "float32" else 1e-12, "atol": np.finfo(dtype).eps}
        np.testing.assert_allclose(out["outputs"], model.network.forward(X), **close)
        if task == "str":
            np.testing.assert_array_equal(out["labels"], model.predict(X))


# ---- damage -----------------------------------------------------------------------------------------


def refusal(path):
    """What `load` says to a file; fails if it loads, or if another exception comes."""
    try:
        cmlp.load(path)
    except cmlp.ModelFileError as error:
        refused = error
    else:
        pytest.fail(f"loaded {path.read_bytes()[:2000]!r}")
    assert refused.path == str(path)
    assert str(refused).startswith(f"cannot load {str(path)!r}: ")
    return str(refused)


def refusal_of(content, path):
    path.write_bytes(content)
    return refusal(path)


def test_a_file_truncated_anywhere(tmp_path):
    path, messages = tmp_path / "m", set()
    path.write_bytes(small_file())
    for n in reversed(range(len(small_file()))):
        os.truncate(path, n)
        messages.add(refusal(path))
    assert len(messages) > 8 + 56


def others(byte):
    """Each bit changed, all of them, and the blanks that JSON knows."""
    return {byte ^ (1 << bit) for bit in range(8)} | {byte ^ 255, *b" \t\n\r"} - {byte}


def test_a_file_with_any_byte_changed(tmp_path):
    path, messages = tmp_path / "m", []
    path.write_bytes(small_file())
    with open(path, "r+b", buffering=0) as file:
        for place, byte in enumerate(small_file()):
            for new in (*sorted(others(byte)), byte):
                file.seek(place)
                file.write(bytes([new]))
                messages += [refusal(path)] if new != byte else []
    assert path.read_bytes() == small_file()
    assert sum("checksum" in message for message in messages) > 8 * 56


@pytest.mark.parametrize("more", [b"\0", b" ", b"x" * 4096])
def test_a_file_with_bytes_after_its_end(more, tmp_path):
    assert "its header describes" in refusal_of(small_file() + more, tmp_path / "m")


# ---- hostile files ----------------------------------------------------------------------------------

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


def test_the_files_below_are_refused_for_their_lies_alone(tmp_path):
    """What makes them leaves a file that loads, where it is told to change nothing."""
    header, _ = parts(small_file())
    assert raw("empty") == b""
    for content in (
        signed(*parts(small_file())),
        edited(("W_1", "dtype"), "F64"),
        edited((*PAST, "loss_curve_"), [1.0]),
        with_task({**MULTICLASS, "classes": {"dtype": "<i8", "values": [1, 2, 3]}}),
        with_task({**MULTICLASS, "classes": {"dtype": "<U2", "values": ["a", "b", "cc"]}}),
        with_task({**MULTICLASS, "classes": {"dtype": "|S2", "values": ["a", "b", "cc"]}}),
        with_task({**MULTICLASS, "classes": {"dtype": "|O", "values": ["a", "b", "cc"]}}),
        with_task(MULTILABEL),
        with_metadata({"format": header["__metadata__"]["format"]}),
        with_parameters(lambda a: a + 1),
    ):
        (tmp_path / "m").write_bytes(content)
        cmlp.load(tmp_path / "m")


@pytest.mark.parametrize(
    ("make", "arguments"), HOSTILE, ids=lambda value: repr(value)[:60] if isinstance(value, tuple) else value.__name__
)
def test_a_hostile_file_is_refused_and_takes_no_memory(make, arguments, tmp_path):
    content = make(*arguments)
    tracemalloc.start()
    try:
        message = refusal_of(content, tmp_path / "m")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(message) < 1000
    assert peak < 2**20 + 40 * len(content)


def test_nesting_at_the_limit_of_recursion(tmp_path):
    limit = sys.getrecursionlimit()
    for n in range(limit - 150, limit + 20):
        refusal_of(nested(n), tmp_path / "m")
        refusal_of(edited((*META, "model"), "[" * n + "]" * n), tmp_path / "m")


MESSAGES = {
    r"it is 58 bytes long and does not hold a header": lambda: b"\x89PNG\r\n\x1a\n" + bytes(50),
    r"its header is not JSON \(.*\)": lambda: with_header(b"{"),
    r"a name occurs twice": lambda: raw("a duplicate array"),
    r"its header is not a JSON object": lambda: raw("a list"),
    r"its header has no metadata: not a model that cmlp saved": lambda: with_metadata(MISSING),
    r"its checksum does not match its content": lambda: with_metadata({"sha256": "0"}),
    r"describes 'W_1' as \{.*'I64'.*\}: expected dtype, shape and off": lambda: edited(("W_1", "dtype"), "I64"),
    r"'W_1' lies at \[0, 8\]: expected \[0, 16\]": lambda: edited(("W_1", "data_offsets"), [0, 8]),
    r"it holds 55 bytes of data, its header describes 56: truncated": lambda: small_file()[:-1],
    r"its format is 'pt': expected 'cmlp model 1'": lambda: edited((*META, "format"), "pt"),
    r"it holds arrays .* its layer_sizes are \(1, 3, 1\)": lambda: edited(("model", "layer_sizes"), [1, 3, 1]),
    r"activation\[0\]='step': expected one of": lambda: edited(("model", "activation"), ["step"]),
    r"KeyError: 'task'": lambda: edited(("model", "task"), MISSING),
    r"its parameters are not all finite": lambda: with_parameters(PARAMETERS["nan at 0"]),
}


@pytest.mark.parametrize(
    ("message", "content"), MESSAGES.items(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_the_message_says_what_is_wrong(message, content, tmp_path):
    assert re.search(message, refusal_of(content(), tmp_path / "m"))


# ---- writing ----------------------------------------------------------------------------------------


def saved_over(path, existing):
    """The bytes that a failing save must leave at `path`; None for no file."""
    if existing:
        cmlp.save(trained("int"), path)
    return path.read_bytes() if existing else None


def assert_untouched(path, before):
    assert [each.name for each in path.parent.iterdir()] == ([] if before is None else [path.name])
    if before is not None:
        assert path.read_bytes() == before
        assert_same_model(trained("int"), cmlp.load(path))


@pytest.mark.parametrize("existing", [False, True], ids=["new", "existing"])
@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt, MemoryError])
@pytest.mark.parametrize("function", ["fsync", "replace", "chmod"])
def test_a_failing_write_leaves_the_old_file(function, error, existing, tmp_path, monkeypatch):
    before = saved_over(tmp_path / "m", existing)

    def fail(*args, **kwargs):
        raise error("made to fail")

    monkeypatch.setattr(os, function, fail)
    with pytest.raises(error, match="made to fail"):
        cmlp.save(trained("str"), tmp_path / "m")
    monkeypatch.undo()
    assert_untouched(tmp_path / "m", before)


@pytest.mark.parametrize("existing", [False, True], ids=["new", "existing"])
@pytest.mark.parametrize("limit", [0, 100, 1000])
def test_a_full_disk_leaves_the_old_file(limit, existing, tmp_path):
    resource = pytest.importorskip("resource")
    before = saved_over(tmp_path / "m", existing)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            cmlp.save(trained("str"), tmp_path / "m")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert_untouched(tmp_path / "m", before)


def test_a_folder_that_cannot_be_synced_does_not_matter(tmp_path, monkeypatch):
    fsync = os.fsync

    def only_files(handle):
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError("a folder")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", only_files)
    cmlp.save(trained("str"), tmp_path / "m")
    assert_same_model(trained("str"), cmlp.load(tmp_path / "m"))


@on_posix
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444, 0o755])
def test_permissions_of_an_existing_file_are_kept(mode, tmp_path):
    cmlp.save(trained("int"), tmp_path / "m")
    os.chmod(tmp_path / "m", mode)
    cmlp.save(trained("str"), tmp_path / "m")
    assert stat.S_IMODE(os.stat(tmp_path / "m").st_mode) == mode
    assert_same_model(trained("str"), cmlp.load(tmp_path / "m"))


@on_posix
@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_permissions_of_a_new_file_follow_the_mask(mask, tmp_path):
    old = os.umask(mask)
    try:
        cmlp.save(trained("str"), tmp_path / "m")
        assert os.umask(mask) == mask
    finally:
        os.umask(old)
    assert stat.S_IMODE(os.stat(tmp_path / "m").st_mode) == 0o666 & ~mask


@on_posix
@pytest.mark.parametrize("existing", [False, True], ids=["dangling", "existing"])
@pytest.mark.parametrize("absolute", [False, True], ids=["relative", "absolute"])
def test_a_symbolic_link_is_followed(absolute, existing, tmp_path):
    (tmp_path / "there").mkdir()
    target, link = tmp_path / "there" / "m", tmp_path / "link"
    if existing:
        cmlp.save(trained("int"), target)
        os.chmod(target, 0o640)
    link.symlink_to(target if absolute else pathlib.Path("there", "m"))
    cmlp.save(trained("str"), link)
    assert link.is_symlink()
    assert not target.is_symlink()
    assert not existing or stat.S_IMODE(os.stat(target).st_mode) == 0o640
    assert [each.name for each in target.parent.iterdir()] == ["m"]
    for path in (link, target):
        assert_same_model(trained("str"), cmlp.load(path))


SAVE_FOREVER = """
import sys, cmlp
models = [cmlp.load(path) for path in sys.argv[2:]]
while True:
    for model in models:
        cmlp.save(model, sys.argv[1])
        print("saved", flush=True)
"""


@on_posix
def test_a_killed_process_leaves_a_whole_file(tmp_path):
    models = [
        cmlp.fit(samples(), TASKS["int"], hidden_layer_sizes=20_000, max_iter=1, random_state=seed) for seed in (0, 1)
    ]
    sources = [str(tmp_path / name) for name in "ab"]
    for model, source in zip(models, sources, strict=True):
        model.save(source)
    contents = [pathlib.Path(source).read_bytes() for source in sources]
    wait, cut_short = random.Random(0), 0
    for _ in range(10):
        path = tmp_path / "m"
        command = [sys.executable, "-c", SAVE_FOREVER, str(path), *sources]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout.readline() == b"saved\n"
            time.sleep(wait.uniform(0, 0.05))
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        assert path.read_bytes() in contents
        assert cmlp.load(path).n_iter_ == 1
        parts = list(tmp_path.glob(".m.*.part"))
        cut_short += len(parts)
        for part in parts:
            part.unlink()
    assert cut_short, "no process was killed while it wrote"
