"""cmlp.load and cmlp.save at what is no saved model: other formats, links, pipes, devices, folders, odd paths."""

import errno
import gzip
import io
import json
import os
import pathlib
import pickle
import re
import signal
import socket
import subprocess
import sys
import zipfile

import numpy as np
import pytest

import cmlp
import hostile_checkpoints as hostile
from hostile_files import HOSTILE, edited
from model_files import TASKS, assert_same_model, parts, refusal, refusal_of, saved_bytes, signed, small_file, trained

on_posix = pytest.mark.skipif(os.name != "posix", reason="a POSIX file system")


@pytest.fixture(autouse=True)
def no_hang(request):
    """Reading a pipe or a device may never end: an alarm ends it, at night after half an hour."""
    if not hasattr(signal, "alarm"):
        yield
        return

    def stop(*_):
        raise AssertionError("it hangs")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(60 if request.node.get_closest_marker("nightly") is None else 1800)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


# ---- other formats ----------------------------------------------------------------------------------


class Bomb:
    """Its pickle ends the process that reads it."""

    def __reduce__(self):
        return os._exit, (3,)


def zipped(content, times=1):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(times):
            archive.writestr(str(number), content)
    return file.getvalue()


def by_numpy(save, **named):
    file = io.BytesIO()
    save(file, **named)
    return file.getvalue()


OTHERS = {
    "an empty file": lambda: b"",
    "one byte": lambda: b"\0",
    "a line end": lambda: b"\n",
    "text": lambda: b"I am not a model.\n" * 20,
    "text in UTF-16": lambda: ("I am not a model.\n" * 20).encode("utf-16"),
    "CSV": lambda: b"a,b,c\n1,2,3\n",
    "JSON": lambda: json.dumps({"format": "cmlp model 1"}).encode(),
    "zeros": lambda: bytes(10_000),
    "ones": lambda: b"\xff" * 10_000,
    "noise": lambda: np.random.default_rng(0).bytes(10_000),
    "a zip of a model": lambda: zipped(small_file()),
    "a zip bomb": lambda: zipped(bytes(2**24), 4),
    "a gzip of a model": lambda: gzip.compress(small_file()),
    "a gzip bomb": lambda: gzip.compress(bytes(2**26)),
    "npz": lambda: by_numpy(np.savez, a=np.ones(3)),
    "npz of objects": lambda: by_numpy(np.savez, a=np.array([Bomb()], object)),
    "npy": lambda: by_numpy(np.save, arr=np.ones(3)),
    "a pickled model": lambda: pickle.dumps(trained("str")),
    **{f"a pickle that acts, {p}": lambda p=p: pickle.dumps(Bomb(), p) for p in range(pickle.HIGHEST_PROTOCOL + 1)},
    "HDF5": lambda: b"\x89HDF\r\n\x1a\n" + bytes([0, 0, 0, 0, 0, 8, 8, 0]) + bytes(2000),
    "ONNX": lambda: b"\x08\x07\x12\x07pytorch\x1a\x052.0.0" + bytes(100),
    "PNG": lambda: b"\x89PNG\r\n\x1a\n" + bytes(200),
    "ELF": lambda: b"\x7fELF\x02\x01\x01" + bytes(200),
    "a Python program": lambda: b"#!/usr/bin/env python\nimport os; os._exit(3)\n",
    "two models": lambda: small_file() * 2,
    "a model after a blank": lambda: b" " + small_file(),
    "a model with line ends of Windows": lambda: small_file().replace(b"\n", b"\r\n") + b"\r\n",
    "a model as a text editor saves it": lambda: small_file().decode("latin-1").encode(),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_another_format_is_refused(name, tmp_path):
    refusal_of(OTHERS[name](), tmp_path / "m")


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {"format": "cmlp model 1"}], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int64", "bool"])
def test_a_safetensors_file_of_another_program(dtype, metadata, tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy")
    safetensors.save_file({"W_1": np.ones((2, 3), dtype), "b_1": np.ones(2, dtype)}, tmp_path / "m", metadata)
    message = refusal(tmp_path / "m")
    expected = "not a model that cmlp saved" if metadata is None or "float" in dtype else ""
    assert expected in message or "expected dtype, shape and offsets" in message


def test_a_model_that_another_program_wrote_again(tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy")
    cmlp.save(trained("str"), tmp_path / "m")
    metadata, tensors = parts((tmp_path / "m").read_bytes())[0]["__metadata__"], safetensors.load_file(tmp_path / "m")
    safetensors.save_file({**tensors, "W_1": tensors["W_1"] + 1}, tmp_path / "m", metadata)
    refusal(tmp_path / "m")


@pytest.mark.parametrize("version", ["cmlp model 2", "cmlp model 10", "cmlp checkpoint 1", "cmlp model 1.5"])
def test_a_newer_format_is_named(version, tmp_path):
    content = edited(("__metadata__", "format"), version)
    assert f"its format is '{version}': expected 'cmlp model 1'" in refusal_of(content, tmp_path / "m")


# ---- JSON that Python reads and JSON is not -----------------------------------------------------------


def described(change):
    """The small file with other text for its description, and the checksum to match."""
    header, data = parts(small_file())
    header["__metadata__"]["model"] = change(header["__metadata__"]["model"])
    return signed(header, data)


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity", "1e999", "-0.0", "1e-999", "1" * 4000])
@pytest.mark.parametrize("name", ["quantile", "best_loss_", "layer_sizes"])
def test_numbers_that_json_does_not_know(name, literal, tmp_path):
    """A quantile or a width is none of these; a loss that was NaN or infinite is."""
    content = described(lambda text: re.sub(rf'("{name}": )(\[[^]]*\]|[^,}}]+)', rf"\g<1>{literal}", text))
    assert content != signed(*parts(small_file()))
    if name == "best_loss_" and len(literal) < 100:
        (tmp_path / "m").write_bytes(content)
        best = cmlp.load(tmp_path / "m").best_loss_
        assert best == float(literal) or (best != best and literal == "NaN")
    else:
        refusal_of(content, tmp_path / "m")


def test_lone_surrogates_come_back(tmp_path):
    """As labels, which Python's strings allow; not as names in the header."""
    y = np.array(["\ud800", "\udfff", "a\ud800b"], object)[np.arange(24) % 3]
    model = cmlp.fit(np.arange(24.0).reshape(-1, 1), y, max_iter=1, hidden_layer_sizes=2, random_state=0)
    cmlp.save(model, tmp_path / "m")
    assert_same_model(model, cmlp.load(tmp_path / "m"))
    header, data = parts(small_file())
    for at in ("\ud800", "W_1\udfff"):
        message = refusal_of(signed({**header, at: header["W_1"]}, data), tmp_path / "m")
        message.encode()  # can be printed
    refusal_of(edited(("__metadata__", "format"), "\ud800"), tmp_path / "m").encode()
    refusal_of(described(lambda text: text.replace("relu", "\ud800")), tmp_path / "m").encode()


# ---- paths ------------------------------------------------------------------------------------------

BOTH = pytest.mark.parametrize(
    "act", [cmlp.load, lambda path: cmlp.save(trained("str"), path)], ids=["load", "save"]
)  # fmt: skip


@BOTH
@pytest.mark.parametrize("path", [None, 3, 3.5, True, [], {}, object(), ["m"], io.BytesIO()], ids=repr)
def test_no_path(act, path):
    with pytest.raises(TypeError, match=r"path=.*: expected a str, bytes or os.PathLike"):
        act(path)


@BOTH
@pytest.mark.parametrize("path", ["m\0", b"m\0", pathlib.PurePosixPath("a\0b"), "\0"], ids=repr)
def test_a_path_with_a_null(act, path):
    with pytest.raises(ValueError, match=r"path=.*: expected no null character"):
        act(path)


@BOTH
def test_a_path_that_cannot_be_encoded(act):
    with pytest.raises(ValueError, match=r"path='m\\ud800': expected characters that file names can have"):
        act("m\ud800")


@on_posix
@BOTH
def test_a_descriptor_is_no_path(act, tmp_path):
    cmlp.save(trained("str"), tmp_path / "m")
    with open(tmp_path / "m", "rb") as file, pytest.raises(TypeError, match="expected a str"):
        act(file.fileno())


@BOTH
def test_a_folder(act, tmp_path):
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "folder", f"{tmp_path}/folder/"):
        with pytest.raises(OSError, match="folder"):
            act(path)
    assert list(tmp_path.iterdir()) == [tmp_path / "folder"]


@BOTH
def test_a_name_with_a_slash_after_it_is_a_folder(act, tmp_path):
    with pytest.raises(OSError, match="new/"):
        act(f"{tmp_path}/new/")
    assert list(tmp_path.iterdir()) == []


@BOTH
@pytest.mark.parametrize("path", ["missing/m", "file/m", "n" * 300, "n" * 5000])
def test_nowhere(act, path, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=re.escape(repr(str(tmp_path / path)))):
        act(tmp_path / path)
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


@on_posix
def test_an_unreadable_file(tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may read anything")
    cmlp.save(trained("str"), tmp_path / "m")
    os.chmod(tmp_path / "m", 0o200)
    with pytest.raises(PermissionError, match=re.escape(str(tmp_path / "m"))):
        cmlp.load(tmp_path / "m")


# ---- symbolic links ---------------------------------------------------------------------------------


@on_posix
@BOTH
@pytest.mark.parametrize("names", [["a"], ["a", "b"], ["a", "b", "c"]], ids="-".join)
def test_a_loop_of_links(act, names, tmp_path):
    for name, to in zip(names, [*names[1:], names[0]], strict=True):
        (tmp_path / name).symlink_to(to)
    with pytest.raises(OSError, match=re.escape(repr(str(tmp_path / "a")))) as caught:
        act(tmp_path / "a")
    assert caught.value.errno == errno.ELOOP
    assert sorted(each.name for each in tmp_path.iterdir()) == names
    assert all(each.is_symlink() for each in tmp_path.iterdir())


@on_posix
def test_a_dangling_link(tmp_path):
    """Nothing to load; a save makes what it points to, if the folder is there."""
    (tmp_path / "link").symlink_to("target")
    (tmp_path / "lost").symlink_to("missing/target")
    for name in ("link", "lost"):
        with pytest.raises(FileNotFoundError, match=name):
            cmlp.load(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="missing/target"):
        cmlp.save(trained("str"), tmp_path / "lost")
    cmlp.save(trained("str"), tmp_path / "link")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["link", "lost", "target"]
    assert_same_model(trained("str"), cmlp.load(tmp_path / "target"))


@on_posix
@pytest.mark.parametrize("target", ["folder", "pipe", "/dev/null"])
def test_a_link_to_what_is_no_file(target, tmp_path):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(target)
    before = sorted(tmp_path.iterdir())
    for act in (cmlp.load, lambda path: cmlp.save(trained("str"), path)):
        with pytest.raises(OSError, match=r"Is a directory|Not a regular file"):
            act(tmp_path / "link")
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "link").is_symlink()


@on_posix
def test_a_failing_save_through_a_link_leaves_link_and_target(tmp_path, monkeypatch):
    cmlp.save(trained("int"), tmp_path / "target")
    (tmp_path / "link").symlink_to("target")

    def fail(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        cmlp.save(trained("str"), tmp_path / "link")
    monkeypatch.undo()
    assert (tmp_path / "link").is_symlink()
    assert_same_model(trained("int"), cmlp.load(tmp_path / "link"))


# ---- pipes, devices, sockets --------------------------------------------------------------------------


@on_posix
@BOTH
@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null", "/dev/full", "/dev/urandom"])
def test_a_device(act, device):
    if not os.path.exists(device):
        pytest.skip("no such device here")
    with pytest.raises(OSError, match=f"Not a regular file: '{device}'"):
        act(device)


@on_posix
@BOTH
@pytest.mark.parametrize("writer", [False, True], ids=["alone", "with a writer"])
def test_a_pipe(act, writer, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    end = os.open(tmp_path / "pipe", os.O_RDWR) if writer else None
    with pytest.raises(OSError, match=r"Not a regular file: .*pipe"):
        act(tmp_path / "pipe")
    if writer:
        os.close(end)
    assert list(tmp_path.iterdir()) == [tmp_path / "pipe"]


@on_posix
@BOTH
def test_a_socket(act, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        with pytest.raises(OSError, match=r"socket"):
            act("socket")
    assert list(tmp_path.iterdir()) == [tmp_path / "socket"]


@pytest.mark.skipif(not os.path.exists("/proc/self/mem"), reason="Linux")
@pytest.mark.parametrize("path", ["/proc/self/mem", "/proc/self/status", "/proc/kmsg", "/proc/self/mounts"])
def test_files_of_the_system_that_say_they_are_empty(path):
    with pytest.raises((OSError, cmlp.ModelFileError), match=path):
        cmlp.load(path)


@on_posix
def test_a_file_of_holes(tmp_path):
    """A terabyte that takes no room on the disk is not read: its header is none."""
    with open(tmp_path / "m", "wb") as file:
        try:
            file.truncate(2**40)
        except OSError:
            pytest.skip("the file system has no holes")
    assert "header" in refusal(tmp_path / "m")
    with open(tmp_path / "m", "r+b") as file:
        file.write(small_file())
    assert "it holds 10995" in refusal(tmp_path / "m")


# ---- what loading does besides ------------------------------------------------------------------------

LOAD = {  # a program's first lines, of models and of checkpoints, whose training goes on
    "models": "from cmlp import load as read",
    "checkpoints": f"import sys; sys.path.insert(0, {str(pathlib.Path(__file__).parent)!r})\n"
    "from hostile_checkpoints import load as read",
}

WATCHED = """
import os, pathlib, sys, cmlp

def load(path):
    try:
        read(path)
    except (cmlp.ModelFileError, OSError):
        pass

paths = list(map(str, pathlib.Path(sys.argv[1]).iterdir()))
for path in paths:
    load(path)  # what is imported lazily is now
events = []
sys.addaudithook(lambda name, arguments: events.append((name, arguments)))
for path in paths:
    before = len(events)
    load(path)
    for name, arguments in events[before:]:
        assert (name, arguments[0]) in [("open", path), ("os.listdir", sys.argv[2])], (path, name, arguments)
print(len(events))
"""

CONFINED = """
import pathlib, resource, sys, cmlp
paths = sorted(map(str, pathlib.Path(sys.argv[1]).iterdir()))
read(sys.argv[2])
pages = int(pathlib.Path("/proc/self/statm").read_text().split()[0])
limit = pages * resource.getpagesize() + 2**26
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
for path in paths:
    try:
        read(path)
    except cmlp.ModelFileError:
        continue
    raise AssertionError(path)
read(sys.argv[2])
print(len(paths))
"""


@pytest.fixture(scope="module")
def hostile_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    for number, (make, arguments) in enumerate(HOSTILE):
        (folder / f"{number}").write_bytes(make(*arguments))
    for name, make in OTHERS.items():
        (folder / name).write_bytes(make())
    return folder


@pytest.fixture(scope="module")
def wrong_checkpoints(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    hostile.fill(folder)
    for name, make in OTHERS.items():
        (folder / f"seed,{name}").write_bytes(make())
    return folder


def run(program, kind, *arguments):
    command = [sys.executable, "-c", LOAD[kind] + program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr[-2000:]
    return int(done.stdout)


def test_loading_opens_the_file_and_does_nothing_else(hostile_folder, tmp_path):
    """No import, no exec or compile, no pickle, no process, no other file: Python's audit events say so."""
    assert run(WATCHED, "models", hostile_folder, "none") >= len(HOSTILE) + len(OTHERS)
    for number, task in enumerate(TASKS):
        (tmp_path / str(number)).write_bytes(saved_bytes(trained(task)))
    assert run(WATCHED, "models", tmp_path, "none") >= len(TASKS)


def test_a_checkpoint_that_is_refused_does_nothing_else(wrong_checkpoints):
    """But to look into its folder for what dead processes have left."""
    wrong = len(hostile.WRONG) + len(OTHERS)
    assert run(WATCHED, "checkpoints", wrong_checkpoints, wrong_checkpoints) >= wrong


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="Linux")
def test_files_that_claim_much_are_refused_in_little_memory(hostile_folder, wrong_checkpoints, tmp_path):
    """64 MB more than Python has taken are enough for all of them."""
    (tmp_path / "good").write_bytes(small_file())
    assert run(CONFINED, "models", hostile_folder, tmp_path / "good") == len(HOSTILE) + len(OTHERS)
    (tmp_path / "seed,good").write_bytes(hostile.content("seed"))
    wrong = len(hostile.WRONG) + len(OTHERS)
    assert run(CONFINED, "checkpoints", wrong_checkpoints, tmp_path / "seed,good") == wrong


# ---- every byte ---------------------------------------------------------------------------------------


@pytest.mark.nightly
@pytest.mark.parametrize("task", ["bytes", "object", "multilabel bool"])
def test_any_byte_changed_to_any_other(task, tmp_path):
    content, path = saved_bytes(trained(task)), tmp_path / "m"
    path.write_bytes(content)
    with open(path, "r+b", buffering=0) as file:
        for place, byte in enumerate(content):
            for new in range(256):
                if new != byte:
                    file.seek(place)
                    file.write(bytes([new]))
                    refusal(path)
            file.seek(place)
            file.write(bytes([byte]))
    assert_same_model(trained(task), cmlp.load(path))


@pytest.mark.parametrize("task", TASKS)
def test_a_file_of_every_task_truncated_anywhere(task, tmp_path):
    path = tmp_path / "m"
    path.write_bytes(saved_bytes(trained(task)))
    for n in reversed(range(path.stat().st_size)):
        os.truncate(path, n)
        refusal(path)
