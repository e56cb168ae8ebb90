"""What a wheel may hold: the check in tools/, on modules that break one rule each, and on those of this installation.

`CMLP_WHEEL` names a wheel to check whole.  Needs LIEF, GCC and binutils on x86-64 Linux.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import zipfile
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec
from pathlib import Path

import pytest

from cmlp.kernels import built

pytest.importorskip("lief")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))
from wheel_contents import FORMATS, extension, main, problems, wrong_instructions

linux = pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64") or not shutil.which("gcc") or not shutil.which("objdump"),
    reason="needs GCC and binutils on x86-64 Linux",
)
SUFFIX = EXTENSION_SUFFIXES[0]
TAG = re.sub(r".*-(\d+t?)-.*", r"cp\1", SUFFIX)
AVX = "typedef float v __attribute__((vector_size(32))); v VISIBLE twice(v a) { return a + a; }"
WIDE = "typedef float w __attribute__((vector_size(64))); w VISIBLE wide(w a) { return a + a; }"
ASM = 'VISIBLE void special(void) {{ __asm__("{}"); }}'


def module(folder, name, code="", flags=()):
    """A module of Python in shape: PyInit_<name>, and what the code adds."""
    source = folder / "module.c"
    source.write_text(
        '#define EXPORT __attribute__((visibility("default")))\n#define VISIBLE __attribute__((used))\n'
        f"EXPORT void *PyInit_{name}(void) {{ return 0; }}\n{code}\n"
    )
    built = folder / f"{name}{SUFFIX}"
    strip = [] if "-g" in flags else ["-Wl,-s"]
    standard = ["-O1", "-shared", "-fPIC", "-fvisibility=hidden", "-nostdlib"]
    subprocess.run(["gcc", *standard, *strip, source, "-o", built, *flags], check=True)
    return built


def wheel(folder, modules, files=()):
    path = folder / f"cmlp-1.0-{TAG}-{TAG}-linux_x86_64.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for built in modules:
            archive.write(built, f"cmlp/kernels/{built.name}")
        for name, text in dict(files).items():
            archive.writestr(name, text)
    return path


@linux
@pytest.mark.parametrize(
    ("name", "code", "flags"),
    [("_baseline_f32", "", []), ("_cpu", "", []), ("_avx2_f32", AVX, ["-mavx2"]), ("_avx512_f64", WIDE, ["-mavx512f"])],
)
def test_a_module_that_breaks_no_rule(name, code, flags, tmp_path):
    files = {"cmlp/__init__.py": "", "cmlp/py.typed": "", "cmlp-1.0.dist-info/METADATA": "See https://a.example/b/c"}
    assert problems(wheel(tmp_path, [module(tmp_path, name, code, flags)], files)) == []


BROKEN = {
    "a path": ("_cpu", 'VISIBLE const char *where = "/home/someone/module.c";', [], "path /home/someone/module.c"),
    "a drive": ("_cpu", r'VISIBLE const char *where = "C:\\Users\\someone\\module.c";', [], r"path C:\Users\someone"),
    "GitHub's drive": ("_cpu", r'VISIBLE const char *where = "D:\\a\\cmlp\\cmlp\\m.c";', [], r"path D:\a\cmlp"),
    "GitHub's folder": ("_cpu", 'VISIBLE const char *where = "/__w/cmlp/m.c";', [], "path /__w/cmlp/m.c"),
    "its home": ("_cpu", f'VISIBLE const char *where = "{Path.home()}";', [], f"path {Path.home()}"),
    "debug": ("_cpu", "", ["-g"], "debug section .debug_info"),
    "the stack": ("_cpu", "", ["-Wl,-z,execstack"], "executable stack"),
    "RUNPATH": ("_cpu", "", ["-Wl,-rpath,/usr/lib/x", "-Wl,--enable-new-dtags"], "library path RUNPATH"),
    "RPATH": ("_cpu", "", ["-Wl,-rpath,/usr/lib/x", "-Wl,--disable-new-dtags"], "library path RPATH"),
    "a symbol": ("_cpu", "EXPORT int more(void) { return 1; }", [], "exported symbols ['more']"),
    "no init": ("_cpu", "", ["-DPyInit__cpu=PyInit__call"], "no PyInit__cpu among the exported symbols"),
    "popcnt": ("_call", "VISIBLE int n(int x) { return __builtin_popcount(x); }", ["-mpopcnt"], "beyond call (newer)"),
    "AVX": ("_baseline_f32", AVX, ["-mavx2"], "beyond baseline (VEX): v"),
    "BMI": ("_cpu", "VISIBLE long n(long x, long y) { return ~x & y; }", ["-mbmi"], "beyond cpu (VEX): andn"),
    "AVX-512": ("_avx2_f64", AVX + WIDE, ["-mavx512f"], "beyond avx2 (EVEX): v"),
    "short AVX-512": ("_avx2_f32", AVX.replace("32", "16").replace("a + a", "a | a").replace("float", "int")
        + ASM.format("vpaddd %xmm17, %xmm1, %xmm1"), ["-mavx2"], "beyond avx2 (EVEX): vpaddd"),
    "AES": ("_avx2_f32", AVX + ASM.format("vaesenc %ymm1, %ymm2, %ymm3"), ["-mavx2"], "beyond x86-64-v4): vaesenc"),
    "half precision": ("_avx512_f32", WIDE + ASM.format("vaddph %zmm1, %zmm2, %zmm3"), ["-mavx512f"],
        "beyond x86-64-v4): vaddph"),
    "VNNI": ("_avx512_f64", WIDE + ASM.format("vpdpbusd %zmm1, %zmm2, %zmm3"), ["-mavx512f"],
        "beyond x86-64-v4): vpdpbusd"),
    "random": ("_cpu", ASM.format("rdrand %eax"), [], "beyond x86-64-v4): rdrand"),
    "no AVX": ("_avx2_f32", "", [], "no instruction of avx2"),
    "no AVX-512": ("_avx512_f32", AVX, ["-mavx2"], "no instruction of avx512"),
    "another name": ("_sse9_f32", "", [], "instruction set 'sse9' is not of x86-64"),
}  # fmt: skip


@linux
@pytest.mark.parametrize(("name", "code", "flags", "problem"), BROKEN.values(), ids=BROKEN)
def test_a_module_that_breaks_a_rule(name, code, flags, problem, tmp_path, capsys):
    path = wheel(tmp_path, [module(tmp_path, name, code, flags)])
    assert [line for line in problems(path) if problem in line], problems(path)
    assert main([str(path)]) == 1
    assert problem in capsys.readouterr().out


@linux
@pytest.mark.parametrize(
    ("name", "data", "problem"),
    [
        ("cmlp/kernels/_cpu.pyx", "", "cmlp/kernels/_cpu.pyx: should not be there"),
        ("cmlp/kernels/_cpu.c", "", "cmlp/kernels/_cpu.c: should not be there"),
        ("cmlp.libs/libgcc_s.so.1", "", "cmlp.libs/libgcc_s.so.1: should not be there"),
        ("cmlp-1.0.dist-info/RECORD", "/tmp/build/cmlp/x.c,,", "path /tmp/build/cmlp/x.c"),
        ("cmlp/kernels/_call.so", "text", "cmlp/kernels/_call.so: not a module of Linux, macOS or Windows"),
        ("cmlp/large.py", os.urandom(2_000_000), "2,0"),
    ],
)
def test_a_file_that_breaks_a_rule(name, data, problem, tmp_path):
    found = problems(wheel(tmp_path, [module(tmp_path, "_cpu")], {name: data}))
    assert [line for line in found if problem in line], found


def test_a_wheel_without_modules(tmp_path):
    assert problems(wheel(tmp_path, [], {"cmlp/__init__.py": ""})) == ["no compiled module"]
    assert main([]) == 2


BEYOND = "vdpbf16ps vcvtph2psx vmovw vbcstnebf162ps vfmaddsubps vfmsubaddpd vpmacsdd vprotb vpshaq vphaddbd rdpid clwb"
WITHIN = "vphaddd vphaddw vprold vprolvq vpshufb vpmovwb vfmaddsub132ps vfmsubadd231pd vcvtps2ph vpmaddwd vmovd rdtsc"


@pytest.mark.parametrize(("mnemonics", "kinds"), [(BEYOND, {"beyond x86-64-v4"}), (WITHIN, {"VEX", None})])
def test_instructions_by_name(mnemonics, kinds):
    for mnemonic in mnemonics.split():
        assert extension(b"\xc5" if mnemonic.startswith("v") else b"\x0f", mnemonic) in kinds, mnemonic


@linux
@pytest.mark.parametrize("name", ["_cpu", "_call", *(f"_{isa}_{bits}" for isa in built() for bits in ("f32", "f64"))])
def test_the_modules_of_this_installation_hold_what_their_names_allow(name):
    file = find_spec(f"cmlp.kernels.{name}").origin  # which may not run here
    assert list(wrong_instructions(name.strip("_").split("_")[0], parsed(file))) == []


@linux
@pytest.mark.parametrize(
    "tags", ["cp39-cp39-linux_x86_64", "{0}-{0}-linux_aarch64", "{0}-{0}-win_amd64", "{0}-{0}-macosx_11_0_x86_64"]
)
def test_a_name_that_says_what_the_modules_are_not(tags, tmp_path):
    right = wheel(tmp_path, [module(tmp_path, "_cpu")])
    wrong = right.rename(tmp_path / f"cmlp-1.0-{tags.format(TAG)}.whl")
    assert [line for line in problems(wrong) if ": not for " in line] == problems(wrong) != []


def parsed(file):
    import lief

    read = lief.parse(str(file))
    assert type(read) in FORMATS
    return read


@pytest.mark.skipif("CMLP_WHEEL" not in os.environ, reason="CMLP_WHEEL names no wheel")
def test_the_wheel_at_hand():
    assert problems(Path(os.environ["CMLP_WHEEL"])) == []
