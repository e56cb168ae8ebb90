"""Dropout in NumPy: the hash that drops units, and the gradient of a batch without them.

A unit's chance is the hash of the seed, the update, the layer, the sample and the unit.  It shares no code with the
package: unsigned integers that wrap around stand for the C code's.
"""

from __future__ import annotations

import numpy as np

from reference import Reference, s, s_prime

GOLDEN = 0x9E3779B97F4A7C15


def splitmix(x):
    """The finaliser of SplitMix64."""
    x = np.asarray(x, np.uint64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def lowbias32(x):
    """Wellons' hash of 32 bits."""
    x = np.asarray(x, np.uint32)
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D)
    x = (x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B)
    return x ^ (x >> np.uint32(16))


def keys(seed, t, layer, n):
    step = splitmix(np.array([(seed + t * GOLDEN) % 2**64], np.uint64))
    return (splitmix(step + np.uint64(layer << 48) + np.arange(n, dtype=np.uint64)) >> np.uint64(32)).astype(np.uint32)


def chances(seed, t, layer, n, units, dtype):
    """In [0, 1), n x units, with the bits that the mantissa has."""
    unit = np.arange(units, dtype=np.uint32) * np.uint32(0x9E3779B9)
    bits = lowbias32(keys(seed, t, layer, n)[:, None] + unit)
    return (bits >> np.uint32(9)) / 2**23 if dtype == np.float32 else bits / 2**32


def factors(keep, seed, t, layer, n, units, dtype):
    """What each unit is multiplied by: 1 / keep, or 0."""
    keep = dtype.type(keep)
    if keep == 1:
        return np.ones((n, units))
    threshold = float(dtype.type(1) + keep) - 1
    return (chances(seed, t, layer, n, units, dtype) < threshold) / float(keep)


def all_factors(net, keep, seed, t, n):
    """Of the inputs and of each hidden layer."""
    each = enumerate(zip(keep, net.layer_sizes[:-1], strict=True))
    return [factors(chance, seed, t, layer, n, units, net.dtype) for layer, (chance, units) in each]


def elementwise(function, name, Z):
    return function(name, Z.ravel()).reshape(Z.shape)


class DroppedReference(Reference):
    """A reference some of whose units are dropped in each update."""

    def batch(self, X, Y, given, sample_weight):
        """The mean loss and its gradients; `given` are the factors."""
        Z, O = [], [np.asarray(X, float) * given[0]]
        for W, b, name, factor in zip(self.weights, self.biases, self.activation, given[1:], strict=False):
            Z.append(O[-1] @ W.T + b)
            O.append(elementwise(s, name, Z[-1]) * factor)
        last = O[-1] @ self.weights[-1].T + self.biases[-1]
        scale = sample_weight / len(X)
        loss = sum(w * self.loss_of(z, y) for w, z, y in zip(scale, last, Y, strict=True))
        Delta = np.array([w * self.delta_of(z, y) for w, z, y in zip(scale, last, Y, strict=True)])
        dW, db = [Delta.T @ O[-1]], [Delta.sum(axis=0)]
        layers = list(zip(self.weights[1:], self.activation, Z, O[:-1], given[1:], strict=True))
        for W, name, Z_l, below, factor in reversed(layers):
            Delta = (Delta @ W) * elementwise(s_prime, name, Z_l) * factor
            dW.insert(0, Delta.T @ below)
            db.insert(0, Delta.sum(axis=0))
        return loss, dW, db

    def dropped_step(self, X, Y, solver, given, alpha=0.0, sample_weight=None):
        """One update; the loss before it."""
        weight = np.ones(len(X)) if sample_weight is None else np.asarray(sample_weight, float)
        loss, dW, db = self.batch(X, Y, given, weight)
        loss += self.penalty(alpha, len(X))
        solver.update(self.weights + self.biases, dW + db, [alpha / len(X)] * len(dW) + [0.0] * len(db))
        return loss
