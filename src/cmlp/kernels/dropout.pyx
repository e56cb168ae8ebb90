# Dropout (Srivastava et al., 2014): while training, each unit of a layer, or of the input, stays with a chance `keep`,
# as o / keep, or becomes 0.
#
# Whether it stays follows from a seed, the number of the update, the layer, the sample's place in its batch and the
# unit alone, by a hash.  Nothing is stored for the way back, and any number of threads drops the same.

cdef struct dropout_t:
    const real *keep        # keep[l] of layer l = 0 .. L-1, 1 where all stay; NULL for no dropout
    uint64_t seed
    long long t             # of the update
    Py_ssize_t first        # place in the batch of the first sample at hand


cdef inline bint drops(const dropout_t *drop, Py_ssize_t l) noexcept nogil:
    return drop != NULL and drop.keep != NULL and drop.keep[l] < 1

cdef inline uint64_t mixed(uint64_t x) noexcept nogil:
    """A bijection that spreads every bit over all (the finaliser of SplitMix64; Steele, Lea and Flood, 2014)."""
    x = (x ^ (x >> 30)) * <uint64_t>0xbf58476d1ce4e5b9
    x = (x ^ (x >> 27)) * <uint64_t>0x94d049bb133111eb
    return x ^ (x >> 31)

cdef inline uint32_t key_of(const dropout_t *drop, Py_ssize_t l, Py_ssize_t i) noexcept nogil:
    """Of sample i in layer l."""
    cdef uint64_t step = mixed(drop.seed + <uint64_t>drop.t * <uint64_t>0x9e3779b97f4a7c15)
    return <uint32_t>(mixed(step + (<uint64_t>l << 48) + <uint64_t>(drop.first + i)) >> 32)

cdef inline vec kept(real keep, vec chance, vec o) noexcept nogil:
    """o / keep or 0; `chance` is uniform in [1, 2)."""
    return vec_where_gt(vec_set(1 + keep), chance, o * vec_set(1 / keep), vec_set(0))

cdef inline vec kept_slope(int kind, real keep, vec z, vec o) noexcept nogil:
    """s'(z) of units that stay, from o that `kept` has divided."""
    return s_prime(kind, z, o * vec_set(keep))


# ---- units of one sample side by side ------------------------------------------------------------

cdef void drop_units(const dropout_t *drop, Py_ssize_t l, Py_ssize_t i, Py_ssize_t unit, Py_ssize_t n,
                     real *o) noexcept nogil:
    """o of the n units from `unit` on of sample i; n is padded to whole vectors."""
    cdef Py_ssize_t j
    cdef uint32_t key = key_of(drop, l, i)
    for j from 0 <= j < n by VL:
        vec_store(o + j, kept(drop.keep[l], chance_of_units(key, <uint32_t>(unit + j)), vec_load(o + j)))

cdef void drop_units_delta(const dropout_t *drop, Py_ssize_t l, int kind, Py_ssize_t n, const real *z, const real *o,
                           real *delta) noexcept nogil:
    """delta <- delta s'(z) / keep, or 0, of the one sample at hand."""
    cdef Py_ssize_t j
    cdef uint32_t key = key_of(drop, l, 0)
    cdef vec slope
    for j from 0 <= j < n by VL:
        slope = kept_slope(kind, drop.keep[l], vec_load(z + j), vec_load(o + j))
        vec_store(delta + j, kept(drop.keep[l], chance_of_units(key, <uint32_t>j), vec_load(delta + j) * slope))


# ---- a unit of many samples side by side: panels of d x n, samples `first` to `end` --------------------

cdef void drop_panels(const dropout_t *drop, Py_ssize_t l, Py_ssize_t d, Py_ssize_t first, Py_ssize_t end,
                      real *O) noexcept nogil:
    cdef Py_ssize_t i, k, j, width
    cdef uint32_t keys[PANEL]
    cdef real *o
    for i from first <= i < end by PANEL:
        width = width_at(i, end)
        panel_keys(drop, l, i, width, keys)
        o = O + i * d
        for k in range(d):
            for j from 0 <= j < width by VL:
                vec_store(o, kept(drop.keep[l], chance_of_samples(keys + j, <uint32_t>k), vec_load(o)))
                o += VL

cdef void drop_panels_delta(const dropout_t *drop, Py_ssize_t l, int kind, Py_ssize_t d, Py_ssize_t first,
                            Py_ssize_t end, const real *Z, const real *O, real *Delta) noexcept nogil:
    """Delta <- Delta s'(Z) / keep, or 0."""
    cdef Py_ssize_t i, k, j, width, at
    cdef uint32_t keys[PANEL]
    cdef vec slope
    for i from first <= i < end by PANEL:
        width = width_at(i, end)
        panel_keys(drop, l, i, width, keys)
        at = i * d
        for k in range(d):
            for j from 0 <= j < width by VL:
                slope = kept_slope(kind, drop.keep[l], vec_load(Z + at), vec_load(O + at))
                vec_store(Delta + at, kept(drop.keep[l], chance_of_samples(keys + j, <uint32_t>k),
                                           vec_load(Delta + at) * slope))
                at += VL

cdef inline void panel_keys(const dropout_t *drop, Py_ssize_t l, Py_ssize_t i, Py_ssize_t n,
                            uint32_t *keys_out) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(n):
        keys_out[j] = key_of(drop, l, i + j)

cdef void drop_inputs(const dropout_t *drop, Py_ssize_t d, Py_ssize_t first, Py_ssize_t end, Py_ssize_t n,
                      real *rows) noexcept nogil:
    """Of n samples that lie in rows, in panels of d columns."""
    cdef Py_ssize_t i, j, width
    for i in range(first, end):
        for j from 0 <= j < d by PANEL:
            width = width_at(j, d)
            drop_units(drop, 0, i, j, width, rows + j * n + i * width)
