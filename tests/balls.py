"""Numbers that know how far a computation in some precision may be from them.

A Ball is a value, in NumPy's widest precision, and a radius: the rounding errors of every operation so far, each
bounded by the unit roundoff times the sizes of what is rounded, carried on through what follows.  The bounds hold for
any order of adding up, with and without fused products.  They come from sizes alone; nothing in them is measured.
"""

from __future__ import annotations

import numpy as np

LONG = np.longdouble


class Precision:
    """Of the computation that is followed; `peak` is the largest size it has met."""

    def __init__(self, dtype):
        limits = np.finfo(dtype)
        self.unit = float(limits.eps / 2 + np.finfo(LONG).eps)  # the reference rounds too
        self.tiny = float(limits.tiny)  # below it numbers may become 0
        self.largest = float(limits.max)
        self.peak = 0.0

    def exact(self, value):
        return Ball(value, 0.0, self)

    def rounded(self, value, slack=0.0):
        """A number that is rounded to the precision, and known to a share `slack` of itself before."""
        return self.ball(value, slack * np.abs(value), np.abs(value), 1)

    def ball(self, value, radius, size, roundings):
        """After so many roundings of what is as large as `size`, a sum of magnitudes."""
        value, size = np.asarray(value, LONG), np.asarray(size, float)
        self.peak = max(self.peak, np.max(size, initial=0.0))
        return Ball(value, radius + roundings * (self.unit * size + self.tiny), self)


def no_nan(radius):
    """What 0 times an infinite radius has made is no bound."""
    return np.where(np.isnan(radius), np.inf, radius)


class Ball:
    def __init__(self, value, radius, precision):
        self.value = np.asarray(value, LONG)
        self.radius = np.broadcast_to(np.asarray(radius, float), self.value.shape)
        self.precision = precision

    @property
    def size(self):
        return np.abs(self.value).astype(float) + self.radius

    @property
    def T(self):
        return Ball(self.value.T, self.radius.T, self.precision)

    def __getitem__(self, rows):
        return Ball(self.value[rows], self.radius[rows], self.precision)

    def of(self, other):
        return other if isinstance(other, Ball) else self.precision.exact(other)

    def __add__(self, other):
        other = self.of(other)
        size = self.size + other.size
        return self.precision.ball(self.value + other.value, self.radius + other.radius, size, 1)

    def __neg__(self):
        return Ball(-self.value, self.radius, self.precision)

    def __sub__(self, other):
        return self + -self.of(other)

    def __mul__(self, other):
        other = self.of(other)
        a, b = self.size, other.size
        radius = no_nan(a * other.radius + self.radius * (b - other.radius))
        nothing = (a == 0) | (b == 0)
        size = np.where(nothing, 0, a * b)
        return self.precision.ball(self.value * other.value, np.where(nothing, 0, radius), no_nan(size), 1)

    def __truediv__(self, other):
        """By what is positive."""
        other = self.of(other)
        value, least = self.value / other.value, other.value.astype(float) - other.radius
        radius = np.where(least > 0, (self.radius + np.abs(value).astype(float) * other.radius) / least, np.inf)
        return self.precision.ball(value, radius, np.abs(value) + radius, 1)

    def __matmul__(self, other):
        other = self.of(other)
        a, b = self.size, other.size
        radius = a @ other.radius + self.radius @ b
        return self.precision.ball(self.value @ other.value, no_nan(radius), no_nan(a @ b), self.value.shape[-1] + 1)

    def sum(self, axis=None):
        terms = self.value.size if axis is None else self.value.shape[axis]
        return self.precision.ball(self.value.sum(axis), self.radius.sum(axis), self.size.sum(axis), terms)

    def apply(self, function, breaks=(), size=None, roundings=8):
        """A function that is monotone between the numbers in `breaks`, where it may also jump."""
        value, radius = function(self.value), self.spread(function, breaks)
        size = np.abs(value) if size is None else size(self.value)
        # What becomes 0 on the way to the result may be multiplied by the argument.
        lifted = radius + self.precision.tiny * np.minimum(np.abs(self.value), 1e4).astype(float)
        return self.precision.ball(value, lifted, size + radius, roundings)

    def spread(self, function, breaks):
        """How far the function moves within the ball."""
        value, reach = function(self.value), np.minimum(self.radius, 1e300)
        moves = [np.abs(function(self.value + side * reach) - value) for side in (-1, 1)]
        for point in breaks:
            beside = [np.nextafter(LONG(point), side) for side in (LONG(-np.inf), LONG(np.inf))]
            inside = np.abs(self.value - point) <= reach
            each = [np.abs(function(np.full_like(self.value, p)) - value) for p in (*beside, LONG(point))]
            moves += [np.where(inside, move, 0) for move in each]
        return no_nan(np.max(moves, axis=0).astype(float))

    def assert_contains(self, actual, what):
        """Every entry of what was computed."""
        actual = np.asarray(actual)
        assert actual.shape == self.value.shape, f"{what} has shape {actual.shape}, not {self.value.shape}"
        off = np.abs(actual - self.value).astype(float)
        outside = ~(off <= self.radius) & ~((self.radius == np.inf) & np.isfinite(actual))
        worst = np.where(outside, off / np.maximum(self.radius, 5e-324), 0).max(initial=0)
        assert not outside.any(), (
            f"{what}: {outside.sum()} of {outside.size} outside, the worst {worst:.3g} times its bound; "
            f"for example {actual[outside][0]} for {self.value[outside][0]} +- {self.radius[outside][0]:.3g}"
        )
