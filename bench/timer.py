"""The one timer: every figure of every competitor comes from here.

Competitors take turns: each round times each of them once, starting with another one each time, so that a change of the
machine's clock or load meets all alike.  A sample repeats the call until it lasts long enough to be read off the clock.
What a figure says is the median of the rounds, with the least and the most.
"""

from __future__ import annotations

import functools
import gc
import itertools
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

MAX_REPETITIONS = 1_000_000


class Timing(NamedTuple):
    """Seconds of one call: the median, least and most of the rounds."""

    median: float
    least: float
    most: float
    rounds: int
    repetitions: int

    def per(self, units: float) -> dict[str, Any]:
        """Microseconds of one of the `units` that a call works through."""
        scale = 1e6 / units
        return {
            "us": self.median * scale, "min": self.least * scale, "max": self.most * scale,
            "rounds": self.rounds, "repetitions": self.repetitions,
        }  # fmt: skip


class Clocked(Protocol):
    """Something that can be run n times and says how long that took; it may live in another process."""

    def seconds(self, repetitions: int) -> float: ...


class Local:
    """A call in this process.

    A partial of one argument is taken apart, so that the loop holds nothing but `function(argument)`: for a call of
    half a microsecond a wrapper would be a tenth of the figure.
    """

    def __init__(self, call: Callable[..., Any]):
        self.function, self.arguments = call, ()
        if isinstance(call, functools.partial) and len(call.args) == 1 and not call.keywords:
            self.function, self.arguments = call.func, call.args

    def seconds(self, repetitions: int) -> float:
        function = self.function
        turns = itertools.repeat(None, repetitions)
        if self.arguments:
            (argument,) = self.arguments
            start = time.perf_counter()
            for _ in turns:
                function(argument)
            return time.perf_counter() - start
        start = time.perf_counter()
        for _ in turns:
            function()
        return time.perf_counter() - start


def calibrated(runner: Clocked, sample_seconds: float) -> int:
    """Repetitions that make a sample last; the runs it takes to find out are the warm-up."""
    runner.seconds(1)
    repetitions = 1
    while True:
        taken = runner.seconds(repetitions)
        if taken >= sample_seconds / 2 or repetitions >= MAX_REPETITIONS:
            break
        repetitions = min(MAX_REPETITIONS, repetitions * max(2, min(50, int(sample_seconds / 2 / max(taken, 1e-9)))))
    return max(1, min(MAX_REPETITIONS, round(repetitions * sample_seconds / max(taken, 1e-9))))


def measure(runners: dict[str, Clocked], rounds: int, sample_seconds: float) -> dict[str, Timing]:
    """Each runner's time of one call, from `rounds` rounds in which they take turns."""
    names = list(runners)
    repetitions = {name: calibrated(runners[name], sample_seconds) for name in names}
    taken: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds):
        start = turn % len(names)
        for name in names[start:] + names[:start]:
            taken[name].append(_sample(runners[name], repetitions[name]))
    return {name: _timing(taken[name], repetitions[name]) for name in names}


def _sample(runner: Clocked, repetitions: int) -> float:
    """Seconds of one call, with Python's garbage collector out of the way."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        return runner.seconds(repetitions) / repetitions
    finally:
        if enabled:
            gc.enable()


def _timing(values: list[float], repetitions: int) -> Timing:
    return Timing(statistics.median(values), min(values), max(values), len(values), repetitions)


def seconds_of(call: Callable[[], Any], repetitions: int = 1) -> float:
    """A rough figure, to choose by: the second of two runs."""
    runner = Local(call)
    runner.seconds(1)
    return runner.seconds(repetitions) / repetitions
