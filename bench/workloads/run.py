"""A run of the suite: what to measure with how much patience, and what was found."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

from ..adapters import Adapter
from ..networks import NETWORKS, Network
from ..timer import Clocked, calibrated, measure

MOST_PILOT_FLOPS = 4e6
GUESSED_FLOPS = 20e9  # per second: for the rows of what compiles anew for other rows, so that one shape does
MANY_PATIENCE = 5  # for inference: its rows are what is measured, so that as few as possible go without them all


class Plan(NamedTuple):
    """How long things may take.

    Attributes
    ----------
    rounds : int
    sample_seconds : float
        A sample repeats its call until it lasts so long.
    call_seconds : float
        A call gets fewer rows when it would last longer, but a batch at least.
    most_seconds : float
        A call that lasts longer even so is timed once and marked.
    """

    rounds: int = 7
    sample_seconds: float = 0.05
    call_seconds: float = 0.2
    most_seconds: float = 4.0
    quick: bool = False


QUICK = Plan(7, 0.004, 0.014, 0.12, True)


class Run:
    """The competitors at hand, the plan, and the results that the workloads add to.

    Attributes
    ----------
    results : dict
        "cells" is a list, a dict each; the other keys belong to one workload each.
    """

    def __init__(
        self, adapters: dict[str, Adapter], networks: list[str], dtypes: tuple[str, ...], plan: Plan, allowed: list[int]
    ):
        self.adapters, self.plan, self.allowed, self.dtypes = adapters, plan, allowed, dtypes
        self.networks: list[Network] = [NETWORKS[name] for name in networks]
        self.results: dict[str, Any] = {"cells": [], "skipped": {}}

    def skip(self, name: str, reason: str) -> None:
        print(f"  skipped: {name}: {reason}", flush=True)
        self.results["skipped"][name] = reason

    def cell(self, workload: str, kind: str, network: Network, most_rows: int, **cell: Any) -> None:
        """Measures every competitor on one cell and prints a line of it."""
        began = time.perf_counter()
        ready, slow = {}, {}
        for name, adapter in self.adapters.items():
            try:
                found = self._prepare(adapter, kind, network, most_rows, cell)
            except Exception as error:  # one competitor's trouble is not the others'
                self.skip(f"{name} in {workload} {network.name} {cell}", f"{type(error).__name__}: {error}")
                continue
            if found is not None:
                ready[name] = found
        for name in [name for name, entry in ready.items() if entry["seconds"] > self.plan.most_seconds]:
            slow[name] = ready.pop(name)
        timings = measure({name: entry["runner"] for name, entry in ready.items()}, self.plan.rounds,
                          self.plan.sample_seconds)  # fmt: skip
        competitors = {}
        for name in self.adapters:
            if name in ready:
                entry = ready[name]
                competitors[name] = {**timings[name].per(entry["rows"]), "rows": entry["rows"], "idiom": entry["idiom"]}
            elif name in slow:
                competitors[name] = once(slow[name])
        self.results["cells"].append(
            {"workload": workload, "network": network.name, "kind": kind, **cell, "competitors": competitors}
        )
        show(self.results["cells"][-1], time.perf_counter() - began)

    def _prepare(self, adapter: Adapter, kind: str, network: Network, most: int, cell: Any) -> dict[str, Any] | None:
        """Finds the idiom and the rows that fit the plan, by a pilot on few rows."""
        batch = cell.get("batch", 1)
        pilot = min(most, max(batch, 4, min(512, int(MOST_PILOT_FLOPS / network.training_flops))))
        fixed = kind == "train" and adapter.compiles_per_shape
        if fixed:
            guess = int(self.plan.call_seconds * GUESSED_FLOPS / network.training_flops)
            pilot = max(batch, min(most, guess) // batch * batch)
        found = adapter.clocked(kind, network, pilot, **cell)
        if found is None:
            return None
        idiom, runner = found
        entry = {"idiom": idiom, "rows": 1 if kind == "one" else pilot, "runner": runner}
        runner.seconds(1)  # which may compile
        entry["seconds"] = runner.seconds(1)
        seconds = self.plan.call_seconds * (MANY_PATIENCE if kind == "many" and not self.plan.quick else 1)
        affordable = int(seconds / max(entry["seconds"] / pilot, 1e-12))
        rows = max(pilot, min(most, affordable // batch * batch))
        if kind != "one" and rows > pilot and not fixed:
            del runner, found
            entry["runner"] = adapter.clocked(kind, network, rows, **cell, idiom=idiom)[1]
            entry["seconds"] *= rows / pilot
            entry["rows"] = rows
        return entry


def once(entry: dict[str, Any]) -> dict[str, Any]:
    """A figure of a single call that took too long for rounds."""
    us = entry["seconds"] / entry["rows"] * 1e6
    return {
        "us": us, "min": us, "max": us, "rounds": 1, "repetitions": 1, "rows": entry["rows"], "idiom": entry["idiom"]
    }  # fmt: skip


def title(cell: dict[str, Any]) -> str:
    parts = [cell["workload"], cell["network"], cell["dtype"]]
    if cell["kind"] == "train":
        parts += [cell["solver"], f"batch {cell['batch']}"]
    return " ".join(parts)


def show(cell: dict[str, Any], seconds: float) -> None:
    figures = ", ".join(f"{name} {entry['us']:.4g}" for name, entry in cell["competitors"].items())
    print(f"{title(cell)}: {figures} us  [{seconds:.1f} s]", flush=True)


def timed(runners: dict[str, Clocked], plan: Plan) -> dict[str, dict[str, Any]]:
    """Figures in microseconds of one call, for the measurements that are not cells."""
    return {name: timing.per(1) for name, timing in measure(runners, plan.rounds, plan.sample_seconds).items()}


__all__ = ["QUICK", "Plan", "Run", "calibrated", "timed", "title"]
