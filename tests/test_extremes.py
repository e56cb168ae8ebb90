"""Losses and their gradients as far out as numbers go, against mpmath.

Wherever a sample's exact loss can be held, what is computed is that to rounding; where it cannot, it is infinite, which
stops a training.  The gradient holds in both cases, wherever it can.
"""

import itertools
from functools import cache

import mpmath
import numpy as np
import pytest

import cmlp
import exact
from conftest import BUILDS
from kernel_cases import wide

PRECISION = 200
BIG = {"float32": 1e38, "float64": 1e308}
SIGNS = (1, -1)


def far_out(dtype, *more):
    """Numbers of every size and both signs, both zeros among them."""
    limits = np.finfo(dtype)
    sizes = (
        0.0,
        limits.smallest_subnormal,
        limits.tiny,
        1e-30,
        1.0,
        1e4,
        1e30,
        BIG[limits.dtype.name],
        limits.max,
        *more,
    )
    return [sign * dtype.type(size) for size in sizes for sign in SIGNS]


def losses(module, name, z, y, q=0.5):
    """Of one sample by the kernel for samples and by that for batches: loss, o, delta."""
    z, y = np.array(z), np.array(y)
    one = module.loss_of_sample(name, z, y, 1.0, "identity", q)
    many = module.loss_of_batch(name, z[:, None].copy(), y[:, None].copy(), np.ones(1, z.dtype), "identity", q)
    return one, (many[0], many[1][:, 0], many[2][:, 0])


def check(got, want, size, dtype, label, terms=8):
    """Finite and near where `want` can be held, infinite where it cannot; size and want are mpmath's."""
    limits = np.finfo(dtype)
    if abs(want) > mpmath.mpf(float(limits.max)) * (1 - terms * mpmath.mpf(float(limits.eps))):
        return False
    off = abs(mpmath.mpf(float(got)) - want)
    bound = terms * (float(limits.eps) * size + float(limits.smallest_subnormal))
    assert off <= bound, (
        f"{label}: {got}, expected {mpmath.nstr(want, 20)}, off {mpmath.nstr(off / bound, 3)} times the bound"
    )
    return True


def check_loss(got, want, size, dtype, label, terms=8):
    if not check(got, want, size, dtype, label, terms):
        edge = abs(want) < mpmath.mpf(float(np.finfo(dtype).max)) * (1 + terms * mpmath.mpf(float(np.finfo(dtype).eps)))
        assert got == np.inf or (edge and got > float(np.finfo(dtype).max) / 2), label


# ---- cross-entropy ----------------------------------------------------------------------------------------------


def exact_cross_entropy(z, y):
    """The loss from y that sums to 1, and softmax."""
    z, y = ([mpmath.mpf(float(a)) for a in each] for each in (z, y))
    e = [exact.exp(a - max(z)) for a in z]
    total = mpmath.fsum(e)
    return mpmath.log(total) + mpmath.fsum(b * (max(z) - a) for a, b in zip(z, y, strict=True)), [a / total for a in e]


def logits(dtype):
    """All alike, one apart, and mixtures."""
    random, far = np.random.default_rng(0), far_out(dtype)
    for C in (1, 2, 3, 17):
        for a in far:
            yield np.full(C, a)
            for b in (far[0], far[-4], far[-3]) if C > 1 else ():
                yield np.array([b] * (C - 1) + [a])
        for _ in range(20):
            yield np.array(random.choice(far, C))


def soft_and_hard(C, dtype):
    for y in (np.eye(C)[0], np.eye(C)[-1], (np.eye(C)[0] + np.eye(C)[-1]) / 2):
        yield y.astype(dtype)
    if C in (1, 2):
        yield np.full(C, 1 / C, dtype)


@cache
def cross_entropy_problems(precision):
    """z, y, the loss, and of each output softmax and its size."""
    dtype = np.dtype(precision)
    problems = []
    for z in logits(dtype):
        for y in soft_and_hard(len(z), dtype):
            want, softmax = exact_cross_entropy(z, y)
            size = [p * (1 - max(-800, mpmath.log(p + mpmath.mpf("1e-400")))) for p in softmax]
            problems.append((z, y, want, softmax, size))
    return problems


def test_cross_entropy(module, dtype):
    with mpmath.workprec(PRECISION):
        for z, y, want, softmax, size in cross_entropy_problems(dtype.name):
            label, terms = f"z={z} y={y}", len(z) + 8
            for loss, o, delta in losses(module, "cross_entropy", z, y):
                check_loss(loss, want, 1 + want, dtype, label, terms)
                for got, slope, p, p_size, target in zip(o, delta, softmax, size, y, strict=True):
                    assert check(got, p, p_size, dtype, label, terms)
                    assert check(slope, p - float(target), 1, dtype, label, terms)


# ---- binary cross-entropy --------------------------------------------------------------------------------------


def test_binary_cross_entropy(module, dtype):
    """None of its terms is negative, so that it is near to relative rounding, whatever y is."""
    eps = np.finfo(dtype).eps
    targets = [dtype.type(y) for y in (0, 1, 0.5, eps, 1 - eps / 2, np.finfo(dtype).tiny)]
    with mpmath.workprec(PRECISION):
        for z, y in itertools.product(far_out(dtype, 20, 40, 100, 740), targets):
            a, b = mpmath.mpf(float(z)), mpmath.mpf(float(y))
            want = abs(a) * (1 - b if a > 0 else b) + mpmath.log1p(exact.exp(-abs(a)))
            p = exact.sigmoid(a)
            for loss, o, delta in losses(module, "binary_cross_entropy", [z], [y]):
                label = f"z={z} y={y}"
                check_loss(loss, want, want, dtype, label)
                assert check(o[0], p, p, dtype, label)
                assert check(delta[0], p - b, p + b, dtype, label)


# ---- distances -------------------------------------------------------------------------------------------------


@cache
def distance_problems(name, precision, q):
    """z, y, the loss with its size and the slope: of every output from every target, near the largest squares too."""
    dtype, q = np.dtype(precision), mpmath.mpf(q)
    edge = float(np.sqrt(2 * wide(np.finfo(dtype).max)))
    numbers = far_out(dtype, 300, edge * 0.9999, edge * 1.0001)
    loss_of, slope_of = exact.DISTANCES[name]
    problems = []
    for z, y in itertools.product(numbers, numbers):
        e = mpmath.mpf(float(z)) - mpmath.mpf(float(y))
        cancels = name == "log_cosh" and abs(e) < 1e-20
        want = e * e / 2 if cancels else mpmath.mpf(loss_of(e, q))
        size = want + mpmath.log(2) * (name == "log_cosh" and abs(e) > 0.02)
        problems.append((z, y, want, size, mpmath.mpf(slope_of(e, q))))
    return problems


@pytest.mark.parametrize(
    ("name", "q"), [*((name, 0.5) for name in exact.DISTANCES), ("quantile", 0.015625), ("quantile", 0.875)]
)  # fmt: skip
def test_distances(module, dtype, name, q):
    with mpmath.workprec(PRECISION):
        for z, y, want, size, slope in distance_problems(name, dtype.name, q):
            for loss, o, delta in losses(module, name, [z], [y], q):
                label = f"z={z} y={y}"
                assert o[0] == z
                check_loss(loss, want, size, dtype, label)
                check(delta[0], slope, abs(slope), dtype, label)


# ---- Poisson ---------------------------------------------------------------------------------------------------


def test_poisson(module, dtype):
    limits = np.finfo(dtype)
    highest = float(np.log(wide(limits.max)))
    rates = [z for z in far_out(dtype, 10, highest * 0.99, highest * 0.9999) if z < 2 * highest]
    counts = [y for y in far_out(dtype, 0.5, 7, 1e20, float(limits.max) / 1000) if y >= 0]
    with mpmath.workprec(PRECISION):
        for z, y in itertools.product(rates, counts):
            a, b = mpmath.mpf(float(z)), mpmath.mpf(float(y))
            o = exact.exp(a)
            terms = [b * mpmath.log(b), b * a] if b else [0, 0]
            want, size = terms[0] - terms[1] - b + o, sum(map(abs, terms)) + b + o
            for loss, got, delta in losses(module, "poisson", [z], [y]):
                label = f"z={z} y={y}"
                if size < float(limits.max):
                    assert check(loss, want, size, dtype, label)
                else:
                    check_loss(loss, want, size, dtype, label)
                assert check(got[0], o, o, dtype, label)
                check(delta[0], o - b, o + b, dtype, label)


# ---- whole networks --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [1, 2, 9])
def test_a_network_whose_biases_are_the_logits(dtype, n):
    """Everything that computes a loss, from what probabilities of exactly 0, 1 and 1/2 leave."""
    net = cmlp.Network((2, 3), dtype=dtype, random_state=0)
    big = BIG[dtype] / n
    X, y = np.zeros((n, 2)), np.full((n, 3), (0.5, 0, 0.5))
    net.biases[0][:] = big, big, -big
    loss, dW, db = net.loss_and_gradients(X, y)
    np.testing.assert_allclose([loss, net.loss(X, y), net.trace(X[0], y[0]).loss], big, rtol=1e-6)
    np.testing.assert_allclose(db[0], [0, 0.5, -0.5])
    np.testing.assert_array_equal(dW[0], 0)
    np.testing.assert_array_equal(net.forward(X), n * [[0.5, 0.5, 0]])
    np.testing.assert_array_equal(net(X[0]), [0.5, 0.5, 0])
    assert net.step(X, y, learning_rate=0.0) == pytest.approx(big, rel=1e-6)
    assert net.step(X[0], y[0], learning_rate=0.0) == pytest.approx(big, rel=1e-6)


@pytest.mark.parametrize(("isa", "dtype"), BUILDS)
def test_an_overflow_is_seen_and_updates_nothing(isa, dtype):
    net = cmlp.Network((1, 1), loss="squared_error", dtype=dtype, random_state=0)
    net.biases[0][:] = BIG[dtype]
    before = net.parameters.copy()
    with pytest.raises(cmlp.DivergenceError, match="the loss is inf"):
        net.step([0.0], [0.0])
    with pytest.raises(cmlp.DivergenceError, match="diverged"):
        net.fit([[0.0], [1.0]], [[0.0], [0.0]])
    np.testing.assert_array_equal(net.parameters, before)
