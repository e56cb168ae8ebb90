"""W8: cmlp on more than one thread, in a process of its own that may use all the CPUs that the suite was given."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from typing import Any

from ..networks import NETWORKS, data
from ..timer import measure
from ..worker import ROOT, Worker
from .run import Run

CALLERS = 4
BATCH = 256


def threads(run: Run) -> None:
    run.results["threads"] = found = {"cpus": len(run.allowed)}
    found["callers"] = callers(run)
    for name, figures in found["callers"].items():
        print(f"W8 {name}: " + ", ".join(f"{n} threads {us:.3f} us a call" for n, us in figures.items()), flush=True)
    reason = why_not(run.allowed)
    if reason:
        run.skip("n_threads=2", reason)
        return
    found["training"] = training(run)
    shown = ", ".join(f"{name} {entry['us']:.4g}" for name, entry in found["training"].items())
    print(f"W8 L float32 sgd batch {BATCH}: {shown} us", flush=True)


def why_not(allowed: list[int]) -> str | None:
    import inspect

    import cmlp

    if "n_threads" not in inspect.signature(cmlp.Network.fit).parameters:
        return "Network.fit has no n_threads"
    return "the suite may use one CPU only" if len(allowed) < 2 else None


def training(run: Run) -> dict[str, Any]:
    """An epoch of L with batches of 256 on one thread and on two, taking turns."""
    network, rows = NETWORKS["L"], 4 * BATCH
    workers = {f"n_threads={n}": Worker({}, run.allowed, {"n_threads": n}) for n in (1, 2)}
    cell = {"dtype": "float32", "batch": BATCH, "solver": "sgd"}
    runners = {name: worker.clocked("train", network, rows, **cell)[1] for name, worker in workers.items()}
    timings = measure(runners, run.plan.rounds, run.plan.sample_seconds)
    return {name: timing.per(rows) for name, timing in timings.items()}


def callers(run: Run) -> dict[str, dict[str, float]]:
    """Microseconds per call of net(x), over all callers, by their number."""
    names = [network.name for network in run.networks if network.name in "TDM"]
    done = subprocess.run(
        [sys.executable, "-m", "bench.workloads.threads", json.dumps([run.allowed, names, run.plan.sample_seconds])],
        capture_output=True, text=True, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *(path for path in sys.path if path)])},
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout)


def _calls(net: Any, x: Any, number: int, n: int) -> float:
    """Seconds per call when n callers start together."""
    gate = threading.Barrier(n + 1)

    def caller() -> None:
        gate.wait()
        for _ in range(number):
            net(x)
        gate.wait()

    crew = [threading.Thread(target=caller) for _ in range(n)]
    for member in crew:
        member.start()
    gate.wait()
    start = time.perf_counter()
    gate.wait()
    taken = time.perf_counter() - start
    for member in crew:
        member.join()
    return taken / (n * number)


def _main(allowed: list[int], names: list[str], seconds: float) -> dict[str, dict[str, float]]:
    import statistics

    from ..adapters.cmlp_ import Cmlp

    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, allowed)
    found = {}
    for name in names:
        net, x = Cmlp().net(NETWORKS[name], "float32"), data(NETWORKS[name], 1, "float32")[0][0]
        number = max(100, int(2 * seconds / _calls(net, x, 100, 1)))
        samples = {n: [] for n in (1, CALLERS)}
        for _ in range(7):
            for n in samples:
                samples[n].append(_calls(net, x, number // n, n))
        found[name] = {str(n): statistics.median(values) * 1e6 for n, values in samples.items()}
    return found


if __name__ == "__main__":
    print(json.dumps(_main(*json.loads(sys.argv[1]))))
