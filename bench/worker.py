"""cmlp in another process, timed there and asked from here: for what is settled when a process starts.

The worker waits on its standard input between samples, so it takes turns with the competitors like any of them.  A line
of JSON each way: {"set_up": {...}} answers with an idiom and a number, {"run": [number, repetitions]} with seconds.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


class Worker:
    """A process with more environment variables, on more CPUs, or with more options of `fit`."""

    def __init__(
        self, environment: dict[str, str], cpus: list[int] | None = None, options: dict[str, Any] | None = None
    ):
        paths = [str(ROOT), *(path for path in sys.path if path), os.environ.get("PYTHONPATH", "")]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bench.worker"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
            env={**os.environ, **environment, "PYTHONPATH": os.pathsep.join(paths)},
        )  # fmt: skip
        atexit.register(self.close)
        self.ask({"start": {"cpus": cpus, "options": options or {}}})

    def ask(self, question: dict[str, Any]) -> Any:
        print(json.dumps(question), file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the worker ended with code {self.process.wait()}")
        answer = json.loads(answer)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["answer"]

    def clocked(self, kind: str, network: Any, rows: int, **cell: Any) -> tuple[str, Remote]:
        idiom, number = self.ask({"set_up": {"kind": kind, "network": list(network), "rows": rows, **cell}})
        return idiom, Remote(self, number)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.stdin.close()
            self.process.wait(timeout=20)


class Remote:
    """A call that the worker holds; letting go of it lets the worker forget it."""

    def __init__(self, worker: Worker, number: int):
        self.worker, self.number = worker, number

    def seconds(self, repetitions: int) -> float:
        return self.worker.ask({"run": [self.number, repetitions]})

    def __del__(self) -> None:
        if self.worker.process.poll() is None and not self.worker.process.stdin.closed:
            self.worker.ask({"forget": self.number})


def _serve() -> None:
    from bench import machine, setups, timer
    from bench.adapters.cmlp_ import Cmlp
    from bench.networks import Network

    adapter, held = Cmlp(), {}

    def answer(question: dict[str, Any]) -> Any:
        if "start" in question:
            if question["start"]["cpus"] and hasattr(os, "sched_setaffinity"):
                os.sched_setaffinity(0, question["start"]["cpus"])
            adapter.options = question["start"]["options"]
            return machine.cpus()
        if "set_up" in question:
            cell = question["set_up"]
            name, sizes, activations = cell.pop("network")
            network = Network(name, tuple(sizes), tuple(activations))
            idiom, call = setups.set_up(adapter, network=network, **cell)
            number = max(held, default=0) + 1
            held[number] = timer.Local(call)
            return idiom, number
        if "run" in question:
            number, repetitions = question["run"]
            return held[number].seconds(repetitions)
        return held.pop(question["forget"], None) and None

    for line in sys.stdin:
        try:
            reply = {"answer": answer(json.loads(line))}
        except Exception as error:  # the other side raises it
            reply = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    _serve()
