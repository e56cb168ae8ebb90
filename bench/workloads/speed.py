"""W1 to W4: training and inference of every network by every competitor."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from ..networks import FULL_ROWS, NETWORKS, Network, data
from ..timer import Local
from .run import Run, timed

MANY = 10_000
QUICK_NETWORKS = "TDML"
QUICK_BATCHES = {("T", 32, "sgd"), ("D", 256, "sgd"), ("M", 32, "sgd"), ("M", 256, "adam"), ("B", 256, "sgd"),
                 ("L", 256, "sgd")}  # fmt: skip
MAIN_BATCHES = {(name, 256, "sgd") for name in "TDMLB"}  # of the second precision, as are the next
MAIN_MANY = "DML"


def chosen(run: Run) -> list[Network]:
    return [network for network in run.networks if not run.plan.quick or network.name in QUICK_NETWORKS]


def single_samples(run: Run) -> None:
    for dtype in run.dtypes:
        for network in chosen(run):
            run.cell("W1", "train", network, FULL_ROWS[network.name], dtype=dtype, batch=1, solver="sgd")


def minibatches(run: Run) -> None:
    for dtype in run.dtypes:
        for network in run.networks:
            for batch in (32, 256):
                for solver in ("sgd", "adam"):
                    which = (network.name, batch, solver)
                    if run.plan.quick and which not in QUICK_BATCHES:
                        continue
                    if dtype != run.dtypes[0] and which not in MAIN_BATCHES:
                        continue
                    rows = max(FULL_ROWS[network.name], batch)
                    run.cell("W2", "train", network, rows, dtype=dtype, batch=batch, solver=solver)


def inference_of_many(run: Run) -> None:
    for dtype in run.dtypes:
        for network in chosen(run):
            if dtype != run.dtypes[0] and network.name not in MAIN_MANY:
                continue
            run.cell("W4", "many", network, MANY, dtype=dtype)


def inference_of_one(run: Run) -> None:
    for dtype in run.dtypes:
        for network in chosen(run):
            run.cell("W3", "one", network, 1, dtype=dtype)
    if "cmlp" in run.adapters:
        run.results["calls"] = calls(run)
        print("  " + ", ".join(f"{name} {entry['us']:.3f} us" for name, entry in run.results["calls"].items()))


def calls(run: Run) -> dict[str, Any]:
    """What a call costs by itself, and through a Model.

    The fixed cost of net(x) is its cost on a network of one weight, whose arithmetic takes nanoseconds; the network's
    own arithmetic is what a call takes beyond it.
    """
    import cmlp

    x = np.ones(1, np.float32)
    one = cmlp.Network((1, 1), activation=(), loss="squared_error", dtype="float32", random_state=0)
    network = NETWORKS["D"]
    X, y = data(network, 200, "float32")
    y[: network.sizes[-1]] = np.arange(network.sizes[-1])  # every class
    model = cmlp.fit(
        X, y, hidden_layer_sizes=network.sizes[1:-1], activation=network.activations, max_iter=1, random_state=0
    )
    runners = {"net(x), network 1-1": Local(functools.partial(one, x))}
    for name, row in {"x (64,)": X[0].copy(), "X (1, 64)": X[:1].copy()}.items():
        runners[f"model.predict, {name}"] = Local(functools.partial(model.predict, row))
        runners[f"model.predict_proba, {name}"] = Local(functools.partial(model.predict_proba, row))
    return timed(runners, run.plan)
