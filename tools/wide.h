/* The kernels for AVX-512 on a processor without it: what simd.h asks of the instruction set, in plain C, for -include.
   Everything else there is vectors of 64 bytes, of which the compiler makes two of 32. */
#ifndef CMLP_WIDE_H
#define CMLP_WIDE_H

#include <immintrin.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#define __AVX512F__ 1
#define __AVX512DQ__ 1
#define __AVX512BW__ 1
#define __AVX512VL__ 1

typedef float wide_ps __attribute__((vector_size(64)));
typedef double wide_pd __attribute__((vector_size(64)));

/* For each of 16 floats or 8 doubles: i is its number, bit i of a mask its own. */
#define OF_BOTH(DEFINE) DEFINE(ps, float, 16) DEFINE(pd, double, 8)
#define MASKED(type, real, n) \
    static inline wide_##type wide_maskz_loadu_##type(unsigned mask, const real *p) { \
        wide_##type v = {0}; \
        for (int i = 0; i < n; i++) if (mask >> i & 1) v[i] = p[i]; \
        return v; \
    } \
    static inline void wide_mask_storeu_##type(real *p, unsigned mask, wide_##type v) { \
        for (int i = 0; i < n; i++) if (mask >> i & 1) p[i] = v[i]; \
    } \
    static inline wide_##type wide_mask_blend_##type(unsigned mask, wide_##type a, wide_##type b) { \
        for (int i = 0; i < n; i++) if (mask >> i & 1) a[i] = b[i]; \
        return a; \
    } \
    static inline wide_##type wide_maskz_mov_##type(unsigned mask, wide_##type v) { \
        return wide_mask_blend_##type(mask, (wide_##type){0}, v); \
    } \
    static inline unsigned wide_gt_##type(wide_##type a, wide_##type b) { \
        unsigned mask = 0; \
        for (int i = 0; i < n; i++) mask |= (unsigned)(a[i] > b[i]) << i; \
        return mask; \
    } \
    static inline wide_##type wide_max_##type(wide_##type a, wide_##type b) { \
        return wide_mask_blend_##type(wide_gt_##type(a, b), b, a); \
    } \
    static inline wide_##type wide_min_##type(wide_##type a, wide_##type b) { \
        return wide_mask_blend_##type(wide_gt_##type(b, a), b, a); \
    }
OF_BOTH(MASKED)

static inline wide_ps wide_sqrt_ps(wide_ps v) {
    for (int i = 0; i < 16; i++) v[i] = sqrtf(v[i]);
    return v;
}

/* To 14 bits, as far off as the instruction may be. */
static inline wide_pd wide_rsqrt14_pd(wide_pd v) {
    for (int i = 0; i < 8; i++) {
        double y = 1 / sqrt(v[i]);
        uint64_t bits;
        memcpy(&bits, &y, sizeof bits);
        bits &= ~((UINT64_C(1) << 38) - 1);
        memcpy(&y, &bits, sizeof bits);
        v[i] = y;
    }
    return v;
}

#define _mm512_maskz_loadu_ps wide_maskz_loadu_ps
#define _mm512_maskz_loadu_pd wide_maskz_loadu_pd
#define _mm512_mask_storeu_ps wide_mask_storeu_ps
#define _mm512_mask_storeu_pd wide_mask_storeu_pd
#define _mm512_maskz_mov_ps wide_maskz_mov_ps
#define _mm512_maskz_mov_pd wide_maskz_mov_pd
#define _mm512_mask_blend_ps wide_mask_blend_ps
#define _mm512_mask_blend_pd wide_mask_blend_pd
#define _mm512_cmp_ps_mask(a, b, how) wide_gt_ps(a, b)
#define _mm512_cmp_pd_mask(a, b, how) wide_gt_pd(a, b)
#define _mm512_max_ps wide_max_ps
#define _mm512_max_pd wide_max_pd
#define _mm512_min_ps wide_min_ps
#define _mm512_min_pd wide_min_pd
#define _mm512_sqrt_ps wide_sqrt_ps
#define _mm512_rsqrt14_pd wide_rsqrt14_pd

#endif
