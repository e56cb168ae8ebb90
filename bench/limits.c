/* What this machine can do at best: multiply-adds without memory, and a buffer read or changed over and over.

   Compiled once per instruction set and precision: REAL is float or double, BYTES the width of a vector. */
#include <stddef.h>
#include <time.h>

typedef REAL vec __attribute__((vector_size(BYTES), aligned(BYTES)));
enum { LANES = BYTES / sizeof(REAL), CHAINS = 12 };  /* chains: more than latency times ports, and they fit registers */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + 1e-9 * t.tv_nsec;
}

int lanes(void) { return LANES; }

#define EACH(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11)
#define DECLARE(k) vec a##k = b + (REAL)k;
#define MULTIPLY_ADD(k) a##k = a##k * b + c;
#define KEEP(k) __asm__("" : "+" REGISTER (a##k));  /* each value is needed: nothing is folded away */
#define ADD_UP(k) sink += a##k[0];
#if BYTES == 64
#define REGISTER "v"
#elif defined(__x86_64__)
#define REGISTER "x"
#else
#define REGISTER "w"
#endif

/* Gflop/s of a_k = a_k b + c on CHAINS independent vectors, which are named variables so that they stay in registers. */
double peak(long n)
{
    vec b, c;
    volatile REAL one = 1, small = (REAL)1e-9;
    for (int i = 0; i < LANES; i++) b[i] = one - small, c[i] = small;
    EACH(DECLARE)
    double start = now();
    for (long i = 0; i < n; i++) {
        EACH(MULTIPLY_ADD)
        EACH(KEEP)
    }
    double taken = now() - start;
    volatile REAL sink = 0;
    EACH(ADD_UP)
    return 2e-9 * n * CHAINS * LANES / taken;
}

/* GB/s of summing n numbers, `times` over. */
double read_rate(const REAL *x, size_t n, long times)
{
    vec s[8] = {{0}};
    double start = now();
    for (long t = 0; t < times; t++) {
        for (size_t i = 0; i + 8 * LANES <= n; i += 8 * LANES)
#pragma GCC unroll 8
            for (int k = 0; k < 8; k++) s[k] += *(const vec *)(x + i + k * LANES);
        __asm__ volatile("" : : : "memory");
    }
    double taken = now() - start;
    volatile REAL sink = 0;
    for (int k = 0; k < 8; k++) sink += s[k][0];
    return 1e-9 * n * sizeof(REAL) * times / taken;
}

/* GB/s of x = x + e: the buffer's bytes, each counted once, though it is read and written. */
double change_rate(REAL *x, size_t n, long times)
{
    vec e;
    volatile REAL small = (REAL)1e-9;
    for (int i = 0; i < LANES; i++) e[i] = small;
    double start = now();
    for (long t = 0; t < times; t++) {
        for (size_t i = 0; i + 8 * LANES <= n; i += 8 * LANES)
#pragma GCC unroll 8
            for (int k = 0; k < 8; k++) *(vec *)(x + i + k * LANES) += e;
        __asm__ volatile("" : : : "memory");
    }
    return 1e-9 * n * sizeof(REAL) * times / (now() - start);
}
