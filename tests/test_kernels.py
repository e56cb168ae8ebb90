"""Every kernel of every build against NumPy and mpmath, over sizes on both sides of every vector length."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from arrays import GUARDED, Arrays
from cmlp.kernels import available, kernels
from engines import engine_of, network
from kernel_cases import (
    ACTIVATIONS,
    CASES,
    DISTANCES,
    INF,
    LOSSES,
    QUANTILES,
    SIZES,
    SOLVERS,
    Result,
    check,
    expected_activation,
    expected_distance,
    expected_errors,
    expected_loss,
    extreme_problem,
    loss_of_batch,
    loss_problem,
    matrix_product,
    matrix_products,
    one_by_one,
    product,
    product_t,
    product_t_update,
    rank1_update,
    row_sums,
    updates,
    wide,
)


@pytest.fixture
def arrays(dtype):
    arrays = Arrays(dtype)
    yield arrays
    arrays.check()


WIDTHS = {"baseline": 16, "neon": 16, "avx2": 32, "avx512": 64}  # bytes


def test_vectors_are_as_wide_as_the_registers(module, build, dtype):
    """Or hold one number, where $CMLP_PLAIN_LOOPS says that the compiler has no vectors: no wheel may be so unseen."""
    plain = bool(os.environ.get("CMLP_PLAIN_LOOPS"))
    assert module.vector_lanes() == (1 if plain else WIDTHS[build.isa] // dtype.itemsize)


each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)


@each_case
@pytest.mark.parametrize("m", SIZES)
def test_products_and_moves(module, arrays, case, m):
    for n in SIZES:
        for result in case(module, arrays, m, n):
            check(result, arrays.dtype, f"{m} x {n}")


@pytest.mark.parametrize(
    ("m", "k", "n"), [(7, 1030, 33), (1, 2100, 5), (520, 33, 70), (600, 300, 40), (45, 90, 300), (3, 1100, 260)]
)
def test_products_in_more_than_one_block(module, arrays, m, k, n):
    for result in matrix_products(module, arrays, m, k, n):
        check(result, arrays.dtype)


@pytest.mark.parametrize("case", [rank1_update, product_t_update], ids=lambda case: case.__name__)
@pytest.mark.parametrize("n", [255, 256, 257])
def test_rows_long_enough_to_be_passed_over(module, arrays, case, n):
    for result in case(module, arrays, 7, n):
        check(result, arrays.dtype)


@pytest.mark.parametrize("n", SIZES[1:])
@pytest.mark.parametrize("intruder", [np.nan, np.inf, -np.inf])
def test_one_number_that_is_not_finite_is_found(module, arrays, dtype, n, intruder):
    largest = np.full(n, np.finfo(dtype).max)
    assert module.sums(arrays.put(largest[None]))[2]
    for position in range(n):
        a = arrays.put(np.where(np.arange(n) == position, intruder, largest))
        assert not module.sums(a[None])[2]
        assert module.first_not_finite(a) == position


each_activation = pytest.mark.parametrize("name", ACTIVATIONS)


@each_activation
def test_activation_and_slope(module, arrays, dtype, name):
    z, s, slope, size, slope_size = expected_activation(name, dtype.name)
    got, got_slope = module.activation(name, arrays.put(z))
    check(Result(got, s, size, 2), dtype, "s")
    check(Result(got_slope, slope, slope_size, 2), dtype, "s'")


@each_activation
@pytest.mark.parametrize("which", [0, 1], ids=["s", "slope"])
def test_activation_at_infinity(module, dtype, name, which):
    got = module.activation(name, np.array([-INF, INF], dtype))[which]
    want = (ACTIVATIONS[name].ends, ACTIVATIONS[name].slope_ends)[which]
    np.testing.assert_allclose(got, want, rtol=2 * np.finfo(dtype).eps)


@each_activation
def test_activation_keeps_nan(module, dtype, name):
    assert np.isnan(module.activation(name, np.array([0, np.nan, 1], dtype))[0]).tolist() == [False, True, False]


each_loss = pytest.mark.parametrize("name", LOSSES)
each_width = pytest.mark.parametrize("C", [1, 2, 3, 7, 17, 33, 65])


def check_loss(name, got, Z, Y, scale, dtype):
    """`got` is the sum of scale * loss, O and scale * Delta."""
    want = expected_loss(name, Z, Y)
    C, n = Z.shape
    loss, O, Delta = got
    check(Result(O, want.o, want.o_size, C + 2), dtype, "o")
    check(Result(Delta, scale * want.delta, scale * want.delta_size, C + 2), dtype, "delta")
    check(Result(loss, (scale * want.loss).sum(), (scale * want.loss_size).sum(), C + n + 2), dtype, "loss")


@each_loss
@each_width
def test_loss_of_one_sample(module, arrays, dtype, name, C):
    for Z, Y, scale in (loss_problem(name, arrays, C, 1) for _ in range(5)):
        check_loss(name, one_by_one(module, name, Z, Y, scale), Z, Y, scale, dtype)


@each_loss
@each_width
def test_loss_of_a_batch(module, arrays, dtype, name, C):
    for n in SIZES[1:]:
        Z, Y, scale = loss_problem(name, arrays, C, n)
        check_loss(name, loss_of_batch(module, name, Z, Y, scale), Z, Y, scale, dtype)


@each_loss
@each_width
def test_a_batch_is_its_samples_together(module, arrays, dtype, name, C):
    Z, Y, scale = loss_problem(name, arrays, C, 65)
    size = expected_loss(name, Z, Y)
    loss, O, Delta = loss_of_batch(module, name, Z, Y, scale)
    each_loss, each_o, each_delta = one_by_one(module, name, Z, Y, scale)
    check(Result(loss, each_loss, (scale * size.loss_size).sum(), 65), dtype, "loss")
    check(Result(O, each_o, size.o_size, C), dtype, "o")
    check(Result(Delta, each_delta, scale * size.delta_size, C), dtype, "delta")


@each_loss
@pytest.mark.parametrize("C", [1, 2, 3, 17])
@pytest.mark.parametrize("at", [0, -1])
def test_extreme_logits(module, dtype, name, C, at):
    for logit in (1e4, -1e4, np.finfo(dtype).max / 4, -np.finfo(dtype).max / 4):
        Z, Y, scale = extreme_problem(name, dtype, C, logit, at)
        check_loss(name, loss_of_batch(module, name, Z, Y, scale), Z, Y, scale, dtype)
        check_loss(name, one_by_one(module, name, Z, Y, scale), Z, Y, scale, dtype)


@pytest.mark.parametrize("C", [2, 3, 17])
def test_cross_entropy_of_logits_as_far_apart_as_can_be(module, dtype, C):
    Z, Y, scale = extreme_problem("cross_entropy", dtype, C, np.finfo(dtype).max, 0)
    assert module.loss_of_batch("cross_entropy", Z, Y, scale)[0] == 0
    assert module.loss_of_sample("cross_entropy", Z[:, 0].copy(), Y[:, 0].copy(), 1.0)[0] == 0


@each_loss
def test_a_sample_of_scale_0_counts_for_nothing(module, dtype, name):
    """The lanes that pad a batch are such samples: their logits are the biases, which may be large."""
    for logit in (1e4, np.finfo(dtype).max / 4):
        Z, Y, _ = extreme_problem(name, dtype, 3, logit, 0)
        both = loss_of_batch(module, name, np.hstack([Z, 0 * Z]), np.hstack([Y, Y]), np.array([0, 1], dtype))
        alone = loss_of_batch(module, name, 0 * Z, Y, np.array([1], dtype))
        assert both[0] == alone[0]
        np.testing.assert_array_equal(both[2], np.hstack([0 * Z, alone[2]]))


@each_loss
@each_width
def test_a_nan_shows_in_the_loss(module, arrays, dtype, name, C):
    """Training stops at a loss that is not finite, so none may get lost."""
    for k in range(C):
        Z, Y, scale = loss_problem(name, arrays, C, 3)
        Z = Z.copy()
        Z[k, 1] = np.nan
        assert np.isnan(loss_of_batch(module, name, Z, Y, scale)[0])
        assert np.isnan(one_by_one(module, name, Z[:, 1:2], Y[:, 1:2], [1.0])[0])


each_distance = pytest.mark.parametrize("name", DISTANCES)
one_or_many = pytest.mark.parametrize("losses", [loss_of_batch, one_by_one], ids=["batch", "one by one"])


@each_distance
@one_or_many
@pytest.mark.parametrize("output", ACTIVATIONS)
def test_distances_from_outputs_of_every_activation(module, dtype, name, losses, output):
    Z, Y, want = expected_distance(name, output, dtype.name)
    scale = np.linspace(0, 1.5, Z.shape[1]).astype(dtype)
    loss, O, Delta = losses(module, name, Z, Y, scale, output)
    check(Result(O, want.o, want.o_size, 2), dtype, "o")
    check(Result(Delta, scale * want.delta, scale * want.delta_size, 6), dtype, "delta")
    check(Result(loss, (scale * want.loss).sum(), (scale * want.loss_size).sum(), 3 * Z.shape[1] + 2), dtype, "loss")


@each_distance
@one_or_many
def test_distances_of_errors_of_any_size(module, dtype, name, losses):
    """Each error alone, as an output from 0 and as a target from 0: the loss, which may overflow, and its slope."""
    for e, loss, slope, loss_size, slope_size in zip(*expected_errors(name, dtype.name), strict=True):
        column, nothing, scale = np.full((1, 1), e), np.zeros((1, 1), dtype), np.ones(1, dtype)
        for Z, Y in ((column, nothing), (nothing, -column)):
            got, _, Delta = losses(module, name, Z, Y, scale)
            check(Result(np.asarray(got, dtype), loss, loss_size, 3), dtype, f"loss of {e}")
            check(Result(Delta, slope[None, None], slope_size, 3), dtype, f"slope at {e}")


SLOPES_AT_INFINITY = {"squared_error": INF, "absolute_error": 1, "huber": 1, "log_cosh": 1}


@each_distance
@one_or_many
def test_distances_of_infinite_errors(module, dtype, name, losses):
    """The loss is infinite, which stops a training, and the slope is its limit."""
    q = QUANTILES.get(name, 0)
    for e, slope in ((INF, SLOPES_AT_INFINITY.get(name, 1 - q)), (-INF, -SLOPES_AT_INFINITY.get(name, q))):
        Z, Y = np.full((1, 1), e, dtype), np.ones((1, 1), dtype)
        loss, _, Delta = losses(module, name, Z, Y, np.ones(1, dtype))
        assert loss == INF
        np.testing.assert_allclose(Delta, slope, rtol=4 * np.finfo(dtype).eps)


def test_log_cosh_of_small_errors(module, dtype):
    """They are half their square, to relative rounding: nothing cancels."""
    e = np.geomspace(1e-12, 1e-3, 200).astype(dtype)[None]
    for Z in (e, -e):
        losses = [loss_of_batch(module, "log_cosh", Z[:, [j]], 0 * e[:, [j]], np.ones(1, dtype))[0] for j in range(200)]
        exactly = wide(e[0]) ** 2 / 2 - wide(e[0]) ** 4 / 12 + wide(e[0]) ** 6 / 45
        np.testing.assert_allclose(losses, exactly.astype(float), rtol=4 * np.finfo(dtype).eps)


def solver_id(value):
    return value.__name__ if callable(value) else "-".join(value) or "plain"


@pytest.mark.parametrize("rows", [None, 1, 5])
@pytest.mark.parametrize(("solver", "options"), SOLVERS, ids=solver_id)
def test_solver(module, arrays, solver, options, rows):
    for n in SIZES:
        for result in updates(module, arrays, n, solver, options, rows):
            check(result, arrays.dtype, f"{rows} rows of {n} parameters")


# ---- roots of second moments, and what is too small ----------------------------------------------------------

MOMENTS = {
    "float64": (0, 1e-307, 1e-300, 1e-200, 1e-30, 1e-8, 0.3, 1, 2, 1e8, 1e30, 1e200, 1e300, 1.7e308),
    "float32": (0, 2.4e-38, 1e-37, 1e-30, 1e-8, 0.3, 1, 2, 1e8, 1e30, 3e38),
}


def moment_problem(dtype):
    """Second moments of every size and of every mantissa."""
    rng = np.random.default_rng(5)
    each = np.array(MOMENTS[dtype.name])
    spread = np.exp2(rng.uniform(np.finfo(dtype).minexp + 1, np.finfo(dtype).maxexp - 1, 500))
    return np.concatenate([each, spread, rng.uniform(1, 4, 200)]).astype(dtype)


@pytest.mark.parametrize("solver", ["adam", "adamw", "rmsprop"])
def test_roots_of_any_second_moment(module, dtype, solver):
    """0.5 / (sqrt(v / 2) + epsilon), to a few units in the last place."""
    v, epsilon = moment_problem(dtype), float(np.finfo(dtype).tiny)
    n, still = len(v), solver == "rmsprop"
    p, g, state = np.zeros(n, dtype), np.full(n, 0, dtype), np.stack([np.ones(n, dtype), v])
    if still:  # which divides the gradient by the root
        g = np.full(n, np.sqrt(np.finfo(dtype).tiny) * 4, dtype)
        state[0] = 0
    options = {"beta_1": 0.5, "beta_2": 0.5, "epsilon": epsilon, "learning_rate": 1.0}
    got = module.updated_parameters(solver, p, g, state, 10**9, **options)
    assert_roots(got, v, g[0] if still else 0.5, g[0], epsilon, dtype)


def assert_roots(got, v, numerator, g, epsilon, dtype):
    second = wide(v) / 2 + wide(g) ** 2 / 2
    second[second < np.finfo(dtype).tiny] = 0
    with np.errstate(over="ignore"):
        want = -wide(numerator) / (np.sqrt(second) + epsilon)
        overflows = np.abs(want) > np.finfo(dtype).max
    limits = np.finfo(dtype)
    np.testing.assert_allclose(wide(got)[~overflows], want[~overflows], rtol=8 * limits.eps, atol=limits.tiny)


@pytest.mark.parametrize("solver", ["adam", "adamw", "rmsprop"])
@pytest.mark.parametrize("beta_2", [0.0, 0.5, 0.999])
def test_gradients_whose_squares_overflow_take_the_steps_of_smaller_ones(module, dtype, solver, beta_2):
    """Of ones that stay as they are, the steps are the same whatever their size: exactly what Adam promises."""
    n, limits = 19, np.finfo(dtype)
    runs = []
    for size in (1, np.sqrt(limits.max) / 16, np.sqrt(limits.max) * 8, limits.max / 2, limits.max, np.inf):
        p, state = np.zeros(n, dtype), np.zeros((2, n), dtype)
        for t in range(1, 6):
            g = np.full(n, -size, dtype)
            p = module.updated_parameters(solver, p, g, state, t, 0.01, beta_2=beta_2, epsilon=1e-30)
            assert np.isfinite(state).all()
        runs.append(p)
    for p in runs[1:]:
        np.testing.assert_allclose(p, runs[0], rtol=1e-5 if dtype == np.float32 else 1e-9)
    assert 0 < runs[0][0] < 0.01 * 5 * 32  # sqrt(1 / (1 - beta_2)) is the most that rmsprop begins with


@pytest.mark.parametrize("solver", ["adam", "adamw", "rmsprop"])
def test_a_gradient_that_is_no_number_is_not_passed_over(module, dtype, solver):
    g = np.full(19, 0.5, dtype)
    g[3] = np.nan
    p = module.updated_parameters(solver, np.zeros(19, dtype), g, np.zeros((2, 19), dtype), 1, 0.01)
    assert np.isnan(p[3])
    assert np.isfinite(np.delete(p, 3)).all()


STATES = [
    ("sgd", {"momentum": 0.9}),
    ("sgd", {"momentum": 0.9, "nesterov": True}),
    ("adam", {"beta_2": 0.9}),
    ("adamw", {"alpha": 0.1, "beta_2": 0.9}),
    ("rmsprop", {"momentum": 0.9, "beta_2": 0.9}),
]


def subnormal(a):
    return (a != 0) & (np.abs(a) < np.finfo(a.dtype).tiny)


@pytest.mark.parametrize(("solver", "options"), STATES)
@pytest.mark.parametrize("batch_size", [1, 8])
@pytest.mark.parametrize("size", ["dying out", "tiny gradients"])
def test_a_state_holds_no_subnormal_numbers(module, dtype, solver, options, batch_size, size):
    """Processors are slow with them; dead units would bring them about."""
    net, tiny = network((67, 3), (), dtype.name, "squared_error"), float(np.finfo(dtype).tiny)
    net.parameters[:] = 0
    rate = 0.01 if size == "tiny gradients" else 0.0
    engine = engine_of(module, net, solver=solver, learning_rate=rate, **options)
    X, Y = np.zeros((8, 67), dtype), np.zeros((8, 3), dtype)
    if size == "tiny gradients":
        X[:], Y[:] = np.geomspace(tiny**0.5 / 1e4, tiny**0.5 * 1e4, 67), 1
    else:
        state = np.geomspace(2 * tiny, 1e6 * tiny, net.parameters.size) * [[-1], [1]]
        engine.solver_state = 1, state.astype(dtype)
    for _ in range(200 // (8 // batch_size)):
        engine.epoch(X, Y, None, None, batch_size)
        assert not subnormal(engine.solver_state[1]).any()
    if size == "dying out":
        assert not engine.solver_state[1][0].any()


# ---- memory ------------------------------------------------------------------------------------------------


def touch_everything(isa, precision, place):
    """Runs every kernel that takes memory as it is given, on arrays with every tail a vector can have."""
    kernel, sizes, guarded = kernels(precision, isa), (0, 1, 3, 7, 15, 16, 31, 65), GUARDED[place]
    for case, m, n in itertools.product(CASES, sizes, sizes):
        list(case(kernel, guarded(precision), m, n))
    for (solver, options), n in itertools.product(SOLVERS, sizes):
        list(updates(kernel, guarded(precision), n, solver, options))
        list(updates(kernel, guarded(precision), n, solver, options, rows=3))
    for n in sizes:
        kernel.activation("gelu", guarded(precision).normal(n))
        kernel.first_not_finite(guarded(precision).normal(n))


@pytest.mark.skipif(os.name != "posix", reason="needs mprotect")
@pytest.mark.parametrize("place", GUARDED)
def test_nothing_beyond_an_array_is_touched(build, place):
    code = "import sys, test_kernels; test_kernels.touch_everything(*sys.argv[1:])"
    child = subprocess.run([sys.executable, "-c", code, *build, place], cwd=Path(__file__).parent, check=False)
    assert child.returncode == 0


# ---- the builds, side by side --------------------------------------------------------------------------------

AGREEMENT = 4  # eps of what is added up; a build may fuse a product and a sum, and adds up in its own order


def rounded_products(kernel, arrays):
    cases = (product, product_t, rank1_update, product_t_update, matrix_product, row_sums)
    for case, m, n in itertools.product(cases, SIZES[::3], SIZES[::3]):
        yield from case(kernel, arrays, m, n)


def all_updates(kernel, arrays):
    for solver, options in SOLVERS:
        yield from updates(kernel, arrays, 65, solver, options)


def all_losses(kernel, arrays):
    for name, C in itertools.product(LOSSES, (1, 3, 17)):
        Z, Y, scale = loss_problem(name, arrays, C, 33)
        size = expected_loss(name, Z, Y)
        for loss, O, Delta in (loss_of_batch(kernel, name, Z, Y, scale), one_by_one(kernel, name, Z, Y, scale)):
            yield Result(loss, None, (scale * size.loss_size).sum(), 0)
            yield Result(O, None, size.o_size, 0)
            yield Result(Delta, None, scale * size.delta_size, 0)


def all_activations(kernel, arrays):
    for name in ACTIVATIONS:
        z, _, _, size, slope_size = expected_activation(name, arrays.dtype.name)
        s, slope = kernel.activation(name, z)
        yield Result(s, None, size, 0)
        yield Result(slope, None, slope_size, 0)


@pytest.mark.skipif(len(available()) < 2, reason="only one build runs here")
@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("results", [rounded_products, all_updates, all_losses, all_activations])
def test_builds_agree(precision, results):
    first, *others = (list(results(kernels(precision, isa), Arrays(precision))) for isa in available())
    for other in others:
        for one, two in zip(first, other, strict=True):
            check(one._replace(want=two.got, terms=AGREEMENT - 2), precision)
