# A small layer, held twice while it is trained on one sample after the other.
#
# By rows, W^T delta is a sum of a few vectors; by columns, W o is.  Neither then adds up the lanes of a vector, which
# would take longer than the products.  Both copies get the same updates, rounded alike, and stay equal.

cdef struct small_t:        # of one layer; rows of whole vectors, zeros in the padding
    Py_ssize_t d_out, d_in
    Py_ssize_t wide_out, wide_in    # padded
    real *columns           # W^T: d_in x d_out
    real *rows              # W: d_out x d_in; NULL in the first layer, which needs no W^T delta
    real *b
    real *D                 # -eta delta


cdef inline vec sum_of_rows(Py_ssize_t n, Py_ssize_t ld, const real *rows, const real *c, vec even) noexcept nogil:
    """even + c_0 rows_0 + c_1 rows_1 + ..., one vector wide."""
    cdef vec odd = vec_set(0)
    cdef const real *end = c + (n & ~<Py_ssize_t>1)
    while c < end:
        even = even + vec_set(c[0]) * vec_load(rows)
        odd = odd + vec_set(c[1]) * vec_load(rows + ld)
        c += 2
        rows += 2 * ld
    if n & 1:
        even = even + vec_set(c[0]) * vec_load(rows)
    return even + odd

cdef void small_forward(const small_t *layer, int kind, const real *o, real *z_out, real *o_out) noexcept nogil:
    """z = W o + b, and s(z)."""
    cdef Py_ssize_t j
    cdef vec z
    for j from 0 <= j < layer.wide_out by VL:
        z = sum_of_rows(layer.d_in, layer.wide_out, layer.columns + j, o, vec_load(layer.b + j))
        vec_store(z_out + j, z)
        vec_store(o_out + j, s(kind, z))


cdef inline void add_outer(Py_ssize_t n, Py_ssize_t ld, const real *c, vec x, bint shrinks, real shrink,
                           real *rows) noexcept nogil:
    """rows_s <- rows_s + c_s x - shrink rows_s, one vector wide."""
    cdef const real *end = c + (n & ~<Py_ssize_t>1)
    while c < end:
        vec_store(rows, updated(vec_load(rows), x, vec_set(c[0]), shrinks, shrink))
        vec_store(rows + ld, updated(vec_load(rows + ld), x, vec_set(c[1]), shrinks, shrink))
        c += 2
        rows += 2 * ld
    if n & 1:
        vec_store(rows, updated(vec_load(rows), x, vec_set(c[0]), shrinks, shrink))

cdef inline void small_update(const small_t *layer, real eta, bint shrinks, real shrink, const real *delta,
                              const real *o) noexcept nogil:
    """W <- W - eta delta o^T - shrink W, b <- b - eta delta."""
    cdef Py_ssize_t i, j
    cdef vec D, part
    for j from 0 <= j < layer.wide_out by VL:
        D = vec_set(-eta) * vec_keep(vec_load(delta + j), min(layer.d_out - j, <Py_ssize_t>VL))
        vec_store(layer.D + j, D)
        vec_store(layer.b + j, vec_load(layer.b + j) + D)
        add_outer(layer.d_in, layer.wide_out, o, D, shrinks, shrink, layer.columns + j)
    if layer.rows != NULL:
        for i from 0 <= i < layer.wide_in by VL:
            part = vec_keep(vec_load(o + i), min(layer.d_in - i, <Py_ssize_t>VL))
            add_outer(layer.d_out, layer.wide_in, layer.D, part, shrinks, shrink, layer.rows + i)

cdef void small_backward(const small_t *layer, real eta, real shrink, const real *delta, int kind_below,
                         const real *z_below, const real *o_below, real *delta_below_out) noexcept nogil:
    """delta' = (W^T delta) * s'(z') where W is held by rows, z' and o' those of the layer below; then the update."""
    cdef Py_ssize_t i
    cdef vec y
    if layer.rows != NULL:
        for i from 0 <= i < layer.wide_in by VL:
            y = sum_of_rows(layer.d_out, layer.wide_in, layer.rows + i, delta, vec_set(0))
            vec_store(delta_below_out + i, y * s_prime(kind_below, vec_load(z_below + i), vec_load(o_below + i)))
    if shrink == 0:
        small_update(layer, eta, False, 0, delta, o_below)
    else:
        small_update(layer, eta, True, shrink, delta, o_below)


cdef void hold_small(const small_t *layer, const real *W, const real *b) noexcept nogil:
    """Takes W and b over."""
    cdef Py_ssize_t i, j
    transpose(layer.d_out, layer.d_in, W, layer.d_in, NULL, layer.columns, layer.wide_out)
    for j from 0 <= j < layer.d_out by VL:
        vec_store(layer.b + j, load_part(b + j, layer.d_out - j))
    if layer.rows != NULL:
        for j in range(layer.d_out):
            for i from 0 <= i < layer.d_in by VL:
                vec_store(layer.rows + j * layer.wide_in + i, load_part(W + j * layer.d_in + i, layer.d_in - i))

cdef void release_small(const small_t *layer, real *W, real *b) noexcept nogil:
    """Gives W and b back."""
    transpose(layer.d_in, layer.d_out, layer.columns, layer.wide_out, NULL, W, layer.d_in)
    memcpy(b, layer.b, layer.d_out * sizeof(real))
