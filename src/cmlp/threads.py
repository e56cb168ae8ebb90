"""How many threads a training run takes."""

from __future__ import annotations

import os
import sys
from typing import Any

from . import validation as check

LEAST_WORK = 1 << 23  # samples x parameters of a batch, for each thread: with less, waiting for each other costs more


def checked_threads(n_threads: Any) -> int | None:
    return None if n_threads is None else check.whole("n_threads", n_threads, 1, "None or a positive integer")


def number_of_threads(n_threads: Any, batch_size: int, n_parameters: int) -> int:
    """What the caller asks for, or what is fastest for batches of this size."""
    asked = checked_threads(n_threads)
    if asked is not None:
        return min(asked, batch_size)
    by_work = batch_size * n_parameters // LEAST_WORK
    if batch_size == 1 or by_work < 2 or _is_one_of_many():
        return 1
    return min(by_work, _processors())


def _is_one_of_many() -> bool:
    """Whether this is a worker of a pool, of processes or of threads, whose others want the processors too."""
    import threading  # a millisecond that `import cmlp` need not take

    processes = sys.modules.get("multiprocessing.process")
    return threading.current_thread() is not threading.main_thread() or (
        processes is not None and processes.parent_process() is not None
    )


def _processors() -> int:
    """Those that this process may use, or fewer where OMP_NUM_THREADS says so."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()  # of OpenMP's outer level
    return min(count, int(limit)) if limit.isdecimal() and int(limit) > 0 else count
