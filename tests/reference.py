"""The formulas of docs/derivation.md in plain Python, in float64.

What cmlp is tested against: it shares no code with the package and reads as the formulas do.  System A is
written out in loops over single numbers; System B, for any layers, in one line of algebra per formula.
"""

from __future__ import annotations

import math

import numpy as np

# ---- System A: relu, sigmoid, softmax, cross-entropy, one update per sample --------------------------


def system_a_update(parameters, x, y, eta):
    """One update on one sample, in place, of (W_h1, b_h1, W_h2, b_h2, W_o, b_o); the loss before it."""
    W_h1, b_h1, W_h2, b_h2, W_o, b_o = parameters
    inputs, first, second, outputs = range(len(x)), range(len(b_h1)), range(len(b_h2)), range(len(b_o))

    z_h1 = [sum(W_h1[i][j] * x[j] for j in inputs) + b_h1[i] for i in first]
    a_1 = [max(0.0, z_h1[i]) for i in first]
    z_h2 = [sum(W_h2[m][i] * a_1[i] for i in first) + b_h2[m] for m in second]
    a_2 = [1 / (1 + math.exp(-z_h2[m])) for m in second]
    z = [sum(W_o[k][m] * a_2[m] for m in second) + b_o[k] for k in outputs]
    o = [math.exp(z[k]) / sum(math.exp(z[j]) for j in outputs) for k in outputs]
    loss = -sum(y[k] * math.log(o[k]) for k in outputs)

    delta_o = [o[k] - y[k] for k in outputs]
    delta_h2 = [sum(W_o[k][m] * delta_o[k] for k in outputs) * a_2[m] * (1 - a_2[m]) for m in second]
    delta_h1 = [sum(W_h2[m][i] * delta_h2[m] for m in second) * (z_h1[i] > 0) for i in first]

    system_a_layer_update(W_o, b_o, delta_o, a_2, eta)
    system_a_layer_update(W_h2, b_h2, delta_h2, a_1, eta)
    system_a_layer_update(W_h1, b_h1, delta_h1, x, eta)
    return loss


def system_a_layer_update(W, b, delta, o_below, eta):
    for i in range(len(b)):
        for j in range(len(o_below)):
            W[i][j] = W[i][j] - eta * delta[i] * o_below[j]
        b[i] = b[i] - eta * delta[i]


def train_system_a(weights, biases, X, Y, eta, epochs):
    """Weights, biases and the mean loss of each epoch, from the weights and biases given."""
    parameters = [array.tolist() for pair in zip(weights, biases, strict=True) for array in pair]
    X, Y = np.asarray(X, float).tolist(), np.asarray(Y, float).tolist()
    losses = []
    for _ in range(epochs):
        losses.append(sum(system_a_update(parameters, x, y, eta) for x, y in zip(X, Y, strict=True)) / len(X))
    arrays = [np.array(each) for each in parameters]
    return arrays[0::2], arrays[1::2], losses


# ---- activations: s(z) and s'(z) of one number ------------------------------------------------------


def sigmoid(z):
    return 1 / (1 + math.exp(-z)) if z >= 0 else math.exp(z) / (1 + math.exp(z))


def sigmoid_prime(z):
    return sigmoid(z) * sigmoid(-z)


def tanh_prime(z):
    return 1 / math.cosh(z) ** 2


def elu(z):
    return z if z > 0 else math.expm1(z)


def elu_prime(z):
    return 1.0 if z > 0 else math.exp(z)


# SELU's constants from the condition that fixes them, that zero mean and unit variance stay as they are
# (Klambauer et al., 2017, equation 14).
_TAIL = math.erfc(math.sqrt(0.5)) * math.sqrt(math.e)
SELU_ALPHA = math.sqrt(2 / math.pi) / (1 - _TAIL)
SELU_SCALE = (
    (1 - _TAIL)
    * math.sqrt(2 * math.pi)
    / math.sqrt(2 * math.erfc(math.sqrt(2)) * math.e**2 + math.pi * _TAIL**2 - 2 * (2 + math.pi) * _TAIL + math.pi + 2)
)


def selu(z):
    return SELU_SCALE * (z if z > 0 else SELU_ALPHA * math.expm1(z))


def selu_prime(z):
    return SELU_SCALE * (1.0 if z > 0 else SELU_ALPHA * math.exp(z))


def softplus(z):
    return max(z, 0.0) + math.log1p(math.exp(-abs(z)))


def silu_prime(z):
    return sigmoid(z) + z * sigmoid_prime(z)


def normal_distribution(z):
    return math.erfc(-z / math.sqrt(2)) / 2


def gelu_prime(z):
    return normal_distribution(z) + z * math.exp(-z * z / 2) / math.sqrt(2 * math.pi)


ACTIVATIONS = {
    "identity": (lambda z: z, lambda z: 1.0),
    "relu": (lambda z: max(0.0, z), lambda z: float(z > 0)),
    "sigmoid": (sigmoid, sigmoid_prime),
    "tanh": (math.tanh, tanh_prime),
    "leaky_relu": (lambda z: z if z > 0 else 0.01 * z, lambda z: 1.0 if z > 0 else 0.01),
    "elu": (elu, elu_prime),
    "selu": (selu, selu_prime),
    "softplus": (softplus, sigmoid),
    "silu": (lambda z: z * sigmoid(z), silu_prime),
    "gelu": (lambda z: z * normal_distribution(z), gelu_prime),
}
KINKED_ACTIVATIONS = ("relu", "leaky_relu", "elu", "selu")  # s' or s'' jumps at z = 0


def each(function, z):
    return np.array([function(value) for value in z.tolist()])


def s(name, z):
    return each(ACTIVATIONS[name][0], z)


def s_prime(name, z):
    return each(ACTIVATIONS[name][1], z)


# ---- losses of one sample: output o, loss L, delta_L = dL/dz_L, from z_L and the target row y --------


def softmax(z):
    e = np.exp(z - z.max())
    return e / e.sum()


def cross_entropy(z, y):
    log_sum_exp = z.max() + math.log(np.exp(z - z.max()).sum())
    return y @ (log_sum_exp - z)


def sigmoids(z):
    return each(sigmoid, z)


def binary_cross_entropy(z, y):
    return y @ each(softplus, -z) + (1 - y) @ each(softplus, z)


def poisson(z, y):
    return sum(math.exp(a) - b + (b * (math.log(b) - a) if b > 0 else 0.0) for a, b in zip(z, y, strict=True))


WITH_OUTPUT = {  # o, L, delta_L
    "cross_entropy": (softmax, cross_entropy, lambda z, y: softmax(z) - y),
    "binary_cross_entropy": (sigmoids, binary_cross_entropy, lambda z, y: sigmoids(z) - y),
    "poisson": (np.exp, poisson, lambda z, y: np.exp(z) - y),
}


def huber(e, q):
    return np.where(np.abs(e) <= 1, e**2 / 2, np.abs(e) - 0.5)


def pinball(e, q):
    return np.where(e > 0, (1 - q) * e, -q * e)


def pinball_slope(e, q):
    return np.where(e > 0, 1 - q, np.where(e < 0, -q, 0.0))


DISTANCES = {  # of the error e = o - y: the loss and its derivative
    "squared_error": (lambda e, q: e**2 / 2, lambda e, q: e),
    "absolute_error": (lambda e, q: np.abs(e), lambda e, q: np.sign(e)),
    "huber": (huber, lambda e, q: np.clip(e, -1, 1)),
    "log_cosh": (lambda e, q: np.logaddexp(e, -e) - math.log(2), lambda e, q: np.tanh(e)),
    "quantile": (pinball, pinball_slope),
}
LOSSES = (*WITH_OUTPUT, *DISTANCES)


def loss_functions(name, out_activation, q):
    """o, L and delta_L as functions of z_L and the target row."""
    if name in WITH_OUTPUT:
        return WITH_OUTPUT[name]
    loss, slope = DISTANCES[name]
    return (
        lambda z: s(out_activation, z),
        lambda z, y: loss(s(out_activation, z) - y, q).sum(),
        lambda z, y: slope(s(out_activation, z) - y, q) * s_prime(out_activation, z),
    )


# ---- System B: any layers ---------------------------------------------------------------------------


def weights_of(sample_weight, X):
    return np.ones(len(X)) if sample_weight is None else np.asarray(sample_weight, float)


class Reference:
    """A network of float64 arrays of its own.  Targets are rows (n, C).

    With `slip_1` the recursion is that of part 2 of the source of System B, which carries the gradient by o_l
    down the layers without the factor s'_{l+1}(z_{l+1}).
    """

    def __init__(self, weights, biases, activation, loss, slip_1=False, out_activation="identity", quantile=0.5):
        self.weights = [np.array(W, dtype=float) for W in weights]
        self.biases = [np.array(b, dtype=float) for b in biases]
        self.activation, self.loss_name, self.slip_1 = activation, loss, slip_1
        self.out_activation = out_activation
        self.output, self.loss_of, self.delta_of = loss_functions(loss, out_activation, quantile)

    @classmethod
    def of(cls, net, slip_1=False):
        return cls(
            net.weights, net.biases, net.activation, net.loss_name, slip_1, net.out_activation, net.quantile
        )  # fmt: skip

    @property
    def parameters(self):
        return flat(self.weights, self.biases)

    def layers(self, x):
        """[o_0, ..., o_L] and [z_1, ..., z_L]."""
        o, z = [np.asarray(x, dtype=float)], []
        for W, b, name in zip(self.weights, self.biases, (*self.activation, None), strict=True):
            z.append(W @ o[-1] + b)
            o.append(s(name, z[-1]) if name else self.output(z[-1]))
        return o, z

    def deltas(self, z, y):
        """[delta_1, ..., delta_L]."""
        delta = [self.delta_of(z[-1], y)]
        by_output = delta[0]
        for W, name, z_l in zip(self.weights[:0:-1], self.activation[::-1], z[-2::-1], strict=True):
            by_output = W.T @ (by_output if self.slip_1 else delta[0])
            delta.insert(0, by_output * s_prime(name, z_l))
        return delta

    def forward(self, X):
        return np.array([self.layers(x)[0][-1] for x in X])

    def penalty(self, alpha, n):
        return alpha / (2 * n) * sum((W**2).sum() for W in self.weights)

    def loss(self, X, Y, alpha=0.0, sample_weight=None):
        losses = [self.loss_of(self.layers(x)[1][-1], y) for x, y in zip(X, Y, strict=True)]
        return weights_of(sample_weight, X) @ losses / len(X) + self.penalty(alpha, len(X))

    def loss_and_gradients(self, X, Y, alpha=0.0, sample_weight=None):
        """`loss`, [dW_1, ...] and [db_1, ...]."""
        n, loss = len(X), self.penalty(alpha, len(X))
        dW, db = [alpha / n * W for W in self.weights], [np.zeros_like(b) for b in self.biases]
        for x, y, weight in zip(X, np.asarray(Y, float), weights_of(sample_weight, X), strict=True):
            o, z = self.layers(x)
            loss += weight / n * self.loss_of(z[-1], y)
            for layer, delta in enumerate(self.deltas(z, y)):
                dW[layer] += weight / n * np.outer(delta, o[layer])
                db[layer] += weight / n * delta
        return loss, dW, db

    def step(self, X, Y, solver, alpha=0.0, sample_weight=None):
        """One update on a batch; the loss before it, with the L2 term where the decay comes from one."""
        loss, dW, db = self.loss_and_gradients(X, Y, 0.0, sample_weight)
        if solver.decay_is_of_the_loss:
            loss += self.penalty(alpha, len(X))
        decays = [alpha / len(X)] * len(dW) + [0.0] * len(db)
        solver.update(self.weights + self.biases, dW + db, decays)
        return loss

    def train(self, X, Y, solver, epochs=1, batch_size=1, alpha=0.0, sample_weight=None):
        """Epochs in the order of the samples; the mean loss of each, every batch's before its update."""
        weight = weights_of(sample_weight, X)
        losses = []
        for _ in range(epochs):
            total = 0.0
            for start in range(0, len(X), batch_size):
                rows = slice(start, start + batch_size)
                total += len(X[rows]) * self.step(X[rows], Y[rows], solver, alpha, weight[rows])
            losses.append(total / len(X))
        return losses

    def distance_to_kinks(self, X, Y):
        """How far every z_l and every error o_L - y is from where a derivative jumps."""
        gaps = [math.inf]
        for x, y in zip(X, Y, strict=True):
            o, z = self.layers(x)
            layers = zip(z, (*self.activation, self.out_activation), strict=True)
            gaps += [np.abs(z_l).min() for z_l, name in layers if name in KINKED_ACTIVATIONS]
            if self.loss_name in ("absolute_error", "quantile"):
                gaps.append(np.abs(o[-1] - y).min())
            elif self.loss_name == "huber":
                gaps.append(np.abs(np.abs(o[-1] - y) - 1).min())
        return min(gaps)


# ---- solvers ----------------------------------------------------------------------------------------


class Solver:
    """A solver with its state.  `decay` is alpha / n for weights and 0 for biases."""

    def __init__(
        self, solver="sgd", learning_rate=0.01, momentum=0.0, nesterov=False, beta_1=0.9, beta_2=0.999,
        epsilon=1e-8,
    ):  # fmt: skip
        changes = {"sgd": self.sgd, "adam": self.adam, "adamw": self.adamw, "rmsprop": self.rmsprop}
        self.change = changes[solver]
        self.decay_is_of_the_loss = solver != "adamw"
        self.learning_rate, self.momentum, self.nesterov = learning_rate, momentum, nesterov
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
        self.t = 0
        self.state = {}

    def update(self, parameters, gradients, decays):
        self.t += 1
        for i, (p, g, decay) in enumerate(zip(parameters, gradients, decays, strict=True)):
            m, v = self.state.setdefault(i, (np.zeros_like(p), np.zeros_like(p)))
            p += self.change(p, g, decay, m, v)

    def sgd(self, p, g, decay, velocity, _):
        """Velocity as in Sutskever et al. (2013); Nesterov's correction looks one step ahead."""
        pull = -self.learning_rate * (g + decay * p)
        velocity[...] = self.momentum * velocity + pull
        return self.momentum * velocity + pull if self.nesterov else velocity

    def adam(self, p, g, decay, m, v):
        """Kingma and Ba (2015), algorithm 1."""
        g = g + decay * p
        m[...] = self.beta_1 * m + (1 - self.beta_1) * g
        v[...] = self.beta_2 * v + (1 - self.beta_2) * g**2
        m_hat, v_hat = m / (1 - self.beta_1**self.t), v / (1 - self.beta_2**self.t)
        return -self.learning_rate * m_hat / (np.sqrt(v_hat) + self.epsilon)

    def adamw(self, p, g, decay, m, v):
        """Loshchilov and Hutter (2019), algorithm 2, the decay scaled by the learning rate as in torch."""
        return self.adam(p, g, 0.0, m, v) - self.learning_rate * decay * p

    def rmsprop(self, p, g, decay, velocity, v):
        g = g + decay * p
        v[...] = self.beta_2 * v + (1 - self.beta_2) * g**2
        velocity[...] = self.momentum * velocity + g / (np.sqrt(v) + self.epsilon)
        return -self.learning_rate * velocity


# ---- what the tests measure with --------------------------------------------------------------------


def flat(weights, biases):
    """W_1, b_1, W_2, b_2, ... in one vector."""
    return np.concatenate([array.ravel() for pair in zip(weights, biases, strict=True) for array in pair])


def central_differences(loss, parameters, h=1e-5):
    """The gradient of loss() by the vector `parameters`, which is moved in place and put back."""
    gradient = np.empty(parameters.size)
    for i, value in enumerate(parameters.copy()):
        parameters[i] = value + h
        above = loss()
        parameters[i] = value - h
        below = loss()
        parameters[i] = value
        gradient[i] = (above - below) / (2 * h)
    return gradient


def assert_entries_close(actual, expected, tolerance, what=""):
    """Every entry, relative to the largest one of its array."""
    error = np.abs(np.asarray(actual, float) - expected).max() / np.abs(expected).max()
    assert error <= tolerance, f"{what} off by {error:.2g} relative, tolerance {tolerance:g}"


def assert_network_close(net, reference, tolerance):
    """Every parameter of a network, relative to the largest one of its W_l or b_l."""
    pairs = zip(net.weights, net.biases, reference.weights, reference.biases, strict=True)
    for layer, (W, b, W_expected, b_expected) in enumerate(pairs, 1):
        assert_entries_close(W, W_expected, tolerance, f"W_{layer}")
        assert_entries_close(b, b_expected, tolerance, f"b_{layer}")


def assert_vector_close(actual, expected, tolerance):
    """Relative to the norm of what is expected."""
    error = np.linalg.norm(np.asarray(actual, float) - expected) / np.linalg.norm(expected)
    assert error <= tolerance, f"off by {error:.2g} of the norm, tolerance {tolerance:g}"


# ---- data that float32 holds exactly, so that one reference serves both precisions ------------------


def one_hot(labels, C):
    return np.eye(C)[labels]


def inputs(n, d, seed=0):
    return np.random.RandomState(seed).standard_normal((n, d)).astype(np.float32).astype(float)


def classes(n, C, seed=0):
    return np.random.RandomState(1000 + seed).randint(0, C, n, dtype=np.intp)  # a long has 32 bits on Windows


def target_rows(n, C, loss, seed=0):
    """Rows that a loss accepts: soft targets, fractional counts with zeros among them."""
    random = np.random.RandomState(2000 + seed)
    if loss == "cross_entropy":
        return random.multinomial(64, np.full(C, 1 / C), n) / 64
    if loss == "binary_cross_entropy":
        return random.randint(0, 65, (n, C)) / 64
    if loss == "poisson":
        return random.poisson(2.0, (n, C)) / 2
    return 2 * random.standard_normal((n, C)).astype(np.float32).astype(float)


def sample_weights(n, seed=0):
    return np.random.RandomState(3000 + seed).randint(0, 9, n) / 4


def round_to_float32(net):
    net.parameters[:] = net.parameters.astype(np.float32)
    return net
