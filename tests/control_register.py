"""How the processor rounds on the thread at hand, and what it does to numbers below the normal range.

Read and set through a few lines of C where a compiler is at hand; what NumPy computes shows it everywhere.
"""

from __future__ import annotations

import ctypes
import platform
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np

MACHINE = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}.get(
    platform.machine().lower()
)
SOURCE = {
    "x86_64": """
        #include <xmmintrin.h>
        unsigned long long read_register(void) { return _mm_getcsr() & 0xffc0u; }
        void write_register(unsigned long long now) { _mm_setcsr((unsigned)now); }""",
    "aarch64": """
        unsigned long long read_register(void) {
            unsigned long long now;
            __asm__ volatile("mrs %0, fpcr" : "=r"(now));
            return now;
        }
        void write_register(unsigned long long now) { __asm__ volatile("msr fpcr, %0" : : "r"(now)); }""",
}
MODES = {  # beside what the register holds by default
    "x86_64": {"upward": 0x4000, "downward": 0x2000, "toward zero": 0x6000, "no subnormals": 0x8040},
    "aarch64": {"upward": 1 << 22, "downward": 2 << 22, "toward zero": 3 << 22, "no subnormals": 1 << 24},
}.get(MACHINE, {})


@cache
def library():
    """The compiled lines, or None where they cannot be."""
    compiler = shutil.which("cc")
    if sys.platform == "win32" or compiler is None or MACHINE is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        source, built = Path(folder) / "control.c", Path(folder) / "control.so"
        source.write_text(SOURCE[MACHINE])
        subprocess.run([compiler, "-shared", "-fPIC", "-o", built, source], check=True)
        loaded = ctypes.PyDLL(str(built))
    loaded.read_register.restype, loaded.write_register.argtypes = ctypes.c_ulonglong, [ctypes.c_ulonglong]
    return loaded


def observed(dtype):
    """Whether subnormal operands and results are whole, and which way three sums are rounded."""
    bits, half, one = {"float32": np.int32, "float64": np.int64}[dtype], np.array([0.5], dtype), np.ones(1, dtype)
    least, normal = (np.array([value], bits).view(dtype) for value in (1, 1 << np.finfo(dtype).nmant))
    little = one * np.finfo(dtype).eps / 8
    whole = [((each * one).view(bits)[0], (each * half).view(bits)[0]) for each in (least, normal)]
    return (*whole, (one + little)[0] == 1, (one - little)[0] == 1, (-one - little)[0] == -1)


def mode():
    """What must be as it was."""
    register = None if library() is None else library().read_register()
    return register, observed("float32"), observed("float64")


@contextmanager
def set_to(name):
    """The thread in one of MODES, or as it is for None."""
    if name is None:
        yield
        return
    before = library().read_register()
    library().write_register(before | MODES[name])
    try:
        yield
    finally:
        library().write_register(before)
