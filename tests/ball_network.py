"""A network in balls: outputs, losses, gradients and one update, each with the bound that rounding leaves it.

It reads as the formulas of docs/derivation.md do, a row per sample, and shares no code with the package.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from balls import LONG, Precision
from reference import SELU_ALPHA, SELU_SCALE

# ---- activations: s, s', where either turns or jumps, and the sizes of what is rounded on the way ------------


def sigmoid(z):
    e = np.exp(-np.abs(z))
    return np.where(z < 0, e, 1) / (1 + e)


def softplus(z):
    return np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))


def below_zero(z, function):
    """Of z where it is negative, else of 0."""
    return function(np.minimum(z, 0))


def distribution(z):
    """The normal one."""
    tail = np.vectorize(math.erfc, otypes=[float])(np.abs(z).astype(float) / math.sqrt(2)) / 2
    return np.where(z < 0, LONG(tail), 1 - LONG(tail))


def density(z):
    return np.exp(-np.minimum(z * z, 1e5) / 2) / np.sqrt(2 * LONG(math.pi))


def sigmoid_slope(z):
    return sigmoid(z) * sigmoid(-z)


def silu_slope(z):
    return sigmoid(z) + z * sigmoid_slope(z)


def selu(z):
    return SELU_SCALE * np.where(z > 0, z, SELU_ALPHA * below_zero(z, np.expm1))


def selu_slope(z):
    return SELU_SCALE * np.where(z > 0, 1, SELU_ALPHA * below_zero(z, np.exp))


def tail_size(z, tail):
    """exp(-z^2 / 2) loses z^2 / 2 units in the last place."""
    return np.where(np.abs(z) < 40, (1 + z * z / 2) * tail, 0)


S = {  # s, where it turns, its size if that is not |s|
    "identity": (lambda z: z, (), None),
    "relu": (lambda z: np.maximum(z, 0), (), None),
    "sigmoid": (sigmoid, (), None),
    "tanh": (np.tanh, (), None),
    "leaky_relu": (lambda z: np.where(z > 0, z, LONG(1) / 100 * z), (), None),
    "elu": (lambda z: np.where(z > 0, z, below_zero(z, np.expm1)), (), None),
    "selu": (selu, (), None),
    "softplus": (softplus, (), None),
    "silu": (lambda z: z * sigmoid(z), (-1.2784645427610738,), None),
    "gelu": (
        lambda z: z * distribution(z),
        (-0.7517915246935645,),
        lambda z: np.abs(z) * (tail_size(z, distribution(-np.abs(z))) + (z > 0)),
    ),
}
S_PRIME = {
    "identity": (lambda z: np.ones_like(z), (), None),
    "relu": (lambda z: (z > 0).astype(LONG), (0,), None),
    "sigmoid": (sigmoid_slope, (0,), sigmoid),
    "tanh": (lambda z: 4 * sigmoid_slope(2 * z), (0,), np.ones_like),
    "leaky_relu": (lambda z: np.where(z > 0, 1, LONG(1) / 100), (0,), None),
    "elu": (lambda z: below_zero(z, np.exp), (), None),
    "selu": (selu_slope, (0,), None),
    "softplus": (sigmoid, (), None),
    "silu": (
        silu_slope,
        (-2.399357280520547, 2.399357280520547),
        lambda z: sigmoid(z) * (1 + np.minimum(np.abs(z), 50)),
    ),
    "gelu": (
        lambda z: distribution(z) + z * density(z),
        (-math.sqrt(2), math.sqrt(2)),
        lambda z: tail_size(z, distribution(-np.abs(z)) + np.abs(z) * density(z)) + (z > 0),
    ),
}
ROUNDINGS = {"gelu": 16, "tanh": 16}


def s(name, z):
    function, breaks, size = S[name]
    return z.apply(function, breaks, size, ROUNDINGS.get(name, 8)) if name != "identity" else z


def s_prime(name, z):
    function, breaks, size = S_PRIME[name]
    return z.apply(function, breaks, size, ROUNDINGS.get(name, 8))


# ---- losses: o, the loss of each sample and delta_L, from z_L and the target rows ---------------------------------


def cross_entropy(z, y):
    C, r = z.value.shape[1], z.radius
    shifted = z.value - z.value.max(axis=1, keepdims=True)
    widest = r.max(axis=1, keepdims=True)
    e = np.exp(shifted)
    total = e.sum(axis=1, keepdims=True)
    value = e / total
    moved = np.minimum(value * np.expm1(np.minimum(r + widest, 100)), 1).astype(float)
    o = z.precision.ball(value, moved, np.minimum(value * (1 + np.abs(shifted)) + moved, 1), C + 8)
    dot = (y * shifted).sum(axis=1)
    losses = z.precision.ball(
        np.log(total[:, 0]) - dot, (y * (r + widest)).sum(axis=1), 1 + np.log(total[:, 0]) - dot, C + 8
    )
    return o, losses, o - y


def binary_cross_entropy(z, y):
    o = z.apply(sigmoid)
    value = np.abs(z.value) * np.where(z.value > 0, 1 - y, y) + np.log1p(np.exp(-np.abs(z.value)))
    return o, z.precision.ball(value, z.radius, value, 8).sum(axis=1), o - y


def poisson(z, y):
    o = z.apply(lambda a: np.exp(np.minimum(a, 11000)))
    log_y = np.log(np.where(y > 0, y, 1))
    value = y * (log_y - z.value) - y + o.value
    size = y * (np.abs(log_y) + np.abs(z.value)) + y + o.value
    return o, z.precision.ball(value, z.radius * (o.size + y), size, 8).sum(axis=1), o - y


def huber(e):
    return np.where(np.abs(e) <= 1, e * e / 2, np.abs(e) - LONG(0.5))


def log_cosh(e):
    """ln(1 + 2 sinh^2(e / 2)) where nothing else cancels."""
    near, a = np.minimum(np.abs(e), 5), np.abs(e)
    far = a + np.log1p(np.exp(-2 * a)) - np.log(LONG(2))
    return np.where(a < 5, np.log1p(2 * np.sinh(near / 2) ** 2), far)


def pinball_slope(e, q):
    return np.where(e > 0, 1 - q, np.where(e < 0, -q, 0))


def distance_functions(name, q):
    """Loss and slope of the error; where the slope jumps; the sizes of both, if not themselves."""
    return {
        "squared_error": (lambda e: e * e / 2, lambda e: e, (), None, None),
        "absolute_error": (np.abs, np.sign, (0,), None, None),
        "huber": (huber, lambda e: np.clip(e, -1, 1), (), None, None),
        "log_cosh": (log_cosh, np.tanh, (), lambda e: log_cosh(e) + (np.abs(e) > 0.01), None),
        "quantile": (lambda e: pinball_slope(e, q) * e, lambda e: pinball_slope(e, q), (0,), np.abs, np.ones_like),
    }[name]


def distance(name, out_activation, q, z, y):
    o = s(out_activation, z)
    loss, slope, jumps, loss_size, slope_size = distance_functions(name, LONG(q))
    error = o - y
    losses = error.apply(loss, (0,), loss_size).sum(axis=1)
    delta = error if name == "squared_error" else error.apply(slope, jumps, slope_size)
    return o, losses, delta * s_prime(out_activation, z) if out_activation != "identity" else delta


WITH_OUTPUT = {"cross_entropy": cross_entropy, "binary_cross_entropy": binary_cross_entropy, "poisson": poisson}


# ---- a network ------------------------------------------------------------------------------------------------


class BallNetwork:
    """A network at the parameters that `net` has now."""

    def __init__(self, net):
        self.precision, self.net = Precision(net.dtype), net
        self.W = [self.precision.exact(W.copy()) for W in net.weights]
        self.b = [self.precision.exact(b.copy()) for b in net.biases]

    def forward(self, X, factors=None):
        """[z_1, ...] and [o_0, ..., o_{L-1}]; `factors` are what dropout multiplies each o by."""
        O, Z = [self.precision.exact(X)], []
        for layer, (W, b) in enumerate(zip(self.W, self.b, strict=True)):
            if factors is not None:
                O[-1] = O[-1] * self.precision.rounded(factors[layer])
            Z.append(O[-1] @ W.T + b)
            if layer < len(self.W) - 1:
                O.append(s(self.net.activation[layer], Z[-1]))
        return Z, O

    def losses(self, z, y):
        y = np.asarray(y, LONG)
        if self.net.loss_name in WITH_OUTPUT:
            return WITH_OUTPUT[self.net.loss_name](z, y)
        return distance(self.net.loss_name, self.net.out_activation, self.net.quantile, z, y)

    def outputs(self, X):
        """Targets of 1 are in the range of every loss; the outputs take nothing from them."""
        z = self.forward(X)[0][-1]
        return self.losses(z, np.ones(z.value.shape))[0]

    def penalty(self, decay):
        """decay / 2 times the sum of the squared weights."""
        total = self.precision.exact(0.0)
        for W in self.W:
            total = total + (W * W).sum()
        return total * decay * 0.5

    def loss_and_gradients(self, X, Y, scale, factors=None):
        """The sum of scale times loss, without the L2 term, [dW_1, ...] and [db_1, ...]."""
        Z, O = self.forward(X, factors)
        _, losses, delta = self.losses(Z[-1], Y)
        delta = delta * column(scale)
        dW, db = [], []
        for layer in range(len(self.W) - 1, -1, -1):
            dW.insert(0, delta.T @ O[layer])
            db.insert(0, delta.sum(axis=0))
            if layer > 0:
                delta = (delta @ self.W[layer]) * s_prime(self.net.activation[layer - 1], Z[layer - 1])
                if factors is not None:
                    delta = delta * self.precision.rounded(factors[layer])
        return (losses * scale).sum(), dW, db


def column(ball):
    return ball[:, None]


# ---- updates, from a gradient g that is a ball and a state that is known --------------------------------------------


def clipped(gradients, norm):
    """All of them times min(1, norm / length)."""
    squares = gradients[0].precision.exact(0.0)
    for g in gradients:
        squares = squares + (g * g).sum()
    length = squares.apply(lambda a: np.sqrt(np.maximum(a, 0)))
    factor = length.apply(lambda a: np.minimum(1, norm / np.maximum(a, np.finfo(LONG).tiny)))
    return [g * factor for g in gradients]


class BallSolver:
    """One update number t of a run of parameters p, with decay alpha / n of it where it is of the weights."""

    def __init__(self, precision, t, solver, learning_rate=0.1, momentum=0.0, nesterov=False, beta_1=0.9, beta_2=0.999,
                 epsilon=1e-8, epsilon_outside=False):  # fmt: skip
        self.update = getattr(self, solver)
        self.t, self.nesterov, self.precision = t, nesterov, precision
        rounded = precision.rounded
        self.eta, self.mu = rounded(learning_rate), rounded(momentum)
        self.beta_1, self.beta_2, self.rest_1, self.rest_2 = map(rounded, (beta_1, beta_2, 1 - beta_1, 1 - beta_2))
        corrected = solver in ("adam", "adamw")
        root = math.sqrt(1 - beta_2**t) if corrected else 1.0
        self.step = rounded(learning_rate * root / (1 - beta_1**t)) if corrected else None
        self.epsilon = rounded(max(precision.tiny, epsilon if epsilon_outside else epsilon * root))

    def sgd(self, p, g, decay, m, v):
        g = g + p * decay
        m = self.mu * m - self.eta * g
        return p + (self.mu * m - self.eta * g if self.nesterov else m), m, v

    def divided(self, m, v):
        """By the root of v."""
        root = v.apply(lambda a: np.sqrt(np.maximum(a, 0)))
        return m / (root + self.epsilon)

    def moments(self, g, m, v):
        return self.beta_1 * m + self.rest_1 * g, self.beta_2 * v + self.rest_2 * (g * g)

    def adam(self, p, g, decay, m, v):
        m, v = self.moments(g + p * decay, m, v)
        return p - self.divided(self.step * m, v), m, v

    def adamw(self, p, g, decay, m, v):
        m, v = self.moments(g, m, v)
        return p - self.eta * decay * p - self.divided(self.step * m, v), m, v

    def rmsprop(self, p, g, decay, m, v):
        g = g + p * decay
        v = self.beta_2 * v + self.rest_2 * (g * g)
        m = self.mu * m + self.divided(g, v)
        return p - self.eta * m, m, v


# ---- a block of parameters, W_1, b_1, W_2, b_2, ... --------------------------------------------------------


def slices(layer_sizes):
    """Of each W_l and b_l, with its shape."""
    at = 0
    for d_in, d_out in itertools.pairwise(layer_sizes):
        for shape in ((d_out, d_in), (d_out,)):
            size = math.prod(shape)
            yield slice(at, at + size), shape
            at += size


def interleaved(dW, db):
    return [each for pair in zip(dW, db, strict=True) for each in pair]
