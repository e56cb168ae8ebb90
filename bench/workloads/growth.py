"""W7: how cmlp's cost grows.  A slope is that of a straight line through the logarithms; 1 is linear."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..adapters.cmlp_ import Cmlp
from ..networks import Network, data
from ..timer import Local, measure
from .run import Run

WIDE = 20_000  # parameters: above it a sample costs more than the loop around it


def growth(run: Run) -> None:
    found = {}
    for name, points in (("depth", depths(run)), ("width", widths(run)), ("rows", rows(run)), ("batch", batches(run))):
        found[name] = series(run, points)
        slope = found[name]["slope"]
        print(f"W7 {name}: slope of log(cost) by log({found[name]['by']}) {slope:.3f}", flush=True)
    run.results["growth"] = found


def depths(run: Run) -> list[dict[str, Any]]:
    layers = (1, 2, 4, 8, 16) if run.plan.quick else (1, 2, 4, 8, 16, 32, 64)
    return [point("parameters", _hidden(128, k), 256, 1) for k in layers]


def widths(run: Run) -> list[dict[str, Any]]:
    most = 256 if run.plan.quick else 1024
    return [point("parameters", _hidden(w, 2), 256, 1) for w in (16, 32, 64, 128, 256, 512, 1024) if w <= most]


def rows(run: Run) -> list[dict[str, Any]]:
    counts = (256, 1024, 4096, 16384) if run.plan.quick else (256, 1024, 4096, 16384, 65536, 262144)
    return [point("rows", _hidden(64, 2), n, 1) for n in counts]


def batches(run: Run) -> list[dict[str, Any]]:
    sizes = (1, 4, 16, 64, 256, 1024) if run.plan.quick else (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
    return [point("batch", _hidden(128, 2), 2048, batch) for batch in sizes]


def point(by: str, network: Network, n: int, batch: int) -> dict[str, Any]:
    at = {"parameters": network.n_parameters, "rows": n, "batch": batch}[by]
    return {"by": by, "at": at, "network": network, "rows": n, "batch": batch}


def _hidden(width: int, layers: int) -> Network:
    return Network(f"{width} x {layers}", (64, *(width,) * layers, 10), ("relu",) * layers)


def series(run: Run, points: list[dict[str, Any]]) -> dict[str, Any]:
    """Microseconds of an epoch against rows, of a sample against all else."""
    adapter, runners = Cmlp(), {}
    for at in points:
        X, y = data(at["network"], at["rows"], "float32")
        epoch = adapter.train(at["network"], X, y, at["batch"], "sgd", "float32")[1]
        runners[str(at["at"])] = Local(epoch)
    timings = list(measure(runners, run.plan.rounds, run.plan.sample_seconds).values())
    by = points[0]["by"]
    x = [at["at"] for at in points]
    us = [time.median * 1e6 / (1 if by == "rows" else at["rows"]) for time, at in zip(timings, points, strict=True)]
    return {"by": by, "x": x, "us": us, "slope": slope(x, us, WIDE if by == "parameters" else 0)}


def slope(x: list[float], y: list[float], least: float) -> float:
    """Of log y by log x, where x is at least so large."""
    kept = [(a, b) for a, b in zip(x, y, strict=True) if a >= least]
    return float(np.polyfit(*np.log(np.array(kept)).T, 1)[0])
