# The forward pass and the delta recursion, for one sample and for a batch.
#
# A network is described by pointers and sizes alone.  Layers count from 1 to L as in the formulas, index 0
# is the input:  z_l = W_l o_{l-1} + b_l,  o_l = s_l(z_l),  delta_l = (W_{l+1}^T delta_{l+1}) * s_l'(z_l),
# dW_l = delta_l o_{l-1}^T,  db_l = delta_l.  A batch is the same with a column per sample.


cdef struct network_t:
    Py_ssize_t L
    loss_t loss
    const Py_ssize_t *d     # d[0] .. d[L]
    const int *s            # s[1] .. s[L-1], activation kinds; s[0] and s[L] are IDENTITY
    const Py_ssize_t *W     # where W_l starts in a block of parameters, W[1] .. W[L]
    const Py_ssize_t *b

cdef struct sample_t:       # what one sample needs; every run padded to whole vectors
    const real **o          # o[0] .. o[L]; o[0] is the caller's x, or
    real *x                 # a copy of it, NULL where none is made
    real **z
    real **delta
    real *y

cdef struct batch_t:        # what a batch of at most `capacity` samples needs, all in panels
    Py_ssize_t capacity, group
    real **O                # O[l]: d_l x n; of O[0] only X_t, the samples at hand
    real *X_t
    real **Z                # Z[l], or O[l] where s_l' follows from the output
    real **Delta            # Delta[l]: d_l x n
    real **rows             # rows[l] = O[l]^T: n x d_l
    real *Y
    real *scale             # n
    real *loss              # a sum for each panel
    double *squares         # |W_l|^2
    Py_ssize_t n_threads
    real *room              # of matmul, for each thread
    sparse_t *sparse        # what is held of the first layer where the inputs are sparse; NULL where they are dense


cdef inline bint keeps_z(int kind) noexcept nogil:
    """Whether s' needs z beside o; where not, z is overwritten with o."""
    return kind >= ELU


cdef enum held_how:
    PLAIN, DEFERRED, TWICE

cdef struct held_t:         # what a run of samples holds of a layer beside theta, if anything
    held_how how
    deferred_t deferred
    small_t twice

cdef inline held_how how_held(const held_t *held, Py_ssize_t l) noexcept nogil:
    return held[l].how if held != NULL else PLAIN


# ---- one sample -------------------------------------------------------------------------------

cdef void forward_hidden(const network_t *net, const real *theta, const sample_t *at, held_t *held,
                         const dropout_t *drop) noexcept nogil:
    """z_l for every layer, o_l for the hidden ones; `held` is NULL or what is held of each layer."""
    cdef Py_ssize_t l, d_out, d_in
    cdef const real *W
    cdef const real *b
    for l in range(1, net.L + 1):
        if how_held(held, l) == TWICE:
            small_forward(&held[l].twice, net.s[l], at.o[l - 1], at.z[l], <real *>at.o[l])
            continue
        d_out, d_in, W, b = net.d[l], net.d[l - 1], theta + net.W[l], theta + net.b[l]
        if how_held(held, l) == DEFERRED:
            deferred_product(&held[l].deferred, d_out, d_in, W, b, at.o[l - 1], at.z[l])
        else:
            matvec(d_out, d_in, W, b, at.o[l - 1], at.z[l])
        if l < net.L:
            activate(net.s[l], at.z[l], <real *>at.o[l], padded(d_out))
            if drops(drop, l):
                drop_units(drop, l, 0, 0, padded(d_out), <real *>at.o[l])

cdef real forward_loss(const network_t *net, const real *theta, const sample_t *at, real scale, held_t *held,
                       const dropout_t *drop) noexcept nogil:
    """The forward pass to o_L, the scaled loss, and delta_L."""
    forward_hidden(net, theta, at, held, drop)
    return loss_one(&net.loss, net.d[net.L], at.z[net.L], at.y, scale, <real *>at.o[net.L], at.delta[net.L])

cdef inline void delta_below(const network_t *net, Py_ssize_t l, const sample_t *at,
                             const dropout_t *drop) noexcept nogil:
    """delta_l <- delta_l * s_l'(z_l), where it is W_{l+1}^T delta_{l+1}."""
    if drops(drop, l):
        drop_units_delta(drop, l, net.s[l], padded(net.d[l]), at.z[l], at.o[l], at.delta[l])
    else:
        activation_delta(net.s[l], at.z[l], at.o[l], at.delta[l], padded(net.d[l]))

cdef void backward_gradient(const network_t *net, const real *theta, const sample_t *at, const dropout_t *drop,
                            real *gradient_out) noexcept nogil:
    """The deltas below delta_L and every gradient."""
    cdef Py_ssize_t l
    for l in range(net.L, 0, -1):
        outer(net.d[l], net.d[l - 1], at.delta[l], at.o[l - 1], gradient_out + net.W[l])
        memcpy(gradient_out + net.b[l], at.delta[l], net.d[l] * sizeof(real))
        if l > 1:
            matvec_t(net.d[l], net.d[l - 1], theta + net.W[l], at.delta[l], at.delta[l - 1])
            delta_below(net, l - 1, at, drop)

cdef void backward_update(const network_t *net, real *theta, const sample_t *at, const solver_t *solver,
                          const constants_t *c, real alpha, real *m, real *v, const dropout_t *drop) noexcept nogil:
    """The deltas below delta_L, from the weights before the update, and the update of a solver with state m, v."""
    cdef Py_ssize_t l, W, b
    for l in range(net.L, 0, -1):
        W, b = net.W[l], net.b[l]
        if l > 1:
            matvec_t(net.d[l], net.d[l - 1], theta + W, at.delta[l], at.delta[l - 1])
            delta_below(net, l - 1, at, drop)
        update_outer(solver, c, net.d[l], net.d[l - 1], alpha, at.delta[l], at.o[l - 1], theta + W, m + W, v + W)
        solver_update(solver, c, net.d[l], 0, at.delta[l], theta + b, m + b, v + b)

cdef void backward_sgd(const network_t *net, real *theta, const sample_t *at, real eta, real shrink, held_t *held,
                       const dropout_t *drop) noexcept nogil:
    """The deltas below delta_L, from the weights before the update, and plain SGD."""
    cdef Py_ssize_t l
    for l in range(net.L, 0, -1):
        if how_held(held, l) == TWICE:
            small_backward(&held[l].twice, eta, shrink, at.delta[l], net.s[l - 1], at.z[l - 1], at.o[l - 1],
                           at.delta[l - 1])
            continue
        backward_layer(l > 1, net.d[l], net.d[l - 1], theta + net.W[l], at.delta[l], at.o[l - 1], at.delta[l - 1],
                       eta, shrink, &held[l].deferred if how_held(held, l) == DEFERRED else NULL)
        add_scaled(net.d[l], -eta, at.delta[l], theta + net.b[l])
        if l > 1:
            delta_below(net, l - 1, at, drop)

cdef inline void backward_layer(bint pulls, Py_ssize_t d_out, Py_ssize_t d_in, real *W, const real *delta,
                                const real *o, real *y_out, real eta, real shrink, deferred_t *deferred) noexcept nogil:
    """y = W^T delta if it `pulls`, then W <- W - eta delta o^T - shrink W, in one pass over W or deferred."""
    if deferred != NULL:
        if pulls:
            deferred_product_t(deferred, d_out, d_in, W, delta, y_out)
        defer_update(deferred, d_out, d_in, eta, delta, o)
    elif pulls:
        matvec_t_rank1(d_out, d_in, W, delta, o, eta, shrink, y_out)
    else:
        rank1(d_out, d_in, W, delta, o, eta, shrink)


# ---- a batch of n samples, those from `first` on, which begins a panel, to `end` ------------------

cdef struct layer_t:        # of a batch, for what follows on a product
    int s
    real *Z
    real *O
    real *Delta

cdef void finish_forward(const void *what, Py_ssize_t at, Py_ssize_t n) noexcept nogil:
    cdef const layer_t *layer = <const layer_t *>what
    activate(layer.s, layer.Z + at, layer.O + at, n)

cdef void finish_backward(const void *what, Py_ssize_t at, Py_ssize_t n) noexcept nogil:
    cdef const layer_t *layer = <const layer_t *>what
    activation_delta(layer.s, layer.Z + at, layer.O + at, layer.Delta + at, n)


cdef inline void drop_hidden(const network_t *net, Py_ssize_t l, const batch_t *at, Py_ssize_t first, Py_ssize_t end,
                             const dropout_t *drop) noexcept nogil:
    if l < net.L and drops(drop, l):
        drop_panels(drop, l, net.d[l], first, end, at.O[l])

cdef void forward_hidden_batch(const network_t *net, const real *theta, const batch_t *at, Py_ssize_t first,
                               Py_ssize_t end, const dropout_t *drop) noexcept nogil:
    cdef Py_ssize_t l
    cdef left_t W
    cdef result_t to
    cdef layer_t layer
    for l in range(1, net.L + 1):
        if l == 1 and at.sparse != NULL:
            sparse_forward(at.sparse, net.d[1], theta + net.b[1], first, end, at.Z[1])
            if net.L > 1:
                activate(net.s[1], at.Z[1] + first * net.d[1], at.O[1] + first * net.d[1],
                         net.d[1] * padded(end - first))
                drop_hidden(net, 1, at, first, end, drop)
            continue
        W = by_rows(theta + net.W[l], net.d[l - 1])
        to = into(at.Z[l], 0)
        to.bias = theta + net.b[l]
        if l < net.L and net.s[l] != IDENTITY:
            layer = layer_t(net.s[l], at.Z[l], at.O[l], NULL)
            to.finish, to.what = finish_forward, &layer
        matmul(0, net.d[l], net.d[l], first, end, net.d[l - 1], &W,
               at.O[l - 1] + first * net.d[l - 1] if l > 1 else at.X_t, &to, at.room)
        drop_hidden(net, l, at, first, end, drop)

cdef void forward_loss_batch(const network_t *net, const real *theta, const batch_t *at, Py_ssize_t first,
                             Py_ssize_t end, const dropout_t *drop) noexcept nogil:
    """The forward pass to O_L, the scaled loss of each panel, and Delta_L."""
    cdef Py_ssize_t j, p, C = net.d[net.L]
    forward_hidden_batch(net, theta, at, first, end, drop)
    for j from first <= j < end by PANEL:
        p = j * C
        at.loss[j // PANEL] = loss_panel(&net.loss, C, width_at(j, end), at.Z[net.L] + p, at.Y + p, at.scale + j,
                                         at.O[net.L] + p, at.Delta[net.L] + p)

cdef void backward_deltas(const network_t *net, const real *theta, const batch_t *at, Py_ssize_t first,
                          Py_ssize_t end, const dropout_t *drop) noexcept nogil:
    """Delta_{l-1} = (W_l^T Delta_l) * s_{l-1}'(Z_{l-1}), from Delta_L down."""
    cdef Py_ssize_t l
    cdef left_t W
    cdef result_t to
    cdef layer_t layer
    for l in range(net.L, 1, -1):
        W = by_columns(theta + net.W[l], net.d[l - 1])
        to = into(at.Delta[l - 1], 0)
        if net.s[l - 1] != IDENTITY and not drops(drop, l - 1):
            layer = layer_t(net.s[l - 1], at.Z[l - 1], at.O[l - 1], at.Delta[l - 1])
            to.finish, to.what = finish_backward, &layer
        matmul(0, net.d[l - 1], net.d[l - 1], first, end, net.d[l], &W, at.Delta[l] + first * net.d[l], &to, at.room)
        if drops(drop, l - 1):
            drop_panels_delta(drop, l - 1, net.s[l - 1], net.d[l - 1], first, end, at.Z[l - 1], at.O[l - 1],
                              at.Delta[l - 1])

cdef void weight_gradient(const network_t *net, const batch_t *at, Py_ssize_t n, Py_ssize_t l,
                          Py_ssize_t row, Py_ssize_t end_row, const result_t *to) noexcept nogil:
    """Rows `row` to `end_row` of dW_l = Delta_l O_{l-1}^T."""
    cdef left_t Delta = by_panels(at.Delta[l], net.d[l])
    matmul(row, end_row, net.d[l], 0, net.d[l - 1], n, &Delta, at.rows[l - 1], to, at.room)
