"""The limits of this machine, measured beside everything else: peak Gflop/s, and bandwidth at each network's size.

A limit is the best that was seen, at the start or at the end of the run: a fraction of it never flatters.
"""

from __future__ import annotations

import ctypes
import platform
from typing import Any

from . import compiler
from .networks import NETWORKS, aligned

DTYPES = {"float32": ("float", 4), "float64": ("double", 8)}
X86 = {
    "baseline": (16, ("-march=x86-64",), "sse2"),
    "avx2": (32, ("-march=x86-64-v3",), "fma"),
    "avx512": (64, ("-march=x86-64-v4", "-mprefer-vector-width=512"), "avx512dq"),
}
OTHER = {"native": (16, (), "")}
COMMON = ("-O3", "-ffp-contract=fast")
ROUNDS = 5
SLICE = 0.01  # seconds of one reading


def instruction_sets() -> dict[str, tuple[int, tuple[str, ...]]]:
    """Vector width and flags of each instruction set that this CPU runs."""
    if platform.machine() not in ("x86_64", "AMD64"):
        return {name: (width, flags) for name, (width, flags, _) in OTHER.items()}
    has = _cpu_flags()
    return {name: (width, flags) for name, (width, flags, needs) in X86.items() if needs in has}


def _cpu_flags() -> set[str]:
    try:
        with open("/proc/cpuinfo") as lines:
            return next((set(line.split()) for line in lines if line.startswith("flags")), {"sse2"})
    except OSError:
        return {"sse2"}


def _library(isa: str, dtype: str) -> ctypes.CDLL:
    width, flags = instruction_sets()[isa]
    built = compiler.library("limits.c", *COMMON, *flags, f"-DREAL={DTYPES[dtype][0]}", f"-DBYTES={width}")
    for name in ("peak", "read_rate", "change_rate"):
        getattr(built, name).restype = ctypes.c_double
    built.peak.argtypes = [ctypes.c_long]
    built.read_rate.argtypes = built.change_rate.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_long]
    return built


def peak(isa: str, dtype: str) -> float:
    """Gflop/s of independent multiply-adds; of multiplications and additions where there is no fused one."""
    run = _library(isa, dtype).peak
    n = 100_000
    flops = 24.0 * n * _library(isa, dtype).lanes()
    n = max(n, int(n * SLICE / (flops / (run(n) * 1e9))))
    return max(run(n) for _ in range(ROUNDS))


def bandwidth(isa: str, dtype: str, size: int) -> tuple[float, float]:
    """GB/s of reading and of changing `size` bytes, again and again."""
    built = _library(isa, dtype)
    count = max(1024, size // DTYPES[dtype][1])
    x = aligned(count, dtype)
    rates = []
    for run in (built.read_rate, built.change_rate):
        times = max(1, int(SLICE / (count * DTYPES[dtype][1] / 20e9)))
        rates.append(max(run(x.ctypes.data, count, times) for _ in range(ROUNDS)))
    return rates[0], rates[1]


def measure(dtypes: tuple[str, ...], networks: tuple[str, ...]) -> dict[str, Any]:
    """{"peak": {isa: {dtype: Gflop/s}}, "bandwidth": {network: {dtype: [read, change]}}}, or {"missing": why}."""
    sets = list(instruction_sets())
    try:
        return {
            "peak": {isa: {dtype: peak(isa, dtype) for dtype in dtypes} for isa in sets},
            "bandwidth": {
                name: {dtype: list(bandwidth(sets[-1], dtype, NETWORKS[name].bytes(dtype))) for dtype in dtypes}
                for name in networks
            },
        }
    except compiler.CompilerError as error:
        return {"missing": str(error)}


def best(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """The larger of two measurements, number by number."""
    if isinstance(first, dict):
        return {key: best(first[key], second[key]) if key in second else first[key] for key in first}
    if isinstance(first, list):
        return [max(pair) for pair in zip(first, second, strict=True)]
    return first if isinstance(first, str) else max(first, second)


def training_limit(limits: dict[str, Any], name: str, dtype: str, batch: int, isa: str | None = None) -> float | None:
    """Least microseconds of one sample's training: its flops at the peak, or its share of the memory traffic.

    Each update has to read and write every parameter once, so a batch shares one pass over them.
    """
    if "peak" not in limits or name not in limits["bandwidth"]:
        return None
    network = NETWORKS[name]
    compute = network.training_flops / (peak_of(limits, dtype, isa) * 1e3)
    memory = network.bytes(dtype) / (limits["bandwidth"][name][dtype][1] * 1e3) / batch
    return max(compute, memory)


def inference_limit(limits: dict[str, Any], name: str, dtype: str, rows: int, isa: str | None = None) -> float | None:
    """The same of one row's inference, where the parameters are read once for all rows."""
    if "peak" not in limits or name not in limits["bandwidth"]:
        return None
    network = NETWORKS[name]
    compute = network.forward_flops / (peak_of(limits, dtype, isa) * 1e3)
    return max(compute, network.bytes(dtype) / (limits["bandwidth"][name][dtype][0] * 1e3) / rows)


def peak_of(limits: dict[str, Any], dtype: str, isa: str | None = None) -> float:
    peaks = limits["peak"]
    return peaks[isa][dtype] if isa else max(values[dtype] for values in peaks.values())
