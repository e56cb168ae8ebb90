# Samples as the caller holds them, dense or sparse, and the few of them that are at hand.

cdef struct samples_t:      # n of them, never copied whole
    const real *X           # n x d_0, or the entries of sparse rows:
    const intptr_t *starts  # n + 1 places in X where a row begins, NULL for dense X
    const int *columns      # of each entry
    const intptr_t *labels  # n class indices, or NULL and
    const real *Y           # n x C target rows
    const real *weights     # n, or NULL for ones
    bint relative           # a batch's loss is divided by the sum of its weights, not by the number of its samples


cdef inline intptr_t row_of(const intptr_t *index, Py_ssize_t i) noexcept nogil:
    return index[i] if index != NULL else i

cdef inline real weight_of(const samples_t *samples, intptr_t i) noexcept nogil:
    return samples.weights[i] if samples.weights != NULL else 1

cdef inline bint is_relative(const samples_t *samples) noexcept nogil:
    return samples.relative and samples.weights != NULL

cdef double divisor_of(const samples_t *samples, const intptr_t *index, Py_ssize_t n) noexcept nogil:
    """What the loss of the n samples, as a batch, is divided by."""
    cdef Py_ssize_t i
    cdef double total = 0
    if not is_relative(samples):
        return <double>n
    for i in range(n):
        total += weight_of(samples, row_of(index, i))
    return total


cdef inline void put_label(const samples_t *samples, intptr_t i, Py_ssize_t C, real *row, Py_ssize_t ld) noexcept nogil:
    """1 in the place of sample i's class.  Labels are the caller's, who may have changed them since they were checked:
    those of no class make the loss infinite, which ends the training.
    """
    cdef intptr_t label = samples.labels[i]
    if 0 <= label < C:
        row[label * ld] = 1
    else:
        row[0] = INFINITY

cdef inline samples_t from_row(const network_t *net, const samples_t *samples, Py_ssize_t start) noexcept nogil:
    """The samples from `start` on."""
    cdef samples_t rest = samples[0]
    if samples.starts != NULL:
        rest.starts = samples.starts + start
    else:
        rest.X = samples.X + start * net.d[0]
    if samples.labels != NULL:
        rest.labels = samples.labels + start
    else:
        rest.Y = samples.Y + start * net.d[net.L]
    if samples.weights != NULL:
        rest.weights = samples.weights + start
    return rest


cdef inline void load_sample(const network_t *net, const samples_t *samples, intptr_t i, const dropout_t *drop,
                             sample_t *at) noexcept nogil:
    cdef Py_ssize_t k, C = net.d[net.L]
    if samples.starts == NULL:
        at.o[0] = samples.X + i * net.d[0]
    else:
        at.o[0] = at.x
        memset(at.x, 0, net.d[0] * sizeof(real))
        for k in range(samples.starts[i], samples.starts[i + 1]):
            at.x[samples.columns[k]] += samples.X[k]
    if drops(drop, 0):
        if samples.starts == NULL:
            memcpy(at.x, at.o[0], net.d[0] * sizeof(real))
            at.o[0] = at.x
        drop_units(drop, 0, 0, 0, padded(net.d[0]), at.x)
    for k from 0 <= k < C by VL:
        vec_store(at.y + k, vec_set(0) if samples.labels != NULL else load_part(samples.Y + i * C + k, C - k))
    if samples.labels != NULL:
        put_label(samples, i, C, at.y, 1)


cdef void gather_inputs(const network_t *net, Py_ssize_t first, Py_ssize_t end, Py_ssize_t n,
                        const samples_t *samples, const intptr_t *index, real *panels_out) noexcept nogil:
    """Inputs `first` to `end` of n samples, in panels, padded with 0."""
    cdef Py_ssize_t i, k, c, d = net.d[0], width
    cdef intptr_t row
    if samples.starts == NULL:
        gather_rows(first, end, n, d, samples.X, index, panels_out)
        return
    for i in range(first, end):
        row = row_of(index, i)
        for c from 0 <= c < d by PANEL:
            width = width_at(c, d)
            memset(panels_out + c * n + i * width, 0, width * sizeof(real))
        for k in range(samples.starts[row], samples.starts[row + 1]):
            c = samples.columns[k]
            panels_out[panel_at(c, n, d) + i * width_at(c // PANEL * PANEL, d)] += samples.X[k]


cdef void load_batch(const network_t *net, const samples_t *samples, const intptr_t *index, Py_ssize_t n,
                     Py_ssize_t first, Py_ssize_t end, double divisor, const dropout_t *drop,
                     batch_t *at) noexcept nogil:
    """Samples `first` to `end` of n: X^T, X (of sparse ones neither), Y^T, and scale = weight / divisor; the padding
    becomes 0.
    """
    cdef Py_ssize_t i, C = net.d[net.L]
    cdef samples_t mine = from_row(net, samples, first) if index == NULL else samples[0]
    cdef const intptr_t *order = index + first if index != NULL else NULL
    if at.sparse == NULL:
        gather_inputs(net, first, end, n, samples, index, at.rows[0])
        if drops(drop, 0):
            drop_inputs(drop, net.d[0], first, end, n, at.rows[0])
        transpose_panels(first, end, n, net.d[0], False, at.rows[0], at.X_t)
    if samples.labels != NULL:
        memset(at.Y + first * C, 0, C * padded(end - first) * sizeof(real))
        for i in range(first, end):
            put_label(samples, row_of(index, i), C, at.Y + panel_at(i, C, end), width_at(i // PANEL * PANEL, end))
    else:
        columns_of(end - first, C, mine.Y, order, at.Y + first * C)
    for i in range(first, first + padded(end - first)):
        at.scale[i] = <real>(<double>weight_of(samples, row_of(index, i)) / divisor) if i < end else 0

cdef inline Py_ssize_t panel_at(Py_ssize_t i, Py_ssize_t rows, Py_ssize_t n) noexcept nogil:
    """Where column i of a rows x n matrix in panels begins."""
    return i // PANEL * PANEL * rows + i % PANEL
