"""Eight threads at once: exact results on objects of their own, one fit's results or a refusal on a shared one."""

import copy
import itertools
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import cmlp
from contents import content
from reference import classes, inputs

THREADS = 8
ESTIMATORS = ("MLPClassifier", "MLPRegressor")


def at_once(tasks):
    """The results of the tasks, each in a thread of its own, all started together."""
    barrier = threading.Barrier(len(tasks))

    def start(task):
        barrier.wait(timeout=60)
        return task()

    with ThreadPoolExecutor(len(tasks)) as pool:
        return list(pool.map(start, tasks))


def quiet(test):
    return pytest.mark.filterwarnings("ignore")(pytest.mark.usefixtures("eager_threads")(test))


def assert_same(actual, expected):
    if isinstance(expected, list | tuple):
        assert len(actual) == len(expected)
        for a, b in zip(actual, expected, strict=True):
            assert_same(a, b)
    else:
        np.testing.assert_array_equal(actual, expected)


# ---- objects of their own ---------------------------------------------------------------------------


def data(seed, n=60):
    return inputs(n, 6, seed), classes(n, 3, seed)


def network(seed, tmp_path):
    X, y = data(seed)
    net = cmlp.Network((6, 20, 3), ("tanh",), random_state=seed, dtype=("float32", "float64")[seed % 2])
    curve = net.fit(X, y, ("sgd", "adam", "rmsprop")[seed % 3], batch_size=(1, 7, 60)[seed % 3], epochs=3)
    steps = [net.step(x, int(k)) for x, k in zip(X, y, strict=True)]
    other = pickle.loads(pickle.dumps(net))
    other.step(X, y)
    return curve, steps, net.parameters, other.parameters, net(X[0]), net.forward(X), net.loss(X, y)


def model(seed, tmp_path):
    X, y = data(seed)
    fitted = cmlp.fit(X, y, hidden_layer_sizes=9, max_iter=5, early_stopping=seed % 2 == 1, random_state=seed)
    path = tmp_path / f"{seed} {threading.get_ident()}"
    fitted.save(path)
    same = cmlp.load(path)
    return fitted.loss_curve_, same.predict(X), same.predict_proba(X), fitted.score(X, y), path.read_bytes()


def estimator(name):
    def run(seed, tmp_path):
        X, y = data(seed)
        solver = ("adam", "sgd", "lbfgs")[seed % 3]
        fitted = getattr(cmlp, name)(hidden_layer_sizes=(8,), solver=solver, max_iter=4, random_state=seed)
        with np.errstate(all="ignore"):
            fitted.fit(X, y)
        if solver != "lbfgs":
            fitted.partial_fit(X, y)
        again = pickle.loads(pickle.dumps(fitted))
        return fitted.coefs_, again.predict(X), again.score(X, y)

    return run


@quiet
@pytest.mark.parametrize("work", [network, model, *ESTIMATORS], ids=lambda work: getattr(work, "__name__", work))
def test_eight_threads_compute_what_one_does(work, tmp_path):
    if work in ESTIMATORS:
        pytest.importorskip("sklearn")
        work = estimator(work)
    expected = [work(seed, tmp_path) for seed in range(THREADS)]
    for _ in range(3):
        assert_same(at_once([lambda s=seed: work(s, tmp_path) for seed in range(THREADS)]), expected)


FIRST_USE = """
import sys, threading
import cmlp
barrier, seen = threading.Barrier(8), []
def use(i):
    barrier.wait()
    seen.append((cmlp.MLPClassifier, cmlp.MLPRegressor, cmlp.Network((2, 3, 2), dtype=("float32", "float64")[i % 2])))
threads = [threading.Thread(target=use, args=(i,)) for i in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(len(seen), len({classes[:2] for classes in seen}))
"""


def test_what_is_imported_when_it_is_needed_may_be_needed_by_eight_threads():
    pytest.importorskip("sklearn")
    done = subprocess.run([sys.executable, "-c", FIRST_USE], capture_output=True, text=True, timeout=120)
    assert done.stdout == "8 1\n", done.stderr


# ---- one estimator -----------------------------------------------------------------------------------

SEEN = {"letters": np.array(["a", "b", "c", "d"]), "numbers": np.array([10, 20])}


def labelled(name):
    return inputs(80, 5), SEEN[name][classes(80, len(SEEN[name]))]


def classifier(**options):
    pytest.importorskip("sklearn")
    return cmlp.MLPClassifier((8,), max_iter=2, random_state=0, **options)


def refusal(task, *arguments, **options):
    """None, or the RuntimeError that refuses it because of another call."""
    try:
        task(*arguments, **options)
    except RuntimeError as error:
        if "another" not in str(error) and "under way" not in str(error):
            raise
        return error
    return None


@quiet
@pytest.mark.usefixtures("eager_threads")
def test_a_prediction_is_one_fits_while_another_thread_fits():
    """Labels, and the columns of the probabilities, are of one fit; what was fitted last stays."""
    shared, (X, _) = classifier(), labelled("letters")
    fits = {name: classifier().fit(*labelled(name)) for name in SEEN}
    shared.fit(*labelled("letters"))
    over, seen = threading.Event(), set()

    def predict():
        while not over.is_set():
            labels, columns = shared.predict(X), shared.predict_proba(X).shape[1]
            names = [name for name, values in SEEN.items() if labels.dtype.kind == values.dtype.kind]
            assert set(labels) <= set(SEEN[names[0]])
            assert columns in (2, 4)
            seen.update(names)

    def refit():
        try:
            for i in range(150):
                shared.fit(*labelled(("letters", "numbers")[i % 2]))
        finally:
            over.set()

    at_once([refit, *[predict] * 3])
    assert seen == set(SEEN)
    np.testing.assert_array_equal(shared.predict_proba(X), fits["numbers"].predict_proba(X))
    assert shared.loss_curve_ == fits["numbers"].loss_curve_


@quiet
def test_a_fit_that_ends_within_a_prediction(monkeypatch):
    """What was held before it stays of one fit, for others who predict by it."""
    model, later = (classifier().fit(*labelled(name)) for name in ("letters", "numbers"))
    held, network, copied = model.__dict__, model._network, type(model)._as_it_is

    def late(self, *arguments):
        self.__dict__ = later.__dict__
        return copied(self, *arguments)

    monkeypatch.setattr(type(model), "_as_it_is", late)
    assert set(model.predict(labelled("letters")[0])) <= set(SEEN["letters"])
    assert held["_network"] is network


@quiet
@pytest.mark.parametrize("wrong", ["y", "X_val", "classes"])
def test_a_refused_fit_is_not_seen_by_another_thread(wrong):
    X, y = labelled("letters")
    shared = classifier().fit(X, y)
    expected, over = shared.predict_proba(X), threading.Event()

    def predict():
        while not over.is_set():
            np.testing.assert_array_equal(shared.predict_proba(X), expected)
            assert set(shared.predict(X)) <= set(SEEN["letters"])

    def refuse():
        arguments = {"y": (X[:, :3], y[:-1]), "X_val": (X[:, :3], y, None, X[:, :2], y), "classes": (X, y)}[wrong]
        fit = (lambda X, y: shared.partial_fit(X, y, classes=["e"])) if wrong == "classes" else shared.fit
        try:
            for _ in range(100):
                with pytest.raises(ValueError, match=r"classes|inconsistent|features"):
                    fit(*arguments)
        finally:
            over.set()

    at_once([refuse, *[predict] * 3])


@quiet
@pytest.mark.parametrize(
    ("method", "solver", "options"),
    [("fit", "adam", {}), ("fit", "lbfgs", {}), ("partial_fit", "sgd", {"classes": SEEN["letters"]})],
)
def test_two_threads_that_fit_one_estimator(method, solver, options):
    """One is refused, or they come one after the other; whoever holds the estimator is never refused."""
    shared, expected, (X, y) = classifier(solver=solver), classifier(solver=solver), labelled("letters")
    fit, rounds = getattr(shared, method), 30

    def successes():
        return sum(refusal(fit, X, y, **options) is None for _ in range(rounds))

    done = sum(at_once([successes] * 4))
    assert done >= 1
    for _ in range(done if method == "partial_fit" else 1):
        refusal(getattr(expected, method), X, y, **options)
    assert_same(shared.coefs_, expected.coefs_)
    assert_same(shared.predict_proba(X), expected.predict_proba(X))
    assert shared.loss_ == expected.loss_


@quiet
def test_a_fit_within_a_fit_is_refused():
    X, y = labelled("letters")
    answers = []
    model = classifier()
    model.set_params(callbacks=lambda state: answers.append(refusal(state.model.fit, X, y)))
    model.fit(X, y)
    assert len(answers) == 2
    assert all("by the call under way, which a callback may not do too" in str(answer) for answer in answers)
    copied = copy.deepcopy(model.set_params(callbacks=None))
    np.testing.assert_array_equal(copied.fit(X, y).predict_proba(X), model.predict_proba(X))


@quiet
def test_a_copy_made_during_a_fit_is_free():
    """Also by pickle, and from another thread."""
    X, y = labelled("letters")
    copies = []
    model = classifier(callbacks=lambda state: at_once([lambda: copies.append(copy.deepcopy(state.model))]))
    model.fit(X, y)
    for copied in copies:
        assert not [name for name in vars(copied) if "process" in name]
        copied.set_params(callbacks=None).partial_fit(X, y)
    assert not [name for name in vars(model) if "process" in name]


@quiet
def test_assigned_parameters_are_taken_up_by_eight_threads():
    X, y = labelled("letters")
    model = classifier().fit(X, y)
    expected = copy.deepcopy(model)
    coefs = [2 * expected.coefs_[0], expected.coefs_[1][:, ::-1]]
    for _ in range(20):
        model.fit(X, y)
        model.coefs_ = [2 * model.coefs_[0], model.coefs_[1][:, ::-1]]  # the second is a view of its own place
        expected.coefs_ = [a.copy() for a in coefs]
        assert_same(at_once([lambda: model.predict_proba(X)] * THREADS), [expected.predict_proba(X)] * THREADS)


@quiet
@pytest.mark.parametrize("epoch", [1, 2, 4])
@pytest.mark.parametrize("warm_start", [False, True])
def test_no_memory_for_a_fit_leaves_the_old_one(monkeypatch, warm_start, epoch):
    X, y = labelled("letters")
    model = classifier(warm_start=warm_start).fit(X, y).set_params(max_iter=5)
    expected, state, before = model.predict_proba(X), dict(vars(model)), content(vars(model))
    real, epochs = cmlp.Network._epoch, itertools.count(1)

    def fails(*arguments):
        if next(epochs) == epoch:
            raise MemoryError
        return real(*arguments)

    monkeypatch.setattr(cmlp.Network, "_epoch", fails)
    with pytest.raises(MemoryError):
        model.fit(*labelled("letters" if warm_start else "numbers"))
    np.testing.assert_array_equal(model.predict_proba(X), expected)
    assert vars(model) == state
    state, before = (of_fit(each) for each in (content(vars(model)), before))
    assert state == before


def of_fit(state):
    """Without what the solver knew of its updates, which may be lost."""
    return tuple((name, held) for name, held in state if name != "'_network'")


@quiet
def test_no_memory_for_a_piece_leaves_the_estimator_as_it_was(monkeypatch):
    X, y = labelled("letters")
    model, same = (classifier().fit(X, y) for _ in range(2))

    def refuse(*_):
        raise MemoryError

    before = content(vars(model))
    with monkeypatch.context() as patched:
        patched.setattr(cmlp.Network, "_epoch", refuse)
        with pytest.raises(MemoryError):
            model.partial_fit(X, y)
    assert content({k: v for k, v in vars(model).items() if k != "_validated"}) == before
    assert_same(model.partial_fit(X, y).coefs_, same.partial_fit(X, y).coefs_)


@quiet
def test_parameters_that_another_thread_sets_during_a_fit_stay_set():
    """Before its network is there, while it trains, and where it is refused or runs out of memory."""
    (X, y), waits, goes_on = labelled("letters"), threading.Event(), threading.Event()

    def pause(*_):
        waits.set()
        assert goes_on.wait(60)

    class Slow:
        def __array__(self, *_, **__):
            pause()
            return X

    def runs_out(state):
        pause()
        raise MemoryError

    def set_meanwhile(model, samples, name, value):
        waits.clear(), goes_on.clear()
        thread = threading.Thread(target=lambda: ended.append(outcome(model.fit, samples, y)))
        thread.start()
        assert waits.wait(60)
        model.set_params(**{name: value})
        goes_on.set()
        thread.join()

    ended, model = [], classifier()
    set_meanwhile(model, Slow(), "max_iter", 7)
    assert (model.max_iter, ended.pop()) == (7, None)
    model.set_params(max_iter=2, callbacks=pause)
    set_meanwhile(model, X, "alpha", 0.5)
    assert (model.alpha, ended.pop()) == (0.5, None)
    model.set_params(callbacks=runs_out)
    set_meanwhile(model, X, "alpha", 0.25)
    assert (model.alpha, ended.pop()) == (0.25, MemoryError)
    assert model.set_params(callbacks=None, max_iter=2).fit(X, y).n_iter_ == 2


def outcome(task, *arguments):
    """None, or the type of the exception."""
    try:
        task(*arguments)
    except Exception as error:
        return type(error)
    return None


# ---- one network -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("eager_threads")
@pytest.mark.parametrize("layer_sizes", [(5, 8, 3), (5, 200, 90, 3)], ids=["keeps the GIL", "lets go"])
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_a_network_is_read_and_copied_while_another_thread_trains_it(layer_sizes, solver):
    """What is read is a mixture of what the parameters were; the training is as if nobody had read."""
    X, y = inputs(40, 5), classes(40, 3)
    net, alone = (cmlp.Network(layer_sizes, random_state=0) for _ in range(2))
    over, reads = threading.Event(), []

    def train(net):
        losses = [net.fit(X, y, solver, epochs=4, batch_size=8) for _ in range(30)]
        return losses, [net.step(x, int(k), solver=("sgd", "adam")[i % 2]) for i, (x, k) in enumerate(zip(X, y))]  # noqa: B905

    def read():
        while not over.is_set():
            twin = pickle.loads(pickle.dumps(net))
            twin.step(X[0], 0)
            reads.append(
                all(np.isfinite(a).all() for a in (net(X[0]), net.forward(X), twin.parameters, net.loss(X, y)))
            )

    def train_and_end():
        try:
            return train(net)
        finally:
            over.set()

    first, *_ = at_once([train_and_end, *[read] * 3])
    assert_same(first, train(alone))
    np.testing.assert_array_equal(net.parameters, alone.parameters)
    assert reads
    assert all(reads)


@pytest.mark.usefixtures("eager_threads")
@pytest.mark.parametrize("width", [8, 200])
def test_a_model_is_saved_while_another_thread_trains_its_network(width, tmp_path):
    """Each file loads, with a mixture of what the parameters were."""
    X, y = inputs(200, 5), classes(200, 3)
    model, over = cmlp.fit(X, y, hidden_layer_sizes=width, max_iter=1, random_state=0), threading.Event()

    def train():
        while not over.is_set():
            model.network.fit(X, y, learning_rate=1e-3)

    def save():
        try:
            for _ in range(20):
                model.save(tmp_path / "m")
                assert np.isfinite(cmlp.load(tmp_path / "m").predict_proba(X)).all()
        finally:
            over.set()

    at_once([train, save])
