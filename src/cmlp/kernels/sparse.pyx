# The first layer over sparse rows: what is 0 is neither multiplied nor gathered.
#
# A row of inputs picks rows of W_1^T, and its delta goes to the same rows of dW_1^T; both are held as they are for as
# long as a batch takes.

cdef enum:
    SPARSE_PART = 8         # of the inputs: with more than this part filled, dense products are quicker
    PICKED_PART = 2         # of the columns: with fewer entries than this part, only theirs are held

cdef struct sparse_t:
    const real *entries
    const int *columns
    const intptr_t *starts
    const intptr_t *index   # of the samples at hand, or NULL
    const intptr_t *picked  # the n_picked columns of W_1 that `columns` counts, or NULL where it counts all
    Py_ssize_t n_picked
    real *W_t               # W_1^T, or its rows that are picked: d_0 x d_1, rows of whole vectors
    real *G_t               # dW_1^T, as W_t; NULL without training
    real *room              # PANEL x d_1, for each thread


cdef inline bint sparse_pays(Py_ssize_t entries, Py_ssize_t n, Py_ssize_t d_0) noexcept nogil:
    return entries * SPARSE_PART < n * d_0


cdef void hold_transposed(const sparse_t *at, Py_ssize_t d_0, Py_ssize_t d_1, Py_ssize_t unit, Py_ssize_t end,
                          const real *W) noexcept nogil:
    """The columns `unit` to `end` of W_t; `unit` is a multiple of VL."""
    transpose(end - unit, d_0, W + unit * d_0, d_0, NULL, at.W_t + unit, padded(d_1))

cdef void hold_picked(const sparse_t *at, Py_ssize_t d_0, Py_ssize_t d_1, const real *W) noexcept nogil:
    cdef Py_ssize_t i, j, ld = padded(d_1)
    for j in range(d_1):
        for i in range(at.n_picked):
            at.W_t[i * ld + j] = W[j * d_0 + at.picked[i]]


cdef inline void add_picked_rows(Py_ssize_t vecs, Py_ssize_t n, const real *x, const int *columns, Py_ssize_t ld,
                                 const real *W_t, real *z) noexcept nogil:
    """z += x_0 W_t[c_0] + x_1 W_t[c_1] + ..., at most 4 vectors wide."""
    cdef vec total[4]
    cdef const real *row
    cdef Py_ssize_t k, v
    for v in range(vecs):
        total[v] = vec_load(z + v * VL)
    for k in range(n):
        row = W_t + columns[k] * ld
        for v in range(vecs):
            total[v] = total[v] + vec_set(x[k]) * vec_load(row + v * VL)
    for v in range(vecs):
        vec_store(z + v * VL, total[v])

cdef void sparse_forward(const sparse_t *at, Py_ssize_t d_1, const real *b, Py_ssize_t first, Py_ssize_t end,
                         real *Z) noexcept nogil:
    """Z_1 = W_1 X^T + b_1 for samples `first` to `end`, in panels."""
    cdef Py_ssize_t i, j, u, last, start, n, ld = padded(d_1)
    cdef intptr_t sample
    cdef real *z
    for j from first <= j < end by PANEL:
        last = min(end, j + <Py_ssize_t>PANEL)
        for i in range(j, last):
            sample = at.index[i] if at.index != NULL else i
            start, n = at.starts[sample], at.starts[sample + 1] - at.starts[sample]
            z = at.room + (i - j) * ld
            memcpy(z, b, d_1 * sizeof(real))
            for u from 0 <= u <= ld - 4 * VL by 4 * VL:
                add_picked_rows(4, n, at.entries + start, at.columns + start, ld, at.W_t + u, z + u)
            for u from ld // (4 * VL) * 4 * VL <= u < ld by VL:
                add_picked_rows(1, n, at.entries + start, at.columns + start, ld, at.W_t + u, z + u)
        transpose(last - j, d_1, at.room, ld, NULL, Z + j * d_1, width_at(j, end))


cdef void sparse_gradient(const sparse_t *at, Py_ssize_t d_0, Py_ssize_t d_1, Py_ssize_t m, Py_ssize_t unit,
                          Py_ssize_t end, const real *Delta, bint accumulate, real *dW) noexcept nogil:
    """Delta_1 X over m samples, its rows `unit` to `end`, added to what G_t holds if they `accumulate`; then dW_1."""
    cdef Py_ssize_t c, i, j, k, last, ld = padded(d_1), units = end - unit
    cdef intptr_t sample
    if not accumulate:
        for c in range(d_0):
            memset(at.G_t + c * ld + unit, 0, units * sizeof(real))
    for j from 0 <= j < m by PANEL:
        last = min(m, j + <Py_ssize_t>PANEL)
        transpose(units, last - j, Delta + j * d_1 + unit * width_at(j, m), width_at(j, m), NULL, at.room, ld)
        for i in range(j, last):
            sample = at.index[i] if at.index != NULL else i
            for k in range(at.starts[sample], at.starts[sample + 1]):
                add_scaled(units, at.entries[k], at.room + (i - j) * ld, at.G_t + at.columns[k] * ld + unit)
    if dW != NULL:
        transpose(d_0, units, at.G_t + unit, ld, NULL, dW + unit * d_0, d_0)
