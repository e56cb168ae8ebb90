"""What each kernel ought to give: results beside what NumPy or mpmath make of the same arrays, in wider precision.

The tolerance of a sum is its number of terms times the precision times the sum of the terms' magnitudes
(the `size` of a result), which no order of adding up exceeds.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from functools import cache, partial
from typing import NamedTuple

import mpmath
import numpy as np

import exact

SIZES = (0, 1, 2, 3, 7, 15, 16, 17, 31, 33, 64, 65, 127)


class Result(NamedTuple):
    got: np.ndarray
    want: np.ndarray
    size: np.ndarray  # of what the kernel adds up
    terms: int  # roundings that may pile up


def wide(*arrays):
    copies = [np.array(a, np.longdouble) for a in arrays]
    return copies if len(copies) > 1 else copies[0]


def errors(result, dtype):
    """Where a result is off, and by how much it may be."""
    limits = np.finfo(dtype)
    got, want, size = wide(result.got, result.want, result.size)
    with np.errstate(over="ignore", invalid="ignore"):
        same = (got == want) | (got == want.astype(dtype))
        off = np.where(same, 0, np.abs(got - want))
    return off, (result.terms + 2) * limits.eps * size + 4 * limits.smallest_subnormal


def check(result, dtype, label=""):
    off, tolerance = errors(result, dtype)
    assert np.shape(result.got) == np.shape(result.want), label
    assert (off <= tolerance).all(), f"{label} off by {off.max()}, up to {(off / tolerance).max()} of the tolerance"


# ---- products, updates and moves: a case takes two sizes ----------------------------------------------


def third_size(m, n):
    """All pairs of three sizes occur when m and n take all values."""
    return SIZES[(SIZES.index(m) + SIZES.index(n)) % len(SIZES)]


def product(kernel, arrays, m, n):
    W, x, b = arrays.normal(m, n), arrays.normal(n), arrays.normal(m)
    z, size = wide(W) @ wide(x) + b, np.abs(wide(W)) @ np.abs(x) + np.abs(b)
    yield Result(kernel.product(W, x, b), z, size, n)


def product_t(kernel, arrays, m, n):
    W, delta = arrays.normal(m, n), arrays.normal(m)
    yield Result(kernel.product_t(W, delta), wide(delta) @ W, np.abs(wide(delta)) @ np.abs(W), m)


ETA = 0.375
SHRINK = (0.0, 0.1875)


def product_t_by_rows(kernel, arrays, m, n):
    W, delta = arrays.normal(m, n), arrays.normal(m)
    yield Result(kernel.product_t_by_rows(W, delta), wide(W).T @ wide(delta), np.abs(wide(W)).T @ np.abs(delta), m + 1)


def update_problem(arrays, m, n):
    """W, delta, o; every third delta is 0, as ReLU leaves many."""
    delta = arrays.rng.standard_normal(m) * (np.arange(m) % 3 != 1)
    return arrays.normal(m, n, changes=True), arrays.put(delta), arrays.normal(n)


def updated_weights(W, delta, o, shrink):
    """Want and size of W after W <- W - eta delta o^T - shrink W."""
    kept, step = (1 - shrink) * wide(W), ETA * np.outer(*wide(delta, o))
    return kept - step, np.abs(wide(W)) + np.abs(step)


def rank1_update(kernel, arrays, m, n):
    for shrink in SHRINK:
        W, delta, o = update_problem(arrays, m, n)
        want = updated_weights(W, delta, o, shrink)
        kernel.rank1_update(W, delta, o, ETA, shrink)
        yield Result(W, *want, 1)


def product_t_update(kernel, arrays, m, n):
    for shrink in SHRINK:
        W, delta, o = update_problem(arrays, m, n)
        want = updated_weights(W, delta, o, shrink)
        y, size = wide(delta) @ W, np.abs(wide(delta)) @ np.abs(W)
        yield Result(kernel.product_t_update(W, delta, o, ETA, shrink), y, size, m)
        yield Result(W, *want, 1)


def small_layer(kernel, arrays, m, n):
    b, z = arrays.normal(m), arrays.normal(n)
    for shrink in SHRINK:
        W, delta, o = update_problem(arrays, m, n)
        slope, slope_size = wide(o) * (1 - wide(o)), np.abs(wide(o)) + wide(o) ** 2
        got_z, s, below, W_new, rows, b_new = kernel.small_layer(W, b, o, delta, "sigmoid", z, ETA, shrink)
        yield Result(got_z, wide(W) @ o + b, np.abs(wide(W)) @ np.abs(o) + np.abs(b), n)
        yield Result(s, 1 / (1 + np.exp(-wide(got_z))), np.ones(m), 4)
        yield Result(below, (wide(delta) @ W) * slope, (np.abs(wide(delta)) @ np.abs(W)) * slope_size, m + 3)
        yield Result(W_new, *updated_weights(W, delta, o, shrink), 1)
        yield same_entries(rows, W_new)
        yield Result(b_new, b - ETA * wide(delta), np.abs(b) + ETA * np.abs(wide(delta)), 1)


def outer_product(kernel, arrays, m, n):
    delta, o = arrays.normal(m), arrays.normal(n)
    want = np.outer(delta, o)
    yield Result(kernel.outer_product(delta, o), want, 0, 0)


LEFT = ("rows", "columns", "panels")


def matrix_product(kernel, arrays, m, n):
    yield from matrix_products(kernel, arrays, m, third_size(m, n), n)


def matrix_products(kernel, arrays, m, k, n):
    A, B, bias, C = arrays.normal(m, k), arrays.normal(k, n), arrays.normal(m), arrays.normal(m, n)
    A_t = arrays.put(A.T)
    AB, size = wide(A) @ wide(B), np.abs(wide(A)) @ np.abs(B)
    b, c = wide(bias)[:, None], wide(C)
    for left, to_panels in itertools.product(LEFT, [False, True]):
        given, options = A_t if left == "columns" else A, {"left": left, "to_panels": to_panels}
        yield Result(kernel.matrix_product(given, B, **options), AB, size, k)
        yield Result(kernel.matrix_product(given, B, bias, **options), AB + b, size + np.abs(b), k + 1)
        yield Result(kernel.matrix_product(given, B, C=C, **options), AB + c, size + np.abs(c), k + 1)
        got = kernel.matrix_product(given, B, C=C, factor=-0.25, lost=0.125, **options)
        yield Result(got, c - 0.25 * AB - 0.125 * c, size / 4 + np.abs(c), k + 3)


def same_entries(got, want):
    return Result(got, want, 0, 0)


def zero_padded(a, lanes):
    return np.pad(a, [(0, 0), (0, -a.shape[1] % lanes)])


def transposed(kernel, arrays, m, n):
    A, index = arrays.normal(m, n), arrays.index(third_size(m, n), m)
    for rows in (None, index):
        T = (A if rows is None else A[rows]).T
        yield same_entries(kernel.transposed(A, rows), T)
        yield same_entries(kernel.transposed(A, rows, pad=True), zero_padded(T, kernel.vector_lanes()))


def panels(kernel, arrays, m, n):
    A, index = arrays.normal(m, n), arrays.index(third_size(m, n), m)
    columns, rows, again = kernel.panels_of(A, index)
    yield same_entries(columns, kernel.panels(A[index].T))
    yield same_entries(rows, kernel.panels(A[index]))
    yield same_entries(again, rows)
    yield same_entries(kernel.from_panels(rows, *A[index].shape), A[index])


def row_sums(kernel, arrays, m, n):
    A = arrays.normal(m, n)
    yield Result(kernel.sums(A)[0], wide(A).sum(axis=1), np.abs(wide(A)).sum(axis=1), n)


def sum_of_squares(kernel, arrays, m, n):
    A = arrays.normal(m, n)
    want = (wide(A) ** 2).sum()
    yield Result(kernel.sums(A)[1], want, want, m * n)


CASES = [
    product, product_t, product_t_by_rows, rank1_update, product_t_update, small_layer, outer_product,
    matrix_product, transposed, panels,
    row_sums, sum_of_squares,
]  # fmt: skip


# ---- activations ----------------------------------------------------------------------------------------


class Activation(NamedTuple):
    """s and s' in mpmath, their values at -inf and inf, and what their rounding errors are measured by."""

    s: Callable
    slope: Callable
    ends: tuple[float, float]
    slope_ends: tuple[float, float]
    size: Callable | None = None  # |s| without, |s'| below
    slope_size: Callable | None = None


SCALE = mpmath.mpf("1.0507009873554804934193349852946")
SCALE_ALPHA = SCALE * mpmath.mpf("1.6732632423543772848170429916717")
INF = np.inf


def tail_size(z, tail):
    """By its factor exp(-z^2 / 2) a tail of the normal distribution loses z^2 / 2 units in the last place."""
    return (1 + z * z / 2) * tail


def silu_slope(z):
    return exact.sigmoid(z) * (1 + z * exact.sigmoid(-z))


def silu_slope_size(z):
    """1 - sigmoid(z) is off by eps until it is 0, z = 40 at the latest."""
    return exact.sigmoid(z) * (1 + min(abs(z), 40))


def gelu_size(z):
    return abs(z) * (tail_size(z, exact.phi(-abs(z))) + (z > 0))


def gelu_slope_size(z):
    return tail_size(z, exact.phi(-abs(z)) + abs(z) * exact.density(z)) + (z > 0)


def tanh_slope(z):
    return 4 * exact.sigmoid(2 * z) * exact.sigmoid(-2 * z)


ACTIVATIONS = {
    "identity": Activation(lambda z: z, lambda z: 1, (-INF, INF), (1, 1)),
    "relu": Activation(lambda z: max(0, z), lambda z: int(z > 0), (0, INF), (0, 1)),
    "sigmoid": Activation(
        exact.sigmoid, lambda z: exact.sigmoid(z) * exact.sigmoid(-z), (0, 1), (0, 0), slope_size=exact.sigmoid
    ),
    "tanh": Activation(mpmath.tanh, tanh_slope, (-1, 1), (0, 0), slope_size=lambda z: 1),
    "leaky_relu": Activation(
        lambda z: max(z, z / 100), lambda z: 1 if z > 0 else mpmath.mpf(1) / 100, (-INF, INF), (0.01, 1)
    ),
    "elu": Activation(
        lambda z: z if z > 0 else exact.expm1(z), lambda z: 1 if z > 0 else exact.exp(z), (-1, INF), (0, 1)
    ),
    "selu": Activation(
        lambda z: SCALE * z if z > 0 else SCALE_ALPHA * exact.expm1(z),
        lambda z: SCALE if z > 0 else SCALE_ALPHA * exact.exp(z),
        (-float(SCALE_ALPHA), INF),
        (0, float(SCALE)),
    ),
    "softplus": Activation(exact.softplus, exact.sigmoid, (0, INF), (0, 1)),
    "silu": Activation(lambda z: z * exact.sigmoid(z), silu_slope, (0, INF), (0, 1), slope_size=silu_slope_size),
    "gelu": Activation(
        lambda z: z * exact.phi(z),
        lambda z: exact.phi(z) + z * exact.density(z),
        (0, INF),
        (0, 1),
        size=gelu_size,
        slope_size=gelu_slope_size,
    ),
}


def preactivations(dtype):
    rng, limits = np.random.default_rng(3), np.finfo(dtype)
    spread = np.exp2(rng.uniform(limits.minexp - limits.nmant, limits.maxexp, 100))
    edges = [0, 0.01, 1, 40, 100, 750, 1e4, limits.max / 4, limits.max, limits.tiny, limits.smallest_subnormal]
    z = np.concatenate([spread, edges, np.abs(rng.normal(0, 4, 150)), rng.uniform(0, 110, 80)]).astype(dtype)
    return np.concatenate([z, -z])


def from_mpmath(values):
    """The sum of two float64: as many digits as a long double has."""
    high = np.array([float(v) for v in values])
    low = np.array([float(v - h) for v, h in zip(values, high.tolist(), strict=True)])
    return wide(high) + np.where(np.isfinite(high), low, 0)


@cache
def expected_activation(name, dtype_name):
    """z, s(z), s'(z) and the sizes of both."""
    dtype = np.dtype(dtype_name)
    s, slope, _, _, size, slope_size = ACTIVATIONS[name]
    z = preactivations(dtype)
    with mpmath.workprec(120):
        exact_z = [mpmath.mpf(a) for a in z.tolist()]
        columns = [
            from_mpmath([mpmath.mpf(f(a)) for a in exact_z])
            for f in (s, slope, size or (lambda a: abs(s(a))), slope_size or (lambda a: abs(slope(a))))
        ]
    # A factor z carries the rounding of a subnormal sigmoid or Phi into the normal range.
    lifted = np.minimum(np.abs(wide(z)), 1e4) * np.finfo(dtype).tiny
    return z, columns[0], columns[1], columns[2] + lifted, columns[3] + lifted


# ---- losses -----------------------------------------------------------------------------------------------


class Expected(NamedTuple):
    """Of C x n outputs, one column per sample: o, delta, the losses, and what each is measured by."""

    o: np.ndarray
    delta: np.ndarray
    loss: np.ndarray
    o_size: np.ndarray
    delta_size: np.ndarray
    loss_size: np.ndarray


def cross_entropy(z, y):
    shifted = z - z.max(axis=0)
    e = np.exp(shifted)
    o = e / e.sum(axis=0)
    log_sum, o_size = np.log(e.sum(axis=0)), o * (1 + np.abs(shifted))
    dot = (y * shifted).sum(axis=0)
    return Expected(o, o - y, log_sum - dot, o_size, o_size + y, 1 + log_sum + np.abs(dot))


def binary_cross_entropy(z, y):
    e = np.exp(-np.abs(z))
    o, rest = np.where(z < 0, e, 1) / (1 + e), np.log1p(e)
    loss = np.abs(z) * np.where(z > 0, 1 - y, y) + rest
    return Expected(o, o - y, loss.sum(axis=0), o, o + y, loss.sum(axis=0))


def independent_errors(z, delta, loss):
    """Losses of z - y: each result is as near as its own rounding."""
    total = loss.sum(axis=0)
    return Expected(z, delta, total, 0 * z, np.abs(delta), total)


def squared_error(z, y):
    return independent_errors(z, z - y, (z - y) ** 2 / 2)


def absolute_error(z, y):
    return independent_errors(z, np.sign(z - y), np.abs(z - y))


def huber(z, y):
    error = np.abs(z - y)
    return independent_errors(z, np.clip(z - y, -1, 1), np.where(error <= 1, error**2 / 2, error - 0.5))


def log_cosh(z, y):
    """ln cosh e = ln(1 + 2 sinh^2(e / 2)); from 0.02 on it is as near as ln 2, which is taken off."""
    error = np.abs(z - y)
    value = np.where(error < 5, np.log1p(2 * np.sinh(np.minimum(error, 5) / 2) ** 2), error - np.log(wide(2)))
    value = value + np.where(error < 5, 0, np.log1p(np.exp(-2 * error)))
    expected = independent_errors(z, np.tanh(z - y), value)
    return expected._replace(loss_size=expected.loss + np.log(2) * (error > 0.02).sum(axis=0))


def quantile(q, z, y):
    """1 - q is as near as 1."""
    error, q = z - y, wide(q)
    slope = np.where(error > 0, 1 - q, np.where(error < 0, -q, 0))
    expected = independent_errors(z, slope, slope * error)
    return expected._replace(delta_size=np.abs(np.sign(error)), loss_size=np.abs(error).sum(axis=0))


def poisson(z, y):
    o, log_y = np.exp(z), np.log(np.where(y > 0, y, 1))
    loss, size = y * (log_y - z) - y + o, y * (np.abs(log_y) + np.abs(z)) + y + o
    return Expected(o, o - y, loss.sum(axis=0), o, o + y, size.sum(axis=0))


LOSSES = {
    each.__name__: each
    for each in (cross_entropy, binary_cross_entropy, squared_error, absolute_error, huber, log_cosh, poisson)
}
QUANTILES = {f"quantile {q}": q for q in (0.05, 0.5, 0.9)}
LOSSES |= {name: partial(quantile, q) for name, q in QUANTILES.items()}


def loss_of_batch(kernel, name, Z, Y, scale, output="identity"):
    return kernel.loss_of_batch(name.split()[0], Z, Y, scale, output, QUANTILES.get(name, 0.5))


def one_by_one(kernel, name, Z, Y, scale, output="identity"):
    """The same from the kernel for one sample."""
    kind, q = name.split()[0], QUANTILES.get(name, 0.5)
    samples = ((Z[:, j].copy(), Y[:, j].copy(), scale[j], output, q) for j in range(Z.shape[1]))
    losses, o, delta = zip(*(kernel.loss_of_sample(kind, *sample) for sample in samples), strict=True)
    return sum(losses), np.stack(o, axis=1), np.stack(delta, axis=1)


def targets(name, rng, z):
    """Hard targets in the first half of the columns, soft ones in the rest."""
    C, n = z.shape
    hard = np.arange(n) < (n + 1) // 2
    if name == "cross_entropy":
        return np.where(hard, np.eye(C)[:, rng.integers(0, C, n)], rng.dirichlet(np.ones(C), n).T)
    if name == "binary_cross_entropy":
        return np.where(hard, rng.integers(0, 2, (C, n)), rng.random((C, n)))
    if name == "poisson":
        return np.where(hard, rng.integers(0, 4, (C, n)), 2 * rng.random((C, n)))
    return np.where(rng.random((C, n)) < 0.2, z, 2 * rng.standard_normal((C, n)))


def loss_problem(name, arrays, C, n):
    """Z, Y and the scale of each sample, some of it 0."""
    Z = arrays.put(3 * arrays.rng.standard_normal((C, n)))
    scale = np.where(np.arange(n) % 5 == 4, 0, arrays.rng.random(n) + 0.1)
    return Z, arrays.put(targets(name, arrays.rng, Z)), arrays.put(scale)


def expected_loss(name, Z, Y):
    with np.errstate(over="ignore", under="ignore"):
        return LOSSES[name](*wide(Z, Y))


def extreme_problem(name, dtype, C, logit, at):
    """All 0 but for a logit at one end and its opposite at the other; the target is hard, at either end."""
    Z, Y = np.zeros((C, 1), dtype), np.zeros((C, 1), dtype)
    Z[-1], Z[0], Y[at] = -logit, logit, 1
    return Z, Y, np.array([0.25], dtype)


# ---- distances from an output of any activation ---------------------------------------------------------------

DISTANCES = [name for name in LOSSES if name.split()[0] in exact.DISTANCES]
ERRORS = (0, 1e-6, 0.01, 0.04, 0.06, 0.25, 0.35, 0.999, 1, 1.001, 20, 1e4, 1e30)  # of o from y


def distance_problem(dtype):
    """z of both signs and sizes, y far from all that these may become where a slope jumps."""
    z = np.array([[-30, -4, -1, -0.3, -1e-3, -1e-5, 1e-6, 0.02, 0.4, 1, 2.5, 7, 40] * 2] * 3, dtype)
    y = np.where(np.arange(z.size).reshape(z.shape) % 2, -50.3, 41.7) + np.arange(3)[:, None] / 8
    y[0, 13:] = 0.1 * y[0, 13:] + 3.3
    return z, y.astype(dtype)


@cache
def expected_distance(name, output, dtype_name):
    """Z, Y and the Expected: o as near as s is, the rest as near as o and its own rounding leave it."""
    z, y = distance_problem(np.dtype(dtype_name))
    loss, slope = exact.DISTANCES[name.split()[0]]
    s, s_prime, _, _, size, slope_size = ACTIVATIONS[output]
    with mpmath.workprec(120):
        q = mpmath.mpf(QUANTILES.get(name, 0.5))
        pairs = [(mpmath.mpf(a), mpmath.mpf(b)) for a, b in zip(z.ravel().tolist(), y.ravel().tolist(), strict=True)]
        o = [mpmath.mpf(s(a)) for a, _ in pairs]
        losses = [loss(o_k - y_k, q) for o_k, (_, y_k) in zip(o, pairs, strict=True)]
        slopes = [slope(o_k - y_k, q) for o_k, (_, y_k) in zip(o, pairs, strict=True)]
        columns = [
            o,
            [d * s_prime(a) for d, (a, _) in zip(slopes, pairs, strict=True)],
            losses,
            [(size or (lambda x: abs(s(x))))(a) for a, _ in pairs],
            [(slope_size or (lambda x: abs(s_prime(x))))(a) for a, _ in pairs],
            slopes,
        ]
        o, delta, losses, o_size, s_size, slopes = (from_mpmath(column).reshape(z.shape) for column in columns)
    o_size = o_size + np.abs(wide(y))  # of the error
    jumps = name.split()[0] in ("absolute_error", "quantile")
    delta_size = np.maximum(np.abs(slopes), 1) * s_size + (0 if jumps else o_size * s_size)
    loss_size = np.abs(losses) + np.maximum(np.abs(slopes), 1) * o_size
    return z, y, Expected(o, delta, losses.sum(axis=0), o_size, delta_size, loss_size.sum(axis=0))


@cache
def expected_errors(name, dtype_name):
    """Errors of either sign, as many columns; the loss and the slope of each, and what they are measured by."""
    dtype = np.dtype(dtype_name)
    e = np.array([*ERRORS, *(-x for x in ERRORS)], dtype)
    loss, slope = exact.DISTANCES[name.split()[0]]
    with mpmath.workprec(200):
        q, errors = mpmath.mpf(QUANTILES.get(name, 0.5)), [mpmath.mpf(a) for a in e.tolist()]
        losses, slopes = (from_mpmath([mpmath.mpf(f(a, q)) for a in errors]) for f in (loss, slope))
    loss_size, slope_size = losses, np.abs(slopes)
    if name == "log_cosh":
        loss_size = losses + np.log(2) * (np.abs(e) > 0.02)
    elif name in QUANTILES:
        loss_size, slope_size = np.abs(wide(e)), np.abs(np.sign(e))
    return e, losses, slopes, loss_size, slope_size


# ---- solvers ------------------------------------------------------------------------------------------------


class Step(NamedTuple):
    """Parameters and state after an update, and what each is measured by."""

    p: np.ndarray
    m: np.ndarray
    v: np.ndarray
    p_size: np.ndarray
    m_size: np.ndarray
    v_size: np.ndarray


def decayed(g, p, decay):
    """The gradient with its decay, and the size of that."""
    return g + decay * p, np.abs(g) + decay * np.abs(p)


def sgd(p, g, m, v, t, learning_rate, momentum=0.0, nesterov=False, decay=0.0):
    g, g_size = decayed(g, p, decay)
    m, m_size = momentum * m - learning_rate * g, momentum * np.abs(m) + learning_rate * g_size
    step = momentum * m - learning_rate * g if nesterov else m
    return Step(p + step, m, v, np.abs(p) + m_size + learning_rate * g_size, m_size, v)


def second_moment(g, g_size, v, beta_2):
    """v after a gradient, the size of v, and by how much more than itself a quotient by its root is off."""
    v, v_size = beta_2 * v + (1 - beta_2) * g**2, beta_2 * v + (1 - beta_2) * g_size**2
    return v, v_size, v_size / v


def adam(p, g, m, v, t, learning_rate, decay=0.0, beta_1=0.9, beta_2=0.999, epsilon=1e-8, epsilon_outside=False):
    g, g_size = decayed(g, p, decay)
    m, m_size = beta_1 * m + (1 - beta_1) * g, beta_1 * np.abs(m) + (1 - beta_1) * g_size
    v, v_size, loss = second_moment(g, g_size, v, beta_2)
    root = math.sqrt(1 - beta_2**t)
    step = learning_rate / (1 - beta_1**t)
    step *= root / (np.sqrt(v) + epsilon) if epsilon_outside else 1 / (np.sqrt(v) / root + epsilon)
    return Step(p - step * m, m, v, np.abs(p) + step * m_size * loss, m_size, v_size)


def adamw(p, g, m, v, t, learning_rate, decay=0.0, **options):
    return adam(p - learning_rate * decay * p, g, m, v, t, learning_rate, **options)


def rmsprop(p, g, m, v, t, learning_rate, momentum=0.0, decay=0.0, beta_2=0.999, epsilon=1e-8):
    g, g_size = decayed(g, p, decay)
    v, v_size, loss = second_moment(g, g_size, v, beta_2)
    root = np.sqrt(v) + epsilon
    m, m_size = momentum * m + g / root, momentum * np.abs(m) + g_size / root * loss
    return Step(p - learning_rate * m, m, v, np.abs(p) + learning_rate * m_size, m_size, v_size)


SOLVERS = [
    (sgd, {}),
    (sgd, {"decay": 0.01}),
    (sgd, {"momentum": 0.9, "decay": 0.01}),
    (sgd, {"momentum": 0.9, "nesterov": True, "decay": 0.01}),
    (adam, {}),
    (adam, {"beta_1": 0.8, "beta_2": 0.95, "epsilon": 0.01, "decay": 0.01}),
    (adam, {"epsilon": 0.01, "epsilon_outside": True}),
    (adamw, {"decay": 0.1}),
    (adamw, {"decay": 0.1, "epsilon": 0.01, "epsilon_outside": True}),
    (rmsprop, {}),
    (rmsprop, {"momentum": 0.9, "beta_2": 0.9, "epsilon": 0.01, "decay": 0.01}),
]


def updates(kernel, arrays, n, solver, options, rows=None):
    """The first update, from no state, and later ones; the last has no bias left to correct.  With `rows`, of a weight
    matrix with so many, from one sample.
    """
    size = n if rows is None else rows * n
    for t in (1, 2, 3, 10, 1000, 10**9):
        p, m, v = (arrays.rng.standard_normal(size) for _ in range(3))
        o = arrays.put(arrays.rng.standard_normal(n) * 10.0 ** arrays.rng.integers(-6, 2, n))
        delta = None if rows is None else arrays.put(arrays.rng.standard_normal(rows))
        p, state = arrays.put(p), arrays.put(np.stack([m, v**2]) * (t > 1), changes=True)
        g = wide(o) if delta is None else np.outer(wide(delta), wide(o)).ravel()
        want = solver(wide(p), g, *wide(*state), t, 0.05, **options)
        given = o if delta is None else (delta, o)
        got = kernel.updated_parameters(solver.__name__, p, given, state, t, 0.05, **options)
        yield Result(got, want.p, want.p_size, 8)
        yield Result(state[0], want.m, want.m_size, 8)
        yield Result(state[1], want.v, want.v_size, 8)
