"""Runs operations with their first allocation failing, then with their second, until they need no more.

Under LD_PRELOAD of no_memory.c: python no_memory.py network|model|estimator.  Once only that allocation fails and once
all after it too.  Each attempt is a forked child, so that a crash is one of its outcomes.  Prints a line for each
operation, "refused" if all went well.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from itertools import count, product
from typing import Any, NamedTuple

import numpy as np

import cmlp
from contents import content
from reference import classes, inputs

SECONDS = 60  # after which an attempt hangs
SIZES = (40, 300, 70, 5)  # a sample of this network is beyond the stack
N = 200  # an index of so many, or as many labels, are data whose allocation fails
X, Y = inputs(N, SIZES[0]), classes(N, SIZES[-1])


class Operation(NamedTuple):
    run: Callable[[], Any]
    subject: Any  # what it works with: a network, a model or an estimator
    trains: bool = False
    intact: Callable[[], bool] = lambda: True  # whether all else is as it was


def network_operations():
    net = cmlp.Network(SIZES, random_state=0)
    small = cmlp.Network((3, 4, 2), random_state=0)  # samples on the stack, layers held twice
    narrow, two = inputs(N, 3), classes(N, 2)
    x = X[0].copy()
    return {
        "Network()": Operation(lambda: cmlp.Network(SIZES, random_state=1).parameters, None),
        "net(x)": Operation(lambda: net(x), net),
        "forward": Operation(lambda: net.forward(X), net),
        "forward of lists": Operation(lambda: net.forward(X[:5].tolist()), net),
        "loss": Operation(lambda: net.loss(X, Y), net),
        "loss_and_gradients": Operation(lambda: net.loss_and_gradients(X, Y, alpha=0.1)[0], net),
        "trace": Operation(lambda: net.trace(x, 1).loss, net),
        "step": Operation(lambda: net.step(x, 1), net, trains=True),
        "step with adam": Operation(lambda: net.step(X[:7], Y[:7], solver="adam"), net, trains=True),
        "fit one by one": Operation(lambda: net.fit(X, Y, epochs=2, shuffle=True), net, trains=True),
        "fit a small one": Operation(lambda: small.fit(narrow, two, epochs=2, alpha=0.1), small, trains=True),
        "fit in batches": Operation(
            lambda: net.fit(X, Y, batch_size=32, epochs=2, solver="adam", learning_rate=1e-3), net, trains=True
        ),
        "fit in two threads": Operation(lambda: net.fit(X, Y, batch_size=50, n_threads=2), net, trains=True),
    }


def model_operations():
    folder = tempfile.mkdtemp()
    path = os.path.join(folder, "model.safetensors")
    model = cmlp.fit(X, Y, hidden_layer_sizes=(30,), max_iter=2, random_state=0)
    model.save(path)

    def file():
        with open(path, "rb") as saved:
            return saved.read(), os.listdir(folder)

    before = file()
    options = {"hidden_layer_sizes": (30,), "max_iter": 3, "early_stopping": True, "random_state": 0}
    return {
        "cmlp.fit": Operation(lambda: cmlp.fit(X, Y, **options).loss_curve_, None),
        "predict": Operation(lambda: model.predict(X), model),
        "predict_proba": Operation(lambda: model.predict_proba(X), model),
        "score": Operation(lambda: model.score(X, Y), model),
        "save": Operation(lambda: model.save(path), model, intact=lambda: file() == before),
        "load": Operation(lambda: cmlp.load(path).network.parameters, model, intact=lambda: file() == before),
    }


def estimator_operations():
    from scipy.sparse import random as random_sparse

    options = {"hidden_layer_sizes": (30,), "max_iter": 2, "n_iter_no_change": 50, "random_state": 0}
    sparse = random_sparse(N, 400, 0.01, "csr", random_state=0)
    classifier = cmlp.MLPClassifier(**options, solver="sgd").partial_fit(X, Y, classes=range(5))
    regressor = cmlp.MLPRegressor(**options).partial_fit(sparse, Y)
    again = {"early_stopping": True, "scoring": "accuracy"}
    trainings = {
        "fit": cmlp.MLPClassifier(**options, early_stopping=True),
        "fit again": quietly(cmlp.MLPClassifier(**options, **again).fit, X, Y),
        "warm start": quietly(cmlp.MLPClassifier(**options, **again, warm_start=True).fit, X, Y),
        "lbfgs again": quietly(cmlp.MLPRegressor(**options, solver="lbfgs", warm_start=True).fit, X, Y),
    }
    return {
        **{
            name: Operation(lambda fitted=fitted: quietly(fitted.fit, X, Y).loss_, fitted, trains=True)
            for name, fitted in trainings.items()
        },
        "partial_fit": Operation(lambda: classifier.partial_fit(X, Y).loss_, classifier, trains=True),
        "predict_proba": Operation(lambda: classifier.predict_proba(X), classifier),
        "predict of sparse rows": Operation(lambda: regressor.predict(sparse), regressor),
        "predict of a sparse row": Operation(lambda: regressor.predict(sparse[:1]), regressor),
        "partial_fit of sparse rows": Operation(lambda: regressor.partial_fit(sparse, Y).loss_, regressor, trains=True),
    }


def quietly(fit, X, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of max_iter
        return fit(X, y)


# ---- attempts ----------------------------------------------------------------------------------------------------

FAILED, SURVIVED, NEEDS_NO_MORE, WRONG = range(4)
shim = ctypes.CDLL(None)


def outcome(operation: Operation, number: int, lasting: bool, expected: Any) -> int:
    """Of the operation with this allocation failing; AssertionError if anything is not as it ought to be."""
    before = held_by(operation.subject, operation.trains)
    error = result = None
    shim.fail_allocation(ctypes.c_long(number), lasting)
    try:
        result = operation.run()
    except MemoryError as raised:
        error = raised
    finally:
        shim.fail_allocation(ctypes.c_long(0), 0)
    if error or not operation.trains:
        assert held_by(operation.subject, operation.trains) == before
    assert operation.intact()
    if operation.trains:
        assert np.isfinite(operation.run() if error else result).all()
    else:
        np.testing.assert_array_equal(operation.run() if error else result, expected)
    if error is None:
        return NEEDS_NO_MORE if shim.allocations_seen() < number else SURVIVED
    return FAILED


def held_by(subject: Any, trains: bool) -> Any:
    """All of it; a training that fails may lose what the solver knew of its updates before."""
    if isinstance(subject, cmlp.Network):
        lost = ("settings", "solver_state") if trains else ()
        outputs = subject.forward(np.ones((3, subject.layer_sizes[0])))
        return content({k: v for k, v in subject.__getstate__().items() if k not in lost}), content(outputs)
    if subject is None:
        return None
    held = {name: value for name, value in vars(subject).items() if name != "_validated"}  # which is a cache
    return {k: held_by(v, trains) if isinstance(v, cmlp.Network) else content(v) for k, v in held.items()}


def attempt(*arguments: Any) -> int:
    """`outcome` in a child: its exit code, or minus the signal that ended it."""
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(SECONDS)
        code = WRONG
        try:
            code = outcome(*arguments)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def attempts(name: str, operation: Operation, lasting: bool) -> None:
    expected = None if operation.trains else operation.run()
    outcomes: Counter[int] = Counter()
    for number in count(1):
        code = attempt(operation, number, lasting, expected)
        outcomes[code] += 1
        if code not in (FAILED, SURVIVED):
            break
    right = code == NEEDS_NO_MORE and outcomes[FAILED]
    says = "refused" if right else f"ended in {code} at allocation {number},"
    print(f"{name}: {says} {outcomes[FAILED]} times, survived {outcomes[SURVIVED]}", flush=True)


OPERATIONS = {"network": network_operations, "model": model_operations, "estimator": estimator_operations}

if __name__ == "__main__":
    shim.allocations_seen.restype = ctypes.c_long
    for (name, operation), lasting in product(OPERATIONS[sys.argv[1]]().items(), (False, True)):
        attempts(name, operation, lasting)
