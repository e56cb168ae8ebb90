/* What this processor runs: the instruction sets that both the CPU has and the operating system saves.

   Every subset that the compiler's flags allow is asked for by its own bit, since any of them can be missing while its
   neighbours are there: a hypervisor masks what not every machine of its cluster has; an emulator, Rosetta among them,
   shows what it translates (no AVX at all before macOS 15, nor later unless asked to); a Xeon Phi has AVX-512 without
   the subsets used here; an operating system that does not save the wide registers hides OSXSAVE or their bits of XCR0.
   macOS shows those of AVX-512 only in a thread that has used them: there the answer is AVX2, which is right if slower. */
#ifndef CMLP_CPU_H
#define CMLP_CPU_H

#include <stdint.h>

#if defined(__x86_64__) || defined(_M_X64)
#if defined(_MSC_VER)
#include <intrin.h>
static void cpuid(unsigned leaf, unsigned r[4]) { __cpuidex((int *)r, (int)leaf, 0); }
#else
#include <cpuid.h>
static void cpuid(unsigned leaf, unsigned r[4]) { __cpuid_count(leaf, 0, r[0], r[1], r[2], r[3]); }
#endif
#if defined(__GNUC__) || defined(__clang__) /* whose _xgetbv, clang-cl's too, asks for a flag that lets them use AVX */
static uint64_t saved_state(void) {
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}
#else
static uint64_t saved_state(void) { return _xgetbv(0); }
#endif

enum { EAX, EBX, ECX, EDX };
#define HAS(word, mask) (((word) & (mask)) == (mask))
#define BIT(n) (1u << (n))

/* x86-64-v3: leaf 1 ECX has SSE3, SSSE3, FMA, CMPXCHG16B, SSE4.1, SSE4.2, MOVBE, POPCNT, OSXSAVE, AVX, F16C; leaf 7 EBX
   has BMI1, AVX2, BMI2; leaf 0x80000001 ECX has LAHF, LZCNT.  XCR0 bits 1, 2: XMM and YMM are saved. */
static int cpu_has_avx2(void) {
    unsigned r[4];
    cpuid(0, r);
    if (r[EAX] < 7) return 0;
    cpuid(1, r);
    if (!HAS(r[ECX], BIT(0) | BIT(9) | BIT(12) | BIT(13) | BIT(19) | BIT(20) | BIT(22) | BIT(23) | BIT(27) | BIT(28) | BIT(29)))
        return 0;
    if (!HAS(saved_state(), 0x6u)) return 0;
    cpuid(7, r);
    if (!HAS(r[EBX], BIT(3) | BIT(5) | BIT(8))) return 0;
    cpuid(0x80000001u, r);
    return HAS(r[ECX], BIT(0) | BIT(5));
}

/* x86-64-v4: v3 and AVX512F, DQ, CD, BW, VL; XCR0 bits 5 to 7: the mask and ZMM registers are saved. */
static int cpu_has_avx512(void) {
    unsigned r[4];
    if (!cpu_has_avx2() || !HAS(saved_state(), 0xe6u)) return 0;
    cpuid(7, r);
    return HAS(r[EBX], BIT(16) | BIT(17) | BIT(28) | BIT(30) | BIT(31));
}
#else
static int cpu_has_avx2(void) { return 0; }
static int cpu_has_avx512(void) { return 0; }
#endif

/* NEON is part of every 64-bit ARM. */
#if defined(__aarch64__) || defined(_M_ARM64)
static int cpu_has_neon(void) { return 1; }
#else
static int cpu_has_neon(void) { return 0; }
#endif

#endif
