"""Every allocation may fail: a MemoryError, and everything as it was or at least usable."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from no_memory import OPERATIONS

HERE = Path(__file__).parent
COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


@pytest.fixture(scope="module")
def failing_malloc(tmp_path_factory):
    if sys.platform != "linux" or "glibc" not in os.confstr("CS_GNU_LIBC_VERSION") or COMPILER is None:
        pytest.skip("needs glibc and a C compiler")
    if "san.so" in os.environ.get("LD_PRELOAD", ""):
        pytest.skip("a sanitizer has its own malloc")
    library = tmp_path_factory.mktemp("no_memory") / "no_memory.so"
    subprocess.run([COMPILER, "-O1", "-shared", "-fPIC", HERE / "no_memory.c", "-o", library, "-ldl"], check=True)
    return library


@pytest.mark.parametrize("group", OPERATIONS)
def test_any_allocation_may_fail(failing_malloc, group):
    if group == "estimator":
        pytest.importorskip("sklearn")
    child = subprocess.run(
        [sys.executable, HERE / "no_memory.py", group], env={**os.environ, "LD_PRELOAD": str(failing_malloc)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert child.returncode == 0, child.stderr
    lines = child.stdout.splitlines()
    assert lines
    assert [line for line in lines if ": refused " not in line] == [], child.stderr
