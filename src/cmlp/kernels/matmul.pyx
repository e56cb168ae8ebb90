# Matrix-matrix products and the packing that feeds them.
#
# Inside a batch a sample is a column: O_l is d_l x n with rows `ld` apart, ld a whole number of
# vectors, so that Z = W O + b, Delta = W^T Delta' and the activations run over whole vectors of samples
# and softmax needs no sum across lanes.  Only samples come in rows: `transpose` turns rows into columns,
# and an activation back for the gradient dW = Delta O^T, which then has contiguous rows of O^T.
# All three products are then one: C = A B, where A is read one number at a time, with any strides, and
# B and C by vectors along their rows.  A block of C of TILE_ROWS x TILE_VECS vectors stays in registers.

from libc.stdint cimport intptr_t


cdef inline void tile(int vecs, Py_ssize_t rows, Py_ssize_t lanes, Py_ssize_t K,
                      const real *A, Py_ssize_t a_row, Py_ssize_t a_col, const real *B, Py_ssize_t ldb,
                      const real *bias, bint accumulate, real *C, Py_ssize_t ldc) noexcept nogil:
    """rows x lanes of C, rows <= TILE_ROWS, lanes <= vecs VL, vecs <= TILE_VECS."""
    cdef vec total[TILE_ROWS][TILE_VECS]
    cdef vec b[TILE_VECS]
    cdef vec a
    cdef const real *row[TILE_ROWS]
    cdef Py_ssize_t k, r, v
    for r in range(TILE_ROWS):
        row[r] = A + min(r, rows - 1) * a_row
        for v in range(vecs):
            total[r][v] = vec_set(bias[min(r, rows - 1)] if bias != NULL else 0)
    for k in range(K):
        for v in range(vecs):
            b[v] = vec_load(B + k * ldb + v * VL)
        for r in range(TILE_ROWS):
            a = vec_set(row[r][k * a_col])
            for v in range(vecs):
                total[r][v] = total[r][v] + a * b[v]
    for r in range(TILE_ROWS):
        if r < rows:
            for v in range(vecs):
                if accumulate:
                    total[r][v] = total[r][v] + load_part(C + r * ldc + v * VL, lanes - v * VL)
                store_part(C + r * ldc + v * VL, total[r][v], lanes - v * VL)

cdef void matmul(Py_ssize_t M, Py_ssize_t N, Py_ssize_t K, const real *A, Py_ssize_t a_row, Py_ssize_t a_col,
                 const real *B, Py_ssize_t ldb, const real *bias, bint accumulate,
                 real *C, Py_ssize_t ldc) noexcept nogil:
    """C = A B + bias 1^T (+ C).  A[i, k] is A[i a_row + k a_col]; B is K x N in rows of whole vectors, ldb apart."""
    cdef Py_ssize_t i, j, rows, lanes
    for j from 0 <= j < N by TILE_VECS * VL:
        lanes = min(N - j, <Py_ssize_t>(TILE_VECS * VL))
        for i from 0 <= i < M by TILE_ROWS:
            rows = min(M - i, <Py_ssize_t>TILE_ROWS)
            if lanes > VL:
                tile(TILE_VECS, rows, lanes, K, A + i * a_row, a_row, a_col, B + j, ldb,
                     bias + i if bias != NULL else NULL, accumulate, C + i * ldc + j, ldc)
            else:
                tile(1, rows, lanes, K, A + i * a_row, a_row, a_col, B + j, ldb,
                     bias + i if bias != NULL else NULL, accumulate, C + i * ldc + j, ldc)


cdef void row_sums(Py_ssize_t rows, Py_ssize_t n, const real *A, Py_ssize_t ld, bint accumulate,
                   real *sums) noexcept nogil:
    """sums_i = sum of A[i, :n] (+ sums_i); the padding of A is 0."""
    cdef Py_ssize_t i, j
    cdef vec total
    for i in range(rows):
        total = vec_set(0)
        for j from 0 <= j < n by VL:
            total = total + vec_load(A + i * ld + j)
        sums[i] = vec_sum(total) + (sums[i] if accumulate else 0)


cdef inline void transpose_block(Py_ssize_t rows, Py_ssize_t lanes, const real *const *source, Py_ssize_t offset,
                                 real *T, Py_ssize_t ldt, Py_ssize_t room) noexcept nogil:
    """T[j, i] = source[i][offset + j] for i < rows, j < lanes; zeros on to the end of a vector or of ldt."""
    cdef vec block[VL]
    cdef Py_ssize_t i
    for i in range(VL):
        if i >= rows:
            block[i] = vec_set(0)
        else:
            block[i] = load_part(source[i] + offset, lanes)
    vec_transpose(block)
    for i in range(VL):
        if i < lanes:
            store_part(T + i * ldt, block[i], room)

cdef void transpose(Py_ssize_t n, Py_ssize_t d, const real *A, Py_ssize_t lda, const intptr_t *index,
                    real *T, Py_ssize_t ldt) noexcept nogil:
    """T (d x n, rows ldt >= n apart) = A^T, where row i of A is A[index[i]], or A[i] without an index.

    Padding of T up to whole vectors becomes 0.
    """
    cdef const real *source[VL]
    cdef Py_ssize_t i, j, r, rows
    for i from 0 <= i < n by VL:
        rows = min(n - i, <Py_ssize_t>VL)
        for r in range(rows):
            source[r] = A + (index[i + r] if index != NULL else i + r) * lda
        for j from 0 <= j < d by VL:
            transpose_block(rows, min(d - j, <Py_ssize_t>VL), source, j, T + j * ldt + i, ldt, ldt - i)


cdef void gather_rows(Py_ssize_t n, Py_ssize_t d, const real *A, const intptr_t *index,
                      real *rows_out, Py_ssize_t ld) noexcept nogil:
    """rows_out[i] = A[index[i]] in rows `ld` >= padded(d) apart, zeros in the padding."""
    cdef Py_ssize_t i, j
    cdef const real *row
    for i in range(n):
        row = A + (index[i] if index != NULL else i) * d
        for j from 0 <= j < d by VL:
            vec_store(rows_out + i * ld + j, load_part(row + j, d - j))
