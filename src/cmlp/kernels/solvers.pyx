# Solvers: one update of a run of parameters p from their gradient g, over the flat block.
#
# `decay` is alpha / n for weights and 0 for biases: it enters the gradient as g + decay p, but for
# AdamW, where it shrinks p on its own (Loshchilov and Hutter, 2019).  The state is two runs as long as p:
# m (velocity, first moment) and v (second moment).
from libc.math cimport pow, sqrt

cdef enum:
    SGD, ADAM, ADAMW, RMSPROP

cdef dict SOLVER_CODES = {"sgd": SGD, "adam": ADAM, "adamw": ADAMW, "rmsprop": RMSPROP}

cdef struct solver_t:
    int kind
    double learning_rate, momentum, alpha, beta_1, beta_2, epsilon
    bint nesterov
    bint epsilon_outside    # scikit-learn's Adam: epsilon outside the bias correction
    long long t             # updates so far, this one included
    double clip_norm        # the most that the gradient's norm may be, 0 for any

cdef struct constants_t:    # of one update, in the precision of the parameters
    real eta, mu, beta_1, rest_1, beta_2, rest_2, step, epsilon


cdef constants_t constants_of(const solver_t *solver) noexcept nogil:
    """Adam's eta m_hat / (sqrt(v_hat) + epsilon), with m_hat = m / (1 - b1^t) and v_hat = v / (1 - b2^t)
    (Kingma and Ba, 2015, algorithm 1), is step m / (sqrt(v) + epsilon root) with root = sqrt(1 - b2^t)
    and step = eta root / (1 - b1^t); scikit-learn leaves the epsilon as it is.
    """
    cdef constants_t c
    cdef bint corrected = solver.kind == ADAM or solver.kind == ADAMW
    cdef double root = sqrt(1 - pow(solver.beta_2, <double>solver.t)) if corrected else 1
    c.eta = <real>solver.learning_rate
    c.mu = <real>solver.momentum
    c.beta_1 = <real>solver.beta_1
    c.rest_1 = <real>(1 - solver.beta_1)
    c.beta_2 = <real>solver.beta_2
    c.rest_2 = <real>(1 - solver.beta_2)
    c.step = <real>(solver.learning_rate * root / (1 - pow(solver.beta_1, <double>solver.t))) if corrected else 0
    c.epsilon = max(REAL_MIN, <real>(solver.epsilon if solver.epsilon_outside else solver.epsilon * root))
    return c


cdef inline vec sgd(const constants_t *c, bint nesterov, vec p, vec g, vec *m) noexcept nogil:
    """m <- mu m - eta g;  p + m, or p + mu m - eta g with Nesterov's correction."""
    m[0] = vec_set(c.mu) * m[0] - vec_set(c.eta) * g
    return p + (vec_set(c.mu) * m[0] - vec_set(c.eta) * g if nesterov else m[0])


cdef inline vec squarable(vec g) noexcept nogil:
    """g, but no farther out than its square can be held: else v were infinite and its parameter would never move again.
    """
    return vec_max(vec_set(-SQUARABLE), vec_min(vec_set(SQUARABLE), g))     # in this order NaN stays NaN

cdef inline vec second_moment(const constants_t *c, vec g, vec v) noexcept nogil:
    """b2 v + (1 - b2) g^2."""
    return vec_set(c.beta_2) * v + vec_set(c.rest_2) * g * g

cdef inline vec adam(const constants_t *c, vec p, vec g, vec *m, vec *v) noexcept nogil:
    """m <- b1 m + (1 - b1) g, v <- b2 v + (1 - b2) g^2;  p - step m / (sqrt(v) + epsilon)."""
    g = squarable(g)
    m[0] = vec_set(c.beta_1) * m[0] + vec_set(c.rest_1) * g
    v[0] = second_moment(c, g, v[0])
    return p - vec_set(c.step) * m[0] / (vec_sqrt(v[0]) + vec_set(c.epsilon))


cdef inline vec rmsprop(const constants_t *c, vec p, vec g, vec *m, vec *v) noexcept nogil:
    """v <- b2 v + (1 - b2) g^2, m <- mu m + g / (sqrt(v) + epsilon);  p - eta m."""
    g = squarable(g)
    v[0] = second_moment(c, g, v[0])
    m[0] = vec_set(c.mu) * m[0] + g / (vec_sqrt(v[0]) + vec_set(c.epsilon))
    return p - vec_set(c.eta) * m[0]


cdef inline vec update_vec(int kind, bint nesterov, const constants_t *c, vec decay, vec p, vec g,
                           vec *m, vec *v) noexcept nogil:
    if kind == ADAMW:
        return adam(c, p - vec_set(c.eta) * decay * p, g, m, v)
    g = g + decay * p
    if kind == ADAM:
        return adam(c, p, g, m, v)
    elif kind == RMSPROP:
        return rmsprop(c, p, g, m, v)
    return sgd(c, nesterov, p, g, m)


cdef inline void update_rows(int kind, bint nesterov, const constants_t *c, Py_ssize_t rows, Py_ssize_t n, real decay,
                             const real *delta, const real *o, real *p, real *m, real *v) noexcept nogil:
    cdef vec pv, mv, vv, d
    cdef Py_ssize_t i, j, at
    for j in range(rows):
        d = vec_set(delta[j])
        for i from 0 <= i < n by VL:
            at = j * n + i
            mv = load_part(m + at, n - i)
            vv = load_part(v + at, n - i) if kind != SGD else vec_set(0)
            pv = update_vec(kind, nesterov, c, vec_set(decay), load_part(p + at, n - i), d * load_part(o + i, n - i),
                            &mv, &vv)
            store_part(p + at, pv, n - i)
            store_part(m + at, mv, n - i)
            if kind != SGD:
                store_part(v + at, vv, n - i)

cdef void update_outer(const solver_t *solver, const constants_t *c, Py_ssize_t rows, Py_ssize_t n, real decay,
                       const real *delta, const real *o, real *p, real *m, real *v) noexcept nogil:
    """One update of a rows x n block of parameters whose gradient is delta o^T; c are the constants of this update."""
    if solver.kind == ADAM:
        update_rows(ADAM, False, c, rows, n, decay, delta, o, p, m, v)
    elif solver.kind == ADAMW:
        update_rows(ADAMW, False, c, rows, n, decay, delta, o, p, m, v)
    elif solver.kind == RMSPROP:
        update_rows(RMSPROP, False, c, rows, n, decay, delta, o, p, m, v)
    elif solver.nesterov:
        update_rows(SGD, True, c, rows, n, decay, delta, o, p, m, v)
    else:
        update_rows(SGD, False, c, rows, n, decay, delta, o, p, m, v)

cdef inline void solver_update(const solver_t *solver, const constants_t *c, Py_ssize_t n, real decay, const real *g,
                               real *p, real *m, real *v) noexcept nogil:
    """One update of p[:n]."""
    cdef real one = 1
    update_outer(solver, c, 1, n, decay, &one, g, p, m, v)


cdef inline bint needs_state(const solver_t *solver) noexcept nogil:
    """All but plain SGD, p <- p - eta (g + decay p), do."""
    return solver.kind != SGD or solver.momentum != 0


cdef void plain_sgd_update(Py_ssize_t n, real eta, real decay, const real *g, real *p) noexcept nogil:
    """p <- p - eta (g + decay p)."""
    cdef Py_ssize_t i
    cdef vec pv
    for i from 0 <= i < n by VL:
        pv = load_part(p + i, n - i)
        store_part(p + i, pv - vec_set(eta) * (load_part(g + i, n - i) + vec_set(decay) * pv), n - i)
