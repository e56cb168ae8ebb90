# Which instruction sets the processor runs.
cdef extern from "cpu.h":
    bint cpu_has_avx2()
    bint cpu_has_avx512()
    bint cpu_has_neon()


def supported():
    """Names of the instruction sets that the CPU has and the operating system saves, slowest first."""
    has = {"baseline": True, "neon": cpu_has_neon(), "avx2": cpu_has_avx2(), "avx512": cpu_has_avx512()}
    return tuple(name for name, there in has.items() if there)
