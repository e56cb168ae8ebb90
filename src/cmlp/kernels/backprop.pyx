# The forward pass and the delta recursion, for one sample and for a batch.
#
# A network is described by pointers and sizes alone.  Layers count from 1 to L as in the formulas, index 0
# is the input:  z_l = W_l o_{l-1} + b_l,  o_l = s_l(z_l),  delta_l = (W_{l+1}^T delta_{l+1}) * s_l'(z_l),
# dW_l = delta_l o_{l-1}^T,  db_l = delta_l.  A batch is the same with a column per sample.

from libc.string cimport memcpy

cdef struct network_t:
    Py_ssize_t L
    int loss
    const Py_ssize_t *d     # d[0] .. d[L]
    const int *s            # s[1] .. s[L-1], activation kinds
    const Py_ssize_t *W     # where W_l starts in a block of parameters, W[1] .. W[L]
    const Py_ssize_t *b

cdef struct sample_t:       # what one sample needs; every run padded to whole vectors
    const real **o          # o[0] .. o[L]; o[0] is the caller's x
    real **z
    real **delta
    real *y

cdef struct batch_t:        # what a batch of at most `capacity` samples needs; rows padded to whole vectors
    Py_ssize_t capacity
    real **O                # O[l]: d_l x n
    real **Z                # Z[l], or O[l] where s_l' follows from the output
    real *Delta             # of the layer at hand, and of the one below
    real *Delta_below
    real *rows              # n x d_l: the input of a layer, a row per sample
    real *Y
    real *scale


cdef inline bint keeps_z(int kind) noexcept nogil:
    """Whether s' needs z beside o; where not, z is overwritten with o."""
    return kind >= ELU


# ---- one sample -------------------------------------------------------------------------------

cdef void forward_hidden(const network_t *net, const real *theta, const sample_t *at) noexcept nogil:
    """z_l for every layer, o_l for the hidden ones."""
    cdef Py_ssize_t l
    for l in range(1, net.L + 1):
        matvec(net.d[l], net.d[l - 1], theta + net.W[l], theta + net.b[l], at.o[l - 1], at.z[l])
        if l < net.L:
            activate(net.s[l], at.z[l], <real *>at.o[l], padded(net.d[l]))

cdef real forward_loss(const network_t *net, const real *theta, const sample_t *at, real scale) noexcept nogil:
    """The forward pass to o_L, the scaled loss, and delta_L."""
    forward_hidden(net, theta, at)
    return loss_one(net.loss, net.d[net.L], at.z[net.L], at.y, scale, <real *>at.o[net.L], at.delta[net.L])

cdef void backward_gradient(const network_t *net, const real *theta, const sample_t *at,
                            real *gradient_out) noexcept nogil:
    """The deltas below delta_L and every gradient."""
    cdef Py_ssize_t l
    for l in range(net.L, 0, -1):
        outer(net.d[l], net.d[l - 1], at.delta[l], at.o[l - 1], gradient_out + net.W[l])
        memcpy(gradient_out + net.b[l], at.delta[l], net.d[l] * sizeof(real))
        if l > 1:
            matvec_t(net.d[l], net.d[l - 1], theta + net.W[l], at.delta[l], at.delta[l - 1])
            activation_delta(net.s[l - 1], at.z[l - 1], at.o[l - 1], at.delta[l - 1], padded(net.d[l - 1]))

cdef void backward_sgd(const network_t *net, real *theta, const sample_t *at, real eta, real shrink) noexcept nogil:
    """The deltas below delta_L, from the weights before the update, and plain SGD, in one pass over each W_l."""
    cdef Py_ssize_t l
    for l in range(net.L, 0, -1):
        if l > 1:
            matvec_t_rank1(net.d[l], net.d[l - 1], theta + net.W[l], at.delta[l], at.o[l - 1], eta, shrink,
                           at.delta[l - 1])
            activation_delta(net.s[l - 1], at.z[l - 1], at.o[l - 1], at.delta[l - 1], padded(net.d[l - 1]))
        else:
            rank1(net.d[l], net.d[l - 1], theta + net.W[l], at.delta[l], at.o[l - 1], eta, shrink)
        add_scaled(net.d[l], -eta, at.delta[l], theta + net.b[l])


# ---- a batch of n samples, ld = padded(n) -------------------------------------------------------

cdef void forward_hidden_batch(const network_t *net, const real *theta, const batch_t *at,
                               Py_ssize_t ld) noexcept nogil:
    cdef Py_ssize_t l
    for l in range(1, net.L + 1):
        matmul(net.d[l], ld, net.d[l - 1], theta + net.W[l], net.d[l - 1], 1, at.O[l - 1], ld,
               theta + net.b[l], False, at.Z[l], ld)
        if l < net.L:
            activate(net.s[l], at.Z[l], at.O[l], net.d[l] * ld)

cdef real forward_loss_batch(const network_t *net, const real *theta, const batch_t *at, Py_ssize_t ld) noexcept nogil:
    forward_hidden_batch(net, theta, at, ld)
    return loss_batch(net.loss, net.d[net.L], ld, at.Z[net.L], at.Y, at.scale, at.O[net.L], at.Delta)

cdef void backward_batch(const network_t *net, const real *theta, batch_t *at, Py_ssize_t n,
                         const real *X, const intptr_t *index, bint accumulate, real *gradient) noexcept nogil:
    """From delta_L in at.Delta: the deltas below and every gradient, added to those there with `accumulate`."""
    cdef Py_ssize_t l, ldr, ld = padded(n)
    for l in range(net.L, 0, -1):
        ldr = padded(net.d[l - 1])
        if l > 1:
            transpose(net.d[l - 1], n, at.O[l - 1], ld, NULL, at.rows, ldr)
        else:
            gather_rows(n, net.d[0], X, index, at.rows, ldr)
        matmul(net.d[l], net.d[l - 1], n, at.Delta, ld, 1, at.rows, ldr, NULL, accumulate,
               gradient + net.W[l], net.d[l - 1])
        row_sums(net.d[l], ld, at.Delta, ld, accumulate, gradient + net.b[l])
        if l > 1:
            matmul(net.d[l - 1], ld, net.d[l], theta + net.W[l], 1, net.d[l - 1], at.Delta, ld, NULL, False,
                   at.Delta_below, ld)
            activation_delta(net.s[l - 1], at.Z[l - 1], at.O[l - 1], at.Delta_below, net.d[l - 1] * ld)
            at.Delta, at.Delta_below = at.Delta_below, at.Delta
