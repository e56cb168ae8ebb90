"""cmlp.save and cmlp.load: what comes back, what is refused, and what a failure leaves behind."""

import builtins
import os
import pathlib
import pickle
import re
import stat
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

import cmlp
from cmlp.kernels import available
from hostile_files import (
    HOSTILE,
    META,
    MISSING,
    MULTICLASS,
    MULTILABEL,
    PARAMETERS,
    PAST,
    edited,
    nested,
    raw,
    with_metadata,
    with_parameters,
    with_task,
)
from model_files import (
    OPTIONS,
    TASKS,
    Z,
    assert_same_bits,
    assert_same_model,
    parts,
    refusal,
    refusal_of,
    samples,
    saved_bytes,
    signed,
    small_file,
    trained,
    validated,
    with_header,
)

on_posix = pytest.mark.skipif(os.name != "posix", reason="a POSIX file system")
both_precisions = pytest.mark.parametrize("dtype", ["float32", "float64"])


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


NOWHERE = [pytest.param(f"{folder}/../file", marks=on_posix) for folder in ("missing", "file")]


@pytest.mark.parametrize("path", ["", "missing", "missing/m", "file/m", *NOWHERE])
def test_no_file_to_load(path, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"No such file|Not a directory|Is a directory"):
        cmlp.load(str(tmp_path / path))


@pytest.mark.parametrize("path", ["", "missing/m", "file/m", "n" * 256, *NOWHERE])
def test_no_place_to_save(path, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=re.escape(str(tmp_path))):
        cmlp.save(trained("str"), str(tmp_path / path))
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


@on_posix
def test_a_pipe_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match=r"Not a regular file.*pipe"):
        cmlp.save(trained("str"), tmp_path / "pipe")
    assert stat.S_ISFIFO(os.stat(tmp_path / "pipe").st_mode)
    assert len(list(tmp_path.iterdir())) == 1


# ---- the format -------------------------------------------------------------------------------------


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
    r"describes 'W_1' as \{.*'I32'.*\}: expected dtype, shape and off": lambda: edited(("W_1", "dtype"), "I32"),
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


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt, MemoryError])
@pytest.mark.parametrize(
    ("function", "existing"),
    [("fsync", False), ("fsync", True), ("replace", False), ("replace", True), ("chmod", True)],
)
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
        with pytest.raises(OSError, match=re.escape(f"File too large: {str(tmp_path / 'm')!r}")):
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
