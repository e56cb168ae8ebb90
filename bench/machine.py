"""The machine and the process: one CPU, one thread, and a record of both.

`pin` comes before NumPy is imported: the libraries read these variables when they load.  This file therefore imports
nothing but the standard library.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "JAX_PLATFORMS": "cpu",
}
LIBRARIES = ("numpy", "cmlp", "scikit-learn", "torch", "jax", "jaxlib", "onnxruntime", "onnx", "numba", "Cython")


def cpus() -> list[int]:
    """The CPUs that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def pin() -> list[int]:
    """Puts the process on one CPU and the libraries on one thread; gives back the CPUs that it was allowed.

    The last of them: the first is where most systems handle their interrupts.
    """
    allowed = cpus()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, allowed[-1:])
    os.environ.update(ONE_THREAD)
    return allowed


def cpu_model() -> str:
    for line in _lines("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def caches() -> dict[str, str]:
    """Sizes of the data caches that the first CPU sees."""
    found = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = ("".join(_lines(str(index / name))) for name in ("level", "type", "size"))
        if kind in ("Data", "Unified"):
            found[f"L{level}"] = size
    return found


def threads() -> int | None:
    """Threads of this process now, those that sleep included."""
    for line in _lines("/proc/self/status"):
        if line.startswith("Threads:"):
            return int(line.split()[1])
    return None


def load() -> list[float] | None:
    return [round(value, 2) for value in os.getloadavg()] if hasattr(os, "getloadavg") else None


def versions() -> dict[str, str]:
    found = {"Python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def describe(allowed: list[int]) -> dict[str, Any]:
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "caches": caches(),
        "system": f"{platform.system()} {platform.machine()}",
        "allowed_cpus": len(allowed),
        "pinned_cpus": len(cpus()),
        "load_at_start": load(),
        "versions": versions(),
        "environment": ONE_THREAD,
    }


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().strip().splitlines()
    except OSError:
        return []
