# Products with one vector, for one sample at a time: z = W x + b, W^T delta, W - eta delta o^T.
#
# W is d_out x d_in, a contiguous row per unit, with no padding between the rows, so the last
# vector of a row is loaded and stored by lanes.  Sums of VL rows are finished together: adding up the
# lanes of a single row would cost as much as a row of 64 products.

from libc.string cimport memset

cdef enum:
    LONG_ROW = 256      # passing over a row of this length saves more than the branch costs


cdef inline void dot_8_rows(const real *W, Py_ssize_t step, Py_ssize_t rows, Py_ssize_t d_in, const real *x,
                            vec total[8]) noexcept nogil:
    """total[r]: the products of row r step and x, lane by lane; of the last one again where there is no such row."""
    cdef const real *row[8]
    cdef vec xv
    cdef Py_ssize_t i, r
    row[0] = W
    for r in range(1, 8):
        row[r] = row[r - 1] + (step * d_in if r * step < rows else 0)
    for r in range(8):
        total[r] = vec_set(0)
    for i from 0 <= i <= d_in - VL by VL:
        xv = vec_load(x + i)
        for r in range(8):
            total[r] = total[r] + vec_load(row[r] + i) * xv
    i = d_in // VL * VL
    if i < d_in:
        xv = vec_load_n(x + i, d_in - i)
        for r in range(8):
            total[r] = total[r] + vec_load_n(row[r] + i, d_in - i) * xv

cdef inline vec product_of_rows(const real *W, Py_ssize_t rows, Py_ssize_t d_in, const real *x) noexcept nogil:
    """The first VL >= 8 rows of W x; what comes after row `rows` is finite."""
    cdef vec even[8]
    cdef vec odd[8]
    dot_8_rows(W, VL // 8, rows, d_in, x, even)
    if VL == 8:
        return vec_sum_rows(even, 8)
    cdef vec sum_of_even = vec_sum_rows(even, 8)
    dot_8_rows(W + (d_in if rows > 1 else 0), VL // 8, rows - 1, d_in, x, odd)
    return vec_fold(sum_of_even, vec_sum_rows(odd, 8))

cdef void matvec(Py_ssize_t d_out, Py_ssize_t d_in, const real *W, const real *b, const real *x,
                 real *z_out) noexcept nogil:
    """z = W x + b (b may be NULL); z has room for whole vectors, its padding is left finite."""
    cdef vec total[8]
    cdef vec z
    cdef Py_ssize_t j, r, left
    for j from 0 <= j < d_out by ROW_BLOCK:
        if VL < 8:
            dot_8_rows(W + j * d_in, 1, d_out - j, d_in, x, total)
        for r from 0 <= r < ROW_BLOCK by VL:
            left = d_out - j - r
            if left > 0:
                z = vec_sum_rows(total + r, VL) if VL < 8 else product_of_rows(W + j * d_in, left, d_in, x)
                vec_store(z_out + j + r, z + load_part(b + j + r, left) if b != NULL else z)


cdef inline vec updated(vec w, vec o, vec step, bint shrinks, real shrink) noexcept nogil:
    """w + (step o - shrink w), step = -eta delta_j, shrink = eta alpha; 1 - shrink would round a small shrink away."""
    if not shrinks:
        return w + step * o
    return w + (step * o - vec_set(shrink) * w)

cdef inline void pull_wide(int vecs, Py_ssize_t d_out, Py_ssize_t d_in, real *W, const real *delta, real *y_out,
                           bint update, const real *o, real eta, bint shrinks, real shrink) noexcept nogil:
    """`vecs` vectors of y = W^T delta; with `update` the same columns of W <- W - eta delta o^T - shrink W."""
    cdef vec total[4]
    cdef vec o_vec[4]
    cdef vec w, d, step
    cdef Py_ssize_t j, v
    for v in range(vecs):
        total[v] = vec_set(0)
        if update:
            o_vec[v] = vec_load(o + v * VL)
    for j in range(d_out):
        d = vec_set(delta[j])
        step = vec_set(-eta) * d
        for v in range(vecs):
            w = vec_load(W + j * d_in + v * VL)
            total[v] = total[v] + d * w
            if update:
                vec_store(W + j * d_in + v * VL, updated(w, o_vec[v], step, shrinks, shrink))
    for v in range(vecs):
        vec_store(y_out + v * VL, total[v])

cdef inline void pull_narrow(Py_ssize_t n, Py_ssize_t d_out, Py_ssize_t d_in, real *W, const real *delta,
                             real *y_out, bint update, const real *o, real eta, bint shrinks,
                             real shrink) noexcept nogil:
    """The same for n < VL columns."""
    cdef vec w, d, total = vec_set(0), o_vec = vec_load_n(o, n) if update else vec_set(0)
    cdef Py_ssize_t j
    for j in range(d_out):
        d = vec_set(delta[j])
        w = vec_load_n(W + j * d_in, n)
        total = total + d * w
        if update:
            vec_store_n(W + j * d_in, updated(w, o_vec, vec_set(-eta) * d, shrinks, shrink), n)
    vec_store(y_out, total)

cdef inline void pull(Py_ssize_t d_out, Py_ssize_t d_in, real *W, const real *delta, real *y_out,
                      bint update, const real *o, real eta, bint shrinks, real shrink) noexcept nogil:
    cdef Py_ssize_t i = 0
    while i + 4 * VL <= d_in:
        pull_wide(4, d_out, d_in, W + i, delta, y_out + i, update, o + i if update else NULL, eta, shrinks, shrink)
        i += 4 * VL
    while i + VL <= d_in:
        pull_wide(1, d_out, d_in, W + i, delta, y_out + i, update, o + i if update else NULL, eta, shrinks, shrink)
        i += VL
    if i < d_in:
        pull_narrow(d_in - i, d_out, d_in, W + i, delta, y_out + i, update, o + i if update else NULL, eta,
                    shrinks, shrink)

cdef void matvec_t(Py_ssize_t d_out, Py_ssize_t d_in, const real *W, const real *delta, real *y_out) noexcept nogil:
    """y = W^T delta; y has room for whole vectors, its padding becomes 0."""
    pull(d_out, d_in, <real *>W, delta, y_out, False, NULL, 0, False, 0)

cdef inline void add_rows(int rows, Py_ssize_t d_in, const real *W, const real *delta, real *y) noexcept nogil:
    """y += delta_0 w_0 + delta_1 w_1 + ..."""
    cdef Py_ssize_t i, r
    cdef vec total
    for i from 0 <= i < d_in by VL:
        total = vec_load(y + i)
        for r in range(rows):
            total = total + vec_set(delta[r]) * load_part(W + r * d_in + i, d_in - i)
        vec_store(y + i, total)

cdef void matvec_t_large(Py_ssize_t d_out, Py_ssize_t d_in, const real *W, const real *delta,
                         real *y_out) noexcept nogil:
    """y = W^T delta, row after row, from the last one up: W has just been read downwards, and its end is cached."""
    cdef Py_ssize_t j = d_out
    memset(y_out, 0, padded(d_in) * sizeof(real))
    while j >= 8:
        j -= 8
        add_rows(8, d_in, W + j * d_in, delta + j, y_out)
    while j > 0:
        j -= 1
        add_rows(1, d_in, W + j * d_in, delta + j, y_out)

cdef void matvec_t_rank1(Py_ssize_t d_out, Py_ssize_t d_in, real *W, const real *delta, const real *o,
                         real eta, real shrink, real *y_out) noexcept nogil:
    """y = W^T delta with the weights as they were, and W <- W - eta delta o^T - shrink W, in one pass over W."""
    if shrink == 0:
        pull(d_out, d_in, W, delta, y_out, True, o, eta, False, 0)
    else:
        pull(d_out, d_in, W, delta, y_out, True, o, eta, True, shrink)

cdef inline void rank1_rows(Py_ssize_t d_out, Py_ssize_t d_in, real *W, const real *delta, const real *o,
                            real eta, bint shrinks, real shrink) noexcept nogil:
    cdef Py_ssize_t i, j, v, left
    cdef bint skip = not shrinks and d_in >= LONG_ROW
    cdef real step
    cdef vec w
    cdef real *row
    for j in range(d_out):
        step = -eta * delta[j]
        if skip and step == 0:
            continue
        row = W + j * d_in
        for i from 0 <= i <= d_in - 4 * VL by 4 * VL:
            for v in range(4):
                vec_store(row + i + v * VL,
                          updated(vec_load(row + i + v * VL), vec_load(o + i + v * VL), vec_set(step), shrinks, shrink))
        for i from d_in // (4 * VL) * (4 * VL) <= i < d_in by VL:
            left = d_in - i
            w = updated(load_part(row + i, left), load_part(o + i, left), vec_set(step), shrinks, shrink)
            store_part(row + i, w, left)

cdef void rank1(Py_ssize_t d_out, Py_ssize_t d_in, real *W, const real *delta, const real *o,
                real eta, real shrink) noexcept nogil:
    """W <- W - eta delta o^T - shrink W.  Without shrink a long row is left alone if its delta is 0, as under ReLU."""
    if shrink == 0:
        rank1_rows(d_out, d_in, W, delta, o, eta, False, 0)
    else:
        rank1_rows(d_out, d_in, W, delta, o, eta, True, shrink)


cdef void outer(Py_ssize_t d_out, Py_ssize_t d_in, const real *delta, const real *o, real *G_out) noexcept nogil:
    """G = delta o^T."""
    cdef Py_ssize_t i, j
    for j in range(d_out):
        for i from 0 <= i < d_in by VL:
            store_part(G_out + j * d_in + i, vec_set(delta[j]) * load_part(o + i, d_in - i), d_in - i)


cdef void add_scaled(Py_ssize_t n, real a, const real *x, real *y) noexcept nogil:
    """y <- y + a x."""
    cdef Py_ssize_t i
    for i from 0 <= i < n by VL:
        store_part(y + i, load_part(y + i, n - i) + vec_set(a) * load_part(x + i, n - i), n - i)


cdef inline vec four_sums(const vec total[4]) noexcept nogil:
    return (total[0] + total[1]) + (total[2] + total[3])

cdef double dot(Py_ssize_t n, const real *x, const real *y) noexcept nogil:
    """x . y, in four sums: one would wait for each of its additions."""
    cdef Py_ssize_t i, v
    cdef vec total[4]
    for v in range(4):
        total[v] = vec_set(0)
    for i from 0 <= i <= n - 4 * VL by 4 * VL:
        for v in range(4):
            total[v] = total[v] + vec_load(x + i + v * VL) * vec_load(y + i + v * VL)
    for i from n // (4 * VL) * (4 * VL) <= i < n by VL:
        total[0] = total[0] + load_part(x + i, n - i) * load_part(y + i, n - i)
    return vec_sum(four_sums(total))

cdef inline double sum_of_squares(Py_ssize_t n, const real *x) noexcept nogil:
    return dot(n, x, x)


cdef bint all_finite(Py_ssize_t n, const real *x) noexcept nogil:
    """No NaN and no infinity among them: 0 x is 0 for every finite x."""
    cdef Py_ssize_t i, v
    cdef vec total[4]
    for v in range(4):
        total[v] = vec_set(0)
    for i from 0 <= i <= n - 4 * VL by 4 * VL:
        for v in range(4):
            total[v] = total[v] + vec_set(0) * vec_load(x + i + v * VL)
    for i from n // (4 * VL) * (4 * VL) <= i < n by VL:
        total[0] = total[0] + vec_set(0) * load_part(x + i, n - i)
    return vec_sum(four_sums(total)) == 0
