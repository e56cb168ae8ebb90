"""The plain loops of reference.c in Python, compiled with fastmath for this CPU when they are first called.

The compiled code is kept beside this file, as Python's own is: compiling takes longer than many a measurement.
"""

import numba
import numpy as np

jit = numba.njit(fastmath=True, error_model="numpy", cache=True)


@jit
def activate(s, z):
    for i in range(z.size):
        z[i] = max(z[i], z.dtype.type(0)) if s == 0 else z.dtype.type(1) / (z.dtype.type(1) + np.exp(-z[i]))


@jit
def derive(s, o, delta):
    for i in range(o.size):
        if s == 0:
            delta[i] = delta[i] if o[i] > 0 else o.dtype.type(0)
        else:
            delta[i] *= o[i] * (o.dtype.type(1) - o[i])


@jit
def softmax(z):
    most, total = z[0], z.dtype.type(0)
    for i in range(z.size):
        most = max(most, z[i])
    for i in range(z.size):
        z[i] = np.exp(z[i] - most)
    for i in range(z.size):
        total += z[i]
    for i in range(z.size):
        z[i] /= total


@jit
def affine(W, b, x, z):
    for i in range(z.size):
        total = z.dtype.type(0)
        for j in range(x.size):
            total += W[i, j] * x[j]
        z[i] = total + b[i]


@jit
def pull_and_descend(W, b, delta, x, eta, below):
    below[:] = 0
    for i in range(delta.size):
        d = delta[i]
        step = eta * d
        for j in range(x.size):
            w = W[i, j]
            below[j] += w * d
            W[i, j] = w - step * x[j]
        b[i] -= step


@jit
def descend(W, b, delta, x, eta):
    for i in range(delta.size):
        step = eta * delta[i]
        for j in range(x.size):
            W[i, j] -= step * x[j]
        b[i] -= step


@jit
def forward(d, s, theta, x, o):
    """o (L + 1, widest): o[l] holds o_l."""
    at, L = 0, d.size - 1
    for l in range(1, L + 1):
        m, n = d[l], d[l - 1]
        before = x if l == 1 else o[l - 1, :n]
        z = o[l, :m]
        affine(theta[at : at + m * n].reshape(m, n), theta[at + m * n : at + m * n + m], before, z)
        if l < L:
            activate(s[l - 1], z)
        else:
            softmax(z)
        at += m * n + m


@jit
def train_samples(d, s, theta, X, y, eta, o, delta):
    L = d.size - 1
    for i in range(X.shape[0]):
        forward(d, s, theta, X[i], o)
        delta[L, : d[L]] = o[L, : d[L]]
        delta[L, y[i]] -= 1
        at = theta.size
        for l in range(L, 0, -1):
            m, n = d[l], d[l - 1]
            at -= m * n + m
            W, b = theta[at : at + m * n].reshape(m, n), theta[at + m * n : at + m * n + m]
            if l == 1:
                descend(W, b, delta[l, :m], X[i], eta)
            else:
                pull_and_descend(W, b, delta[l, :m], o[l - 1, :n], eta, delta[l - 1, :n])
                derive(s[l - 2], o[l - 1, :n], delta[l - 1, :n])


@jit
def affine_batch(X, W, b, Z):
    for i in range(X.shape[0]):
        for j in range(b.size):
            Z[i, j] = b[j]
        for p in range(X.shape[1]):
            x = X[i, p]
            for j in range(b.size):
                Z[i, j] += x * W[p, j]


@jit
def pull_batch(delta, W, below):
    for i in range(delta.shape[0]):
        for p in range(W.shape[0]):
            total = W.dtype.type(0)
            for j in range(W.shape[1]):
                total += delta[i, j] * W[p, j]
            below[i, p] = total


@jit
def gradient_batch(X, delta, G, g):
    G[:] = 0
    g[:] = 0
    for p in range(X.shape[1]):
        for i in range(X.shape[0]):
            x = X[i, p]
            for j in range(g.size):
                G[p, j] += x * delta[i, j]
    for i in range(X.shape[0]):
        for j in range(g.size):
            g[j] += delta[i, j]


@jit
def forward_batch(d, s, theta, X, o):
    """o (L + 1, rows * widest): o[l] holds the rows of o_l; weights d_{l-1} x d_l."""
    at, L, rows = 0, d.size - 1, X.shape[0]
    for l in range(1, L + 1):
        m, n = d[l], d[l - 1]
        before = X if l == 1 else o[l - 1, : rows * n].reshape(rows, n)
        Z = o[l, : rows * m].reshape(rows, m)
        affine_batch(before, theta[at : at + m * n].reshape(n, m), theta[at + m * n : at + m * n + m], Z)
        if l < L:
            activate(s[l - 1], o[l, : rows * m])
        else:
            for i in range(rows):
                softmax(Z[i])
        at += m * n + m


@jit
def backward_batch(d, s, theta, X, y, o, delta, G):
    L, rows, at = d.size - 1, X.shape[0], theta.size
    top = delta[L, : rows * d[L]].reshape(rows, d[L])
    top[:] = o[L, : rows * d[L]].reshape(rows, d[L]) / theta.dtype.type(rows)
    for i in range(rows):
        top[i, y[i]] -= theta.dtype.type(1) / theta.dtype.type(rows)
    for l in range(L, 0, -1):
        m, n = d[l], d[l - 1]
        at -= m * n + m
        now = delta[l, : rows * m].reshape(rows, m)
        before = X if l == 1 else o[l - 1, : rows * n].reshape(rows, n)
        gradient_batch(before, now, G[at : at + m * n].reshape(n, m), G[at + m * n : at + m * n + m])
        if l > 1:
            pull_batch(now, theta[at : at + m * n].reshape(n, m), delta[l - 1, : rows * n].reshape(rows, n))
            derive(s[l - 2], o[l - 1, : rows * n], delta[l - 1, : rows * n])


@jit
def adam(p, g, m, v, eta, t):
    one = p.dtype.type(1)
    step = p.dtype.type(eta / (1 - 0.9**t))
    unbias = p.dtype.type(1 / (1 - 0.999**t))
    b1, b2, epsilon = p.dtype.type(0.9), p.dtype.type(0.999), p.dtype.type(1e-8)
    for i in range(p.size):
        m[i] = b1 * m[i] + (one - b1) * g[i]
        v[i] = b2 * v[i] + (one - b2) * g[i] * g[i]
        p[i] -= step * m[i] / (np.sqrt(v[i] * unbias) + epsilon)


@jit
def train_batches(d, s, theta, X, y, batch, eta, G, state, t, o, delta):
    for i in range(0, X.shape[0], batch):
        rows = X[i : i + batch]
        forward_batch(d, s, theta, rows, o)
        backward_batch(d, s, theta, rows, y[i : i + batch], o, delta, G)
        t += 1
        if state.size:
            adam(theta, G, state[0], state[1], eta, t)
        else:
            for j in range(theta.size):
                theta[j] -= theta.dtype.type(eta) * G[j]
    return t


@jit
def predict_one(d, s, theta, x, o):
    forward(d, s, theta, x, o)
    return o[d.size - 1, : d[-1]].copy()


@jit
def predict_rows(d, s, theta, X, o):
    out = np.empty((X.shape[0], d[-1]), X.dtype)
    for i in range(X.shape[0]):
        forward(d, s, theta, X[i], o)
        out[i] = o[d.size - 1, : d[-1]]
    return out


@jit
def predict_batches(d, s, theta, X, batch, o):
    out = np.empty((X.shape[0], d[-1]), X.dtype)
    for i in range(0, X.shape[0], batch):
        rows = X[i : i + batch]
        forward_batch(d, s, theta, rows, o)
        out[i : i + batch] = o[d.size - 1, : rows.shape[0] * d[-1]].reshape(rows.shape[0], d[-1])
    return out
