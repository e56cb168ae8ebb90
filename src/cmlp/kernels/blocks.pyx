# Runs of samples in which layers are held in another form than in theta: with updates deferred (deferred.pyx) or
# twice (small.pyx).

cdef enum:
    SMALL_LAYER = 32            # most inputs and outputs of a layer held twice
    LEAST_INPUTS = 24           # of a first layer that defers
    LEAST_DEFERRED = 1 << 14    # weights of a layer above that defers
    BLOCK_SAMPLES = 32          # where layers defer
    LONG_BLOCK = 1024           # where none does
    LEAST_BLOCK = 8             # fewer samples are not worth it

cdef struct block_t:
    Py_ssize_t capacity         # samples, 0 if nothing is held
    held_t *held                # held[l] of layer l
    real *X_t                   # X^T: d_0 x k
    real *Z_t                   # W_1 X^T: d_1 x k
    real *panels                # the inputs of one layer
    real *power
    real *room


cdef inline bint is_small(const network_t *net, Py_ssize_t l) noexcept nogil:
    return net.d[l] <= SMALL_LAYER and net.d[l - 1] <= SMALL_LAYER

cdef inline bint defers(const network_t *net, Py_ssize_t l) noexcept nogil:
    return net.d[0] >= LEAST_INPUTS if l == 1 else net.d[l] * net.d[l - 1] >= LEAST_DEFERRED

cdef Py_ssize_t block_capacity(const network_t *net, Py_ssize_t n) noexcept nogil:
    """Samples in a block out of n; 0 where blocks do not pay."""
    cdef Py_ssize_t l, k = 0
    if n < LEAST_BLOCK:
        return 0
    for l in range(1, net.L + 1):
        if is_small(net, l):
            k = max(k, min(n, <Py_ssize_t>LONG_BLOCK))
    for l in range(1, net.L + 1):
        if defers(net, l) and not is_small(net, l):
            k = min(n, <Py_ssize_t>BLOCK_SAMPLES)
    return k


cdef size_t lay_out_block(const network_t *net, block_t *at, Py_ssize_t k, void *base) noexcept nogil:
    """Cuts `base` up for blocks of k samples; returns the bytes that takes (with base NULL that is all it does)."""
    cdef arena_t arena = arena_t(<uintptr_t>base, 0)
    cdef Py_ssize_t l
    cdef held_t held
    cdef deferred_t shared
    memset(&shared, 0, sizeof(shared))
    at.capacity = k
    at.power = NULL
    at.held = <held_t *>take(&arena, (net.L + 1) * sizeof(held_t))
    if k <= BLOCK_SAMPLES:
        at.X_t = take_reals(&arena, net.d[0], k)
        at.Z_t = take_reals(&arena, net.d[1], k)
        at.panels = take_reals(&arena, k, widest(net))
        at.power = take_reals(&arena, 1, k + 1)
        at.room = take_reals(&arena, 1, ROOM)
        shared.c = take_reals(&arena, 1, k + ROW_BLOCK)
        shared.sum = take_reals(&arena, 1, widest(net))
    for l in range(1, net.L + 1):
        memset(&held, 0, sizeof(held))
        if is_small(net, l):
            held.how = TWICE
            lay_out_small(net, l, &arena, &held.twice)
        elif k <= BLOCK_SAMPLES and defers(net, l):
            held.how = DEFERRED
            held.deferred = shared
            lay_out_deferred(net, l, k, &arena, &held.deferred)
        if base != NULL:
            at.held[l] = held
    return arena.used

cdef void lay_out_small(const network_t *net, Py_ssize_t l, arena_t *arena, small_t *layer) noexcept nogil:
    layer.d_out, layer.d_in = net.d[l], net.d[l - 1]
    layer.wide_out, layer.wide_in = padded(layer.d_out), padded(layer.d_in)
    layer.columns = take_reals(arena, layer.d_in, layer.d_out)
    layer.rows = take_reals(arena, layer.d_out, layer.d_in) if l > 1 else NULL
    layer.b = take_reals(arena, 1, layer.d_out)
    layer.D = take_reals(arena, 1, layer.d_out)

cdef void lay_out_deferred(const network_t *net, Py_ssize_t l, Py_ssize_t k, arena_t *arena,
                           deferred_t *layer) noexcept nogil:
    layer.D = take_reals(arena, k, net.d[l])
    layer.O = take_reals(arena, k, net.d[l - 1])
    layer.W_o = take_reals(arena, 1, net.d[l])
    layer.W_x = take_reals(arena, k, net.d[l]) if l == 1 else NULL
    layer.gram = take_reals(arena, k, k) if l == 1 else NULL


cdef void begin_block(const network_t *net, const real *theta, const samples_t *samples, const intptr_t *index,
                      Py_ssize_t m, double eta, double alpha, block_t *at) noexcept nogil:
    """For m samples."""
    cdef Py_ssize_t l
    cdef held_t *held
    if at.power != NULL and eta * alpha != 0:
        powers_of_keep(m, 1 - eta * alpha, at.power)
    for l in range(1, net.L + 1):
        held = &at.held[l]
        if held.how == TWICE:
            hold_small(&held.twice, theta + net.W[l], theta + net.b[l])
        elif held.how == DEFERRED:
            held.deferred.k = m
            held.deferred.keep = 1 - eta * alpha
            held.deferred.power = at.power if eta * alpha != 0 else NULL
            if alpha != 0:
                held.deferred.squares = sum_of_squares(net.d[l] * net.d[l - 1], theta + net.W[l])
            if l == 1:
                first_products(net, theta + net.W[1], samples, index, m, at)

cdef void powers_of_keep(Py_ssize_t m, double keep, real *power) noexcept nogil:
    cdef Py_ssize_t j
    cdef double p = 1
    for j in range(m + 1):
        power[j] = <real>p
        p *= keep

cdef void first_products(const network_t *net, const real *W, const samples_t *samples, const intptr_t *index,
                         Py_ssize_t m, const block_t *at) noexcept nogil:
    """W x_t and x_t . x_s for all samples of the block."""
    cdef Py_ssize_t j, d_0 = net.d[0], d_1 = net.d[1]
    cdef deferred_t *layer = &at.held[1].deferred
    cdef left_t left = by_rows(W, d_0)
    cdef result_t to = into(at.Z_t, 0)
    gather_inputs(net, 0, m, m, samples, index, layer.O)
    transpose_panels(0, m, m, d_0, False, layer.O, at.X_t)
    matmul(0, d_1, d_1, 0, m, d_0, &left, at.X_t, &to, at.room)
    for j from 0 <= j < m by PANEL:
        transpose(d_1, min(m - j, <Py_ssize_t>PANEL), at.Z_t + j * d_1, width_at(j, m), NULL,
                  <real *>layer.W_x + j * d_1, d_1)
    left = by_panels(layer.O, m)
    to = into(<real *>layer.gram, m)
    matmul(0, m, m, 0, m, d_0, &left, at.X_t, &to, at.room)


cdef void end_block(const network_t *net, real *theta, double shrink, block_t *at) noexcept nogil:
    """Brings theta up to the samples that were trained on."""
    cdef Py_ssize_t l
    cdef held_t *held
    for l in range(1, net.L + 1):
        held = &at.held[l]
        if held.how == TWICE:
            release_small(&held.twice, theta + net.W[l], theta + net.b[l])
        elif held.how == DEFERRED:
            apply_deferred(&held.deferred, net.d[l], net.d[l - 1], 1 - pow(1 - shrink, <double>held.deferred.t),
                           at.panels, at.room, theta + net.W[l])
