"""The epoch loop: schedules and stopping against scikit-learn, validation, progress, interruption, memory."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
import warnings
from functools import cache

import numpy as np
import pytest

import cmlp
from cmlp.held_out import hold_out
from cmlp.options import Options
from cmlp.training import Solver

every_validation = pytest.mark.parametrize("validation", ["held out", "passed"])
both_precisions = pytest.mark.parametrize("dtype", ["float32", "float64"])
not_on_windows = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals and descriptors")


# ---- against scikit-learn ---------------------------------------------------------------------------


BASE = {
    "hidden_layer_sizes": (7, 5), "activation": "tanh", "solver": "sgd", "learning_rate_init": 0.05,
    "batch_size": 32, "shuffle": False, "max_iter": 20, "random_state": 3,
}  # fmt: skip
SCHEDULES = {
    "constant": {"learning_rate": "constant"},
    "invscaling": {"learning_rate": "invscaling"},
    "invscaling, other power": {"learning_rate": "invscaling", "power_t": 0.1},
    "adaptive": {"learning_rate": "adaptive", "tol": 0.05, "n_iter_no_change": 1},
}
MOMENTA = {
    "plain": {"momentum": 0.0},
    "momentum": {"momentum": 0.8, "nesterovs_momentum": False},
    "nesterov": {"momentum": 0.9, "nesterovs_momentum": True},
}


@cache
def iris():
    """Iris, standardised: 150 samples, so that the last batch of 32 is short."""
    X, y = pytest.importorskip("sklearn.datasets").load_iris(return_X_y=True)
    return (X - X.mean(axis=0)) / X.std(axis=0), y


def of_task(task):
    """Samples and labels, the name of scikit-learn's estimator, and the loss to ask for."""
    X, y = iris()
    return {
        "multiclass": (X, y, "MLPClassifier", None),
        "binary": (X, y > 0, "MLPClassifier", None),
        "multilabel": (X, np.stack([y > 0, y > 1], axis=1).astype(int), "MLPClassifier", None),
        "regression": (X[:, :3], X[:, 3], "MLPRegressor", "squared_error"),
    }[task]


def both_trained(task="multiclass", **options):
    """scikit-learn's estimator and our model after the same training."""
    X, y, estimator, loss = of_task(task)
    options = {**BASE, **options}
    theirs = getattr(pytest.importorskip("sklearn.neural_network"), estimator)(**options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # max_iter reached
        theirs.fit(X, y)
    return theirs, cmlp.fit(X, y, loss=loss, **options)


def assert_same_run(theirs, ours, tolerance):
    assert ours.n_iter_ == theirs.n_iter_
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=tolerance, atol=tolerance)
    for W, coefs in zip(ours.network.weights, theirs.coefs_, strict=True):
        np.testing.assert_allclose(W, coefs.T, rtol=tolerance, atol=tolerance)
    for b, intercepts in zip(ours.network.biases, theirs.intercepts_, strict=True):
        np.testing.assert_allclose(b, intercepts, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize("momentum", MOMENTA.values(), ids=MOMENTA)
@pytest.mark.parametrize("alpha", [0.0, 0.5])
def test_sgd_is_scikit_learns(schedule, momentum, alpha):
    assert_same_run(*both_trained(alpha=alpha, **momentum, **schedule), 1e-11)


@pytest.mark.parametrize("task", ["binary", "multilabel", "regression"])
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_other_tasks_are_trained_as_by_scikit_learn(task, solver):
    assert_same_run(*both_trained(task, solver=solver, epsilon=1e-30, alpha=0.1), 1e-11)


@pytest.mark.parametrize("activation", ["identity", "logistic", "relu"])
@pytest.mark.parametrize("batch_size", [1, 40, "auto"])
def test_other_activations_and_batches_are_trained_as_by_scikit_learn(activation, batch_size):
    options = {"activation": activation, "batch_size": batch_size, "learning_rate_init": 0.002}
    assert_same_run(*both_trained(**options), 1e-9)


# Where epsilon stands makes no difference if it is negligible beside every root: then all that is left is
# rounding, which at 20 epochs has not grown by more than four digits.
@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.5, 0.9), (0.0, 0.99)])
@pytest.mark.parametrize("alpha", [0.0, 0.5])
def test_adam_with_a_negligible_epsilon_is_scikit_learns(betas, alpha):
    options = {"solver": "adam", "epsilon": 1e-30, "alpha": alpha, "learning_rate_init": 0.01}
    assert_same_run(*both_trained(beta_1=betas[0], beta_2=betas[1], **options), 1e-11)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_shuffles_are_scikit_learns(solver):
    assert_same_run(*both_trained(solver=solver, shuffle=True, epsilon=1e-30), 1e-11)


# Hundreds of steps at this rate make rounding grow, but not into the digits that decide when to stop.
@pytest.mark.parametrize("schedule", ["constant", "invscaling", "adaptive"])
@pytest.mark.parametrize("tol", [1e-2, 1e-3, 1e-4])
@pytest.mark.parametrize("n_iter_no_change", [1, 3])
def test_stopping_is_scikit_learns(schedule, tol, n_iter_no_change):
    options = {"learning_rate": schedule, "tol": tol, "n_iter_no_change": n_iter_no_change}
    theirs, ours = both_trained(learning_rate_init=0.3, max_iter=400, **options)
    assert ours.n_iter_ < 400
    assert ours.converged_
    assert ours.best_loss_ == pytest.approx(theirs.best_loss_, rel=1e-6)
    assert_same_run(theirs, ours, 1e-6)


def test_max_iter_is_no_convergence():
    theirs, ours = both_trained(max_iter=5)
    assert ours.n_iter_ == theirs.n_iter_ == 5
    assert not ours.converged_


# ---- the learning rate ------------------------------------------------------------------------------


N, ETA, EPOCHS = 150, 0.3, 7
RATES = {
    "constant": lambda e: ETA,
    "invscaling": lambda e: ETA / (e * N + 1) ** 0.5,
    "cosine": lambda e: ETA * (1 + np.cos(np.pi * e / EPOCHS)) / 2,
}
every_rate = pytest.mark.parametrize("schedule", RATES)


@every_rate
def test_the_rate_of_each_epoch(schedule):
    solver, used = Solver(Options(learning_rate=schedule, learning_rate_init=ETA, max_iter=EPOCHS)), []
    for epoch in range(1, EPOCHS + 1):
        used.append(solver.learning_rate)
        solver.epoch_ends(epoch * N)
    np.testing.assert_allclose(used, [RATES[schedule](e) for e in range(EPOCHS)], rtol=1e-14)


@every_rate
@pytest.mark.parametrize("solver", ["sgd", "adam", "adamw", "rmsprop"])
def test_every_solver_follows_the_rate(schedule, solver):
    X, y = np.random.default_rng(0).standard_normal((N, 3)), np.arange(N) % 4
    model = cmlp.fit(
        X, y, hidden_layer_sizes=(5,), solver=solver, learning_rate=schedule, learning_rate_init=ETA, momentum=0.0,
        max_iter=EPOCHS, shuffle=False, batch_size=N, alpha=0.1, random_state=0,
    )  # fmt: skip
    net = cmlp.Network((3, 5, 4), random_state=0)
    losses = [net.step(X, y, RATES[schedule](e), solver, alpha=0.1) for e in range(EPOCHS)]
    np.testing.assert_array_equal(model.network.parameters, net.parameters)
    assert model.loss_curve_ == losses


def test_an_adaptive_rate_shrinks_to_a_millionth_and_no_further():
    solver = Solver(Options(learning_rate="adaptive"))
    rates = [solver.learning_rate]
    while solver.can_shrink():
        rates.append(solver.learning_rate)
    np.testing.assert_allclose(rates, [1e-3 / 5**k for k in range(6)])
    assert rates[-2] > 1e-6 > rates[-1]


@pytest.mark.parametrize("schedule", RATES)
def test_other_rates_do_not_shrink(schedule):
    solver = Solver(Options(learning_rate=schedule, learning_rate_init=ETA))
    assert not solver.can_shrink()
    assert solver.learning_rate == ETA


# ---- validation -------------------------------------------------------------------------------------


SEED, FRACTION = 4, 0.2
KINDS = {
    "multiclass": lambda X: (X[:, 0] > 0) + 1 * (X[:, 1] > 0.5),
    "binary": lambda X: X[:, 0] * X[:, 1] > 0,
    "multilabel": lambda X: X[:, :2] * X[:, 1:] > 0,
    "regression": lambda X: np.sin(X[:, 0]) * X[:, 1],
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def noisy(kind):
    """Samples that a network soon knows by heart, so that its score on others falls after a while."""
    rng = np.random.default_rng(1)
    X = rng.standard_normal((120, 3))
    return X, KINDS[kind](X + 0.4 * rng.standard_normal(X.shape))


def validated(kind, validation, dtype="float64", **options):
    """A model, and the samples that its score was measured on."""
    X, y = noisy(kind)
    options = {
        "hidden_layer_sizes": (20,), "learning_rate_init": 0.02, "random_state": SEED, "dtype": dtype, **options,
    }  # fmt: skip
    if validation == "passed":
        X, X_val, y, y_val = X[:96], X[96:], y[:96], y[96:]
        return cmlp.fit(X, y, X_val=X_val, y_val=y_val, **options), X_val, y_val
    model = cmlp.fit(X, y, early_stopping=True, validation_fraction=FRACTION, **options)
    held = held_out_rows(model, y)
    return model, X[held], y[held]


def held_out_rows(model, y):
    """What the seed holds out, once it has drawn the initial parameters."""
    random, net = np.random.RandomState(SEED), model.network
    cmlp.Network(net.layer_sizes, net.activation, net.loss_name, random_state=random)
    return hold_out(len(y), FRACTION, y if model.task in ("binary", "multiclass") else None, random)[1]


def last_epoch(scores, tol, patience):
    """The first epoch at which more than `patience` epochs in a row have not raised the best score by tol."""
    stalled = 0
    for epoch in range(1, len(scores)):
        stalled = 0 if scores[epoch] >= max(scores[:epoch]) + tol else stalled + 1
        if stalled > patience:
            return epoch + 1
    return None


@every_kind
@every_validation
@both_precisions
def test_the_best_parameters_are_restored(kind, validation, dtype):
    model, X_val, y_val = validated(kind, validation, dtype)
    scores = model.validation_scores_
    assert model.n_iter_ == len(scores) == len(model.loss_curve_)
    assert model.best_validation_score_ == max(scores)
    assert model.score(X_val, y_val) == pytest.approx(max(scores), rel=1e-6)


@every_kind
@every_validation
def test_they_are_those_of_the_best_epoch(kind, validation):
    """A run that ends at that epoch has them too."""
    model = validated(kind, validation)[0]
    best = int(np.argmax(model.validation_scores_)) + 1
    assert best < model.n_iter_
    short = validated(kind, validation, max_iter=best)[0]
    np.testing.assert_array_equal(short.network.parameters, model.network.parameters)


@every_kind
@every_validation
@pytest.mark.parametrize(("tol", "patience"), [(1e-4, 10), (1e-4, 3), (0.02, 5)])
def test_it_stops_after_epochs_without_improvement(kind, validation, tol, patience):
    model = validated(kind, validation, tol=tol, n_iter_no_change=patience, max_iter=1000)[0]
    assert model.converged_
    assert model.n_iter_ == last_epoch(model.validation_scores_, tol, patience)


def test_it_goes_on_at_a_smaller_adaptive_rate():
    model = validated("regression", "passed", solver="sgd", learning_rate="adaptive", n_iter_no_change=2)[0]
    first_stall = last_epoch(model.validation_scores_, 1e-4, 2)
    assert model.n_iter_ > first_stall + 2


def test_without_validation_there_are_no_scores():
    model = cmlp.fit(*noisy("binary"), max_iter=2)
    assert model.validation_scores_ is model.best_validation_score_ is None


@pytest.mark.parametrize("shuffle", [True, False])
def test_a_held_out_part_is_not_trained_on(shuffle):
    """Nonsense in its place does not change a parameter."""
    X, y = noisy("regression")
    options = {"random_state": SEED, "validation_fraction": FRACTION, "max_iter": 1, "shuffle": shuffle}
    model = cmlp.fit(X, y, early_stopping=True, **options)
    spoilt = X.copy()
    spoilt[held_out_rows(model, y)] = 1e3
    again = cmlp.fit(spoilt, y, early_stopping=True, **options)
    np.testing.assert_array_equal(again.network.parameters, model.network.parameters)


# ---- hold_out ---------------------------------------------------------------------------------------


PARTS = [(10, 0.1), (11, 0.1), (150, 0.1), (101, 0.33), (7, 0.5), (2, 0.01), (100, 0.99)]


def random_classes(n):
    return np.random.default_rng(n).choice(4, n, p=[0.6, 0.3, 0.08, 0.02])


def held(n, fraction, stratified, seed=0):
    return hold_out(n, fraction, random_classes(n) if stratified else None, np.random.RandomState(seed))


@pytest.mark.parametrize(("n", "fraction"), PARTS)
@pytest.mark.parametrize("stratified", [False, True])
def test_the_parts_are_disjoint_and_complete(n, fraction, stratified):
    rows, held_rows = held(n, fraction, stratified)
    assert len(held_rows) == max(1, round(n * fraction))
    np.testing.assert_array_equal(np.sort(np.concatenate([rows, held_rows])), np.arange(n))


@pytest.mark.parametrize(("n", "fraction"), PARTS)
def test_every_class_is_held_out_by_its_share(n, fraction):
    classes = random_classes(n)
    held_rows = held(n, fraction, stratified=True)[1]
    counts = np.bincount(classes[held_rows], minlength=4)
    assert np.abs(counts - np.bincount(classes, minlength=4) * len(held_rows) / n).max() < 1


@pytest.mark.parametrize("stratified", [False, True])
def test_a_seed_holds_out_the_same_rows(stratified):
    first, again, other = (held(150, 0.1, stratified, seed)[1] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert set(first) != set(other)


def test_every_row_is_held_out_as_often():
    counts = sum(np.isin(np.arange(20), held(20, 0.25, False, seed)[1]) for seed in range(400))
    assert np.abs(counts - 100).max() < 45  # five standard deviations


@pytest.mark.parametrize(("n", "fraction"), [(1, 0.1), (2, 0.8), (10, 0.96)])
def test_something_must_be_left_to_train_on(n, fraction):
    with pytest.raises(ValueError, match=f"validation_fraction={fraction} of {n} samples leaves none"):
        hold_out(n, fraction, None, np.random.RandomState(0))


# ---- progress ---------------------------------------------------------------------------------------


LINE = re.compile(r"epoch (\d+), loss = (\d\.\d{6})(?:, validation = (\d\.\d{4}))?")
FIT = """
import os, sys, cmlp
model = cmlp.fit([[0.0], [1.0]] * 9, [0, 1] * 9, max_iter=5, verbose=True, random_state=0)
with open(sys.argv[1], "w") as file:
    file.write(repr(model.loss_curve_))
"""


def fitted(options, capfd):
    """A model, and what its training prints."""
    model = cmlp.fit(*noisy("binary"), random_state=0, max_iter=5, **options)
    return model, capfd.readouterr()


@pytest.mark.parametrize("verbose", [True, 1, 2])
def test_a_line_per_epoch(verbose, capfd):
    model, (out, err) = fitted({"verbose": verbose}, capfd)
    lines = [LINE.fullmatch(line).groups() for line in out.splitlines()]
    assert lines == [(str(e), f"{loss:.6f}", None) for e, loss in enumerate(model.loss_curve_, 1)]
    assert len(lines) == 5
    assert err == ""


def test_a_line_shows_the_validation_score(capfd):
    model, (out, _) = fitted({"verbose": True, "early_stopping": True}, capfd)
    assert [LINE.fullmatch(line)[3] for line in out.splitlines()] == [f"{s:.4f}" for s in model.validation_scores_]


@pytest.mark.parametrize("options", [{}, {"verbose": False}, {"verbose": 0}, {"early_stopping": True}], ids=str)
def test_silence(options, capfd):
    assert fitted(options, capfd)[1] == ("", "")


def on_a_terminal(code, path):
    """What a Python process writes to its terminal, which is its standard error, and to its standard output."""
    import fcntl
    import pty
    import struct
    import termios

    terminal, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
    try:
        process = subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE, stderr=end, text=True)
    finally:
        os.close(end)
    shown = b""
    try:
        while part := os.read(terminal, 4096):
            shown += part
    except OSError:  # Linux's way to say that the other end is closed
        pass
    out = process.communicate(timeout=60)[0]
    os.close(terminal)
    assert process.returncode == 0, shown
    return shown.decode(), out


def losses_in(path):
    return re.findall(r"\d\.\d+", path.read_text())


@not_on_windows
def test_a_bar_on_a_terminal(tmp_path):
    pytest.importorskip("tqdm")
    shown, out = on_a_terminal(FIT, tmp_path / "losses")
    assert "5/5" in shown
    assert f"loss={float(losses_in(tmp_path / 'losses')[-1]):.6f}" in shown
    assert out == ""


@not_on_windows
def test_a_bar_goes_on_where_a_checkpoint_was(tmp_path):
    pytest.importorskip("tqdm")
    kept = FIT.replace("random_state=0", "random_state=0, checkpoint=sys.argv[1] + '.checkpoint'")
    on_a_terminal(kept.replace("max_iter=5", "max_iter=3"), tmp_path / "losses")
    shown, _ = on_a_terminal(kept, tmp_path / "losses")
    assert "3/5" in shown
    assert "5/5" in shown
    assert "0/5" not in shown


@not_on_windows
def test_lines_on_a_terminal_without_tqdm(tmp_path):
    shown, out = on_a_terminal("import sys; sys.modules['tqdm'] = None" + FIT, tmp_path / "losses")
    assert len(LINE.findall(out)) == len(losses_in(tmp_path / "losses")) == 5
    assert shown == ""


CLOSED = {
    "no standard error": ("2>&-", ""),
    "no standard output": (">&-", ""),
    "neither": (">&- 2>&-", ""),
    "closed standard error": ("", "import sys; sys.stderr.close()"),
    "stand-in for standard error": (
        "",
        "import sys, types; sys.stderr = types.SimpleNamespace(write=print, flush=print)",
    ),
}


@not_on_windows
@pytest.mark.parametrize(("redirection", "before"), CLOSED.values(), ids=CLOSED)
def test_progress_without_standard_streams(redirection, before, tmp_path):
    command = ["sh", "-c", f'exec "$@" {redirection}', "sh", sys.executable, "-c", before + FIT, tmp_path / "losses"]
    out = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=60, check=True).stdout
    assert len(losses_in(tmp_path / "losses")) == 5
    assert len(LINE.findall(out)) == (0 if ">&-" in redirection.split() else 5)


# ---- Ctrl-C -----------------------------------------------------------------------------------------


# One epoch of the large network takes far longer than the test waits; many of the small one's end meanwhile.
INTERRUPTED = """
import signal, sys, warnings
import numpy as np
import cmlp

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored
n, width, batch_size, early = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "True"
X = np.random.default_rng(0).standard_normal((n, width), np.float32)
options = {"hidden_layer_sizes": (width, width), "random_state": 0, "solver": "sgd", "n_iter_no_change": 10**6}
print("begins", flush=True)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    model = cmlp.fit(X, np.arange(n) % 3, batch_size=batch_size, max_iter=10**6, early_stopping=early, **options)
print("ends", flush=True)
before = cmlp.Network(model.network.layer_sizes, dtype="float32", random_state=0).parameters
after = model.network.parameters
print(np.isfinite(after).all(), np.abs(after - before).max() > 1e-6, model.n_iter_, len(model.predict(X[:100])))
print(*(f"{w.category.__name__}: {w.message}" for w in caught), sep="; ")
"""


def interrupted(*arguments):
    """Seconds from Ctrl-C to the end of the training, and the lines that follow."""
    command = [sys.executable, "-c", INTERRUPTED, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        guard = threading.Timer(60, process.kill)
        guard.start()
        assert process.stdout.readline() == "begins\n"
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        start = time.perf_counter()
        assert process.stdout.readline() == "ends\n"
        seconds = time.perf_counter() - start
        lines = process.stdout.read().splitlines()
        guard.cancel()
    assert process.returncode == 0
    return seconds, lines


@not_on_windows
@pytest.mark.parametrize("early_stopping", [False, True], ids=["", "early stopping"])
@pytest.mark.parametrize(
    ("n", "width", "batch_size"), [(300, 16, 32), (60000, 1024, 200), (60000, 1024, 1)],
    ids=["between epochs", "amid batches", "amid samples"],
)  # fmt: skip
def test_ctrl_c_ends_the_training(n, width, batch_size, early_stopping):
    seconds, (state, warned) = interrupted(n, width, batch_size, early_stopping)
    finite, changed, epochs, predicted = state.split()
    assert seconds < 2
    assert (finite, changed, predicted) == ("True", "True", "100")
    assert (int(epochs) > 0) == (n == 300)
    kept = "best validation score" if int(epochs) > 0 and early_stopping else "last finished update"
    assert warned == f"UserWarning: training interrupted: the model has the parameters of the {kept}"


@pytest.mark.filterwarnings("error")
def test_ctrl_c_where_warnings_are_errors_loses_no_model():
    X, y = noisy("regression")
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(UserWarning, match=r"^training interrupted") as caught:
            cmlp.fit(X, y, callbacks=lambda _: signal.raise_signal(signal.SIGINT), random_state=0)
    finally:
        signal.signal(signal.SIGINT, handler)
    assert caught.value.model.n_iter_ == 1


# ---- divergence -------------------------------------------------------------------------------------


DIVERGING = {
    "at once": {"learning_rate_init": 1e30},
    "after some epochs": {"learning_rate_init": 1e8},
    "validated": {"learning_rate_init": 1e8, "early_stopping": True, "n_iter_no_change": 100},
    "one by one": {"learning_rate_init": 1e8, "batch_size": 1},
}


@pytest.mark.parametrize("options", DIVERGING.values(), ids=DIVERGING)
@both_precisions
def test_divergence_keeps_a_model(options, dtype):
    X, y = noisy("regression")
    options = {"batch_size": 40, "n_iter_no_change": 100, **options}
    with pytest.raises(cmlp.DivergenceError, match=r"training diverged in epoch \d+: .* smaller learning rate") as e:
        cmlp.fit(X, y, solver="sgd", hidden_layer_sizes=(5,), dtype=dtype, random_state=0, **options)
    model = e.value.model
    assert np.isfinite(model.network.parameters).all()
    assert model.network.forward(X).shape == (len(X), 1)  # predict may refuse: X is too large for such weights
    assert f"epoch {model.n_iter_ + 1}:" in str(e.value)


def test_divergence_after_sound_epochs_keeps_what_they_learnt():
    """A sample that overflows, met in the first epoch, leaves the model as the samples before it made it."""
    X, y = noisy("regression")
    options = {"solver": "sgd", "batch_size": 1, "shuffle": False, "max_iter": 1, "random_state": 0}
    expected = cmlp.fit(X[:100], y[:100], **options)
    spoilt = y.copy()
    spoilt[100:] = 1e200
    with pytest.raises(cmlp.DivergenceError) as e:
        cmlp.fit(X, spoilt, **options)
    np.testing.assert_array_equal(e.value.model.network.parameters, expected.network.parameters)


# ---- memory -----------------------------------------------------------------------------------------


# Linux counts private memory against RLIMIT_DATA, the pages of a file that is read not.
MAPPED = """
import re, resource, sys
import numpy as np
import cmlp

X = np.load(sys.argv[1], mmap_mode="r")
used = int(re.search(r"VmData:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) * 1024
resource.setrlimit(resource.RLIMIT_DATA, (used + X.nbytes // 2,) * 2)
try:
    model = cmlp.fit(X, np.arange(len(X)) % 3, hidden_layer_sizes=(8,), max_iter=2, early_stopping=True)
    print(model.predict(X).shape)
except MemoryError:
    print("MemoryError")
"""


@pytest.fixture(scope="module")
def large_array(tmp_path_factory):
    """Writes 200 MB of float32 in C or Fortran order; the path."""

    def written(order):
        path = tmp_path_factory.mktemp("mapped") / f"{order}.npy"
        shape = (100_000, 500)
        X = np.lib.format.open_memmap(path, "w+", np.float32, shape, fortran_order=order == "F")
        block = np.random.default_rng(0).standard_normal((500, 500), np.float32)
        for start in range(0, *shape[:1], 500):
            X[start : start + 500] = block
        X.flush()
        return path

    return written


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA means this on Linux only")
@pytest.mark.parametrize(("order", "outcome"), [("C", "(100000,)"), ("F", "MemoryError")])
def test_a_memory_mapped_array_is_not_copied(order, outcome, large_array):
    """In C order; the other order shows that a copy would not fit."""
    path = large_array(order)
    done = subprocess.run([sys.executable, "-c", MAPPED, path], capture_output=True, text=True, timeout=60)
    path.unlink()
    assert done.stdout.strip() == outcome, done.stderr
