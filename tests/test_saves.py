"""What saving and loading do when something goes wrong: no room, a failing disk, death, others at the same file."""

import contextlib
import errno
import io
import os
import pickle
import random
import re
import signal
import subprocess
import sys
import threading
import time
from functools import cache

import numpy as np
import pytest

import cmlp
import cmlp.files
import cmlp.saved
from model_files import TASKS, assert_same_model, samples, saved_bytes, trained

on_posix = pytest.mark.skipif(os.name != "posix", reason="a POSIX file system")
existing_or_new = pytest.mark.parametrize("existing", [False, True], ids=["new", "existing"])


@cache
def old_file():
    return saved_bytes(trained("int"))


@contextlib.contextmanager
def a_save_that_fails(folder, existing):
    """A path to save at within; afterwards what was there is there, and nothing else."""
    path = folder / "m"
    if existing:
        path.write_bytes(old_file())
    yield path
    assert [each.name for each in folder.iterdir()] == ["m"] * existing
    if existing:
        assert path.read_bytes() == old_file()


class FailingFile(io.FileIO):
    """The write or close of this number fails, as on a full disk or a lost connection."""

    code, left = errno.ENOSPC, 0

    def write(self, data):
        self.count()
        return super().write(data)

    def close(self):
        open_before = not self.closed
        super().close()
        if open_before:
            self.count()

    def count(self):
        type(self).left -= 1
        if type(self).left == 0:
            raise OSError(self.code, os.strerror(self.code))


@existing_or_new
def test_any_write_or_close_may_fail(existing, tmp_path, monkeypatch):
    """The last number fails nothing: the one before it was the close."""
    model, old, told = trained("str"), old_file(), []
    monkeypatch.setattr(cmlp.files, "open", lambda file, mode, **how: FailingFile(file, mode, **how), raising=False)
    for number in range(1, 100):
        with a_save_that_fails(tmp_path, existing) as path:
            FailingFile.left = number
            try:
                cmlp.save(model, path)
            except OSError as error:
                told.append((error.errno, error.filename))
                continue
            content = path.read_bytes()
            path.write_bytes(old) if existing else path.unlink()
            break
    monkeypatch.undo()
    assert content == saved_bytes(model)
    assert told == [(errno.ENOSPC, str(path))] * (2 + 2 * len(model.network.weights) + 1)


@existing_or_new
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS, errno.EACCES])
@pytest.mark.parametrize("function", ["open", "fsync", "chmod", "replace"])
def test_an_error_of_the_system_names_the_file(function, code, existing, tmp_path, monkeypatch):
    if function == "chmod" and not existing:
        pytest.skip("a new file is made with the permissions it is to have")

    def fail(*arguments, **named):
        raise OSError(code, os.strerror(code), *arguments[:1])

    with a_save_that_fails(tmp_path, existing) as path:
        monkeypatch.setattr(os, function, fail)
        with pytest.raises(OSError, match=re.escape(repr(str(path)))) as caught:
            cmlp.save(trained("str"), path)
        monkeypatch.undo()
        assert (caught.value.errno, caught.value.filename) == (code, str(path))
        assert ".part" not in str(caught.value)


@on_posix
@existing_or_new
def test_a_folder_without_permission_to_write(existing, tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    with a_save_that_fails(tmp_path, existing) as path:
        tmp_path.chmod(0o500)
        with pytest.raises(PermissionError, match=re.escape(repr(str(path)))):
            cmlp.save(trained("str"), path)
        tmp_path.chmod(0o700)


def test_what_load_would_refuse_is_not_saved(tmp_path):
    broken = pickle.loads(pickle.dumps(trained("str")))
    broken.network.parameters[-1] = np.nan
    odd = pickle.loads(pickle.dumps(trained("str")))
    odd.loss_curve_.append("low")
    for model, problem in ((broken, "parameters are not all finite"), (odd, "its history holds 'low'")):
        with a_save_that_fails(tmp_path, True) as path, pytest.raises(ValueError, match=problem):
            cmlp.save(model, path)


@pytest.mark.parametrize("moment", ["files._header", "files._checksum", "saved._description"])
def test_what_another_thread_does_to_the_parameters_meanwhile_is_not_saved(moment, tmp_path, monkeypatch):
    """Neither between the checksum and the writing, nor after they were found to be finite."""
    model, path = pickle.loads(pickle.dumps(trained("str"))), tmp_path / "m"
    module, name = getattr(cmlp, moment.split(".")[0]), moment.split(".")[1]
    function = getattr(module, name)

    def interfering(*arguments):
        result = function(*arguments)
        model.network.parameters[:] = np.nan
        return result

    monkeypatch.setattr(module, name, interfering)
    cmlp.save(model, path)
    monkeypatch.undo()
    assert np.isnan(model.network.parameters).all()
    assert_same_model(cmlp.load(path), trained("str"))


@on_posix
def test_a_save_leaves_the_mask_of_the_process_alone(tmp_path, monkeypatch):
    """It is one for all threads: two that set it and set it back could leave it at the other's value."""

    def refuse(mask):
        raise AssertionError("the mask was set")

    monkeypatch.setattr(os, "umask", refuse)
    cmlp.save(trained("str"), tmp_path / "m")
    cmlp.save(trained("str"), tmp_path / "m")


# ---- several at once, and death ---------------------------------------------------------------------

SAVE_FOREVER = """
import sys, cmlp
models = [cmlp.load(path) for path in sys.argv[2:]]
while True:
    for model in models:
        cmlp.save(model, sys.argv[1])
        print("saved", flush=True)
"""


@pytest.fixture(scope="module")
def rivals(tmp_path_factory):
    """Two models in files large enough to be caught half-written."""
    sources = [tmp_path_factory.mktemp("rivals") / name for name in "ab"]
    for seed, source in enumerate(sources):
        cmlp.fit(samples(), TASKS["int"], hidden_layer_sizes=20_000, max_iter=1, random_state=seed).save(source)
    return sources


@contextlib.contextmanager
def saving(path, *sources):
    """A process that saves these models at `path` again and again, once it has done so."""
    command = [sys.executable, "-c", SAVE_FOREVER, str(path), *map(str, sources)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"saved\n"
        try:
            yield
        finally:
            process.kill()


SAVE_IN_CHILDREN = """
import os, sys, cmlp
models = [cmlp.load(path) for path in sys.argv[2:]]
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        while True:
            for model in models:
                cmlp.save(model, sys.argv[1])
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@on_posix
@pytest.mark.parametrize("times", [50, pytest.param(500, marks=pytest.mark.nightly)])
def test_a_killed_process_leaves_a_whole_file(times, rivals, tmp_path):
    """Of one process that forks children, so that its start is paid for once."""
    path, wait, cut_short = tmp_path / "m", random.Random(0), 0
    contents = [source.read_bytes() for source in rivals]
    command = [sys.executable, "-c", SAVE_IN_CHILDREN, str(path), *map(str, rivals)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        for _ in range(times):
            process.stdin.write(b"one more\n")
            process.stdin.flush()
            child = int(process.stdout.readline())
            while not path.exists():
                time.sleep(0.001)
            time.sleep(wait.uniform(0, 0.03))
            os.kill(child, signal.SIGKILL)
            assert int(process.stdout.readline()) == -signal.SIGKILL
            assert path.read_bytes() in contents
            assert cmlp.load(path).n_iter_ == 1
            left = list(tmp_path.glob(".m.*.part"))
            cut_short += len(left)
            assert len(left) <= 1
            for part in (*left, path):
                part.unlink()
    assert cut_short > times // 10, "hardly any process was killed while it wrote"


def test_two_processes_at_one_path(rivals, tmp_path):
    """Whoever reads meanwhile finds one of the two, whole."""
    path, contents = tmp_path / "m", [source.read_bytes() for source in rivals]
    models, found = [cmlp.load(source) for source in rivals], set()
    with saving(path, rivals[0]), saving(path, rivals[1]):
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            found.add(contents.index(path.read_bytes()))
            loaded = cmlp.load(path)
            assert any(np.array_equal(loaded.network.parameters, each.network.parameters) for each in models)
    assert found == {0, 1}
    assert path.read_bytes() in contents


def test_threads_at_one_path(tmp_path):
    path, models = tmp_path / "m", [trained("str"), trained("int"), trained("regression")]
    problems = []

    def save(model):
        try:
            for _ in range(30):
                cmlp.save(model, path)
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=save, args=(model,)) for model in models]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        if path.exists():
            cmlp.load(path)
    assert not problems
    assert [each.name for each in tmp_path.iterdir()] == ["m"]
    assert path.read_bytes() in [saved_bytes(model) for model in models]


# ---- files that change while they are read ----------------------------------------------------------


class Interfering(io.FileIO):
    """Does something to its path before the read of this number."""

    act, before, reads = None, 1, 0

    def read(self, n=-1):
        type(self).reads += 1
        if self.reads == self.before:
            type(self).act()
        return super().read(n)


def interfering(monkeypatch, before, act):
    """Each read by itself, with nothing buffered ahead."""
    kind = type("Interfering", (Interfering,), {"before": before, "act": staticmethod(act)})
    monkeypatch.setattr(cmlp.files, "open", lambda file, mode, **how: kind(file, mode, **how), raising=False)
    return kind


READS = pytest.mark.parametrize("before", [1, 2, 3], ids=["length", "header", "data"])


@READS
def test_a_file_replaced_while_it_is_read(before, tmp_path, monkeypatch):
    """What was opened is read to its end."""
    path, other = tmp_path / "m", tmp_path / "other"
    cmlp.save(trained("str"), path)
    cmlp.save(trained("int"), other)
    kind = interfering(monkeypatch, before, lambda: os.replace(other, path))
    loaded = cmlp.load(path)
    monkeypatch.undo()
    assert kind.reads == 3
    assert_same_model(loaded, trained("str"))
    assert_same_model(cmlp.load(path), trained("int"))


@READS
@pytest.mark.parametrize("kept", [0, 1, 4, 8, 9, 500, -1])
def test_a_file_shortened_while_it_is_read(kept, before, tmp_path, monkeypatch):
    path = tmp_path / "m"
    cmlp.save(trained("str"), path)
    size = path.stat().st_size
    interfering(monkeypatch, before, lambda: os.truncate(path, kept % size))
    with pytest.raises(cmlp.ModelFileError, match=re.escape(repr(str(path)))):
        cmlp.load(path)


def overwrite(path, content, how=os.O_WRONLY):
    handle = os.open(path, how)
    os.write(handle, content)
    os.close(handle)


@READS
def test_a_file_overwritten_while_it_is_read(before, tmp_path, monkeypatch):
    """By another model of the same length: one of the two or a refusal, never a mixture."""
    path, twin = tmp_path / "m", pickle.loads(pickle.dumps(trained("str")))
    twin.network.parameters[:] += 1
    old, new = saved_bytes(trained("str")), saved_bytes(twin)
    assert len(old) == len(new)
    path.write_bytes(old)
    interfering(monkeypatch, before, lambda: overwrite(path, new))
    if before < 3:
        assert_same_model(cmlp.load(path), twin)
    else:
        with pytest.raises(cmlp.ModelFileError, match="its checksum does not match"):
            cmlp.load(path)


@READS
def test_a_file_lengthened_while_it_is_read(before, tmp_path, monkeypatch):
    path = tmp_path / "m"
    cmlp.save(trained("str"), path)
    interfering(monkeypatch, before, lambda: overwrite(path, bytes(100), os.O_WRONLY | os.O_APPEND))
    assert_same_model(cmlp.load(path), trained("str"))


def test_a_disk_that_fails_to_read(tmp_path, monkeypatch):
    path = tmp_path / "m"
    cmlp.save(trained("str"), path)

    def fail():
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    for before in (1, 2, 3):
        interfering(monkeypatch, before, fail)
        with pytest.raises(OSError, match=re.escape(repr(str(path)))) as caught:
            cmlp.load(path)
        assert caught.value.errno == errno.EIO
        monkeypatch.undo()
    assert_same_model(cmlp.load(path), trained("str"))


def test_no_memory_for_the_data(tmp_path, monkeypatch):
    path = tmp_path / "m"
    cmlp.save(trained("str"), path)

    def fail():
        raise MemoryError

    interfering(monkeypatch, 3, fail)
    with pytest.raises(MemoryError, match=rf"{re.escape(repr(str(path)))}: its \d+ bytes of data do not fit"):
        cmlp.load(path)
