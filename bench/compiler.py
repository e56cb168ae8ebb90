"""C sources compiled on the spot, for this machine, and loaded by ctypes."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
FAST = ("-O3", "-march=native", "-ffast-math")


class CompilerError(Exception):
    """Why a source could not be compiled."""


def compiler() -> list[str] | None:
    """The C compiler's command: CC, or cc."""
    command = shlex.split(os.environ.get("CC", "cc"))
    return command if command and shutil.which(command[0]) else None


@functools.cache
def version() -> str:
    command = compiler()
    if command is None:
        return "none"
    shown = subprocess.run([*command, "--version"], capture_output=True, text=True).stdout
    return shown.splitlines()[0] if shown else command[0]


@functools.cache
def _directory() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="bench-")


@functools.cache
def library(source: str, *flags: str, libraries: tuple[str, ...] = ("-lm",)) -> ctypes.CDLL:
    """The shared object of a source beside this file; raises CompilerError with the compiler's first words."""
    command = compiler()
    if command is None:
        raise CompilerError("no C compiler: neither CC nor cc is a program")
    name = hashlib.sha256(" ".join((source, *flags)).encode()).hexdigest()[:16]
    part, whole = (Path(_directory().name) / f"{name}{suffix}" for suffix in (".o", ".so"))
    _run([*command, *flags, "-fPIC", "-c", str(HERE / source), "-o", str(part)])
    # linked without the flags: with -ffast-math GCC would have all the process flush denormals, competitors included
    _run([*command, "-shared", str(part), "-o", str(whole), *libraries])
    return ctypes.CDLL(str(whole))


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise CompilerError((done.stderr.strip().splitlines() or ["it failed without a word"])[-1])
