"""Chooses the build of the kernels for this CPU.

The same source is compiled once per instruction set and precision.  Which instruction set runs is settled
when this module is imported: the best that was built and that the CPU and the operating system support, or
the one that the environment variable CMLP_ISA names.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from . import _cpu

if TYPE_CHECKING:
    from .interface import Kernels

ORDER = ("baseline", "neon", "avx2", "avx512")  # slowest first
PRECISIONS = {np.float32: "f32", np.float64: "f64"}  # a dtype's name can be a double's for a long double as small
VARIABLE = "CMLP_ISA"

__all__ = ["ISA", "REASON", "available", "built", "kernels", "show_config", "supported"]


def built() -> tuple[str, ...]:
    """Instruction sets that this installation holds kernels for, slowest first."""
    return tuple(isa for isa in ORDER if importlib.util.find_spec(f"{__name__}._{isa}_f32"))


def supported() -> tuple[str, ...]:
    """Instruction sets that the CPU has and the operating system saves, slowest first."""
    return _cpu.supported()


def available() -> tuple[str, ...]:
    """Instruction sets whose kernels can run here, slowest first."""
    runs = supported()
    return tuple(isa for isa in built() if isa in runs)


def _choose(wanted: str | None) -> tuple[str, str]:
    """The instruction set to run, and why."""
    candidates = available()
    if not candidates:
        raise ImportError(f"cmlp was built for {built()}, but this CPU runs {supported()}: install a wheel for it")
    if not wanted:
        return candidates[-1], "the best of those built that this CPU runs"
    if wanted not in ORDER:
        raise ValueError(f"{VARIABLE}={wanted!r} is not an instruction set: expected one of {', '.join(ORDER)}")
    if wanted not in candidates:
        lack = "this CPU lacks it" if wanted not in supported() else "it was not built"
        raise ValueError(f"{VARIABLE}={wanted!r} cannot run here, {lack}: expected one of {', '.join(candidates)}")
    return wanted, f"{VARIABLE} asks for it"


ISA, REASON = _choose(os.environ.get(VARIABLE))


def kernels(dtype: Any, isa: str = ISA) -> Kernels:
    """The module with the kernels for a precision, of any instruction set that can run here."""
    if isa != ISA and isa not in available():
        raise ValueError(f"isa={isa!r}: expected one of {', '.join(available())}")
    number = np.dtype(dtype).type
    if number not in PRECISIONS:
        raise TypeError(f"dtype={number.__name__!r}: expected one of {', '.join(of.__name__ for of in PRECISIONS)}")
    return cast("Kernels", importlib.import_module(f"{__name__}._{isa}_{PRECISIONS[number]}"))


def show_config() -> None:
    """Prints what was built, what the CPU runs, what cmlp runs, and why."""
    module = kernels("float32")
    lines = {
        "kernels built": ", ".join(built()),
        "this CPU runs": ", ".join(supported()),
        "cmlp runs": f"{ISA}: {REASON}",
        "vectors of": f"{module.vector_lanes() * 4} bytes",
        VARIABLE: os.environ.get(VARIABLE) or f"not set; one of {', '.join(available())} overrides",
        "NumPy": np.__version__,
    }
    for name, value in lines.items():
        print(f"{name:>14}: {value}")
