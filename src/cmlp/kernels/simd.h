/* The vector type of the target instruction set, for one precision.

   The compiler's flags choose: -DCMLP_DOUBLE=0|1 sets `real_t`, and the instruction set that is
   enabled (-march) sets the width of `vec`, VL lanes of real_t.  GCC and Clang have vector types in
   the language, with + - * / and comparison on them; only what the language lacks is spelled out here:
   partial loads, lane shuffles, minimum and maximum, selection, square root and exponents.
   Other compilers get VL = 1 and plain arithmetic, the same algorithms one lane wide.

   No function here reads or writes outside the lanes it is asked for. */
#ifndef CMLP_SIMD_H
#define CMLP_SIMD_H

#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE__) || defined(_M_X64)
#include <xmmintrin.h>
#elif defined(_M_ARM64)
#include <intrin.h>
#endif

/* Files hold numbers as they lie in memory.  Windows has no other order, and cl.exe no such macro. */
#if !defined(_WIN32) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "cmlp needs a little-endian processor"
#endif
#if defined(_WIN32) && defined(__AVX__) && defined(__GNUC__) && !defined(__clang__)
#error "GCC for Windows aligns the stack to 16 bytes, too few for these vectors: build with clang-cl"
#endif

#if CMLP_DOUBLE
typedef double real_t;
typedef int64_t bits_t;
#define MANTISSA_BITS 52
#define EXPONENT_BIAS 1023
#define REAL_MAX DBL_MAX
#define SQUARABLE 0x1p508 /* whose square is far from overflow */
#define REAL_MIN DBL_MIN
#define REAL_SQRT sqrt
#define SQRT_HALF_BITS 0x3fe6a09e667f3bcdLL
#define SIGN_BIT INT64_MIN
typedef uint64_t word_t;
#else
typedef float real_t;
typedef int32_t bits_t;
#define MANTISSA_BITS 23
#define EXPONENT_BIAS 127
#define REAL_MAX FLT_MAX
#define SQUARABLE 0x1p60f
#define REAL_MIN FLT_MIN
#define REAL_SQRT sqrtf
#define SQRT_HALF_BITS 0x3f3504f3
#define SIGN_BIT INT32_MIN
typedef uint32_t word_t;
#endif

#if defined(__GNUC__) || defined(__clang__)
#define CMLP_VECTORS 1
#define INLINE static inline __attribute__((always_inline))
/* Of Cython's `inline` functions too: the kernels count on their constant arguments being folded. */
#undef CYTHON_INLINE
#define CYTHON_INLINE inline __attribute__((always_inline))
#if defined(__AVX512F__) && defined(__AVX512DQ__) && defined(__AVX512BW__) && defined(__AVX512VL__)
#include <immintrin.h>
#define VECTOR_BYTES 64
#elif defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>
#define VECTOR_BYTES 32
#else
#if defined(__aarch64__)
#include <arm_neon.h>
#endif
#define VECTOR_BYTES 16
#endif
#define VL (VECTOR_BYTES / (int)sizeof(real_t))
typedef real_t vec __attribute__((vector_size(VECTOR_BYTES)));
typedef bits_t ivec __attribute__((vector_size(VECTOR_BYTES)));
typedef word_t words __attribute__((vector_size(VECTOR_BYTES)));
typedef real_t unaligned_vec
    __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(real_t)), may_alias));
#else
#define CMLP_VECTORS 0
#define INLINE static __forceinline
#define VECTOR_BYTES (4 + 4 * CMLP_DOUBLE)
#define VL 1
typedef real_t vec;
typedef bits_t ivec;
typedef word_t words;
#endif

/* Rows of the register block of a matrix product, TILE_ROWS x TILE_VECS vectors: as many
   accumulators as the register file holds beside the operands (32 registers, or 16).  It takes
   TILE_STEPS columns at a time: of a short loop the processor foresees the end, but with 16
   registers compilers mix the steps, and some sums have to wait for their way through memory;
   of a long loop Clang stores every sum at every step.  NEON has the products by lane below. */
#if VECTOR_BYTES == 64 || defined(__aarch64__)
#define TILE_ROWS 8
#else
#define TILE_ROWS 6
#endif
#if VECTOR_BYTES == 64 && !defined(__clang__)
#define TILE_STEPS 4
#else
#define TILE_STEPS 1
#endif
#define TILE_VECS 2

/* Rows that a product with one vector takes at a time: whole vectors of results, and sums enough to
   hide the latency of an addition. */
#define ROW_BLOCK (VL > 8 ? VL : 8)

/* Small loops that must become straight code, so that the vectors they index stay in registers. */
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#elif defined(__GNUC__)
#define UNROLL _Pragma("GCC unroll 16")
#else
#define UNROLL
#endif

/* ---- bits --------------------------------------------------------------------------------- */

INLINE ivec as_bits(vec v) { ivec i; memcpy(&i, &v, sizeof i); return i; }
INLINE vec as_vec(ivec i) { vec v; memcpy(&v, &i, sizeof v); return v; }
#if CMLP_VECTORS
INLINE vec vec_set(real_t a) { return a - (vec){0}; }
INLINE ivec ivec_set(bits_t a) { return a - (ivec){0}; }
#else
INLINE vec vec_set(real_t a) { return a; }
INLINE ivec ivec_set(bits_t a) { return a; }
#endif

/* ---- load and store ------------------------------------------------------------------------ */

#if CMLP_VECTORS
INLINE vec vec_load(const real_t *p) { return *(const unaligned_vec *)p; }
INLINE void vec_store(real_t *p, vec v) { *(unaligned_vec *)p = v; }
#else
INLINE vec vec_load(const real_t *p) { return *p; }
INLINE void vec_store(real_t *p, vec v) { *p = v; }
#endif

/* Asks for the cache line that is about to be written to, or read. */
#if CMLP_VECTORS
INLINE void fetch(real_t *p) { __builtin_prefetch(p, 1, 3); }
INLINE void fetch_to_read(const real_t *p) { __builtin_prefetch(p, 0, 3); }
#else
INLINE void fetch(real_t *p) { (void)p; }
INLINE void fetch_to_read(const real_t *p) { (void)p; }
#endif

/* The first n lanes, 0 <= n <= VL; the others are zero when loaded and kept out of a store. */
#if VECTOR_BYTES == 64
#if CMLP_DOUBLE
#define AVX512(op) _mm512_##op##_pd
#define LANES(n) ((__mmask8)((1u << (n)) - 1))
#else
#define AVX512(op) _mm512_##op##_ps
#define LANES(n) ((__mmask16)((1u << (n)) - 1))
#endif
INLINE vec vec_load_n(const real_t *p, ptrdiff_t n) { return (vec)AVX512(maskz_loadu)(LANES(n), p); }
INLINE void vec_store_n(real_t *p, vec v, ptrdiff_t n) { AVX512(mask_storeu)(p, LANES(n), v); }
INLINE vec vec_keep(vec v, ptrdiff_t n) { return (vec)AVX512(maskz_mov)(LANES(n), v); }
#elif VECTOR_BYTES == 32
#if CMLP_DOUBLE
#define AVX2(op) _mm256_##op##_pd
#else
#define AVX2(op) _mm256_##op##_ps
#endif
static const bits_t lane_mask[2 * VL] = {
#if CMLP_DOUBLE
    -1, -1, -1, -1,
#else
    -1, -1, -1, -1, -1, -1, -1, -1,
#endif
};
INLINE __m256i lanes(ptrdiff_t n) { return _mm256_loadu_si256((const __m256i *)(lane_mask + VL - n)); }
INLINE vec vec_load_n(const real_t *p, ptrdiff_t n) { return (vec)AVX2(maskload)(p, lanes(n)); }
/* In halves: a masked store takes some processors 20 instructions. */
#if CMLP_DOUBLE
INLINE void vec_store_n(real_t *p, vec v, ptrdiff_t n) {
    __m128d part = _mm256_castpd256_pd128((__m256d)v);
    if (n & 4) { *(unaligned_vec *)p = v; return; }
    if (n & 2) { _mm_storeu_pd(p, part); p += 2; part = _mm256_extractf128_pd((__m256d)v, 1); }
    if (n & 1) _mm_store_sd(p, part);
}
#else
INLINE void vec_store_n(real_t *p, vec v, ptrdiff_t n) {
    __m128 part = _mm256_castps256_ps128((__m256)v);
    if (n & 8) { *(unaligned_vec *)p = v; return; }
    if (n & 4) { _mm_storeu_ps(p, part); p += 4; part = _mm256_extractf128_ps((__m256)v, 1); }
    if (n & 2) { _mm_storel_pi((__m64 *)p, part); p += 2; part = _mm_movehl_ps(part, part); }
    if (n & 1) _mm_store_ss(p, part);
}
#endif
INLINE vec vec_keep(vec v, ptrdiff_t n) { return as_vec(as_bits(v) & (ivec)lanes(n)); }
#elif CMLP_VECTORS && defined(__aarch64__) && CMLP_DOUBLE
INLINE vec vec_load_n(const real_t *p, ptrdiff_t n) {
    if (n & 2) return vec_load(p);
    return (vec)vcombine_f64(n & 1 ? vld1_f64(p) : vdup_n_f64(0), vdup_n_f64(0));
}
INLINE void vec_store_n(real_t *p, vec v, ptrdiff_t n) {
    if (n & 2) vec_store(p, v);
    else if (n & 1) *p = v[0];
}
INLINE vec vec_keep(vec v, ptrdiff_t n) { return as_vec(as_bits(v) & ((ivec){0, 1} < ivec_set(n))); }
#elif CMLP_VECTORS && defined(__aarch64__)
INLINE vec vec_load_n(const real_t *p, ptrdiff_t n) {
    float32x2_t low = vdup_n_f32(0), high = low;
    if (n & 4) return vec_load(p);
    if (n & 2) {
        low = vld1_f32(p);
        if (n & 1) high = vld1_lane_f32(p + 2, high, 0);
    } else if (n & 1) low = vld1_lane_f32(p, low, 0);
    return (vec)vcombine_f32(low, high);
}
INLINE void vec_store_n(real_t *p, vec v, ptrdiff_t n) {
    float32x2_t part = vget_low_f32((float32x4_t)v);
    if (n & 4) { vec_store(p, v); return; }
    if (n & 2) { vst1_f32(p, part); p += 2; part = vget_high_f32((float32x4_t)v); }
    if (n & 1) vst1_lane_f32(p, part, 0);
}
INLINE vec vec_keep(vec v, ptrdiff_t n) { return as_vec(as_bits(v) & ((ivec){0, 1, 2, 3} < ivec_set((bits_t)n))); }
#else
INLINE vec vec_load_n(const real_t *p, ptrdiff_t n) {
    real_t lane[VL] = {0};
    ptrdiff_t i;
    for (i = 0; i < n; i++) lane[i] = p[i];
    return vec_load(lane);
}
INLINE void vec_store_n(real_t *p, vec v, ptrdiff_t n) {
    real_t lane[VL];
    ptrdiff_t i;
    vec_store(lane, v);
    for (i = 0; i < n; i++) p[i] = lane[i];
}
INLINE vec vec_keep(vec v, ptrdiff_t n) {
    real_t lane[VL];
    vec_store(lane, v);
    return vec_load_n(lane, n);
}
#endif

/* ---- comparison, minimum, maximum ---------------------------------------------------------- */

/* a > b ? x : y in each lane (y where a or b is NaN). */
#if VECTOR_BYTES == 64
#if CMLP_DOUBLE
INLINE vec vec_where_gt(vec a, vec b, vec x, vec y) {
    return (vec)_mm512_mask_blend_pd(_mm512_cmp_pd_mask(a, b, _CMP_GT_OQ), y, x);
}
#else
INLINE vec vec_where_gt(vec a, vec b, vec x, vec y) {
    return (vec)_mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_GT_OQ), y, x);
}
#endif
#elif VECTOR_BYTES == 32
INLINE vec vec_where_gt(vec a, vec b, vec x, vec y) {
    return (vec)AVX2(blendv)(y, x, AVX2(cmp)(a, b, _CMP_GT_OQ));
}
#elif CMLP_VECTORS
INLINE vec vec_where_gt(vec a, vec b, vec x, vec y) {
    ivec m = (ivec)(a > b);
    return as_vec((as_bits(x) & m) | (as_bits(y) & ~m));
}
#else
INLINE vec vec_where_gt(vec a, vec b, vec x, vec y) { return a > b ? x : y; }
#endif

/* The larger, the smaller of a and b; b where either is NaN, so that a constant first operand
   lets a NaN in the second through. */
#if VECTOR_BYTES == 64
INLINE vec vec_max(vec a, vec b) { return (vec)AVX512(max)(a, b); }
INLINE vec vec_min(vec a, vec b) { return (vec)AVX512(min)(a, b); }
#elif VECTOR_BYTES == 32
INLINE vec vec_max(vec a, vec b) { return (vec)AVX2(max)(a, b); }
INLINE vec vec_min(vec a, vec b) { return (vec)AVX2(min)(a, b); }
#else
INLINE vec vec_max(vec a, vec b) { return vec_where_gt(a, b, a, b); }
INLINE vec vec_min(vec a, vec b) { return vec_where_gt(b, a, a, b); }
#endif

INLINE vec vec_abs(vec v) { return as_vec(as_bits(v) & ~SIGN_BIT); }
INLINE vec vec_sign_of(vec magnitude, vec sign) { /* magnitude >= 0 */
    return as_vec(as_bits(magnitude) | (as_bits(sign) & SIGN_BIT));
}

#if VECTOR_BYTES == 64 && CMLP_DOUBLE
/* For v >= 0.  The instruction takes some 36 cycles for 8 doubles.  An estimate of 1 / sqrt(v) to 14 bits, whose every bit
   the instruction set defines, two of Newton's steps and one for the root take a third of that. */
INLINE vec vec_sqrt(vec v) {
    const vec finite = vec_min(vec_set(REAL_MAX), v), half = vec_set(0.5) * finite, three_halves = vec_set(1.5);
    vec root, y = (vec)_mm512_rsqrt14_pd(vec_max(vec_set(REAL_MIN), finite));
    y = y * (three_halves - half * y * y);
    y = y * (three_halves - half * y * y);
    root = finite * y;
    return root + (vec_set(0.5) * y) * (finite - root * root);
}
#elif VECTOR_BYTES == 64
INLINE vec vec_sqrt(vec v) { return (vec)AVX512(sqrt)(v); }
#elif VECTOR_BYTES == 32
INLINE vec vec_sqrt(vec v) { return (vec)AVX2(sqrt)(v); }
#else
INLINE vec vec_sqrt(vec v) {
    real_t lane[VL];
    int i;
    vec_store(lane, v);
    for (i = 0; i < VL; i++) lane[i] = REAL_SQRT(lane[i]);
    return vec_load(lane);
}
#endif

/* ---- shuffles ------------------------------------------------------------------------------ */

/* vec_zip_low(a, b) = a0 b0 a1 b1 ...; vec_zip_high takes the upper halves. */
#if CMLP_VECTORS
#if defined(__clang__) || __GNUC__ >= 12
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (ivec){__VA_ARGS__})
#endif
#if VECTOR_BYTES / (4 + 4 * CMLP_DOUBLE) == 16
#define ZIP_LOW 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define ZIP_HIGH 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#elif VECTOR_BYTES / (4 + 4 * CMLP_DOUBLE) == 8
#define ZIP_LOW 0, 8, 1, 9, 2, 10, 3, 11
#define ZIP_HIGH 4, 12, 5, 13, 6, 14, 7, 15
#elif VECTOR_BYTES / (4 + 4 * CMLP_DOUBLE) == 4
#define ZIP_LOW 0, 4, 1, 5
#define ZIP_HIGH 2, 6, 3, 7
#else
#define ZIP_LOW 0, 2
#define ZIP_HIGH 1, 3
#endif
INLINE vec vec_zip_low(vec a, vec b) { return SHUFFLE(a, b, ZIP_LOW); }
INLINE vec vec_zip_high(vec a, vec b) { return SHUFFLE(a, b, ZIP_HIGH); }
#else
INLINE vec vec_zip_low(vec a, vec b) { (void)b; return a; }
INLINE vec vec_zip_high(vec a, vec b) { (void)a; return b; }
#endif

/* The sums of neighbours, of a in the even lanes and of b in the odd ones: lane 2 i is a_i + a_{i + VL/2}. */
INLINE vec vec_fold(vec a, vec b) { return vec_zip_low(a, b) + vec_zip_high(a, b); }

/* vec_sum_rows: with VL rows, lane r of the result is the sum over the lanes of row[r]; with half as many, lanes 2 r and
   2 r + 1 hold it in two parts.  vec_transpose: the VL x VL block in row[0..VL), in place.

   Either takes log2(VL) rounds over the rows.  AVX2 shuffles cheaply only within halves of 16 bytes: there the rounds stay
   within these, and only the last exchanges them. */
#if VECTOR_BYTES == 32
#if CMLP_DOUBLE
#define PAIRS_LOW(a, b) SHUFFLE(a, b, 0, 4, 2, 6)
#define PAIRS_HIGH(a, b) SHUFFLE(a, b, 1, 5, 3, 7)
#define HALVES_LOW(a, b) SHUFFLE(a, b, 0, 1, 4, 5)
#define HALVES_HIGH(a, b) SHUFFLE(a, b, 2, 3, 6, 7)
#else
#define PAIRS_LOW(a, b) SHUFFLE(a, b, 0, 8, 1, 9, 4, 12, 5, 13)
#define PAIRS_HIGH(a, b) SHUFFLE(a, b, 2, 10, 3, 11, 6, 14, 7, 15)
#define FOURS_LOW(a, b) SHUFFLE(a, b, 0, 1, 8, 9, 4, 5, 12, 13)
#define FOURS_HIGH(a, b) SHUFFLE(a, b, 2, 3, 10, 11, 6, 7, 14, 15)
#define HALVES_LOW(a, b) SHUFFLE(a, b, 0, 1, 2, 3, 8, 9, 10, 11)
#define HALVES_HIGH(a, b) SHUFFLE(a, b, 4, 5, 6, 7, 12, 13, 14, 15)
#endif
#define SUM_OF(shuffle, a, b) (shuffle##_LOW(a, b) + shuffle##_HIGH(a, b))
#endif

#if VECTOR_BYTES == 32 && CMLP_DOUBLE
INLINE vec vec_sum_rows(vec *row, int rows) {
    const vec first = SUM_OF(PAIRS, row[0], row[1]);
    (void)rows;
    return SUM_OF(HALVES, first, SUM_OF(PAIRS, row[2], row[3]));
}
INLINE void vec_transpose(vec *row) {
    const vec a = PAIRS_LOW(row[0], row[1]), b = PAIRS_HIGH(row[0], row[1]);
    const vec c = PAIRS_LOW(row[2], row[3]), d = PAIRS_HIGH(row[2], row[3]);
    row[0] = HALVES_LOW(a, c), row[1] = HALVES_LOW(b, d);
    row[2] = HALVES_HIGH(a, c), row[3] = HALVES_HIGH(b, d);
}
#elif VECTOR_BYTES == 32
INLINE vec sum_4_rows(const vec *row) { return SUM_OF(FOURS, SUM_OF(PAIRS, row[0], row[1]), SUM_OF(PAIRS, row[2], row[3])); }
INLINE vec vec_sum_rows(vec *row, int rows) {
    (void)rows;
    return SUM_OF(HALVES, sum_4_rows(row), sum_4_rows(row + 4));
}
/* Of 4 x 8, column c in the lower half of column[c], column c + 4 in the upper. */
INLINE void halves_of_columns(const vec *row, vec *column) {
    const vec a = PAIRS_LOW(row[0], row[1]), b = PAIRS_HIGH(row[0], row[1]);
    const vec c = PAIRS_LOW(row[2], row[3]), d = PAIRS_HIGH(row[2], row[3]);
    column[0] = FOURS_LOW(a, c), column[1] = FOURS_HIGH(a, c);
    column[2] = FOURS_LOW(b, d), column[3] = FOURS_HIGH(b, d);
}
INLINE void vec_transpose(vec *row) {
    vec upper[4], lower[4];
    int r;
    halves_of_columns(row, upper);
    halves_of_columns(row + 4, lower);
    UNROLL for (r = 0; r < 4; r++) row[r] = HALVES_LOW(upper[r], lower[r]), row[r + 4] = HALVES_HIGH(upper[r], lower[r]);
}
#else
INLINE vec vec_sum_rows(vec *row, int rows) {
    int half, r;
    UNROLL for (half = rows / 2; half > 0; half /= 2)
        UNROLL for (r = 0; r < half; r++) row[r] = vec_fold(row[r], row[r + half]);
    return row[0];
}
INLINE void vec_transpose(vec *row) {
    vec shuffled[VL];
    int round, r;
    UNROLL for (round = VL / 2; round > 0; round /= 2) {
        UNROLL for (r = 0; r < VL / 2; r++) {
            shuffled[2 * r] = vec_zip_low(row[r], row[r + VL / 2]);
            shuffled[2 * r + 1] = vec_zip_high(row[r], row[r + VL / 2]);
        }
        UNROLL for (r = 0; r < VL; r++) row[r] = shuffled[r];
    }
}
#endif

INLINE real_t vec_first(vec v) {
    real_t lane[VL];
    vec_store(lane, v);
    return lane[0];
}

/* Lanes i and i + 1, 2, 4, 8 change places (i a multiple of twice that). */
#if !CMLP_VECTORS
#define SWAP(v, distance) (v)
#else
#define SWAP(v, distance) SHUFFLE(v, v, LANES_XOR(distance))
#define XOR2(i, d) (i) ^ (d), ((i) + 1) ^ (d)
#define XOR4(i, d) XOR2(i, d), XOR2((i) + 2, d)
#define XOR8(i, d) XOR4(i, d), XOR4((i) + 4, d)
#if VECTOR_BYTES / (4 + 4 * CMLP_DOUBLE) == 16
#define LANES_XOR(d) XOR8(0, d), XOR8(8, d)
#elif VECTOR_BYTES / (4 + 4 * CMLP_DOUBLE) == 8
#define LANES_XOR(d) XOR8(0, d)
#elif VECTOR_BYTES / (4 + 4 * CMLP_DOUBLE) == 4
#define LANES_XOR(d) XOR4(0, d)
#else
#define LANES_XOR(d) XOR2(0, d)
#endif
#endif

/* The sum, the largest of the first n lanes, in each lane, where the others hold 0, or less than any of these:
   neighbours first, always in the same order. */
#define VEC_REDUCTION(name, combine)                                            \
    INLINE vec name(vec v, ptrdiff_t n) {                                       \
        if (VL > 1) v = combine(v, SWAP(v, 1 % VL));                            \
        if (VL > 2) v = combine(v, SWAP(v, 2 % VL));                            \
        if (VL <= 4) return v;                                                  \
        if (n <= 4) return vec_set(vec_first(v));                               \
        v = combine(v, SWAP(v, 4 % VL));                                        \
        if (VL > 8) v = combine(v, SWAP(v, 8 % VL));                            \
        return v;                                                               \
    }
INLINE vec vec_plus(vec a, vec b) { return a + b; }
VEC_REDUCTION(vec_total, vec_plus)
VEC_REDUCTION(vec_highest, vec_max)
INLINE real_t vec_sum(vec v) { return vec_first(vec_total(v, VL)); }

/* ---- products ------------------------------------------------------------------------------ */

/* total += A B for a tile of C and the first columns of A; returns how many these were.  Number r, k of A is at
   r a_row + k a_col, with a_row or a_col 1, and row k of B has `vecs` vectors.

   NEON multiplies by a lane: whole vectors of A are loaded, and no number of it is broadcast.  The sums are variables
   of this function, as Clang keeps those of the caller's array in memory. */
#if CMLP_VECTORS && defined(__aarch64__)
INLINE void add_lanes(int vecs, int rows, const vec *a, int row, int lane, const real_t *B,
                      vec sum[TILE_ROWS][TILE_VECS]) {
    int r, v;
    UNROLL for (v = 0; v < vecs; v++) {
        const vec b = vec_load(B + v * VL);
        UNROLL for (r = 0; r < rows; r++)
            sum[r][v] += row ? b * a[r][lane] : b * a[r / VL][r % VL];
    }
}
#define EACH_SUM(statement) UNROLL for (r = 0; r < rows; r++) UNROLL for (v = 0; v < vecs; v++) statement
INLINE ptrdiff_t add_products_by_lanes(int vecs, int rows, ptrdiff_t K, const real_t *A, ptrdiff_t a_row,
                                       ptrdiff_t a_col, const real_t *B, vec total[TILE_ROWS][TILE_VECS]) {
    vec sum[TILE_ROWS][TILE_VECS], a[TILE_ROWS];
    ptrdiff_t k = 0;
    int r, v, step;
    if (a_row == 1 && rows % VL) return 0;
    EACH_SUM(sum[r][v] = total[r][v]);
    if (a_row == 1) {
        for (; k + 4 <= K; k += 4)
            UNROLL for (step = 0; step < 4; step++) {
                UNROLL for (r = 0; r < rows / VL; r++) a[r] = vec_load(A + (k + step) * a_col + r * VL);
                add_lanes(vecs, rows, a, 0, 0, B + (k + step) * vecs * VL, sum);
            }
    } else {
        for (; k + VL <= K; k += VL) {
            UNROLL for (r = 0; r < rows; r++) a[r] = vec_load(A + r * a_row + k);
            UNROLL for (step = 0; step < VL; step++) add_lanes(vecs, rows, a, 1, step, B + (k + step) * vecs * VL, sum);
        }
    }
    EACH_SUM(total[r][v] = sum[r][v]);
    return k;
}
#else
INLINE ptrdiff_t add_products_by_lanes(int vecs, int rows, ptrdiff_t K, const real_t *A, ptrdiff_t a_row,
                                       ptrdiff_t a_col, const real_t *B, vec total[TILE_ROWS][TILE_VECS]) {
    (void)vecs, (void)rows, (void)K, (void)A, (void)a_row, (void)a_col, (void)B, (void)total;
    return 0;
}
#endif

/* ---- chance ---------------------------------------------------------------------------------- */

/* A number in [1, 2) from 32 random bits: those of a mantissa. */
#if CMLP_DOUBLE
#define WORD(x) ((x) & 0xffffffffu)
#define ONE_TO_TWO(x) ((x) << 20 | 0x3ff0000000000000)
#else
#define WORD(x) (x)
#define ONE_TO_TWO(x) ((x) >> 9 | 0x3f800000)
#endif
#if CMLP_VECTORS && defined(__aarch64__) && CMLP_DOUBLE /* which has no product of 64 bits */
#define TIMES(x, c) ((words)vmull_u32(vmovn_u64((uint64x2_t)(x)), vdup_n_u32(c)))
#else
#define TIMES(x, c) ((x) * (c))
#endif
INLINE vec vec_chance(words x) { /* a bijection of 32 bits (lowbias32; Wellons, 2018) */
    words bits;
    vec v;
    x = WORD(x);
    x ^= x >> 16;
    x = WORD(TIMES(x, 0x7feb352du));
    x ^= x >> 15;
    x = WORD(TIMES(x, 0x846ca68bu));
    x ^= x >> 16;
    bits = ONE_TO_TWO(x);
    memcpy(&v, &bits, sizeof v);
    return v;
}

#define NEXT_UNIT 0x9e3779b9u
/* Of the units from `unit` on of a sample with this key, and of one unit of samples with these keys. */
INLINE vec chance_of_units(uint32_t key, uint32_t unit) {
    word_t lane[VL];
    words x;
    int i;
    UNROLL for (i = 0; i < VL; i++) lane[i] = (uint32_t)(key + (unit + (uint32_t)i) * NEXT_UNIT);
    memcpy(&x, lane, sizeof x);
    return vec_chance(x);
}
INLINE vec chance_of_samples(const uint32_t *key, uint32_t unit) {
    word_t lane[VL];
    words x;
    int i;
    UNROLL for (i = 0; i < VL; i++) lane[i] = (uint32_t)(key[i] + unit * NEXT_UNIT);
    memcpy(&x, lane, sizeof x);
    return vec_chance(x);
}

/* ---- exponents ----------------------------------------------------------------------------- */

/* Adding 1.5 * 2^MANTISSA_BITS leaves the nearest integer in the low bits of the sum. */
#define ROUNDER ((real_t)((bits_t)3 << (MANTISSA_BITS - 1)))

/* The nearest integer, ties to even; |v| < 2^(MANTISSA_BITS - 2). */
INLINE vec vec_round(vec v) { return (v + vec_set(ROUNDER)) - vec_set(ROUNDER); }

/* 2^n for integral n from the smallest normal exponent to the largest; the ROUNDER's own bits are shifted out. */
INLINE vec vec_pow2(vec n) {
    return as_vec((ivec)((words)(as_bits(n + vec_set(ROUNDER)) + ivec_set(EXPONENT_BIAS)) << MANTISSA_BITS));
}

/* v = mantissa * 2^exponent with the mantissa in [sqrt(1/2), sqrt(2)); v positive and normal.  Of other v something. */
INLINE vec vec_split(vec v, vec *exponent) {
    const ivec sqrt_half = ivec_set((bits_t)SQRT_HALF_BITS);
    ivec offset = (ivec)((words)as_bits(v) - (words)sqrt_half); /* unsigned: it may wrap */
    ivec mantissa = (offset & ivec_set(((bits_t)1 << MANTISSA_BITS) - 1)) + sqrt_half;
    *exponent = as_vec((offset >> MANTISSA_BITS) + as_bits(vec_set(ROUNDER))) - vec_set(ROUNDER);
    return as_vec(mantissa);
}

/* ---- the control register ------------------------------------------------------------------ */

/* Every result is rounded to the nearest, whatever the caller's thread is set to, and is the same to the bit.
   Predictions keep numbers below the normal range.  In a training run they become 0: processors take a hundred cycles
   with them, and gradients and moments are full of them.  Each function returns what the register was. */
#if defined(__SSE__) || defined(_M_X64)
#define FLUSH 0x8040u /* results and operands */
#define ROUNDING 0x6000u
INLINE uint64_t control(void) { return _mm_getcsr(); }
INLINE void write_control(uint64_t now) { _mm_setcsr((unsigned)now); }
#elif defined(__aarch64__) || defined(_M_ARM64)
#define FLUSH (1u << 24)
#define ROUNDING (3u << 22)
#if defined(__GNUC__) || defined(__clang__)
INLINE uint64_t control(void) { uint64_t now; __asm__ volatile("mrs %0, fpcr" : "=r"(now)); return now; }
INLINE void write_control(uint64_t now) { __asm__ volatile("msr fpcr, %0" : : "r"(now)); }
#else
#define FPCR 0x5a20 /* op0 3, op1 3, CRn 4, CRm 4, op2 0, as cl.exe packs them */
INLINE uint64_t control(void) { return (uint64_t)_ReadStatusReg(FPCR); }
INLINE void write_control(uint64_t now) { _WriteStatusReg(FPCR, (__int64)now); }
#endif
#else
#define FLUSH 0u
#define ROUNDING 0u
INLINE uint64_t control(void) { return 0; }
INLINE void write_control(uint64_t now) { (void)now; }
#endif
#define MODES (uint64_t)(FLUSH | ROUNDING)
/* Reading the register costs next to nothing, writing it more. */
INLINE uint64_t restore_control(uint64_t before) {
    const uint64_t now = control();
    if ((now ^ before) & MODES) write_control((now & ~MODES) | (before & MODES));
    return now;
}
INLINE uint64_t flush_subnormals(void) { return restore_control(FLUSH); }
INLINE uint64_t keep_subnormals(void) { return restore_control(0); }

#endif
