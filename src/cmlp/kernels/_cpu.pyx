# Which instruction sets the processor runs.
cdef extern from "cpu.h":
    ctypedef struct cpu_words:
        unsigned leaves, leaf_1_ecx, leaf_7_ebx, extended_leaves, extended_1_ecx
        unsigned long long xcr0

    cpu_words read_cpu()
    bint has_avx2(const cpu_words *cpu)
    bint has_avx512(const cpu_words *cpu)
    bint cpu_has_neon()


def words():
    """What the CPU says of itself, by name; zeros where it is not an x86-64."""
    return read_cpu()


def decide(cpu_words cpu):
    """Names of the instruction sets of an x86-64 of these words that can be used, slowest first."""
    has = {"baseline": True, "avx2": has_avx2(&cpu), "avx512": has_avx512(&cpu)}
    return tuple(name for name, there in has.items() if there)


def supported():
    """Names of the instruction sets that the CPU has and the operating system saves, slowest first."""
    first, *wider = decide(read_cpu())
    return (first, *(["neon"] if cpu_has_neon() else []), *wider)
