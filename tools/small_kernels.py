"""Every kernel, and trainings by every path, on small sizes: what valgrind can watch in some minutes."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from arrays import Arrays
from cmlp.kernels import available, kernels
from engines import engine_of, network, samples
from kernel_cases import ACTIVATIONS, CASES, LOSSES, SOLVERS, loss_of_batch, loss_problem, one_by_one, updates

SIZES = (0, 1, 3, 7, 17, 33)


def touch_kernels(module, precision):
    arrays = Arrays(precision)
    results = [list(case(module, arrays, m, n)) for case, m, n in itertools.product(CASES, SIZES, SIZES)]
    for (solver, options), n in itertools.product(SOLVERS, SIZES):
        results.append(list(updates(module, arrays, n, solver, options)))
    for name in ACTIVATIONS:
        results.append(module.activation(name, arrays.normal(33)))
    for name, losses in itertools.product(LOSSES, (loss_of_batch, one_by_one)):
        results.append(losses(module, name, *loss_problem(name, arrays, 3, 17)))
    arrays.check()
    return len(results)


def train(module, precision):
    runs = 0
    for sizes, batch_size, solver in itertools.product(((3, 5, 2), (40, 33, 7)), (1, 6), ("sgd", "adam")):
        net = network(sizes, ("tanh",), precision)
        engine, (X, y) = engine_of(module, net, solver=solver, alpha=0.1), samples(net, 13)
        assert np.isfinite(engine.epoch(X, y, None, None, batch_size))
        assert np.isfinite(engine.predict(X)).all()
        assert np.isfinite(engine.predict_one(X[0].copy())).all()
        assert np.isfinite(engine.loss(X, y, None, 0.1))
        runs += 1
    return runs


if __name__ == "__main__":
    builds = [(isa, precision) for isa in available() for precision in ("float32", "float64")]
    done = [step(kernels(precision, isa), precision) for isa, precision in builds for step in (touch_kernels, train)]
    print(f"{sum(done)} passed: calls of kernels and trainings, in {len(builds)} builds")
