"""What a wheel may hold: the check in tools/, on modules that break one rule each, and on those of this installation.

Needs LIEF, and most of it GCC and binutils on x86-64 Linux.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import struct
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
import lief
from wheel_contents import FORMATS, builds_for, extension, main, problems, wrong_instructions, wrong_modules

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


PLAIN = dict.fromkeys(["_cpu", "_call", "_baseline_f32", "_baseline_f64"], ("", []))
AVX2 = dict.fromkeys(["_avx2_f32", "_avx2_f64"], (AVX, ["-mavx2"]))
AVX512 = dict.fromkeys(["_avx512_f32", "_avx512_f64"], (WIDE, ["-mavx512f"]))
WHOLE = {**PLAIN, **AVX2, **AVX512}


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    """Every module of a wheel, none with a fault."""
    folder = tmp_path_factory.mktemp("modules")
    return [module(folder, name, *of) for name, of in WHOLE.items()]


def wheel(folder, modules, files=(), others=()):
    """Of these modules, and of the others those that have another name."""
    path = folder / f"cmlp-1.0-{TAG}-{TAG}-linux_x86_64.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for built in {built.name: built for built in (*others, *modules)}.values():
            archive.write(built, f"cmlp/kernels/{built.name}")
        for name, text in dict(files).items():
            archive.writestr(name, text)
    return path


@linux
def test_a_wheel_that_breaks_no_rule(others, tmp_path, capsys):
    files = {"cmlp/__init__.py": "", "cmlp/py.typed": "", "cmlp-1.0.dist-info/METADATA": "See https://a.example/b/c"}
    path = wheel(tmp_path, [], files, others)
    assert problems(path) == []
    assert main([str(path)]) == 0
    assert main(["--builds", "baseline avx2", str(path)]) == 1
    assert "module _avx512_f32: should not be there" in capsys.readouterr().out


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
def test_a_module_that_breaks_a_rule(name, code, flags, problem, others, tmp_path, capsys):
    path = wheel(tmp_path, [module(tmp_path, name, code, flags)], (), others)
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
        ("cmlp/large.py", os.urandom(2_000_000), " bytes"),
    ],
)
def test_a_file_that_breaks_a_rule(name, data, problem, others, tmp_path):
    found = problems(wheel(tmp_path, [], {name: data}, others))
    assert [line for line in found if problem in line], found


@linux
@pytest.mark.parametrize("name", WHOLE)
def test_a_wheel_that_lacks_a_module(name, others, tmp_path, capsys):
    path = wheel(tmp_path, [built for built in others if built.name != f"{name}{SUFFIX}"])
    assert problems(path) == [f"no module {name}"]
    assert main([str(path)]) == 1
    assert f"  no module {name}\n" in capsys.readouterr().out


@linux
def test_a_wheel_of_chosen_builds(others, tmp_path):
    path = wheel(tmp_path, [built for built in others if "_avx" not in built.name])
    assert problems(path) == [f"no module {name}" for name in sorted(AVX2 | AVX512)]
    assert problems(path, ["baseline"]) == []
    assert main(["--builds", "baseline", str(path)]) == 0


def test_a_wheel_without_modules(tmp_path):
    assert problems(wheel(tmp_path, [], {"cmlp/__init__.py": ""})) == [f"no module {name}" for name in sorted(WHOLE)]
    with pytest.raises(SystemExit):
        main([])


PLATFORMS = {
    "manylinux_2_17_x86_64": "baseline avx2 avx512", "musllinux_1_2_x86_64": "baseline avx2 avx512",
    "win_amd64": "baseline avx2 avx512", "macosx_11_0_x86_64": "baseline avx2", "manylinux_2_17_aarch64": "neon",
    "musllinux_1_2_aarch64": "neon", "macosx_11_0_arm64": "neon", "win_arm64": "neon", "linux_riscv64": "",
}  # fmt: skip


@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_modules_of_a_platform(platform):
    """A wheel of plain loops, as where the choice of compiler is lost, and one for another processor are noticed."""
    builds = builds_for(platform)
    assert " ".join(builds) == PLATFORMS[platform]
    names = [
        "_cpu.so",
        "_call.so",
        *(f"x/_{isa}_{bits}.cp313-{platform}.pyd" for isa in builds for bits in ("f32", "f64")),
    ]
    assert list(wrong_modules(names, builds)) == []
    plain = ["_cpu.so", "_call.so", "_baseline_f32.so", "_baseline_f64.so"]
    assert list(wrong_modules(plain, builds))


def mach_o(flags=0, rpath=""):
    """The header of a bundle for x86-64, with a folder to look for libraries in."""
    name = rpath.encode().ljust(len(rpath) // 8 * 8 + 12, b"\0")
    commands = struct.pack("<3I", 0x8000001C, 12 + len(name), 12) + name if rpath else b""
    return struct.pack("<8I", 0xFEEDFACF, 0x01000007, 3, 8, bool(rpath), len(commands), flags, 0) + commands


def pe(characteristics):
    """The headers of a DLL for x86-64."""
    dos = b"MZ".ljust(0x3C, b"\0") + struct.pack("<I", 0x40)
    coff = struct.pack("<4s2H3I2H", b"PE\0\0", 0x8664, 0, 0, 0, 0, 240, 0x2022)
    optional = bytearray(struct.pack("<H", 0x20B).ljust(240, b"\0"))
    struct.pack_into("<2I", optional, 32, 4096, 512)  # alignments of sections
    struct.pack_into("<2I", optional, 56, 4096, 512)  # sizes of the image and the headers
    struct.pack_into("<2H", optional, 68, 2, characteristics)
    struct.pack_into("<I", optional, 108, 16)  # directories
    return (dos + coff + optional).ljust(512, b"\0")


@pytest.mark.parametrize(
    ("data", "wrong"),
    [
        (mach_o(), []),
        (mach_o(rpath="/usr/local/lib"), ["library path ['/usr/local/lib']"]),
        (mach_o(flags=0x20000), ["executable stack"]),
        (pe(0x160), []),  # NX_COMPAT among those of any DLL
        (pe(0x060), ["executable stack"]),
    ],
    ids=["macOS", "macOS, a library path", "macOS, the stack", "Windows", "Windows, the stack"],
)
def test_modules_of_macos_and_windows(data, wrong):
    found = lief.parse(data)
    assert list(FORMATS[type(found)](found)) == wrong


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
def test_a_name_that_says_what_the_modules_are_not(tags, others, tmp_path):
    right = wheel(tmp_path, [], (), others)
    wrong = right.rename(tmp_path / f"cmlp-1.0-{tags.format(TAG)}.whl")
    found = problems(wrong, ["baseline", "avx2", "avx512"])
    assert [line for line in found if ": not for " in line] == found
    assert len(found) == len(others)


def parsed(file):
    read = lief.parse(str(file))
    assert type(read) in FORMATS
    return read
