"""What setup.py builds for which platform, and by which flags of the compiler."""

from __future__ import annotations

import os
import platform
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

SETUP = Path(__file__).resolve().parents[1] / "setup.py"
pytestmark = pytest.mark.skipif(not SETUP.exists(), reason="needs a checkout")
setuptools = pytest.importorskip("setuptools")
pytest.importorskip("Cython")

gcc = pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64") or not shutil.which("gcc"),
    reason="needs GCC on x86-64 Linux",
)
WIDTHS = {"baseline": 16, "avx2": 32, "avx512": 64}


@pytest.fixture
def script(monkeypatch):
    """setup.py's names, by the environment and the platform as they are then."""
    for name in ("CFLAGS", "CC", "LD", "CMLP_BUILDS", "_PYTHON_HOST_PLATFORM", "ARCHFLAGS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("setuptools.setup", lambda **given: None)
    monkeypatch.setattr("Cython.Build.cythonize", lambda extensions, **given: extensions)
    return lambda: SimpleNamespace(**runpy.run_path(str(SETUP)))


def names(script):
    return [extension.name.removeprefix("cmlp.kernels.") for extension in script().extensions()]


def modules(*builds):
    return ["_cpu", "_call", *(f"_{isa}_{precision}" for isa in builds for precision in ("f32", "f64"))]


X86, NEON, ONE = ("baseline", "avx2", "avx512"), ("neon",), ("baseline",)
PLATFORMS = {
    "linux-x86_64": ("", X86),
    "linux-aarch64": ("", NEON),
    "linux-riscv64": ("", ONE),
    "musllinux_1_2-aarch64": ("", NEON),
    "macosx-11.0-x86_64": ("", ("baseline", "avx2")),
    "macosx-11.0-arm64": ("", NEON),
    "win-amd64": ("clang-cl", X86),
    "win-arm64": ("clang-cl", NEON),
    "win-amd64 by cl.exe": ("", ONE),
    "win-arm64 by cl.exe": ("", ONE),
    "mingw_x86_64_ucrt_gnu": ("", ONE),
    "mingw_x86_64_msvcrt_gnu": ("gcc", ONE),
    "mingw_x86_64_ucrt_llvm": ("", X86),
    "mingw_aarch64_ucrt_llvm": ("", NEON),
}


@pytest.mark.parametrize("name", PLATFORMS)
def test_the_builds_of_a_platform(name, script, monkeypatch):
    compiler, builds = PLATFORMS[name]
    monkeypatch.setattr("sysconfig.get_platform", lambda: name.split()[0])
    monkeypatch.setattr("platform.machine", lambda: "riscv64" if "riscv" in name else "AMD64")
    if compiler:
        monkeypatch.setenv("CC", compiler)
    assert names(script) == modules(*builds)


@pytest.mark.parametrize("name", ["linux-x86_64", "linux-aarch64"])
def test_a_python_of_32_bits_on_a_system_of_64(name, script, monkeypatch):
    monkeypatch.setattr("sysconfig.get_platform", lambda: name)
    monkeypatch.setattr("sys.maxsize", 2**31 - 1)
    assert names(script) == modules("baseline")


def test_builds_that_are_asked_for(script, monkeypatch):
    monkeypatch.setattr("sysconfig.get_platform", lambda: "linux-x86_64")
    monkeypatch.setenv("CMLP_BUILDS", "avx2")
    assert names(script) == modules("avx2")


def command(script, compiler, monkeypatch):
    """`build_ext` after it has settled the flags."""
    made = script()
    monkeypatch.setattr("setuptools.command.build_ext.build_ext.build_extensions", lambda self: None)
    build = made.BuildExt(setuptools.Distribution())
    build.compiler, build.extensions = compiler, made.extensions()
    build.build_extensions()
    return build


def flags(script, compiler, monkeypatch):
    """By module."""
    built = command(script, compiler, monkeypatch).extensions
    return {extension.name.rpartition(".")[2]: extension.extra_compile_args for extension in built}


def by_gcc():
    """What setuptools compiles with, $CFLAGS in it."""
    from distutils.ccompiler import new_compiler  # setuptools', once that is imported
    from distutils.sysconfig import customize_compiler

    compiler = new_compiler()
    customize_compiler(compiler)
    compiler.compiler_so[0] = "gcc"
    return compiler


def macros(command):
    """What simd.h is compiled with."""
    include = ["-include", SETUP.parent / "src" / "cmlp" / "kernels" / "simd.h", "-DCMLP_DOUBLE=0"]
    preprocess = [*command, *include, "-dM", "-E", "-x", "c", os.devnull]
    out = subprocess.run(preprocess, capture_output=True, text=True, check=True).stdout
    return {name: value for _, name, value in (f"{line} ".split(" ", 2) for line in out.splitlines())}


@gcc
@pytest.mark.parametrize(
    "asked",
    ["", "-march=x86-64", "-march=nocona -mtune=haswell", "-march=haswell", "-mavx2 -mfma -mbmi2", "-mno-avx -mssse3",
     "-O0 -g"],
)  # fmt: skip
def test_a_module_has_its_instruction_set_whatever_cflags_ask_for(asked, script, monkeypatch):
    monkeypatch.setenv("CFLAGS", asked)
    compiler = by_gcc()
    for name, given in flags(script, compiler, monkeypatch).items():
        isa = name.split("_")[1]
        found = macros([*compiler.compiler_so, *given])
        assert int(found["VECTOR_BYTES"]) == WIDTHS.get(isa, 16), name
        assert [wider in found for wider in ("__AVX__", "__FMA__", "__BMI2__", "__SSE3__")] == (
            [isa in ("avx2", "avx512")] * 4
        ), name
        assert ("__AVX512F__" in found) == (isa == "avx512"), name
        assert ("__OPTIMIZE__" in found) == ("-O0" not in asked), name
        assert [flag for flag in given if flag.startswith("-g")][-1] == ("-g" if "-g" in asked else "-g0"), name


@gcc
def test_an_old_compiler_gets_the_subsets_of_an_instruction_set(script, monkeypatch, tmp_path):
    """One that does not know x86-64-v3 and -v4; that this is all they are is asked of one that does."""
    new = flags(script, by_gcc(), monkeypatch)
    old = tmp_path / "gcc"
    old.write_text('#!/bin/sh\ncase "$*" in *march=x86-64-v*) exit 1;; esac\nexec gcc "$@"\n')
    old.chmod(0o755)
    spelled = flags(script, SimpleNamespace(compiler_type="unix", compiler_so=[str(old)]), monkeypatch)
    assert not [flag for given in spelled.values() for flag in given if "-march=x86-64-v" in flag]
    for name in modules("avx2", "avx512"):
        assert [flag for flag in new[name] if "march=x86-64-v" in flag] or name in ("_cpu", "_call")
        assert macros(["gcc", *spelled[name]]) == macros(["gcc", *new[name]])


@pytest.mark.parametrize("cc", ["", "clang-cl"])
def test_a_compiler_of_windows_is_made_ready_before_there_are_threads(cc, script, monkeypatch):
    monkeypatch.setattr("sysconfig.get_platform", lambda: "win-amd64")
    monkeypatch.setenv("CC", cc)
    ready = []
    cl = SimpleNamespace(
        compiler_type="msvc", initialized=False, initialize=ready.append, compile_options=["/GL"],
        ldflags_shared=["/LTCG"], linker="link.exe",
    )  # fmt: skip
    given = flags(script, cl, monkeypatch)
    assert len(ready) == 1
    assert given["_baseline_f32"][0] == ("/clang:-O3" if cc else "/O2")
    assert ("/clang:-march=x86-64-v3" in given.get("_avx2_f64", [])) == bool(cc)
