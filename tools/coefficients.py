"""Computes the polynomials of src/cmlp/kernels/elementary.pyx: python tools/coefficients.py (needs mpmath).

Each is the polynomial of its degree with the smallest largest error over the reduced range, by Remez's exchange.
"""

import mpmath as mp

mp.mp.dps = 60
GRID = 4001
LIMIT = mp.log(2) / 2 * mp.mpf("1.0001")  # |r| after the reduction of exp
Z_LIMIT = (3 - 2 * mp.sqrt(2)) ** 2 * mp.mpf("1.0001")  # s^2 at the ends of the reduced range of log


def exp_tail(r):
    """q(r) = (exp(r) - 1 - r) / r^2."""
    return (mp.expm1(r) - r) / r**2 if abs(r) > mp.mpf(10) ** -15 else mp.mpf(1) / 2 + r / 6


def log_tail(z):
    """R(z) = 2 (atanh(s) / s - 1) / z with z = s^2."""
    if z < mp.mpf(10) ** -25:
        return mp.mpf(2) / 3 + 2 * z / 5
    s = mp.sqrt(z)
    return 2 * (mp.atanh(s) / s - 1) / z


def scaled_erfcx(t):
    """(1 + 2 x) exp(x^2) erfc(x) with t = (x - 4) / (x + 4)."""
    x = 4 * (1 + t) / (1 - t)
    return (1 + 2 * x) * mp.exp(x * x) * mp.erfc(x)


def interpolate(f, nodes):
    """Coefficients c and level e with sum c_k x^k - f(x) = -+e at the nodes, the sign alternating."""
    n = len(nodes)
    system = mp.matrix(n, n)
    for i, x in enumerate(nodes):
        for k in range(n - 1):
            system[i, k] = x**k
        system[i, n - 1] = (-1) ** i
    solution = mp.lu_solve(system, mp.matrix([f(x) for x in nodes]))
    return [solution[k] for k in range(n - 1)]


def extrema(errors):
    """Where each run of one sign is largest."""
    runs, start = [], 0
    for i in range(1, len(errors) + 1):
        if i == len(errors) or (errors[i] > 0) != (errors[start] > 0):
            runs.append(max(range(start, i), key=lambda j: abs(errors[j])))
            start = i
    return runs


def minimax(f, low, high, degree):
    """The coefficients, lowest first, and the largest error."""
    count = degree + 2
    middle, half = (low + high) / 2, (high - low) / 2
    nodes = [middle - half * mp.cos(mp.pi * (2 * i + 1) / (2 * count)) for i in range(count)]
    points = [middle - half * mp.cos(mp.pi * mp.mpf(i) / (GRID - 1)) for i in range(GRID)]
    values = [f(x) for x in points]
    for _ in range(15):
        c = interpolate(f, nodes)
        errors = [mp.polyval(c[::-1], x) - value for x, value in zip(points, values, strict=True)]
        found = extrema(errors)
        while len(found) > count:
            found.pop(0 if abs(errors[found[0]]) < abs(errors[found[-1]]) else -1)
        if len(found) < count or all(abs(points[j] - x) < mp.mpf(10) ** -12 for j, x in zip(found, nodes, strict=True)):
            break
        nodes = [points[j] for j in found]
    return c, max(abs(error) for error in errors)


def main():
    end = {"float32": mp.mpf(12), "float64": mp.mpf(28)}
    polynomials = {
        "exp, float32": (exp_tail, -LIMIT, LIMIT, 5),
        "exp, float64": (exp_tail, -LIMIT, LIMIT, 10),
        "log, float32": (log_tail, mp.mpf(0), Z_LIMIT, 3),
        "log, float64": (log_tail, mp.mpf(0), Z_LIMIT, 6),
        "erfcx, float32": (scaled_erfcx, mp.mpf(-1), (end["float32"] - 4) / (end["float32"] + 4), 10),
        "erfcx, float64": (scaled_erfcx, mp.mpf(-1), (end["float64"] - 4) / (end["float64"] + 4), 22),
    }
    for name, (f, low, high, degree) in polynomials.items():
        c, error = minimax(f, low, high, degree)
        print(f"{name}: degree {degree}, largest error {mp.nstr(error, 3)}")
        for k, value in enumerate(c):
            print(f"    c_{k} = {mp.nstr(value, 20)}")


if __name__ == "__main__":
    main()
