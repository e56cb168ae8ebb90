# Activations: each s(z) and its derivative s'(z) side by side, the derivative from z and o = s(z).

cdef enum:
    IDENTITY, RELU, SIGMOID, TANH, LEAKY_RELU, ELU, SELU, SOFTPLUS, SILU, GELU

cdef dict ACTIVATION_CODES = {
    "identity": IDENTITY, "relu": RELU, "sigmoid": SIGMOID, "tanh": TANH, "leaky_relu": LEAKY_RELU,
    "elu": ELU, "selu": SELU, "softplus": SOFTPLUS, "silu": SILU, "gelu": GELU,
}


cdef inline vec relu(vec z) noexcept nogil:
    return vec_max(vec_set(0), z)

cdef inline vec relu_prime(vec z) noexcept nogil:
    """[z > 0]: 0 at z = 0."""
    return vec_where_gt(z, vec_set(0), vec_set(1), vec_set(0))


cdef inline vec sigmoid(vec z) noexcept nogil:
    return vec_sigmoid(z)

cdef inline vec sigmoid_prime(vec o) noexcept nogil:
    return o * (vec_set(1) - o)


cdef inline vec tanh(vec z) noexcept nogil:
    return vec_tanh(z)

cdef inline vec tanh_prime(vec o) noexcept nogil:
    return vec_set(1) - o * o


cdef inline vec leaky_relu(vec z) noexcept nogil:
    """z above 0, 0.01 z elsewhere."""
    return vec_where_gt(z, vec_set(0), z, vec_set(<real>0.01) * z)

cdef inline vec leaky_relu_prime(vec z) noexcept nogil:
    return vec_where_gt(z, vec_set(0), vec_set(1), vec_set(<real>0.01))


cdef inline vec elu(vec z) noexcept nogil:
    """z above 0, exp(z) - 1 elsewhere."""
    return vec_where_gt(z, vec_set(0), z, vec_expm1(vec_min(vec_set(0), z)))

cdef inline vec elu_prime(vec z) noexcept nogil:
    return vec_where_gt(z, vec_set(0), vec_set(1), vec_exp(vec_min(vec_set(0), z)))


# SELU is scale * ELU with slope `alpha` below 0 (Klambauer et al., 2017, equation 14).
cdef inline vec selu(vec z) noexcept nogil:
    cdef vec below = vec_set(<real>1.6732632423543772848) * vec_expm1(vec_min(vec_set(0), z))
    return vec_set(<real>1.0507009873554804934) * vec_where_gt(z, vec_set(0), z, below)

cdef inline vec selu_prime(vec z) noexcept nogil:
    cdef vec below = vec_set(<real>1.6732632423543772848) * vec_exp(vec_min(vec_set(0), z))
    return vec_set(<real>1.0507009873554804934) * vec_where_gt(z, vec_set(0), vec_set(1), below)


cdef inline vec softplus(vec z) noexcept nogil:
    return vec_softplus(z)

cdef inline vec softplus_prime(vec z) noexcept nogil:
    return vec_sigmoid(z)


cdef inline vec within_range(vec z) noexcept nogil:
    """Infinities become the largest numbers, so that 0 times them is 0, as in the limit."""
    return vec_min(vec_set(REAL_MAX), vec_max(vec_set(-REAL_MAX), z))


cdef inline vec silu(vec z) noexcept nogil:
    """z sigmoid(z); 0 at -inf."""
    return vec_max(vec_set(-REAL_MAX), z) * vec_sigmoid(z)

cdef inline vec silu_prime(vec z) noexcept nogil:
    cdef vec p = vec_sigmoid(z)
    return p * (vec_set(1) + within_range(z) * (vec_set(1) - p))


cdef inline vec gelu(vec z) noexcept nogil:
    """z Phi(z), with Phi the normal distribution function (Hendrycks and Gimpel, 2016)."""
    return vec_max(vec_set(-REAL_MAX), z) * vec_phi(z)

cdef inline vec gelu_prime(vec z) noexcept nogil:
    """Phi(z) + z phi(z)."""
    cdef vec density = vec_set(<real>0.39894228040143267794) * vec_exp(vec_set(<real>-0.5) * z * z)
    return vec_phi(z) + within_range(z) * density


cdef inline vec s(int kind, vec z) noexcept nogil:
    if kind == RELU:
        return relu(z)
    elif kind == SIGMOID:
        return sigmoid(z)
    elif kind == TANH:
        return tanh(z)
    elif kind == LEAKY_RELU:
        return leaky_relu(z)
    elif kind == ELU:
        return elu(z)
    elif kind == SELU:
        return selu(z)
    elif kind == SOFTPLUS:
        return softplus(z)
    elif kind == SILU:
        return silu(z)
    elif kind == GELU:
        return gelu(z)
    return z

cdef inline vec s_prime(int kind, vec z, vec o) noexcept nogil:
    if kind == RELU:
        return relu_prime(z)
    elif kind == SIGMOID:
        return sigmoid_prime(o)
    elif kind == TANH:
        return tanh_prime(o)
    elif kind == LEAKY_RELU:
        return leaky_relu_prime(z)
    elif kind == ELU:
        return elu_prime(z)
    elif kind == SELU:
        return selu_prime(z)
    elif kind == SOFTPLUS:
        return softplus_prime(z)
    elif kind == SILU:
        return silu_prime(z)
    elif kind == GELU:
        return gelu_prime(z)
    return vec_set(1)


cdef inline void each_s(int kind, const real *z, real *o_out, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i from 0 <= i < n by VL:
        vec_store(o_out + i, s(kind, vec_load(z + i)))

cdef inline void each_s_prime(int kind, const real *z, const real *o, real *delta, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i from 0 <= i < n by VL:
        vec_store(delta + i, vec_load(delta + i) * s_prime(kind, vec_load(z + i), vec_load(o + i)))


# With the kind as a constant it is chosen before the loop, not within, where relu itself takes no longer.

cdef void activate(int kind, const real *z, real *o_out, Py_ssize_t n) noexcept nogil:
    """o = s(z); n a whole number of vectors."""
    if kind == RELU:
        each_s(RELU, z, o_out, n)
    else:
        each_s(kind, z, o_out, n)

cdef void activation_delta(int kind, const real *z, const real *o, real *delta, Py_ssize_t n) noexcept nogil:
    """delta <- delta * s'(z); n a whole number of vectors."""
    if kind == RELU:
        each_s_prime(RELU, z, o, delta, n)
    else:
        each_s_prime(kind, z, o, delta, n)
