"""Little memory, no threads, small stacks, outputs closed, no home, no place to write, forks, subinterpreters, exit."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import cmlp

TESTS = Path(__file__).parent
PACKAGE = Path(cmlp.__file__).parent
posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX")
linux = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")

COMMON = """
import os, sys, threading, time, warnings
import numpy as np
import cmlp
from reference import classes, inputs
warnings.simplefilter("ignore")
X, y = inputs(300, 30), classes(300, 4)

def network(seed=0):
    return cmlp.Network((30, 64, 48, 4), random_state=seed)

def fitted(**options):
    net = network()
    net.fit(X, y, batch_size=100, epochs=2, **options)
    return net

def same(net, other):
    return np.array_equal(net.parameters, other.parameters)

"""


def child(code, *arguments, seconds=90, before=(), **options):
    """What a Python process prints that runs this code; fails unless it ends well."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(PACKAGE.parent), str(TESTS)]), **options.pop("env", {})}
    command = [*before, sys.executable, "-X", "faulthandler", "-c", COMMON + code, *map(str, arguments)]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    done = subprocess.run(command, text=True, timeout=seconds, env=env, check=False, **options)
    assert done.returncode == 0, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


# ---- memory ------------------------------------------------------------------------------------------

LITTLE_MEMORY = """
import resource
if sys.argv[1] == "estimators":
    cmlp.MLPClassifier
net, expected = network(), fitted()
large = cmlp.Network((30, 100_000, 4), random_state=0)
fitted(n_threads=2)                                         # whatever is loaded late
model = None
if sys.argv[1] == "estimators":
    model = cmlp.MLPClassifier((8,), max_iter=2, random_state=0).fit(X, y)
    probabilities = model.predict_proba(X)
used = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmSize"))
resource.setrlimit(resource.RLIMIT_AS, ((used + 8192) * 1024,) * 2)
before = net.parameters.copy()
wide = np.zeros((1, 30))
tasks = [
    lambda: cmlp.Network((3000, 3000, 3000)),
    lambda: cmlp.fit(X, y, hidden_layer_sizes=(3000, 3000)),
    lambda: net.fit(X, y, epochs=10**9),
    lambda: large.fit(X, y, solver="adam"),
    lambda: large.fit(X, y, batch_size=300, n_threads=2),
    lambda: net.forward(np.broadcast_to(wide, (10**6, 30))),
    lambda: net.loss(np.broadcast_to(wide, (10**6, 30)), np.zeros(10**6, int)),
]
if model is not None:
    tasks += [
        lambda: model.set_params(hidden_layer_sizes=(3000, 3000)).fit(X, y),
        lambda: model.predict(np.broadcast_to(wide, (10**6, 30))),
    ]
for task in tasks:
    try:
        task()
    except MemoryError as error:
        print("MemoryError", end=" ")
assert np.array_equal(net.parameters, before)
net.fit(X, y, batch_size=100, epochs=2, n_threads=2)
assert same(net, expected)
assert model is None or np.array_equal(model.predict_proba(X), probabilities)
print(len(tasks))
"""


@linux
@pytest.mark.parametrize("what", ["network", "estimators"])
def test_little_memory(what):
    """What does not fit is a MemoryError that changes nothing; the rest works."""
    if what == "estimators":
        pytest.importorskip("sklearn")
    *refused, tasks = child(LITTLE_MEMORY, what, env={"OPENBLAS_NUM_THREADS": "1"}).split()
    assert refused == ["MemoryError"] * int(tasks)


# ---- outputs -----------------------------------------------------------------------------------------

VERBOSE = """
path, how = sys.argv[1:]
if how == "closed by Python":
    sys.stdout.close(), sys.stderr.close()
model = cmlp.fit(X, y, hidden_layer_sizes=8, verbose=True, max_iter=3, random_state=0)
curves = [model.loss_curve_]
try:
    import sklearn
except ImportError:
    sklearn = None
if sklearn is not None:
    for solver in ("adam", "lbfgs"):
        model = cmlp.MLPClassifier((8,), verbose=True, max_iter=3, solver=solver, random_state=0, tol=1e9,
                                   n_iter_no_change=1, learning_rate="adaptive").fit(X, y)
        curves.append(model.predict(X).tolist())
open(path, "w").write(repr(curves))
sys.stdout = sys.stderr = None
os._exit(0)
"""


@posix
@pytest.mark.parametrize("how", ["closed by the shell", "closed by Python", "pipe without a reader", "full disk"])
def test_verbose_training_that_nobody_can_read(tmp_path, how):
    expected, path = tmp_path / "expected", tmp_path / "path"
    child(VERBOSE, expected, "open")
    before, output = (), subprocess.DEVNULL
    if how == "closed by the shell":
        before = ("sh", "-c", 'exec "$@" >&- 2>&-', "sh")
    elif how == "pipe without a reader":
        end, output = os.pipe()
        os.close(end)
    elif how == "full disk":
        if not Path("/dev/full").exists():
            pytest.skip("needs /dev/full")
        output = os.open("/dev/full", os.O_WRONLY)
    try:
        child(VERBOSE, path, how, before=before, stdout=output, stderr=output)
    finally:
        if output != subprocess.DEVNULL:
            os.close(output)
    assert path.read_text() == expected.read_text()


# ---- folders -----------------------------------------------------------------------------------------

WORKS = """
assert same(fitted(), fitted(n_threads=2))
cmlp.fit(X, y, max_iter=2).predict(X)
print(cmlp.__file__)
"""


@posix
@pytest.mark.parametrize("home", [None, "/nonexistent"])
def test_no_home(home, tmp_path):
    set_home = ("env", "-u", "HOME") if home is None else ("env", f"HOME={home}")
    child(WORKS + "cmlp.show_config()", before=set_home, cwd=tmp_path)


@linux
def test_a_folder_that_is_no_more(tmp_path):
    """Relative paths lead nowhere, and are named."""
    folder = tmp_path / "gone"
    folder.mkdir()
    code = """
import os
model = cmlp.fit(X, y, max_iter=2)
os.rmdir(os.getcwd())
for call in (lambda: cmlp.save(model, "x"), lambda: cmlp.load("x"), lambda: cmlp.fit(X, y, checkpoint="x")):
    try:
        call()
    except FileNotFoundError as error:
        assert error.filename == "x", error
    else:
        sys.exit("no error")
"""
    child(code, cwd=folder)


@linux
def test_a_read_only_system(tmp_path):
    """Folders that may not be written to: as another user, or as root without its powers."""
    shutil.copytree(PACKAGE, tmp_path / "cmlp", ignore=shutil.ignore_patterns("__pycache__"))
    for path in (tmp_path, *tmp_path.rglob("*")):
        path.chmod(path.stat().st_mode & ~0o222)
    before = ("setpriv", "--inh-caps=-all", "--bounding-set=-all") if os.getuid() == 0 else ()
    if before and not shutil.which("setpriv"):
        pytest.skip("needs setpriv")
    try:
        env = {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(TESTS)])}
        refused = "try:\n    open('x', 'w')\n    sys.exit('could write')\nexcept PermissionError:\n    pass\n"
        printed = child(refused + WORKS, before=before, cwd=tmp_path, env=env)
        assert Path(printed.strip()).parent == tmp_path / "cmlp"
        assert not list(tmp_path.rglob("__pycache__"))
    finally:
        for path in (tmp_path, *tmp_path.rglob("*")):
            path.chmod(path.stat().st_mode | 0o200)


# ---- threads -----------------------------------------------------------------------------------------

NO_THREADS = """
import resource
expected = fitted()
fitted(n_threads=2)
if os.getuid() == 0:
    os.setgid(54321), os.setuid(54321)                      # root may always start one
resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
try:
    threading.Thread(target=int).start()
    print("started")
except RuntimeError:
    print("none")
assert same(fitted(n_threads=2), expected)
assert same(fitted(n_threads=7, shuffle=False), expected)
model = cmlp.fit(X, y, n_threads=3, max_iter=2, random_state=0)
assert same(model.network, cmlp.fit(X, y, n_threads=1, max_iter=2, random_state=0).network)
"""


@linux
def test_no_thread_can_be_started():
    assert child(NO_THREADS) == "none\n"


SMALL_STACK = """
layer_sizes = [(30, 4), (30, 64, 48, 4), (30, 500, 300, 4)]
kinds = [(sizes, dtype) for sizes in layer_sizes for dtype in ("float32", "float64")]
nets = [[cmlp.Network(sizes, "gelu", dtype=dtype, random_state=0) for sizes, dtype in kinds] for _ in range(2)]
def work(nets, answers):
    for net in nets:
        for solver in ("sgd", "adam"):
            for batch_size in (1, 100):
                net.fit(X, y, solver=solver, batch_size=batch_size)
                net.fit(X, y, solver=solver, batch_size=batch_size, n_threads=2)
            net.step(X[0], 1, solver=solver)
        answers.extend([net(X[0]), net.forward(X), net.loss(X, y), net.loss_and_gradients(X, y)[1][0]])
expected, answers = [], []
work(nets[0], expected)
threading.stack_size(32768)
thread = threading.Thread(target=work, args=(nets[1], answers))
thread.start()
thread.join()
print(len(answers), all(np.array_equal(a, b) for a, b in zip(answers, expected)), len(expected))
"""


@posix
def test_threads_with_the_smallest_stack():
    assert child(SMALL_STACK) == "24 True 24\n"


EXIT = """
n_threads, batch_size = map(int, sys.argv[1:])
net = network()
before = net.parameters.copy()
def train():
    net.fit(X, y, batch_size=batch_size, epochs=10**7, n_threads=n_threads)
for _ in range(2):
    threading.Thread(target=lambda: network().fit(X, y, batch_size=batch_size, epochs=10**7), daemon=True).start()
threading.Thread(target=train, daemon=True).start()
while np.array_equal(net.parameters, before):
    time.sleep(0.001)
print("ends")
"""


@pytest.mark.parametrize(("n_threads", "batch_size"), [(1, 1), (1, 100), (2, 100)])
def test_the_interpreter_exits_while_daemons_train(n_threads, batch_size):
    for _ in range(3):
        assert child(EXIT, n_threads, batch_size) == "ends\n"


# ---- processes ---------------------------------------------------------------------------------------

FORK = """
def in_child(task):
    pid = os.fork()
    if pid == 0:
        try:
            os._exit(0 if task() else 1)
        finally:
            os._exit(2)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code == 0, code

"""
FORK_AFTER_FIT = """
net, expected = fitted(), fitted()
for solver, batch_size in (("sgd", 1), ("adam", 1), ("sgd", 50), ("adam", 50)):
    options = {"solver": solver, "batch_size": batch_size, "n_threads": 2}
    def trains():
        net.fit(X, y, **options)
        return same(net, expected)
    expected.fit(X, y, **options)
    in_child(trains)
    net.fit(X, y, **options)
    assert same(net, expected)
    outputs = expected.forward(X)
    in_child(lambda: np.array_equal(net.forward(X), outputs) and np.array_equal(net(X[0]), expected(X[0])))
print("well")
"""
FORK_DURING_FIT = """
solver, batch_size, n_threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
net = network()
before = net.parameters.copy()
over = False
def train():
    options = {"batch_size": batch_size, "n_threads": n_threads, "shuffle": True, "random_state": Until(0)}
    try:
        net.fit(X, y, solver, epochs=10**7, **options)
    except StopIteration:
        pass
class Until(np.random.RandomState):
    def shuffle(self, order):
        if over:
            raise StopIteration
trainer = threading.Thread(target=train)
trainer.start()
while np.array_equal(net.parameters, before):
    time.sleep(0.001)
def usable():
    assert np.isfinite(net(X[0])).all()
    start = net.parameters.copy()
    twin = cmlp.Network((30, 64, 48, 4), random_state=0)
    twin.parameters = start
    for _ in range(2):                                      # a step and a fit as those of a new network
        assert net.step(X[0], 1, solver=solver) == twin.step(X[0], 1, solver=solver)
        net.fit(X, y, solver, batch_size=50), twin.fit(X, y, solver, batch_size=50)
        assert same(net, twin)
    thread = threading.Thread(target=net.fit, args=(X, y))
    thread.start(), thread.join()
    return not same(net, twin)
for _ in range(10):
    in_child(usable)
try:
    net.step(X[0], 1)
    print("not refused")
except RuntimeError:
    print("refused")
over = True
trainer.join()
net.step(X[0], 1)
"""
FORK_IN_A_HANDLER = """
import signal
net = network()
def handle(*_):
    global forked
    if forked is None:
        forked = os.fork()
        if forked == 0:
            try:
                net.step(X[0], 1)                           # within the fit that this handler interrupts
                os._exit(3)
            except RuntimeError:
                pass
forked = None
signal.signal(signal.SIGALRM, handle)
signal.setitimer(signal.ITIMER_REAL, 0.02)
curve = net.fit(np.repeat(X, 20, 0), np.repeat(y, 20), "adam", epochs=20)
net.step(X[0], 1)
if forked:
    assert os.waitstatus_to_exitcode(os.waitpid(forked, 0)[1]) == 0
    print(forked is not None)
"""
FORK_DURING_AN_ESTIMATORS_FIT = """
over = False
options = {"max_iter": 10**6, "tol": 0, "n_iter_no_change": 10**6}
model = cmlp.MLPClassifier((30,), random_state=0, callbacks=lambda _: over, **options)
trainer = threading.Thread(target=model.fit, args=(X, y))
trainer.start()
while not hasattr(model, "loss_"):
    time.sleep(0.001)
expected = cmlp.MLPClassifier((30,), max_iter=3, random_state=0).fit(X, y)
def usable():
    model.predict(X)
    model.set_params(max_iter=3, tol=1e-4, n_iter_no_change=10, callbacks=None).fit(X, y)
    return np.array_equal(model.predict_proba(X), expected.predict_proba(X))
for _ in range(3):
    in_child(usable)
over = True
trainer.join()
model.partial_fit(X, y)
"""
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="cannot fork")


@forks
def test_a_child_goes_on_where_its_parent_was():
    assert child(FORK + FORK_AFTER_FIT) == "well\n"


@forks
@pytest.mark.parametrize(("solver", "batch_size", "n_threads"), [("sgd", 1, 1), ("adam", 1, 1), ("adam", 50, 2)])
def test_a_fork_while_another_thread_trains(solver, batch_size, n_threads):
    """The child's network has the parameters of that moment, no state of a solver, and may be trained."""
    assert child(FORK + FORK_DURING_FIT, solver, batch_size, n_threads) == "refused\n"


@forks
def test_a_fork_by_the_thread_that_trains():
    assert child(FORK_IN_A_HANDLER) == "True\n"


@forks
def test_a_fork_while_another_thread_fits_an_estimator():
    pytest.importorskip("sklearn")
    child(FORK + FORK_DURING_AN_ESTIMATORS_FIT)


SUBINTERPRETER = """
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
isolated = sys.argv[1] == "isolated"
try:
    number = interpreters.create("isolated" if isolated else "legacy")
except TypeError:
    number = interpreters.create(isolated=isolated)
code = '''
try:
    import cmlp
    net = cmlp.Network((2, 3, 2), random_state=0)
    result = "works" if net([0, 1]).shape == (2,) else "wrong"
except ImportError as error:
    result = f"ImportError: {error}"
import os
os.write(1, result.encode() + b"\\\\n")
'''
failed = interpreters.run_string(number, code)
assert failed is None, failed
interpreters.destroy(number)
assert same(fitted(), fitted(n_threads=2))
"""


@pytest.mark.parametrize("kind", ["isolated", "shares the GIL"])
def test_a_subinterpreter_imports_it_or_says_that_it_cannot(kind):
    if sys.version_info < (3, 12):
        pytest.skip("has no interpreters of their own yet")
    printed = child(SUBINTERPRETER, kind)
    assert printed == "works\n" or printed.startswith("ImportError: ")
