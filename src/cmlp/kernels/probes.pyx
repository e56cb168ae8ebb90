# Each kernel on its own, for the tests: arrays in, a new array out.
import numpy as np


cdef real *at(a) except? NULL:
    if not is_real_array(a, cnp.PyArray_NDIM(a)):
        raise TypeError("expected a C-contiguous array of this precision")
    return <real *>cnp.PyArray_DATA(<cnp.ndarray>a)

cdef object new(shape):
    return np.zeros(shape, dtype=np.float64 if CMLP_DOUBLE else np.float32)


def vector_lanes():
    """Lanes of a vector."""
    return VL


def elementary(str name, x):
    """exp, expm1, log, log1p, sigmoid, tanh, softplus, phi or phi_tail of every entry."""
    cdef Py_ssize_t i, n = x.size
    cdef dict codes = {"exp": 0, "expm1": 1, "log": 2, "log1p": 3, "sigmoid": 4, "tanh": 5, "softplus": 6, "phi": 7}
    cdef int code = codes[name]
    cdef real *data = at(x)
    out = new(x.shape)
    cdef real *result = at(out)
    cdef vec v
    for i from 0 <= i < n by VL:
        v = load_part(data + i, n - i)
        if code == 0:
            v = vec_exp(v)
        elif code == 1:
            v = vec_expm1(v)
        elif code == 2:
            v = vec_log(v)
        elif code == 3:
            v = vec_log1p(v)
        elif code == 4:
            v = vec_sigmoid(v)
        elif code == 5:
            v = vec_tanh(v)
        elif code == 6:
            v = vec_softplus(v)
        else:
            v = vec_phi(v)
        store_part(result + i, v, n - i)
    return out


def activation(str name, z):
    """s(z) and s'(z) of every entry of z."""
    cdef Py_ssize_t i, n = z.size
    cdef int kind = ACTIVATION_CODES[name]
    o, slope = new(z.shape), new(z.shape)
    cdef vec zv, ov
    for i from 0 <= i < n by VL:
        zv = load_part(at(z) + i, n - i)
        ov = s(kind, zv)
        store_part(at(o) + i, ov, n - i)
        store_part(at(slope) + i, s_prime(kind, zv, ov), n - i)
    return o, slope


cdef object widened(a):
    """A copy with the last axis zero-padded to whole vectors."""
    out = new(a.shape[: a.ndim - 1] + (padded(a.shape[a.ndim - 1]),))
    out[..., :a.shape[a.ndim - 1]] = a
    return out


def product(W, x, b):
    """W x + b."""
    z = new(padded(W.shape[0]))
    matvec(W.shape[0], W.shape[1], at(W), at(b), at(x), at(z))
    return z[:W.shape[0]]


def product_t(W, delta):
    """W^T delta."""
    y = new(padded(W.shape[1]))
    matvec_t(W.shape[0], W.shape[1], at(W), at(delta), at(y))
    return y[:W.shape[1]]


def product_t_by_rows(W, delta):
    """W^T delta, row by row."""
    y = new(padded(W.shape[1]))
    matvec_t_large(W.shape[0], W.shape[1], at(W), at(delta), at(y))
    return y[:W.shape[1]]


def small_layer(W, b, o, delta, str activation, z, double eta, double shrink):
    """A layer held twice: W o + b and s of that; (W^T delta) s'(z, o); W after the update, both copies, and b."""
    cdef small_t layer
    cdef int kind = ACTIVATION_CODES[activation]
    d_out, d_in = W.shape
    wide_o, wide_delta, wide_z = widened(o), widened(delta), widened(z)
    columns, rows, wide_b = new((d_in, padded(d_out))), new((d_out, padded(d_in))), new(padded(d_out))
    D, z_out, o_out, below = new(padded(d_out)), new(padded(d_out)), new(padded(d_out)), new(padded(d_in))
    layer = small_t(d_out, d_in, padded(d_out), padded(d_in), at(columns), at(rows), at(wide_b), at(D))
    hold_small(&layer, at(W), at(b))
    small_forward(&layer, kind, at(wide_o), at(z_out), at(o_out))
    small_backward(&layer, eta, shrink, at(wide_delta), kind, at(wide_z), at(wide_o), at(below))
    W, b = W.copy(), b.copy()
    release_small(&layer, at(W), at(b))
    return z_out[:d_out], o_out[:d_out], below[:d_in], W, rows[:, :d_in], b


def product_t_update(W, delta, o, double eta, double shrink):
    """W^T delta, and W <- W - eta delta o^T - shrink W in place."""
    y = new(padded(W.shape[1]))
    matvec_t_rank1(W.shape[0], W.shape[1], at(W), at(delta), at(o), eta, shrink, at(y))
    return y[:W.shape[1]]


def rank1_update(W, delta, o, double eta, double shrink):
    """W <- W - eta delta o^T - shrink W in place."""
    rank1(W.shape[0], W.shape[1], at(W), at(delta), at(o), eta, shrink)


def outer_product(delta, o):
    """delta o^T."""
    G = new((delta.shape[0], o.shape[0]))
    outer(delta.shape[0], o.shape[0], at(delta), at(o), at(G))
    return G


def panels(a):
    """A matrix as the batch kernels hold it, flat; zeros in the padding."""
    cdef Py_ssize_t j, n = a.shape[1]
    return np.concatenate([new(0), *(widened(a[:, j : j + PANEL]).ravel() for j in range(0, n, PANEL))])


def from_panels(flat, Py_ssize_t rows, Py_ssize_t columns):
    """The rows x columns matrix that was held so."""
    cdef Py_ssize_t j, width
    out = new((rows, columns))
    for j from 0 <= j < columns by PANEL:
        width = width_at(j, columns)
        out[:, j : j + width] = flat[j * rows : (j + width) * rows].reshape(rows, width)[:, : columns - j]
    return out


def matrix_product(A, B, bias=None, C=None, double factor=1, double lost=0, str left="rows", bint to_panels=False):
    """A B plus a bias per row, or C + (factor A B - lost C); A itself, A^T for left="columns", or A in panels."""
    cdef Py_ssize_t M = A.shape[1] if left == "columns" else A.shape[0], K = B.shape[0], N = B.shape[1]
    cdef left_t a
    B, in_panels = panels(B), panels(A)
    if left == "rows":
        a = by_rows(at(A), K)
    elif left == "columns":
        a = by_columns(at(A), M)
    else:
        a = by_panels(at(in_panels), M)
    out = new((M, N)) if C is None else C.copy()
    if to_panels:
        out = panels(out)
    cdef result_t to = added_to(at(out), 0 if to_panels else N, factor, lost)
    to.accumulate = C is not None
    to.bias = at(bias) if bias is not None else NULL
    room = new(ROOM)
    matmul(0, M, M, 0, N, K, &a, at(B), &to, at(room))
    return from_panels(out, M, N) if to_panels else out


def transposed(A, index=None, bint pad=False):
    """A[index]^T, its rows zero-padded to whole vectors with `pad`."""
    cdef Py_ssize_t n = A.shape[0] if index is None else index.shape[0]
    T = np.full((A.shape[1], padded(n) if pad else n), np.nan, dtype=A.dtype)
    cdef const intptr_t *order = index_data(index, A.shape[0]) if index is not None else NULL
    transpose(n, A.shape[1], at(A), A.shape[1], order, at(T), T.shape[1])
    return T


def panels_of(A, index):
    """The panels of A[index]^T, of A[index], and of A[index] from the first of these."""
    cdef Py_ssize_t n = index.shape[0], d = A.shape[1]
    cdef const intptr_t *order = index_data(index, A.shape[0])
    columns, rows, again = (np.full(size, np.nan, A.dtype) for size in (d * padded(n), n * padded(d), n * padded(d)))
    columns_of(n, d, at(A), order, at(columns))
    gather_rows(0, n, n, d, at(A), order, at(rows))
    transpose_panels(0, n, n, d, True, at(again), at(columns))
    return columns, rows, again


def sums(A):
    """The sum of each row, the sum of all squares, and whether all entries are finite."""
    wide = panels(A)
    out = new(A.shape[0])
    row_sums(0, A.shape[0], A.shape[0], A.shape[1], at(wide), False, at(out))
    return out, sum_of_squares(A.size, at(A)), all_finite(A.size, at(A))


def loss_of_sample(str name, z, y, double scale, str output="identity", double quantile=0.5):
    """scale * loss, o and scale * delta of one sample."""
    cdef Py_ssize_t C = z.shape[0]
    cdef loss_t loss_kind = loss_t(LOSS_CODES[name], ACTIVATION_CODES[output], <real>quantile)
    zp, yp, o, delta = widened(z), widened(y), new(padded(C)), new(padded(C))
    loss = loss_one(&loss_kind, C, at(zp), at(yp), scale, at(o), at(delta))
    return loss, o[:C], delta[:C]


def loss_of_batch(str name, Z, Y, scale, str output="identity", double quantile=0.5):
    """The sum of scale * loss, O and scale * Delta; Z and Y are C x n, scale n."""
    cdef Py_ssize_t j, C = Z.shape[0], n = Z.shape[1]
    cdef loss_t loss_kind = loss_t(LOSS_CODES[name], ACTIVATION_CODES[output], <real>quantile)
    Zp, Yp, sp = panels(Z), panels(Y), widened(scale)
    O, Delta = new(Zp.shape), new(Zp.shape)
    loss = 0
    for j from 0 <= j < n by PANEL:
        loss += loss_panel(&loss_kind, C, width_at(j, n), at(Zp) + j * C, at(Yp) + j * C, at(sp) + j,
                           at(O) + j * C, at(Delta) + j * C)
    return loss, from_panels(O, C, n), from_panels(Delta, C, n)


def updated_parameters(str name, p, g, state, long long t, double learning_rate, double momentum=0, bint nesterov=False,
                       double decay=0, double beta_1=0.9, double beta_2=0.999, double epsilon=1e-8,
                       bint epsilon_outside=False):
    """p after update number t; `state`, of shape (2, len(p)), changes in place.  g is the gradient, or (delta, o) for
    that of a weight matrix, delta o^T.
    """
    cdef solver_t solver = solver_t(SOLVER_CODES[name], learning_rate, momentum, 0, beta_1, beta_2, epsilon, nesterov,
                                    epsilon_outside, t, 0)
    cdef Py_ssize_t n = p.shape[0]
    cdef real *m = at(state)
    out = p.copy()
    cdef constants_t constants = constants_of(&solver)
    if type(g) is tuple:
        delta, o = g
        update_outer(&solver, &constants, len(delta), len(o), decay, at(delta), at(o), at(out), m, m + n)
    else:
        solver_update(&solver, &constants, n, decay, at(g), at(out), m, m + n)
    return out
