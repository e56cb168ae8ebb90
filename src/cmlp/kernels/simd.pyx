# The names of simd.h, as Cython sees them.  `real` and `vec` are C types that the build fixes:
# Cython only needs to know that they are floating-point.

from libc.stdint cimport uint32_t, uint64_t

cdef extern from "simd.h":
    ctypedef double real "real_t"
    ctypedef double vec
    const int CMLP_DOUBLE
    const real REAL_MAX
    const real REAL_MIN
    const real SQUARABLE
    enum:
        VL
        TILE_ROWS
        TILE_VECS
        TILE_STEPS
        ROW_BLOCK
    vec vec_set(real a) noexcept nogil
    vec vec_load(const real *p) noexcept nogil
    void fetch(real *p) noexcept nogil
    void fetch_to_read(const real *p) noexcept nogil
    vec vec_load_n(const real *p, Py_ssize_t n) noexcept nogil
    void vec_store(real *p, vec v) noexcept nogil
    void vec_store_n(real *p, vec v, Py_ssize_t n) noexcept nogil
    vec vec_keep(vec v, Py_ssize_t n) noexcept nogil
    vec vec_where_gt(vec a, vec b, vec x, vec y) noexcept nogil
    vec vec_max(vec a, vec b) noexcept nogil
    vec vec_min(vec a, vec b) noexcept nogil
    vec vec_abs(vec v) noexcept nogil
    vec vec_sign_of(vec magnitude, vec sign) noexcept nogil
    vec vec_sqrt(vec v) noexcept nogil
    vec vec_fold(vec a, vec b) noexcept nogil
    vec vec_sum_rows(vec *row, int rows) noexcept nogil
    void vec_transpose(vec *row) noexcept nogil
    real vec_sum(vec v) noexcept nogil
    real vec_first(vec v) noexcept nogil
    vec vec_total(vec v, Py_ssize_t n) noexcept nogil
    vec vec_highest(vec v, Py_ssize_t n) noexcept nogil
    vec vec_round(vec v) noexcept nogil
    vec vec_pow2(vec n) noexcept nogil
    vec vec_split(vec v, vec *exponent) noexcept nogil
    Py_ssize_t add_products_by_lanes(int vecs, int rows, Py_ssize_t K, const real *A, Py_ssize_t a_row,
                                     Py_ssize_t a_col, const real *B,
                                     vec total[TILE_ROWS][TILE_VECS]) noexcept nogil
    uint64_t flush_subnormals() noexcept nogil
    uint64_t keep_subnormals() noexcept nogil
    uint64_t restore_control(uint64_t before) noexcept nogil
    vec chance_of_units(uint32_t key, uint32_t unit) noexcept nogil
    vec chance_of_samples(const uint32_t *key, uint32_t unit) noexcept nogil


cdef inline vec horner(vec p, vec x, real c) noexcept nogil:
    """p x + c: one step of Horner's rule."""
    return p * x + vec_set(c)


cdef inline Py_ssize_t padded(Py_ssize_t n) noexcept nogil:
    """n rounded up to whole vectors."""
    return (n + VL - 1) // VL * VL


cdef inline vec load_part(const real *p, Py_ssize_t left) noexcept nogil:
    """The vector at p, or its first `left` lanes where fewer are left."""
    return vec_load(p) if left >= VL else vec_load_n(p, left)


cdef inline void store_part(real *p, vec v, Py_ssize_t left) noexcept nogil:
    if left >= VL:
        vec_store(p, v)
    else:
        vec_store_n(p, v, left)
