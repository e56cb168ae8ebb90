/* What this processor runs: the instruction sets that both the CPU has and the operating system saves.  Reading what the
   CPU says of itself is one thing, the decision another, so that tests can decide of CPUs that are not there.

   Every subset that the compiler's flags allow is asked for by its own bit, since any of them can be missing while its
   neighbours are there: a hypervisor masks what not every machine of its cluster has; an emulator, Rosetta among them,
   shows what it translates (no AVX at all before macOS 15, nor later unless asked to); a Xeon Phi has AVX-512 without
   the subsets used here; an operating system that does not save the wide registers hides OSXSAVE or their bits of XCR0.
   macOS shows those of AVX-512 only in a thread that has used them: there the answer is AVX2, which is right if slower. */
#ifndef CMLP_CPU_H
#define CMLP_CPU_H

#include <stdint.h>

/* Of cpuid the words that count, by leaf and register, and XCR0: which registers the operating system saves. */
typedef struct {
    unsigned leaves, leaf_1_ecx, leaf_7_ebx, extended_leaves, extended_1_ecx;
    unsigned long long xcr0;
} cpu_words;

#define BIT(n) (1u << (n))
#define HAS(word, mask) (((word) & (mask)) == (mask))
#define OSXSAVE BIT(27)

/* x86-64-v3: leaf 1 ECX has SSE3, SSSE3, FMA, CMPXCHG16B, SSE4.1, SSE4.2, MOVBE, POPCNT, OSXSAVE, AVX, F16C; leaf 7 EBX
   has BMI1, AVX2, BMI2; leaf 0x80000001 ECX has LAHF, LZCNT.  XCR0 bits 1, 2: XMM and YMM are saved.  Asked for a leaf that
   it does not have, a CPU answers with those of another. */
static int has_avx2(const cpu_words *cpu) {
    return cpu->leaves >= 7 && cpu->extended_leaves >= 0x80000001u
        && HAS(cpu->leaf_1_ecx, BIT(0) | BIT(9) | BIT(12) | BIT(13) | BIT(19) | BIT(20) | BIT(22) | BIT(23) | OSXSAVE
                                | BIT(28) | BIT(29))
        && HAS(cpu->leaf_7_ebx, BIT(3) | BIT(5) | BIT(8)) && HAS(cpu->extended_1_ecx, BIT(0) | BIT(5))
        && HAS(cpu->xcr0, 0x06u);
}

/* x86-64-v4: v3 and AVX512F, DQ, CD, BW, VL; XCR0 bits 5 to 7: the mask and ZMM registers are saved. */
static int has_avx512(const cpu_words *cpu) {
    return has_avx2(cpu) && HAS(cpu->leaf_7_ebx, BIT(16) | BIT(17) | BIT(28) | BIT(30) | BIT(31)) && HAS(cpu->xcr0, 0xe6u);
}

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
static unsigned cpuid_word(unsigned leaf, int which) {
    unsigned r[4];
    cpuid(leaf, r);
    return r[which];
}

static cpu_words read_cpu(void) {
    cpu_words cpu;
    cpu.leaves = cpuid_word(0, EAX);
    cpu.leaf_1_ecx = cpuid_word(1, ECX);
    cpu.leaf_7_ebx = cpuid_word(7, EBX);
    cpu.extended_leaves = cpuid_word(0x80000000u, EAX);
    cpu.extended_1_ecx = cpuid_word(0x80000001u, ECX);
    cpu.xcr0 = HAS(cpu.leaf_1_ecx, OSXSAVE) ? saved_state() : 0; /* elsewhere an illegal instruction */
    return cpu;
}
#else
static cpu_words read_cpu(void) {
    const cpu_words none = {0, 0, 0, 0, 0, 0};
    return none;
}
#endif

/* NEON is part of every 64-bit ARM. */
#if defined(__aarch64__) || defined(_M_ARM64)
static int cpu_has_neon(void) { return 1; }
#else
static int cpu_has_neon(void) { return 0; }
#endif

#endif
