"""A training that is killed and continued ends as one that was never interrupted, to the bit."""

import contextlib
import errno
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import cmlp
import hostile_checkpoints as hostile
from cmlp import files
from cmlp.checkpoints import Checkpoint
from cmlp.exceptions import ModelFileError
from cmlp.kernels import ISA, VARIABLE, available

pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer")  # max_iter reached

CRASH = 5  # the epoch after which it comes
posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


class Crash(Exception):
    pass


def crash(state):
    if state.epoch == CRASH:
        raise Crash


def table(n=90, dtype=np.float64):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, 5)).astype(dtype)
    return X, np.digitize(X[:, 0] + 0.5 * rng.standard_normal(n), [-0.5, 0.5])


X, y = table()
OTHERS = {"X_val": X[::3], "y_val": y[::3]}
RUNS = {
    "adam": {},
    "float32": {"dtype": "float32"},
    "sgd, one by one": {"solver": "sgd", "batch_size": 1},
    "sgd without momentum": {"solver": "sgd", "batch_size": 7, "momentum": 0.0},
    "nothing shuffled": {"shuffle": False, "batch_size": 16},
    "adaptive": {"solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 1.0, "n_iter_no_change": 1},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling"},
    "cosine": {"learning_rate": "cosine"},
    "one_cycle": {"solver": "adamw", "learning_rate": "one_cycle", "batch_size": 20},
    "warm-up": {"solver": "rmsprop", "warmup_epochs": 7.5, "batch_size": 20},
    "early stopping": {"early_stopping": True, "n_iter_no_change": 3},
    "validation": {**OTHERS, "scoring": "loss"},
    "dropout": {"dropout": 0.3, "input_dropout": 0.1, "batch_size": 20},
    "weights": {"class_weight": "balanced", "sample_weight": np.arange(90) % 4, "max_grad_norm": 0.1},
}
ESTIMATORS = {name: options for name, options in RUNS.items() if not {"dtype", "sample_weight", "X_val"} & set(options)}


def trained(X=X, y=y, **options):
    return cmlp.fit(
        X, y, **{"hidden_layer_sizes": (7, 5), "learning_rate_init": 0.02, "max_iter": 17, "random_state": 0} | options
    )


def trained_estimator(X=X, y=y, **options):
    pytest.importorskip("sklearn")
    given = {name: options.pop(name) for name in ("X_val", "y_val") if name in options}
    model = cmlp.MLPClassifier((7, 5), **{"learning_rate_init": 0.02, "max_iter": 17, "random_state": 0} | options)
    return model.fit(X, y, **given)


def interrupted(train, path, **options):
    with pytest.raises(Crash):
        train(checkpoint=path, checkpoint_every=2, callbacks=crash, **options)


def assert_same(one, other):
    networks = [getattr(model, "network", None) or model._network for model in (one, other)]
    np.testing.assert_array_equal(networks[0].parameters, networks[1].parameters)
    for name in ("loss_curve_", "validation_scores_", "validation_loss_curve_", "best_validation_score_", "n_iter_"):
        assert getattr(one, name) == getattr(other, name)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.checkpoint"


# ---- bit for bit --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", RUNS.values(), ids=RUNS)
def test_a_fit_goes_on(path, options):
    interrupted(trained, path, **options)
    epochs = []
    model = trained(checkpoint=path, callbacks=lambda state: epochs.append(state.epoch), **options)
    assert epochs[0] == CRASH  # the checkpoint is of the epoch before
    whole = trained(**options)
    assert_same(model, whole)
    assert model.converged_ == whole.converged_
    assert_same(trained(checkpoint=path, callbacks=crash, **options), whole)  # nothing is left to do


@pytest.mark.parametrize("options", ESTIMATORS.values(), ids=ESTIMATORS)
def test_an_estimator_goes_on(path, options):
    interrupted(trained_estimator, path, **options)
    whole = trained_estimator(**options)
    for _ in range(2):
        model = trained_estimator(checkpoint=path, **options)
        assert_same(model, whole)
        assert (model.loss_, model.t_, model.best_loss_) == (whole.loss_, whole.t_, whole.best_loss_)


@pytest.mark.parametrize("options", [{}, OTHERS], ids=["", "validation"])
def test_sparse_rows_and_a_warm_start_go_on(path, options):
    sparse = pytest.importorskip("scipy.sparse")
    S = sparse.csr_matrix(np.where(np.abs(X) > 1.4, X, 0))

    def train(**more):
        pytest.importorskip("sklearn")
        model = cmlp.MLPClassifier((5,), warm_start=True, max_iter=3, random_state=0).fit(S, y)
        return model.set_params(max_iter=17, **more).fit(S, y, **options)

    interrupted(train, path)
    assert_same(train(checkpoint=path), train())


@pytest.mark.parametrize("then", ["", "held out", "validation"])
@pytest.mark.parametrize("first", ["", "held out", "validation"])
def test_a_warm_start_goes_on_from_what_the_first_fit_left(path, first, then):
    """A longer history than the file's run has, validated or not."""
    pytest.importorskip("sklearn")

    def train(**more):
        model = cmlp.MLPClassifier((5,), warm_start=True, max_iter=3, random_state=0)
        for kind, options in ((first, {}), (then, {"max_iter": 17, **more})):
            model.set_params(early_stopping=kind == "held out", **options)
            model.fit(X, y, **(OTHERS if kind == "validation" else {}))
        return model

    def crash_later(state):
        if state.epoch == 3 + CRASH:
            raise Crash

    with pytest.raises(Crash):
        train(checkpoint=path, checkpoint_every=2, callbacks=crash_later)
    assert_same(train(checkpoint=path), train())


@pytest.mark.parametrize("source", [np.random.RandomState, np.random.default_rng, np.random.MT19937, np.random.SFC64])
def test_a_source_of_random_numbers_goes_on(path, source):
    def seeded():
        made = source(3)
        return np.random.Generator(made) if isinstance(made, np.random.BitGenerator) else made

    interrupted(trained, path, random_state=seeded())
    one, other = seeded(), seeded()
    assert_same(trained(checkpoint=path, random_state=one), trained(random_state=other))
    assert one.uniform() == other.uniform()


@pytest.mark.parametrize("train", [trained, trained_estimator])
@pytest.mark.parametrize("options", [{}, {"early_stopping": True}, {"dropout": 0.5}], ids=["", "held out", "dropout"])
def test_without_a_seed_the_run_that_is_found_goes_on(path, train, options):
    interrupted(train, path, random_state=None, **options)
    copy = shutil.copy(path, path.with_name("copy"))
    one, other = (train(checkpoint=at, random_state=None, **options) for at in (path, copy))
    assert_same(one, other)


@pytest.mark.parametrize("options", [{}, {"early_stopping": True}])
def test_a_run_that_has_ended_goes_on_for_longer(path, options):
    options |= {"n_iter_no_change": 100}
    trained(checkpoint=path, max_iter=6, **options)
    assert_same(trained(checkpoint=path, max_iter=17, **options), trained(max_iter=17, **options))


@pytest.mark.parametrize("patience", [(np.int64(3), 3), (3, np.int32(3)), (np.float64(np.inf), np.inf)])
def test_numbers_of_another_type_are_those_of_the_same_training(path, patience):
    for epochs, number in zip((5, 17), patience, strict=True):
        model = trained_estimator(max_iter=epochs, n_iter_no_change=number, checkpoint=path)
    assert_same(model, trained_estimator(n_iter_no_change=patience[1]))


def test_fewer_epochs_than_a_run_has_behind_it_are_refused(path):
    trained(checkpoint=path, max_iter=6)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"max_iter=5: checkpoint=.* has 6 epochs behind it, expected as many or more"):
        trained(checkpoint=path, max_iter=5)
    assert path.read_bytes() == before


@pytest.mark.parametrize("train", [trained, trained_estimator])
def test_a_verbose_run_says_where_it_goes_on(path, train, capsys):
    interrupted(train, path)
    train(checkpoint=path, verbose=True)
    assert "the training goes on after 4 epochs" in capsys.readouterr().out


@pytest.mark.parametrize("ending", ["stopped", "converged"])
def test_a_run_that_has_ended_of_itself_has_ended(path, ending):
    options = {"callbacks": lambda state: state.epoch == 4} if ending == "stopped" else {"tol": 10.0}
    options["n_iter_no_change"] = 2
    model = trained(checkpoint=path, **options)
    assert model.n_iter_ < 17
    again = trained(checkpoint=path, max_iter=30, **{**options, "callbacks": None})
    assert_same(again, model)


# ---- killed at any moment -----------------------------------------------------------------------------------

KILLS = 50


def killed(work, epochs, seconds):
    """Whether a child that does this work was killed before it ended: so long after so many of its epochs."""
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            work(callbacks=lambda state: os.write(tell, b"."))
            os._exit(0)
        finally:
            os._exit(1)
    os.close(tell)
    for _ in range(epochs):
        os.read(told, 1)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    os.close(told)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or status == 0
    return os.WIFSIGNALED(status)


@posix
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("train", [trained, trained_estimator])
def test_fifty_kills_at_random_moments_change_nothing(path, train):
    options = {"max_iter": 2000, "early_stopping": True, "n_iter_no_change": 2000, "dropout": 0.2, "batch_size": 20}
    moments = random.Random(0)
    for _ in range(KILLS):
        epochs, seconds = moments.choice((0, 1, 2, 3, 5, 10)), moments.uniform(0, 0.01)
        assert killed(lambda **more: train(checkpoint=path, checkpoint_every=1, **options, **more), epochs, seconds)
    assert 50 < json.loads(files.read(path)[1]["training"])["solver"]["epochs"] < 2000
    model = train(checkpoint=path, checkpoint_every=500, **options)
    assert_same(model, train(**options))
    assert os.listdir(path.parent) == [path.name]


# ---- refusals, and files that fail --------------------------------------------------------------------------

CHANGES = {
    "X": lambda: trained(X=X + 1, checkpoint="run"),
    "y or label_smoothing": lambda: trained(y=y[::-1].copy(), checkpoint="run"),
    "sample_weight or class_weight": lambda: trained(sample_weight=np.arange(1, 91), checkpoint="run"),
    "learning_rate_init=0.5 (0.02 there)": lambda: trained(learning_rate_init=0.5, checkpoint="run"),
    "hidden_layer_sizes, activation, loss or dtype": lambda: trained(activation="tanh", checkpoint="run"),
    "random_state, or the parameters that a warm start begins with": lambda: trained(random_state=1, checkpoint="run"),
    "X_val or y_val": lambda: trained(**OTHERS, checkpoint="run"),
    "early_stopping=True (False there), X_val or y_val": lambda: trained(early_stopping=True, checkpoint="run"),
    "scoring=loss (None there)": lambda: trained(scoring="loss", checkpoint="run"),
    "scoring=a function (None there)": lambda: trained(scoring=lambda *_: 0.0, checkpoint="run"),
    "random_state": lambda: trained(random_state=None, checkpoint="run"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_another_training_is_refused_and_the_file_kept(path, monkeypatch, change):
    monkeypatch.chdir(path.parent)
    seed = np.random.default_rng(0) if change == "random_state" else 0
    trained(checkpoint="run", random_state=seed, max_iter=3)
    before = Path("run").read_bytes()
    message = re.escape(f"checkpoint='run' holds another training, which differs in {change}: expected")
    with pytest.raises(ValueError, match=message):
        CHANGES[change]()
    assert Path("run").read_bytes() == before


@pytest.mark.parametrize("train", [trained, trained_estimator])
def test_bad_checkpoints_are_refused(path, train):
    cases = [
        ({"checkpoint_every": 0}, ValueError, "checkpoint_every"),
        ({"checkpoint": ""}, ValueError, "checkpoint='': expected the path of a file"),
        ({"checkpoint": 3}, (TypeError, ValueError), "checkpoint"),
        ({"checkpoint": "a\0b"}, ValueError, "checkpoint"),
        ({"checkpoint": path, "solver": "lbfgs"}, ValueError, "checkpoint=.*expected None with solver='lbfgs'"),
        ({"checkpoint": path.parent}, OSError, str(path.parent)),
        ({"checkpoint": path / "missing" / "file"}, OSError, "missing"),
    ]
    for options, error, match in cases:
        with pytest.raises(error, match=match):
            train(**options)
    assert not path.exists()


def test_partial_fit_takes_no_checkpoint(path):
    pytest.importorskip("sklearn")
    with pytest.raises(ValueError, match=r"checkpoint=.*expected None for partial_fit"):
        cmlp.MLPClassifier(checkpoint=path).partial_fit(X, y, classes=[0, 1, 2])


def test_a_refused_checkpoint_leaves_a_fitted_estimator(path):
    model = trained_estimator(max_iter=1, n_iter_no_change=1, early_stopping=True)
    before = model.predict_proba(X)
    path.write_bytes(b"something else")
    with pytest.raises(ModelFileError):
        model.set_params(checkpoint=path).fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(X), before)


def test_a_damaged_checkpoint_is_refused(path):
    interrupted(trained, path)
    content = path.read_bytes()
    places = random.Random(0).sample(range(len(content)), 60)
    cut = [content[:i] for i in places]
    changed = [content[:i] + bytes([content[i] ^ 1]) + content[i + 1 :] for i in places]
    for damaged in cut + changed:
        path.write_bytes(damaged)
        with pytest.raises(ModelFileError, match=re.escape(str(path))):
            trained(checkpoint=path)
        assert path.read_bytes() == damaged


def test_a_model_is_no_checkpoint_nor_the_other_way_round(path):
    trained().save(path)
    with pytest.raises(ModelFileError, match="expected 'cmlp checkpoint 1'"):
        trained(checkpoint=path)
    path.unlink()
    trained(checkpoint=path)
    with pytest.raises(ModelFileError, match="its format is 'cmlp checkpoint 1'"):
        cmlp.load(path)


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "No space left"),
        (MemoryError("no room"), "no room"),
        (MemoryError(), "MemoryError"),
    ],
    ids=["full disk", "little memory", "no word"],
)
def test_a_write_that_fails_does_not_end_the_training(path, monkeypatch, problem, said):
    def fail(*_):
        raise problem

    def fill(state):
        if state.epoch == CRASH:
            monkeypatch.setattr(os, "fsync", fail)

    with pytest.warns(UserWarning, match=f"could not be written after epoch .*{said}.* goes on") as warned:
        model = trained(checkpoint=path, checkpoint_every=2, callbacks=fill)
    assert len(warned) == 7  # epochs 6, 8, ... 16 and the last, 17
    assert_same(model, trained())
    monkeypatch.undo()
    assert os.listdir(path.parent) == [path.name]  # of epoch 4
    assert_same(trained(checkpoint=path), model)


# ---- others at the same place, or beside it -----------------------------------------------------------------


def fails_with(code):
    def fail(*_):
        raise OSError(code, os.strerror(code))

    return fail


LONG = "experiment-with-a-long-name-of-2026-fold-"  # longer than what a temporary name shows of it


@pytest.mark.parametrize("name", ["run.checkpoint", LONG + "1"])
@pytest.mark.parametrize("locks", [pytest.param(True, marks=posix), False, pytest.param("refused", marks=posix)])
def test_what_killed_writes_have_left_is_swept(tmp_path, monkeypatch, name, locks):
    """Where there are no locks, an hour later."""
    if not locks:
        monkeypatch.setattr(files, "fcntl", None)
    elif locks == "refused":
        monkeypatch.setattr(files.fcntl, "flock", fails_with(errno.ENOLCK))
    path, stem = tmp_path / name, files._stem(name)
    old, young = (path.with_name(f"{stem}{digit * 16}.part") for digit in "0f")
    others = [
        f".{name[:32]}.part", f"{stem}0123456789abcdef", f"{stem}x123456789abcdef.part", "notes.part",
        files._stem(name + "x") + "0123456789abcdef.part",
    ]  # fmt: skip
    for file in (old.name, young.name, *others):
        path.with_name(file).write_bytes(b"half of it")
        os.utime(path.with_name(file), (0, 0))
    os.utime(young)
    trained(checkpoint=path, max_iter=1)
    assert not old.exists()
    assert young.exists() == (locks is not True)
    assert all(path.with_name(file).exists() for file in others)


@contextlib.contextmanager
def held_up(monkeypatch, act):
    """Runs `act` in a thread, whose first write stops before its end until the block is left; gives what it raised."""
    reached, go_on, problems = threading.Event(), threading.Event(), []
    fsync = os.fsync

    def slow(handle):
        if threading.current_thread() is thread and not go_on.is_set():
            reached.set()
            assert go_on.wait(60)
        fsync(handle)

    def work():
        try:
            act()
        except BaseException as error:
            problems.append(error)

    thread = threading.Thread(target=work)
    monkeypatch.setattr(os, "fsync", slow)
    thread.start()
    try:
        assert reached.wait(60)
        yield problems
    finally:
        go_on.set()
        thread.join()


@pytest.mark.parametrize("names", [(LONG + "1", LONG + "2"), (LONG + "1", LONG + "1")], ids=["near", "same"])
def test_a_checkpoint_that_is_opened_leaves_what_another_thread_writes(tmp_path, monkeypatch, names):
    model = trained(max_iter=1)
    first, second = (tmp_path / name for name in names)
    with held_up(monkeypatch, lambda: model.save(first)) as problems:
        files.sweep(str(second))
        assert len(os.listdir(tmp_path)) == 1
    assert problems == []
    assert os.listdir(tmp_path) == [first.name]
    assert cmlp.load(first).n_iter_ == 1


def test_trainings_that_begin_together_with_long_names_are_all_kept(tmp_path, monkeypatch):
    paths = [tmp_path / f"{LONG}{i}" for i in range(3)]
    with contextlib.ExitStack() as running:
        problems = [
            running.enter_context(held_up(monkeypatch, lambda path=path: trained(checkpoint=path, max_iter=1)))
            for path in paths
        ]
    assert problems == [[], [], []]
    assert sorted(os.listdir(tmp_path)) == sorted(path.name for path in paths)


@posix
def test_a_file_that_is_swept_before_its_lock_is_begun_anew(tmp_path, monkeypatch):
    locked, left = files._locked, []

    def late(handle):
        if not left:
            files.sweep(str(tmp_path / "run"))
            left.append(os.listdir(tmp_path))
        return locked(handle)

    monkeypatch.setattr(files, "_locked", late)
    trained(max_iter=1).save(tmp_path / "run")
    assert left == [[]]
    assert os.listdir(tmp_path) == ["run"]


SAVE_SLOWLY = """
import os, sys, cmlp
fsync = os.fsync
def slow(handle):
    print("at it", flush=True)
    sys.stdin.readline()
    fsync(handle)
os.fsync = slow
cmlp.load(sys.argv[1]).save(sys.argv[2])
"""


@posix
@pytest.mark.parametrize("ending", ["lives", "dies"])
def test_another_process_keeps_what_it_writes_as_long_as_it_lives(tmp_path, ending):
    trained(max_iter=1).save(tmp_path / "model")
    path = tmp_path / "run"
    command = [sys.executable, "-c", SAVE_SLOWLY, str(tmp_path / "model"), str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout.readline() == b"at it\n"
        if ending == "dies":
            writer.kill()
            writer.wait()
        files.sweep(str(path))
        assert len(os.listdir(tmp_path)) == (2 if ending == "lives" else 1)
        if ending == "lives":
            writer.stdin.close()
            assert writer.wait(60) == 0
            assert cmlp.load(path).n_iter_ == 1


@pytest.mark.parametrize("train", [trained, trained_estimator])
def test_a_second_training_on_a_new_path_is_refused(path, monkeypatch, train):
    """It begins while another has yet to write its first state."""
    begin, others = Checkpoint.begin_random, []

    def begin_late(self, random, given):
        monkeypatch.undo()
        others.append(trained(checkpoint=path, random_state=1, max_iter=2))
        begin(self, random, given)

    monkeypatch.setattr(Checkpoint, "begin_random", begin_late)
    with pytest.raises(ValueError, match=r"checkpoint=.* while this training began: expected a path where no file is"):
        train(checkpoint=path)
    assert_same(trained(checkpoint=path, random_state=1, max_iter=2), others[0])


INTRUDERS = {
    "another training": lambda path, model: trained(checkpoint=path, random_state=9, max_iter=2),
    "a model": lambda path, model: model.save(path),
    "text": lambda path, model: path.write_text("notes"),
    "nothing": lambda path, model: path.touch(),
}


@pytest.mark.parametrize("name", INTRUDERS)
@pytest.mark.parametrize("train", [trained, trained_estimator])
def test_what_takes_the_files_place_is_kept_with_a_warning(path, name, train):
    contents = []

    def intrude(state):
        if state.epoch == CRASH:
            path.unlink()
            INTRUDERS[name](path, trained(max_iter=1))
            contents.append(path.read_bytes())

    with pytest.warns(UserWarning, match=r"another training's or another file .* kept: after epoch 6 ") as warned:
        model = train(checkpoint=path, checkpoint_every=2, callbacks=intrude)
    assert len([each for each in warned if "checkpoint" in str(each.message)]) == 1
    assert [path.read_bytes()] == contents
    assert_same(model, train())


@pytest.mark.parametrize("act", [lambda path: path.unlink(), lambda path: os.utime(path), lambda path: replaced(path)])
def test_a_file_that_is_gone_or_the_same_is_written_on(path, act):
    """As where the system gives a file another number, or another time, of itself."""
    trained(checkpoint=path, checkpoint_every=2, callbacks=lambda state: act(path) if state.epoch == CRASH else None)
    assert_same(trained(checkpoint=path, callbacks=crash), trained())


def replaced(path):
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)


def test_the_same_training_twice_at_once_is_one(path):
    """Whichever writes, it is a state of both."""

    def again(state):
        if state.epoch == CRASH:
            trained(checkpoint=path, checkpoint_every=2)

    model = trained(checkpoint=path, checkpoint_every=2, callbacks=again)
    assert_same(trained(checkpoint=path, callbacks=crash), model)
    assert_same(model, trained())


# ---- another processor --------------------------------------------------------------------------------------

TRAIN = """
import sys, numpy as np, cmlp
X, y = np.arange(24.0).reshape(12, 2) / 12, np.arange(12) % 3
print(cmlp.fit(X, y, hidden_layer_sizes=2, max_iter=int(sys.argv[2]), random_state=0, checkpoint=sys.argv[1]).n_iter_)
"""


def test_another_instruction_set_is_refused_by_name(path):
    others = [isa for isa in available() if isa != ISA]
    if not others:
        pytest.skip("one alone can run here")

    def run(isa, epochs):
        command = [sys.executable, "-c", TRAIN, str(path), str(epochs)]
        return subprocess.run(command, env={**os.environ, VARIABLE: isa}, capture_output=True, text=True)

    assert run(ISA, 2).returncode == 0
    before = path.read_bytes()
    refused = run(others[0], 4)
    assert f"which differs in {VARIABLE}={others[0]} ({ISA} there): expected" in refused.stderr
    assert path.read_bytes() == before
    assert run(ISA, 4).stdout == "4\n"


# ---- what a review found ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "first", "then"), [("shuffle", False, True), ("shuffle", True, False), ("n_iter_no_change", 3, 50)]
)
def test_an_estimators_other_options_are_another_training(path, name, first, then):
    trained_estimator(checkpoint=path, max_iter=5, **{name: first})
    with pytest.raises(ValueError, match=rf"holds another training, which differs in {name}={then}"):
        trained_estimator(checkpoint=path, max_iter=20, **{name: then})


def test_a_refused_checkpoint_leaves_a_warm_start(path):
    model = trained_estimator(warm_start=True, max_iter=3)
    other = trained_estimator(warm_start=True, max_iter=3)
    model.set_params(shuffle=False, checkpoint=path, max_iter=9).fit(X, y)
    before, scores = other.predict_proba(X), other.validation_scores_
    with pytest.raises(ValueError, match="holds another training"):
        other.set_params(checkpoint=path, max_iter=9).fit(X, y, **OTHERS)
    np.testing.assert_array_equal(other.predict_proba(X), before)
    assert other._history.validation_scores_ is scores is None


@pytest.mark.parametrize("name", hostile.WRONG)
def test_a_checkpoint_with_a_sound_checksum_and_wrong_content_is_refused(tmp_path, name):
    run, change = hostile.WRONG[name]
    path = tmp_path / "run.checkpoint"
    path.write_bytes(hostile.changed(run, change))
    before = path.read_bytes()
    with pytest.raises(ModelFileError, match=re.escape(str(path))) as caught:
        hostile.trained(path, run)
    assert len(str(caught.value)) < 500 + len(str(path))
    assert path.read_bytes() == before


@pytest.mark.parametrize("run", hostile.RUNS)
def test_these_are_refused_for_their_content_alone(tmp_path, run):
    path = tmp_path / "run.checkpoint"
    path.write_bytes(hostile.changed(run, lambda arrays, told: None))
    assert_same(hostile.trained(path, run), hostile.trained(path, run))
    if run != "none":
        assert_same(hostile.trained(path, run), hostile.trained(None, run))


@pytest.mark.parametrize("options", [{}, {"dropout": 0.2}])
def test_a_warm_start_with_another_seed_is_another_training(path, options):
    """Its parameters are those of the first fit, whatever the seed."""

    def train(seed, epochs, checkpoint):
        model = trained_estimator(warm_start=True, max_iter=3, **options)
        return model.set_params(random_state=seed, max_iter=epochs, checkpoint=checkpoint).fit(X, y)

    train(1, 5, path)
    before = path.read_bytes()
    for seed in (2, np.random.RandomState(2)):
        with pytest.raises(ValueError, match=r"holds another training, which differs in random_state: expected"):
            train(seed, 9, path)
    assert path.read_bytes() == before
    for _ in range(2):
        assert_same(train(1, 9, path), train(1, 9, None))


@pytest.mark.parametrize("code", [errno.EIO, errno.EACCES])
def test_a_file_that_cannot_be_read_for_a_moment_is_still_this_trainings(path, monkeypatch, code):
    """As on a network whose server tells another time of the last change."""

    def hinder(state):
        monkeypatch.undo()
        if state.epoch == CRASH:
            os.utime(path)
            monkeypatch.setattr(files, "read", fails_with(code))

    with pytest.warns(UserWarning, match=f"could not be written after epoch 5: .*{os.strerror(code)}") as warned:
        model = trained(checkpoint=path, checkpoint_every=1, callbacks=hinder)
    assert len([each for each in warned if "checkpoint" in str(each.message)]) == 1
    assert_same(trained(checkpoint=path, callbacks=crash), model)


def test_a_file_that_vanishes_before_it_is_read_is_written_anew(path, monkeypatch):
    def vanish(state):
        monkeypatch.undo()
        if state.epoch == CRASH:
            os.utime(path)
            monkeypatch.setattr(files, "read", fails_with(errno.ENOENT))

    model = trained(checkpoint=path, checkpoint_every=1, callbacks=vanish)
    assert_same(trained(checkpoint=path, callbacks=crash), model)


def test_a_checkpoint_holds_what_its_checksum_is_of(path, monkeypatch):
    """Whatever a callback's thread does to the network while it is written."""
    header = files._header

    def interfere(state):
        if state.epoch == CRASH:
            monkeypatch.setattr(
                files, "_header", lambda *args: (header(*args), state.model.network.parameters.fill(3))[0]
            )
        elif state.epoch > CRASH:
            raise Crash

    with pytest.raises(Crash):
        trained(checkpoint=path, checkpoint_every=CRASH, callbacks=interfere)
    assert not (files.read(path)[0]["parameters"] == 3).all()


WEIGHTS = np.full(90, 1e300)
ESTIMATORS_DIFFER = {
    "being one of cmlp.fit or of an estimator": lambda path: trained(checkpoint=path),
    "learning_rate_init=0.5 (0.02 there)": lambda path: trained(learning_rate_init=0.5, checkpoint=path),
    "sample_weight or class_weight": lambda path: weighted(path).fit(X, y, sample_weight=WEIGHTS),
    "alpha=0.5 (0.0001 there)": lambda path: weighted(path, alpha=0.5).fit(X, y),
    "learning_rate=cosine (constant there)": lambda path: weighted(path, learning_rate="cosine").fit(X, y),
}


def weighted(path, **options):
    return cmlp.MLPClassifier((7, 5), learning_rate_init=0.02, random_state=0, checkpoint=path, **options)


@pytest.mark.parametrize("change", ESTIMATORS_DIFFER)
def test_a_refusal_speaks_of_what_was_given(path, change):
    trained_estimator(checkpoint=path, max_iter=2)
    with pytest.raises(ValueError, match=re.escape(f"which differs in {change}: expected")):
        ESTIMATORS_DIFFER[change](path)


@pytest.mark.parametrize(
    "change", [lambda marks: marks.update({f"more {i}": "1" for i in range(999)}), lambda marks: marks.pop("y")]
)
def test_a_file_with_other_marks_is_refused_in_words(tmp_path, change):
    path = tmp_path / "run.checkpoint"
    path.write_bytes(hostile.changed("seed", lambda arrays, told: change(told["marks"])))
    with pytest.raises(
        ValueError, match=r"differs in the marks \['.*, as those of another version of cmlp: "
    ) as caught:
        hostile.trained(path, "seed")
    assert len(str(caught.value)) < 500 + len(str(path))


def test_a_relative_path_stays_where_it_was(path, monkeypatch):
    monkeypatch.chdir(path.parent)
    (path.parent / "elsewhere").mkdir()
    trained(checkpoint="run", callbacks=lambda state: os.chdir(path.parent / "elsewhere"))
    assert sorted(os.listdir(path.parent)) == ["elsewhere", "run"]
    assert os.listdir(path.parent / "elsewhere") == []


@posix
def test_a_path_through_a_folder_that_is_not_there(path, monkeypatch):
    monkeypatch.chdir(path.parent)
    with pytest.raises(FileNotFoundError, match=r"missing.*run"):
        trained(checkpoint=os.path.join("missing", os.pardir, "run"))
    assert os.listdir(path.parent) == []
