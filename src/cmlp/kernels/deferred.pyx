# Exact SGD on one sample at a time, with the rank-1 updates of a layer's weights applied many at a time.
#
# With W the weights when none is pending and D_s = -eta delta_s, the sample t = 0, 1, ... meets
#
#     W_t = keep^t W + sum_{s<t} keep^{t-1-s} D_s o_s^T                            keep = 1 - eta alpha
#
# so that, with the sums over the few samples before it,
#
#     W_t o_t       = keep^t W o_t       + sum_s keep^{t-1-s} (o_s . o_t) D_s
#     W_t^T delta_t = keep^t W^T delta_t + sum_s keep^{t-1-s} (D_s . delta_t) o_s
#     |W_{t+1}|^2   = keep^2 |W_t|^2 + 2 keep D_t . W_t o_t + |D_t|^2 |o_t|^2
#
# and after k samples W <- W_k is one product of matrices.  A layer too large for the first-level cache is then read
# twice per sample and written once per k samples.  Of the first layer the inputs are known ahead: its W x_t and
# x_s . x_t are products of matrices too, so that its weights are not read sample by sample at all.

from libc.string cimport memcpy


cdef struct deferred_t:     # of one layer
    Py_ssize_t t            # updates pending
    real *D                 # k x d_out
    real *O                 # k x d_in; of the first layer in panels
    const real *W_x         # of the first layer: W x_t, k x d_out
    const real *gram        # of the first layer: x_t . x_s, k x k
    Py_ssize_t k            # of the first layer: samples in O, W_x and gram
    double keep
    const real *power       # keep^0 .. keep^k, or NULL where keep is 1
    real *c                 # the numbers in front of D_s or o_s
    real *sum
    real *W_o               # W_t o_t of the sample at hand
    double squares          # |W_t|^2, where alpha is not 0


cdef inline void combine(const deferred_t *pending, Py_ssize_t d, const real *rows, real *y) noexcept nogil:
    """y <- keep^t y + sum_s keep^{t-1-s} c_s rows_s, whole vectors of y."""
    cdef Py_ssize_t i, s, t = pending.t
    cdef vec keep = vec_set(pending.power[t] if pending.power != NULL else 1)
    if t == 0:
        return
    if pending.power != NULL:
        for s in range(t):
            pending.c[s] *= pending.power[t - 1 - s]
    matvec_t(t, d, rows, pending.c, pending.sum)
    for i from 0 <= i < d by VL:
        vec_store(y + i, keep * vec_load(y + i) + vec_load(pending.sum + i))

cdef void deferred_product(deferred_t *pending, Py_ssize_t d_out, Py_ssize_t d_in, const real *W, const real *b,
                           const real *o, real *z_out) noexcept nogil:
    """z = W_t o + b."""
    cdef Py_ssize_t i, t = pending.t
    if pending.W_x != NULL:
        memcpy(pending.W_o, pending.W_x + t * d_out, d_out * sizeof(real))
        memcpy(pending.c, pending.gram + t * pending.k, t * sizeof(real))
    else:
        matvec(d_out, d_in, W, NULL, o, pending.W_o)
        matvec(t, d_in, pending.O, NULL, o, pending.c)
    combine(pending, d_out, pending.D, pending.W_o)
    for i from 0 <= i < d_out by VL:
        vec_store(z_out + i, vec_load(pending.W_o + i) + load_part(b + i, d_out - i))

cdef void deferred_product_t(deferred_t *pending, Py_ssize_t d_out, Py_ssize_t d_in, const real *W, const real *delta,
                             real *y_out) noexcept nogil:
    """y = W_t^T delta."""
    matvec_t_large(d_out, d_in, W, delta, y_out)
    matvec(pending.t, d_out, pending.D, NULL, delta, pending.c)
    combine(pending, d_in, pending.O, y_out)

cdef void defer_update(deferred_t *pending, Py_ssize_t d_out, Py_ssize_t d_in, real eta, const real *delta,
                       const real *o) noexcept nogil:
    """W_{t+1} = keep W_t - eta delta o^T, noted down."""
    cdef Py_ssize_t i, t = pending.t
    cdef real *D = pending.D + t * d_out
    cdef double keep = pending.keep
    for i from 0 <= i < d_out by VL:
        store_part(D + i, vec_set(-eta) * load_part(delta + i, d_out - i), d_out - i)
    if pending.W_x == NULL:
        memcpy(pending.O + t * d_in, o, d_in * sizeof(real))
    if pending.power != NULL:
        pending.squares = keep * keep * pending.squares + 2 * keep * dot(d_out, D, pending.W_o) \
            + sum_of_squares(d_out, D) * sum_of_squares(d_in, o)
    pending.t = t + 1


cdef void apply_deferred(deferred_t *pending, Py_ssize_t d_out, Py_ssize_t d_in, double lost, real *panels,
                         real *room, real *W) noexcept nogil:
    """W <- W_t, lost = 1 - keep^t; nothing is pending any more.  `panels` has room for the o_s."""
    cdef Py_ssize_t s, i, t = pending.t
    cdef left_t D = by_columns(pending.D, d_out)
    cdef result_t to = added_to(W, d_in, 1, <real>lost)
    if t == 0:
        return
    if pending.power != NULL:
        for s in range(t):
            for i in range(d_out):
                pending.D[s * d_out + i] *= pending.power[t - 1 - s]
    if pending.W_x == NULL:
        gather_rows(0, t, t, d_in, pending.O, NULL, panels)
        matmul(0, d_out, d_out, 0, d_in, t, &D, panels, &to, room)
    else:
        memset(pending.D + t * d_out, 0, (pending.k - t) * d_out * sizeof(real))
        matmul(0, d_out, d_out, 0, d_in, pending.k, &D, pending.O, &to, room)
    pending.t = 0
