"""Which build runs where: of CPUs that are not there, by made-up words of cpuid and XCR0."""

import platform
import sys
from pathlib import Path

import pytest

import cmlp.kernels
from cmlp.kernels import _cpu

LEAF_1_ECX = {
    "pni": 0, "ssse3": 9, "fma": 12, "cx16": 13, "sse4_1": 19, "sse4_2": 20, "movbe": 22, "popcnt": 23,
    "osxsave": 27, "avx": 28, "f16c": 29,
}  # fmt: skip
LEAF_7_EBX = {
    "bmi1": 3, "avx2": 5, "bmi2": 8, "avx512f": 16, "avx512dq": 17, "avx512cd": 28, "avx512bw": 30, "avx512vl": 31,
}  # fmt: skip
EXTENDED_1_ECX = {"lahf_lm": 0, "abm": 5}
XCR0 = {"x87": 0, "xmm": 1, "ymm": 2, "mask": 5, "low zmm": 6, "high zmm": 7}
EVERY = {*LEAF_1_ECX, *LEAF_7_EBX, *EXTENDED_1_ECX, *XCR0}
OF_AVX512 = {name for name in EVERY if "512" in name} | {"mask", "low zmm", "high zmm"}

BASELINE, AVX2, AVX512 = ("baseline",), ("baseline", "avx2"), ("baseline", "avx2", "avx512")
SSE4 = {"pni", "ssse3", "cx16", "sse4_1", "sse4_2", "popcnt", "lahf_lm"}
CPUS = {
    "Nehalem": (SSE4 | {"x87", "xmm"}, BASELINE),
    "SandyBridge": (SSE4 | {"osxsave", "avx", "x87", "xmm", "ymm"}, BASELINE),
    "Piledriver": (SSE4 | {"osxsave", "avx", "fma", "f16c", "bmi1", "abm", "x87", "xmm", "ymm"}, BASELINE),
    "Haswell": (EVERY - OF_AVX512, AVX2),
    "Skylake-X": (EVERY, AVX512),
    "Knights Landing": (EVERY - {"avx512dq", "avx512bw", "avx512vl"}, AVX2),
    "nothing is saved": (EVERY - {*XCR0}, BASELINE),
    "a system that saves SSE alone": (EVERY - {*XCR0} | {"x87", "xmm"}, BASELINE),
    "a system that saves AVX alone": (EVERY - {"mask", "low zmm", "high zmm"}, AVX2),
    "a hypervisor that hides AVX2": (EVERY - {"avx2"} - OF_AVX512, BASELINE),
    "a hypervisor that hides FMA": (EVERY - {"fma"}, BASELINE),
    "a hypervisor that hides leaf 7": (EVERY - {*LEAF_7_EBX}, BASELINE),
    "an emulator without AVX": (SSE4 | {"osxsave", "x87", "xmm"}, BASELINE),
}


def words(names, **others):
    def word(bits):
        return sum(1 << bit for name, bit in bits.items() if name in names)

    found = {"leaf_1_ecx": LEAF_1_ECX, "leaf_7_ebx": LEAF_7_EBX, "extended_1_ecx": EXTENDED_1_ECX, "xcr0": XCR0}
    return {"leaves": 7, "extended_leaves": 0x80000008, **{name: word(bits) for name, bits in found.items()}, **others}


@pytest.mark.parametrize("name", CPUS)
def test_cpus(name):
    names, expected = CPUS[name]
    assert _cpu.decide(words(names)) == expected


@pytest.mark.parametrize("name", sorted(EVERY))
def test_nothing_needed_may_be_missing(name):
    expected = AVX512 if name == "x87" else AVX2 if name in OF_AVX512 else BASELINE
    assert _cpu.decide(words(EVERY - {name})) == expected


@pytest.mark.parametrize("unknown", [{"leaves": 1}, {"leaves": 6}, {"extended_leaves": 0}, {"extended_leaves": 2**31}])
def test_what_a_missing_leaf_says_does_not_count(unknown):
    ones = {"leaf_7_ebx": 0xFFFFFFFF, "extended_1_ecx": 0xFFFFFFFF}
    assert _cpu.decide(words(EVERY, **ones)) == AVX512
    assert _cpu.decide(words(EVERY, **ones, **unknown)) == BASELINE


@pytest.mark.parametrize("wanted", [None, "avx2"])
def test_no_build_that_this_cpu_runs(wanted, monkeypatch):
    monkeypatch.setattr(cmlp.kernels, "built", lambda: ("avx2", "avx512"))
    monkeypatch.setattr(_cpu, "supported", lambda: ("baseline",))
    with pytest.raises(ImportError, match=r"built for \('avx2', 'avx512'\), but this CPU runs \('baseline',\)"):
        cmlp.kernels._choose(wanted)


def test_of_this_cpu_there_are_its_own_words():
    found = _cpu.words()
    assert tuple(isa for isa in _cpu.supported() if isa != "neon") == _cpu.decide(found)
    if platform.machine().lower() in ("x86_64", "amd64") and sys.maxsize > 2**32:  # else built without cpuid
        assert found["leaves"] >= 1
        assert found["leaf_1_ecx"]
    else:
        assert not any(found.values())


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="Linux alone lists what the CPU has")
@pytest.mark.skipif(platform.machine() != "x86_64", reason="of x86-64")
def test_linux_finds_the_same():
    flags = {*Path("/proc/cpuinfo").read_text().split("flags", 1)[1].split("\n", 1)[0].split()}
    has_avx2 = flags >= {*LEAF_1_ECX, "bmi1", "avx2", "bmi2", *EXTENDED_1_ECX} - {"osxsave"}
    has_avx512 = has_avx2 and flags >= {name for name in OF_AVX512 if name in LEAF_7_EBX}
    assert _cpu.supported() == BASELINE + ("avx2",) * has_avx2 + ("avx512",) * has_avx512
