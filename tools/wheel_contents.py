"""What wheels may hold: `python tools/wheel_contents.py WHEEL...` prints each fault, and fails if there is one.

Every module that is built for its platform (`--builds "baseline avx2"`: with the kernels of these instruction sets) and
no other, no path of the machine that built it, no debug section, no executable stack, no path to look for libraries in,
no symbol but the module's own, no instruction that its name does not allow, no file that should not be there, less than
2 MB, and tags that are those of its modules.  Modules of Linux, macOS and Windows are read by LIEF; binutils' objdump
(or `$OBJDUMP`) decodes x86-64.  Nothing decodes arm64, whose one build asks for nothing.
"""

from __future__ import annotations

import argparse
import fnmatch
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import lief

LIMIT = 2_000_000  # bytes
PACKAGE = ["cmlp/*.py", "cmlp/py.typed", "cmlp/kernels/*.pyi", "cmlp/kernels/_*.so", "cmlp/kernels/_*.pyd"]
METADATA = ["METADATA", "WHEEL", "RECORD", "top_level.txt", "licenses/LICENSE", "DELVEWHEEL", "sboms/*"]
FILES = [*PACKAGE, *(f"cmlp-*.dist-info/{name}" for name in METADATA)]

# Folders that only a machine that builds has, and a drive of Windows with two folders.
PATHS = re.compile(
    rb"/(?:home|root|Users|tmp|opt|var|private|build|builds|work|workspace|project|host|mnt|github|__w|__t"
    rb"|Library/Frameworks|usr/local/(?:src|lib/python))/[\w.+/-]{3,}"
    rb"|(?<![A-Za-z0-9])[A-Za-z]:[\\/]{1,2}[\w .+-]+[\\/]{1,2}[\w .+-]{2,}"
)
OWN = {Path.home(), Path.cwd(), Path(sys.prefix), Path(sys.base_prefix)} - {Path("/usr")}
HERE = {str(path).encode() for path in OWN if len(path.parts) > 1}

# The kernels in a wheel, by how its platform tag begins and ends.
BUILDS = {
    ("", "x86_64"): ("baseline", "avx2", "avx512"),
    ("", "amd64"): ("baseline", "avx2", "avx512"),
    ("macosx", "x86_64"): ("baseline", "avx2"),
    ("", "aarch64"): ("neon",),
    ("", "arm64"): ("neon",),
}

# Beyond SSE2, which every x86-64 has, encoded as SSE2 is.  tzcnt is not among them: older processors run it as bsf.
NEWER = re.compile(
    r"(?:crc32|popcnt|lzcnt|movbe|lddqu|haddp|hsubp|addsub|movddup|movs[hl]dup|pabs|palignr|ph(?:add|sub|min)|pshufb"
    r"|psign|pmaddubs|pmulhrs|blend|dpp[sd]|extractps|insertps|mpsadbw|packusdw|pblend|pcmpeqq|pcmpgtq|pextr[bdq]"
    r"|pinsr[bdq]|pm(?:ax|in)(?:s[bd]|u[wd])|pmov[sz]x|pmuldq|pmulld|ptest|round[sp]|pcmp[ei]str|movntdqa|cmpxchg16b)"
)
# Beyond what the processors have that avx2 and avx512 are chosen on (x86-64-v3 and x86-64-v4), in whatever encoding.
BEYOND = re.compile(
    r"(?:v?aes|v?pclmul|v?sha(?:1|256|512)|adcx|adox|rdrand|rdseed|v?gf2p8|movdir|v?sm[34]|tile|tdp|xbegin|vphadd[dw]?q"
    r"|vpcom(?!press)|vpdp|vpmadd52|vpopcnt|vpshufbit|vperm[it]2b|vpermb|vpmultishift|vp(?:compress|expand)[bw]"
    r"|vpsh[lr]d[vwdq]|vcvtne|vp2intersect|v(?:4f|p4d)|vexp2|vrcp28|vrsqrt28|vgatherpf|vscatterpf|vdpbf16|vcvtph2psx"
    r"|vmovw|vbcstne|vfn?m(?:add|sub|addsub|subadd)[ps][sd]\b|vpmac|vpmadcs|vprot|vpsha|vphaddu|vphadd[bw][dq]|vfrcz"
    r"|rdpid|clwb|enqcmd|extrq|insertq|v(?!cvtps2ph)\w+(?:[ps]h|bf16)\b)"
)
ALLOWED = {"baseline": set(), "cpu": set(), "call": set(), "avx2": {"VEX", "newer"}, "avx512": {"VEX", "EVEX", "newer"}}
LINKERS = {"___dso_handle", "__mh_dylib_header", "_init", "_fini"}  # what zig adds on macOS, and musl's crti.o
EXPECTED = {"avx2": "VEX", "avx512": "EVEX"}


def encoding(code: bytes, mnemonic: str) -> str | None:
    """Which extension an instruction in 64-bit mode is of, by its first byte after the prefixes that may precede it."""
    first = code.lstrip(b"\x26\x2e\x36\x3e\x64\x65\x67")[:1]
    if first in (b"\x62", b"\xd5"):
        return "EVEX"
    if first in (b"\xc4", b"\xc5"):
        return "VEX"
    return "newer" if NEWER.match(mnemonic) else None


def extension(code: bytes, mnemonic: str) -> str | None:
    return "beyond x86-64-v4" if BEYOND.match(mnemonic) else encoding(code, mnemonic)


def instructions(code: bytes) -> Iterator[tuple[str | None, str]]:
    """The extension and the text of each instruction."""
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder, "code")
        raw.write_bytes(code)
        objdump = [os.environ.get("OBJDUMP", "objdump"), "-Dw", "-b", "binary", "-m", "i386:x86-64", raw]
        for line in subprocess.run(objdump, capture_output=True, text=True, check=True).stdout.splitlines():
            _, *parts = line.split("\t")
            if len(parts) == 2:
                text = re.sub(r"^(?:(?:rep|repz|repnz|lock|notrack|data16|cs|ds|bnd) )+", "", parts[1])
                yield extension(bytes.fromhex(parts[0]), text), text


def code_sections(module: lief.Binary) -> list[bytes]:
    """The sections that run, with no-operations where macOS keeps tables between functions."""
    if isinstance(module, lief.ELF.Binary):
        chosen = [s for s in module.sections if lief.ELF.Section.FLAGS.EXECINSTR in s.flags_list]
    elif isinstance(module, lief.PE.Binary):
        chosen = [s for s in module.sections if s.has_characteristic(lief.PE.Section.CHARACTERISTICS.MEM_EXECUTE)]
    else:
        return [macos_code(module)]
    return [bytes(s.content) for s in chosen]


def macos_code(module: lief.MachO.Binary) -> bytes:
    section = module.get_section("__text")
    code = bytearray(section.content)
    for table in module.data_in_code.entries if module.has_data_in_code else ():
        start = table.offset - section.offset
        code[start : start + table.length] = b"\x90" * table.length
    return bytes(code)


def is_x86(module: lief.Binary) -> bool:
    return module.abstract.header.architecture == lief.Header.ARCHITECTURES.X86_64


def wrong_instructions(isa: str, module: lief.Binary) -> Iterator[str]:
    if not is_x86(module):
        return
    found: dict[str | None, str] = {}
    for code in code_sections(module):
        for kind, text in instructions(code):
            found.setdefault(kind, text)
    if isa not in ALLOWED:
        yield f"instruction set {isa!r} is not of x86-64"
    for kind in {*found} - ALLOWED.get(isa, set()) - {None}:
        yield f"instruction beyond {isa} ({kind}): {found[kind]}"
    if not found or EXPECTED.get(isa) not in {None, *found}:
        yield f"no instruction of {isa}"


def wrong_symbols(stem: str, module: lief.Binary) -> Iterator[str]:
    init = {f"PyInit_{stem}", f"PyModExport_{stem}"}
    if isinstance(module, lief.PE.Binary):
        exported = {entry.name for entry in module.get_export().entries} if module.has_exports else set()
    else:
        exported = {symbol.name for symbol in module.exported_symbols} - LINKERS
    if isinstance(module, lief.MachO.Binary):
        exported = {name.removeprefix("_") for name in exported}
    if not exported & init:
        yield f"no PyInit_{stem} among the exported symbols"
    if exported - init:
        yield f"exported symbols {sorted(exported - init)}"


def wrong_elf(module: lief.ELF.Binary) -> Iterator[str]:
    stacks = [s for s in module.segments if s.type == lief.ELF.Segment.TYPE.GNU_STACK]
    if not stacks or any(s.has(lief.ELF.Segment.FLAGS.X) for s in stacks):
        yield "executable stack"
    for tag in (lief.ELF.DynamicEntry.TAG.RPATH, lief.ELF.DynamicEntry.TAG.RUNPATH):
        if module.has(tag):
            yield f"library path {module.get(tag)}"


def wrong_macho(module: lief.MachO.Binary) -> Iterator[str]:
    if lief.MachO.Header.FLAGS.ALLOW_STACK_EXECUTION in module.header.flags_list:
        yield "executable stack"
    if module.has_rpath:
        yield f"library path {[rpath.path for rpath in module.rpaths]}"


def wrong_pe(module: lief.PE.Binary) -> Iterator[str]:
    if not module.optional_header.has(lief.PE.OptionalHeader.DLL_CHARACTERISTICS.NX_COMPAT):
        yield "executable stack"


def wrong_tags(wheel: str, name: str, module: lief.Binary) -> Iterator[str]:
    """By the wheel's name it is for another Python, system or processor than a module in it."""
    *_, abi, platform = wheel.removesuffix(".whl").split("-")
    suffix = re.search(r"\.(?:cpython-|cp)(\d+t?)-", name)
    if suffix is None or f"cp{suffix[1]}" != abi:
        yield f"not for {abi}"
    system, processors = SYSTEMS[type(module)]
    if not platform.startswith(system) or not platform.endswith(processors[is_x86(module)]):
        yield f"not for {platform}"
    elif system == ("macosx",):
        least = tuple(map(int, platform.split("_")[1:3]))
        asked = tuple(module.build_version.minos[:2] if module.has_build_version else module.version_min.version[:2])
        if asked > least:
            yield f"asks for macOS {asked}, the wheel for {least}"


SYSTEMS = {  # what platform tags begin with, and end with for arm64 and x86-64
    lief.ELF.Binary: (("linux", "manylinux", "musllinux"), ("aarch64", "x86_64")),
    lief.MachO.Binary: (("macosx",), ("arm64", "x86_64")),
    lief.PE.Binary: (("win",), ("arm64", "amd64")),
}
FORMATS = {lief.ELF.Binary: wrong_elf, lief.MachO.Binary: wrong_macho, lief.PE.Binary: wrong_pe}


def wrong_module(wheel: str, name: str, data: bytes) -> Iterator[str]:
    """What is wrong with a compiled module, by its name in the wheel and the wheel's."""
    module = lief.parse(data)
    if type(module) not in FORMATS:
        yield "not a module of Linux, macOS or Windows"
        return
    stem = Path(name).name.split(".")[0]
    yield from FORMATS[type(module)](module)
    yield from wrong_tags(wheel, name, module)
    yield from wrong_symbols(stem, module)
    yield from wrong_instructions(stem.strip("_").split("_")[0], module)
    for section in module.sections:
        if re.match(r"\.z?debug|\.stab|\.gdb_index|__debug", section.name):
            yield f"debug section {section.name}"


def wrong_paths(data: bytes) -> Iterator[str]:
    for path in {match[0] for match in PATHS.finditer(data)} | {path for path in HERE if path in data}:
        yield f"path {path.decode(errors='replace')}"


def builds_for(platform: str) -> tuple[str, ...]:
    """The instruction sets that a wheel of this platform tag has kernels for; the last that fits."""
    found = [builds for (begin, end), builds in BUILDS.items() if platform.startswith(begin) and platform.endswith(end)]
    return found[-1] if found else ()


def modules_of(builds: Iterable[str]) -> set[str]:
    return {"_cpu", "_call", *(f"_{isa}_{precision}" for isa in builds for precision in ("f32", "f64"))}


def wrong_modules(names: Iterable[str], builds: Iterable[str]) -> Iterator[str]:
    """What lacks among the compiled modules of these names in a wheel, and what is too much."""
    found, expected = {Path(name).name.split(".")[0] for name in names}, modules_of(builds)
    yield from (f"no module {name}" for name in sorted(expected - found))
    yield from (f"module {name}: should not be there" for name in sorted(found - expected))


def problems(wheel: Path, builds: Iterable[str] | None = None) -> list[str]:
    """What is wrong with a wheel, a line each; expected are the kernels of these builds, or its platform's."""
    found = [] if wheel.stat().st_size < LIMIT else [f"{wheel.stat().st_size:,} bytes"]
    modules = []
    with zipfile.ZipFile(wheel) as archive:
        for name in (name for name in archive.namelist() if not name.endswith("/")):
            data = archive.read(name)
            if not any(fnmatch.fnmatchcase(name, pattern) for pattern in FILES):
                found.append(f"{name}: should not be there")
            if name.endswith((".so", ".pyd")):
                modules.append(name)
                found += [f"{name}: {problem}" for problem in wrong_module(wheel.name, name, data)]
            if not name.endswith(".py"):  # as they were written
                found += [f"{name}: {problem}" for problem in wrong_paths(data)]
    if builds is None:
        builds = builds_for(wheel.stem.split("-")[-1])
    return [*found, *wrong_modules(modules, builds)]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="wheel_contents.py")
    parser.add_argument("--builds", type=str.split)
    parser.add_argument("wheels", nargs="+", type=Path)
    given = parser.parse_args(arguments)
    code = 0
    for wheel in given.wheels:
        found = problems(wheel, given.builds)
        print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.2f} MB, {len(found)} problems")
        for problem in found:
            print(f"  {problem}")
            code = 1
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
