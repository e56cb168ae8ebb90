# Memory for a sample and for a batch: one allocation each, cut into runs of whole cache lines.
from libc.stdint cimport uintptr_t
from libc.stdlib cimport calloc

cdef enum:
    CACHE_LINE = 64
    BATCH_CHUNK = 256       # a larger batch is worked off in chunks of this many samples,
    CHUNK_WORK = 1 << 28    # or of this many samples x parameters, so that Ctrl-C is heard within a second,
    LEAST_CHUNK = 16        # but not fewer than these
    SMALL_NETWORK = 1 << 17     # parameters, which stay in the second-level cache:
    GROUP = 2 * PANEL       # then so many samples at a time go through all layers

cdef struct arena_t:        # with base 0 it only counts
    uintptr_t base
    size_t used


cdef inline void *take(arena_t *arena, size_t bytes) noexcept nogil:
    cdef uintptr_t at = arena.base + arena.used
    arena.used += (bytes + CACHE_LINE - 1) // CACHE_LINE * CACHE_LINE
    return <void *>at

cdef inline real *take_reals(arena_t *arena, Py_ssize_t rows, Py_ssize_t columns) noexcept nogil:
    return <real *>take(arena, <size_t>rows * padded(columns) * sizeof(real))

cdef inline real **take_pointers(arena_t *arena, Py_ssize_t n) noexcept nogil:
    return <real **>take(arena, n * sizeof(void *))


cdef Py_ssize_t chunk_of(const network_t *net, Py_ssize_t n) noexcept nogil:
    """Samples to work off at a time out of n, in whole vectors."""
    cdef Py_ssize_t size = net.b[net.L] + net.d[net.L]
    return padded(max(1, min(n, BATCH_CHUNK, max(<Py_ssize_t>LEAST_CHUNK, CHUNK_WORK // size))))


cdef Py_ssize_t most_threads(const network_t *net, Py_ssize_t n) noexcept nogil:
    """Threads for which a batch of n samples holds work: panels of a chunk, or tiles of a gradient's rows."""
    cdef Py_ssize_t l, most = (chunk_of(net, n) + PANEL - 1) // PANEL
    for l in range(1, net.L + 1):
        most = max(most, (net.d[l] + TILE_ROWS - 1) // TILE_ROWS)
    return most


cdef Py_ssize_t group_of(const network_t *net, Py_ssize_t n) noexcept nogil:
    """Samples that go through the layers together."""
    return min(n, <Py_ssize_t>GROUP) if net.b[net.L] <= SMALL_NETWORK else n


cdef Py_ssize_t widest(const network_t *net) noexcept nogil:
    cdef Py_ssize_t l, d = 0
    for l in range(net.L + 1):
        d = max(d, net.d[l])
    return d


cdef size_t lay_out_sample(const network_t *net, sample_t *at, bint copies_x, void *base) noexcept nogil:
    """Cuts `base` up for one sample; returns the bytes that takes (with base NULL that is all it does)."""
    cdef arena_t arena = arena_t(<uintptr_t>base, 0)
    cdef Py_ssize_t l
    cdef real **o = take_pointers(&arena, net.L + 1)
    cdef real **z = take_pointers(&arena, net.L + 1)
    cdef real **delta = take_pointers(&arena, net.L + 1)
    cdef real *run
    at.o, at.z, at.delta = <const real **>o, z, delta
    at.y = take_reals(&arena, 1, net.d[net.L])
    at.x = take_reals(&arena, 1, net.d[0]) if copies_x else NULL
    for l in range(1, net.L + 1):
        run = take_reals(&arena, 3, net.d[l])
        if base != NULL:
            z[l], o[l], delta[l] = run, run + padded(net.d[l]), run + 2 * padded(net.d[l])
    return arena.used


cdef size_t lay_out_batch(const network_t *net, batch_t *at, Py_ssize_t capacity, Py_ssize_t n_threads, bint training,
                          void *base) noexcept nogil:
    """The same for a batch; without `training`, two runs take turns as O and there are no deltas."""
    cdef arena_t arena = arena_t(<uintptr_t>base, 0)
    cdef Py_ssize_t l
    cdef real *turns[2]
    cdef real *O
    at.capacity = capacity
    at.group = group_of(net, capacity)
    at.n_threads = n_threads
    at.room = NULL
    at.sparse = NULL
    at.O = take_pointers(&arena, net.L + 1)
    at.Z = take_pointers(&arena, net.L + 1)
    at.Delta = take_pointers(&arena, net.L + 1)
    at.rows = take_pointers(&arena, net.L + 1)
    if training:
        at.Y = take_reals(&arena, net.d[net.L], capacity)
        at.scale = take_reals(&arena, 1, capacity)
        at.loss = take_reals(&arena, 1, capacity)
        at.squares = <double *>take(&arena, (net.L + 1) * sizeof(double))
        at.room = take_reals(&arena, n_threads, ROOM)
    else:
        turns[0] = take_reals(&arena, widest(net), capacity)
        turns[1] = take_reals(&arena, widest(net), capacity)
    for l in range(net.L + 1):
        O = take_reals(&arena, net.d[l], max(capacity, n_threads * at.group)) if training else turns[l % 2]
        if base != NULL:
            at.O[l] = at.Z[l] = O
        if training:
            lay_out_layer(net, at, l, base != NULL, &arena)
        elif l == 0:
            at.X_t = O
    return arena.used

cdef void lay_out_layer(const network_t *net, batch_t *at, Py_ssize_t l, bint real_memory,
                        arena_t *arena) noexcept nogil:
    """What layer l needs beside O."""
    cdef real *Z = take_reals(arena, net.d[l], at.capacity) if 0 < l == net.L or keeps_z(net.s[l]) else NULL
    cdef real *Delta = take_reals(arena, net.d[l], at.capacity) if l > 0 else NULL
    cdef real *rows = take_reals(arena, at.capacity, net.d[l]) if l < net.L else NULL
    if real_memory:
        at.Z[l] = Z if Z != NULL else at.O[l]
        at.Delta[l], at.rows[l] = Delta, rows


cdef void *allocate(size_t bytes, void **memory_out) noexcept nogil:
    """Zeroed bytes from a cache line's start, inside *memory_out, which is to be freed; NULL without memory."""
    memory_out[0] = calloc(bytes + CACHE_LINE, 1)
    if memory_out[0] == NULL:
        return NULL
    return <void *>((<uintptr_t>memory_out[0] + CACHE_LINE - 1) // CACHE_LINE * CACHE_LINE)
