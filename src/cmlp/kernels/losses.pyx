# Losses: for each, the output o of the network, the loss and delta_L = dL/dz_L, together.
#
# The output function belongs to the loss where that makes delta_L stable: softmax under cross-entropy, the sigmoid
# under binary cross-entropy, exp under Poisson.  The others, distances of o from y, take any activation.  A sample's
# loss is the sum over its outputs.  `scale` is a sample's weight divided by the batch size; delta comes out scaled.
# What has the factor 0 counts for nothing, even where it is infinite.
from libc.math cimport log as log_of_one

cdef enum:
    CROSS_ENTROPY, BINARY_CROSS_ENTROPY, POISSON, SQUARED_ERROR, ABSOLUTE_ERROR, HUBER, LOG_COSH, QUANTILE

cdef dict LOSS_CODES = {
    "cross_entropy": CROSS_ENTROPY, "binary_cross_entropy": BINARY_CROSS_ENTROPY,
    "poisson": POISSON, "squared_error": SQUARED_ERROR, "absolute_error": ABSOLUTE_ERROR, "huber": HUBER,
    "log_cosh": LOG_COSH, "quantile": QUANTILE,
}

cdef struct loss_t:
    int kind
    int s                   # the output's activation, of the distances
    real quantile           # of QUANTILE: the share of y that is to lie below o


cdef inline vec times(vec factor, vec v) noexcept nogil:
    """factor v, and 0 where the factor, which is not negative, is 0."""
    return vec_where_gt(factor, vec_set(0), factor * v, vec_set(0))


cdef inline vec binary_cross_entropy(vec z, vec y, vec *o_out, vec *delta_out) noexcept nogil:
    """-y ln o - (1 - y) ln(1 - o) with o = sigmoid(z), that is softplus(z) - y z, in terms that are not negative."""
    cdef vec e = vec_exp_below(-vec_abs(z))
    o_out[0] = vec_where_gt(vec_set(0), z, e, vec_set(1)) / (vec_set(1) + e)
    delta_out[0] = o_out[0] - y
    return vec_abs(z) * vec_where_gt(z, vec_set(0), vec_set(1) - y, y) + vec_log1p(e)


cdef inline vec sign(vec v) noexcept nogil:
    """-1, 0 or 1."""
    return vec_where_gt(v, vec_set(0), vec_set(1), vec_set(0)) - vec_where_gt(vec_set(0), v, vec_set(1), vec_set(0))

cdef inline vec log_cosh(vec a) noexcept nogil:
    """ln cosh a = a + ln(1 + exp(-2 a)) - ln 2 for a >= 0; near 0, where that cancels, five terms of its series."""
    cdef vec near, a2 = a * a
    cdef vec far = a + (vec_log1p(vec_exp_below(vec_set(-2) * a)) - vec_set(<real>0.69314718055994530942))
    near = horner(horner(vec_set(<real>(31.0 / 14175)), a2, <real>(-17.0 / 2520)), a2, <real>(1.0 / 45))
    near = a2 * horner(horner(near, a2, <real>(-1.0 / 12)), a2, <real>0.5)
    return vec_where_gt(vec_set(<real>(0.05 if CMLP_DOUBLE else 0.3)), a, near, far)

cdef inline vec half_difference(vec a, vec b) noexcept nogil:
    """(a - b) / 2, which cannot overflow."""
    return vec_set(<real>0.5) * a - vec_set(<real>0.5) * b

cdef inline vec distance(const loss_t *loss, vec o, vec y, vec *slope_out) noexcept nogil:
    """The loss of error = o - y and its derivative by o.

    squared: e^2 / 2.  absolute: |e|, with slope 0 at 0.  huber: e^2 / 2 for |e| <= 1, |e| - 1/2 beyond (Huber, 1964).
    log_cosh: ln cosh e.  quantile: (1 - q) e above 0, -q e below (Koenker and Bassett, 1978).
    """
    cdef vec error = o - y, q = vec_set(loss.quantile)
    if loss.kind == ABSOLUTE_ERROR:
        slope_out[0] = sign(error)
        return vec_abs(error)
    elif loss.kind == HUBER:
        slope_out[0] = vec_max(vec_set(-1), vec_min(vec_set(1), error))
        return slope_out[0] * (error - vec_set(<real>0.5) * slope_out[0])
    elif loss.kind == LOG_COSH:
        slope_out[0] = vec_tanh(error)
        return log_cosh(vec_abs(error))
    elif loss.kind == QUANTILE:
        slope_out[0] = vec_where_gt(error, vec_set(0), vec_set(1) - q, vec_where_gt(vec_set(0), error, -q, vec_set(0)))
        return (slope_out[0] + slope_out[0]) * half_difference(o, y)
    slope_out[0] = error
    return vec_set(<real>0.5) * error * error

cdef inline vec distance_of_output(const loss_t *loss, vec z, vec y, vec *o_out, vec *delta_out) noexcept nogil:
    """With o = s(z): dL/dz = dL/do s'(z)."""
    cdef vec value
    if loss.s == IDENTITY:
        o_out[0] = z
        return distance(loss, z, y, delta_out)
    o_out[0] = s(loss.s, z)
    value = distance(loss, o_out[0], y, delta_out)
    delta_out[0] = delta_out[0] * s_prime(loss.s, z, o_out[0])
    return value


cdef inline vec poisson(vec z, vec y, vec *o_out, vec *delta_out) noexcept nogil:
    """Half the Poisson deviance, y ln(y / o) - y + o with o = exp(z), y >= 0."""
    o_out[0] = vec_exp(z)
    delta_out[0] = o_out[0] - y
    return delta_out[0] + vec_where_gt(y, vec_set(0), y * (vec_log(y) - z), vec_set(0))


cdef inline vec loss_of_output(const loss_t *loss, vec z, vec y, vec *o_out, vec *delta_out) noexcept nogil:
    """Any loss that is a sum over independent outputs: all but cross-entropy."""
    if loss.kind == BINARY_CROSS_ENTROPY:
        return binary_cross_entropy(z, y, o_out, delta_out)
    elif loss.kind == POISSON:
        return poisson(z, y, o_out, delta_out)
    return distance_of_output(loss, z, y, o_out, delta_out)

cdef inline vec output(const loss_t *loss, vec z) noexcept nogil:
    """o where it follows from one z alone: all but softmax."""
    if loss.kind == BINARY_CROSS_ENTROPY:
        return vec_sigmoid(z)
    elif loss.kind == POISSON:
        return vec_exp(z)
    return s(loss.s, z)


# ---- one sample: z, o, y, delta of C entries, padded to whole vectors -------------------------

cdef inline vec lanes_or_least(vec z, Py_ssize_t left) noexcept nogil:
    """z in the first `left` lanes, the least number in the others."""
    cdef vec least = vec_set(-REAL_MAX)
    return z if left >= VL else vec_keep(z, left) + (least - vec_keep(least, left))

cdef inline vec softmax_one(Py_ssize_t C, const real *z, real *o_out, vec *largest_out) noexcept nogil:
    """o = exp(z - max z) / sum; returns the sum, in each lane.  The padding of o becomes 0."""
    cdef Py_ssize_t i
    cdef vec e, high = vec_set(-REAL_MAX), total = vec_set(0)
    for i from 0 <= i < C by VL:
        high = vec_max(high, lanes_or_least(vec_load(z + i), C - i))
    high = vec_highest(high, VL)
    for i from 0 <= i < C by VL:
        e = vec_keep(vec_exp_below(vec_load(z + i) - high), min(C - i, <Py_ssize_t>VL))
        vec_store(o_out + i, e)
        total = total + e
    total = vec_total(total, VL)
    e = vec_set(1 / vec_first(total))
    for i from 0 <= i < C by VL:
        vec_store(o_out + i, vec_load(o_out + i) * e)
    largest_out[0] = high
    return total

cdef inline real scaled_loss(real scale, vec total, vec half_dot) noexcept nogil:
    """scale (ln total - 2 half_dot); of one number the C library's logarithm is quicker than a vector's."""
    cdef double loss = log_of_one(vec_first(total)) - 2 * <double>vec_first(half_dot)
    return <real>(scale * loss) if scale > 0 else 0

cdef inline real cross_entropy_narrow(Py_ssize_t C, const real *z, const real *y, real scale,
                                      real *o_out, real *delta_out) noexcept nogil:
    """The same for C <= VL, one vector."""
    cdef vec zv = vec_load(z), yv = vec_load(y)
    cdef vec largest = vec_highest(lanes_or_least(zv, C), C)
    cdef vec e = vec_keep(vec_exp_below(zv - largest), C)
    cdef vec total = vec_total(e, C)
    cdef vec o = e * vec_set(1 / vec_first(total))
    vec_store(o_out, o)
    vec_store(delta_out, times(vec_set(scale), o - yv))
    return scaled_loss(scale, total, vec_total(vec_keep(times(yv, half_difference(zv, largest)), C), C))

cdef real cross_entropy_one(Py_ssize_t C, const real *z, const real *y, real scale,
                            real *o_out, real *delta_out) noexcept nogil:
    """-sum_k y_k ln o_k = ln(sum_k exp(z_k)) - sum_k y_k z_k, as sum_k y_k = 1; delta = o - y."""
    cdef Py_ssize_t i
    cdef vec largest, yv, total, dot = vec_set(0)
    if C <= VL:
        return cross_entropy_narrow(C, z, y, scale, o_out, delta_out)
    total = softmax_one(C, z, o_out, &largest)
    for i from 0 <= i < C by VL:
        yv = vec_load(y + i)
        dot = dot + vec_keep(times(yv, half_difference(vec_load(z + i), largest)), min(C - i, <Py_ssize_t>VL))
        vec_store(delta_out + i, times(vec_set(scale), vec_load(o_out + i) - yv))
    return scaled_loss(scale, total, vec_total(dot, VL))

cdef real loss_one(const loss_t *loss, Py_ssize_t C, const real *z, const real *y, real scale,
                   real *o_out, real *delta_out) noexcept nogil:
    """Fills o and the scaled delta_L; returns scale * loss."""
    cdef Py_ssize_t i
    cdef vec o, delta, total = vec_set(0)
    if loss.kind == CROSS_ENTROPY:
        return cross_entropy_one(C, z, y, scale, o_out, delta_out)
    for i from 0 <= i < C by VL:
        total = total + vec_keep(loss_of_output(loss, vec_load(z + i), vec_load(y + i), &o, &delta),
                                 min(C - i, <Py_ssize_t>VL))
        vec_store(o_out + i, o)
        vec_store(delta_out + i, times(vec_set(scale), delta))
    return vec_first(times(vec_set(scale), vec_set(vec_sum(total))))

cdef void output_one(const loss_t *loss, Py_ssize_t C, const real *z, real *o_out) noexcept nogil:
    cdef Py_ssize_t i
    cdef vec largest
    if loss.kind == CROSS_ENTROPY:
        softmax_one(C, z, o_out, &largest)
        return
    for i from 0 <= i < C by VL:
        vec_store(o_out + i, output(loss, vec_load(z + i)))


# ---- a batch: Z, O, Y, Delta are C x n in panels -------------------------------------------------

cdef inline vec softmax_columns(Py_ssize_t C, Py_ssize_t ld, const real *Z, real *O_out, vec *high_out) noexcept nogil:
    """softmax down one vector of columns; returns the sums of exp(z - max z).  O may be Z."""
    cdef Py_ssize_t k
    cdef vec e, high = vec_load(Z), total = vec_set(0)
    for k in range(1, C):
        high = vec_max(high, vec_load(Z + k * ld))
    for k in range(C):
        e = vec_exp_below(vec_load(Z + k * ld) - high)
        vec_store(O_out + k * ld, e)
        total = total + e
    e = vec_set(1) / total
    for k in range(C):
        vec_store(O_out + k * ld, vec_load(O_out + k * ld) * e)
    high_out[0] = high
    return total

cdef inline vec cross_entropy_columns(Py_ssize_t C, Py_ssize_t ld, const real *Z, const real *Y, vec scale,
                                      real *O_out, real *Delta_out) noexcept nogil:
    cdef Py_ssize_t k
    cdef vec high, total, y, dot = vec_set(0)
    total = softmax_columns(C, ld, Z, O_out, &high)
    for k in range(C):
        y = vec_load(Y + k * ld)
        dot = dot + times(y, half_difference(vec_load(Z + k * ld), high))
        vec_store(Delta_out + k * ld, times(scale, vec_load(O_out + k * ld) - y))
    return vec_log(total) - (dot + dot)

cdef real loss_panel(const loss_t *loss, Py_ssize_t C, Py_ssize_t width, const real *Z, const real *Y,
                     const real *scale, real *O_out, real *Delta_out) noexcept nogil:
    """Fills O and the scaled Delta_L of a panel, O apart from Z; returns the sum of scale * loss over its samples."""
    cdef Py_ssize_t j, k
    cdef vec o, delta, sample, weight, total = vec_set(0)
    for j from 0 <= j < width by VL:
        weight = vec_load(scale + j)
        if loss.kind == CROSS_ENTROPY:
            sample = cross_entropy_columns(C, width, Z + j, Y + j, weight, O_out + j, Delta_out + j)
        else:
            sample = vec_set(0)
            for k from j <= k < C * width by width:
                sample = sample + loss_of_output(loss, vec_load(Z + k), vec_load(Y + k), &o, &delta)
                vec_store(O_out + k, o)
                vec_store(Delta_out + k, times(weight, delta))
        total = total + times(weight, sample)
    return vec_sum(total)

cdef void output_panel(const loss_t *loss, Py_ssize_t C, Py_ssize_t width, const real *Z, real *O_out) noexcept nogil:
    cdef Py_ssize_t j
    cdef vec high
    if loss.kind == CROSS_ENTROPY:
        for j from 0 <= j < width by VL:
            softmax_columns(C, width, Z + j, O_out + j, &high)
        return
    for j from 0 <= j < C * width by VL:
        vec_store(O_out + j, output(loss, vec_load(Z + j)))
