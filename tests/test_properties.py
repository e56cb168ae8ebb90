"""Random networks, data and solvers against the formulas, and properties that hold whatever the numbers are.

What is computed must lie within the balls of ball_network.py, whose radii follow from sizes and precision alone.
"""

import copy
import math
import pickle
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cmlp
from ball_network import BallNetwork, BallSolver, clipped, interleaved, slices
from balls import LONG
from dropout_reference import all_factors
from engines import engine_of, set_solver
from property_cases import EXAMPLES, SCALES, Case, cases, counts, seeds, solvers
from reference import LOSSES, Reference, flat

ROOM = 16  # what may overflow comes no nearer to the largest number than by this factor


def all_examples(*strategies):
    """A test of examples; of more than half of them a comparison must have come about."""

    def decorate(check):
        def test():
            seen = Counter()

            @EXAMPLES
            @given(st.tuples(*strategies))
            def run(drawn):
                seen[check(*drawn)] += 1

            run()
            assert seen["out of range"] < seen["compared"], seen

        test.__name__, test.__doc__ = check.__name__, check.__doc__
        return test

    return decorate


def in_range(reference):
    return reference.precision.peak < reference.precision.largest / ROOM


# ---- against the formulas ----------------------------------------------------------------------------------


def compare_gradients(case, alpha, relative):
    net, X, y, weight = case.net, case.X, case.y, case.weight
    engine, reference, gradient = engine_of(case.module, net), BallNetwork(net), np.empty_like(net.parameters)
    loss = engine.loss_and_gradient(X, y, weight, alpha, gradient, relative)
    with np.errstate(all="ignore"):
        scale, share = shares(reference, weight, len(X), relative)
        want, dW, db = reference.loss_and_gradients(X, case.rows, scale)
        decay = share * alpha
        want, dW = want + reference.penalty(decay), [g + W * decay for g, W in zip(dW, reference.W, strict=True)]
    if not in_range(reference):
        return "out of range"
    want.assert_contains(loss, "loss")
    want.assert_contains(engine.loss(X, y, weight, alpha, relative), "loss alone")
    assert_gradient(net, gradient, dW, db)
    return "compared"


def assert_gradient(net, gradient, dW, db):
    for (place, shape), ball in zip(slices(net.layer_sizes), interleaved(dW, db), strict=True):
        ball.assert_contains(gradient[place].reshape(shape), f"gradient {shape}")


def shares(reference, weight, n, relative=False):
    """What each sample's loss is multiplied by, and 1 / n; or, relative to the weights, 1 / their sum by float64."""
    each, relative = np.ones(n) if weight is None else weight.astype(float), relative and weight is not None
    divisor, slack = (math.fsum(each), n * 2.0**-53) if relative else (n, 0.0)
    return tuple(reference.precision.rounded(LONG(a) / divisor, slack) for a in (each, 1.0))


@all_examples(cases(), st.sampled_from((0.0, 1e-4, 0.3)), st.booleans())
def test_loss_and_gradients(case, alpha, relative):
    return compare_gradients(case, alpha, relative)


@all_examples(cases())
def test_outputs(case):
    """Of many rows, of few and of one."""
    reference, engine = BallNetwork(case.net), engine_of(case.module, case.net)
    with np.errstate(all="ignore"):
        want = reference.outputs(case.X)
    if not in_range(reference):
        return "out of range"
    want.assert_contains(engine.predict(case.X), "rows")
    want[:3].assert_contains(engine.predict(case.X[:3]), "three rows")
    want[0].assert_contains(engine.predict_one(case.X[0]), "one")
    return "compared"


def runs(engine, size):
    """The update's number to come and the solver's state before it."""
    t, state = engine.solver_state
    return t + 1, np.zeros((2, size)) if state is None else state.astype(float)


def compare_update(case, engine, options, relative, batch_size, keep, seed):
    """One update on all samples, from the parameters and the state as they are."""
    net, X, n = case.net, case.X, len(case.X)
    options = dict(options)
    alpha, norm = options.pop("alpha"), options.pop("clip_norm")
    before, reference = net.parameters.copy(), BallNetwork(net)
    t, (m, v) = runs(engine, before.size)
    factors = None if keep is None else all_factors(net, keep.astype(float), seed, t, n)
    with np.errstate(all="ignore"):
        scale, share = shares(reference, case.weight, n, relative)
        decay = share * alpha
        want, dW, db = reference.loss_and_gradients(X, case.rows, scale, factors)
        if options["solver"] != "adamw":
            want = want + reference.penalty(decay)
        g = interleaved(dW, db)
        solver, exact = BallSolver(reference.precision, t, **options), reference.precision.exact
        g = clipped(g, norm) if norm else g
        places, expected = list(slices(net.layer_sizes)), []
        for (place, shape), each_g in zip(places, g, strict=True):
            given = [exact(a[place].reshape(shape)) for a in (before, m, v)]
            expected.append(solver.update(given[0], each_g, decay if len(shape) == 2 else exact(0.0), *given[1:]))
    loss = engine.epoch(X, case.y, case.weight, None, batch_size, 1, relative, None, keep, seed)
    if not in_range(reference):
        assert np.isfinite(net.parameters).all()
        return "out of range"
    want.assert_contains(loss, "loss before the update")
    _, state = runs(engine, before.size)
    uses = (True, options.get("momentum", 0) > 0 or options["solver"] != "sgd", options["solver"] != "sgd")
    for (place, shape), balls in zip(places, expected, strict=True):
        for what, ball, a, used in zip("pmv", balls, (net.parameters, *state), uses, strict=True):
            if used:
                ball.assert_contains(a[place].reshape(shape), f"{what} {shape} after update {t}")
    return "compared"


@all_examples(cases(most=40), solvers(), st.booleans(), st.integers(0, 80), st.sampled_from((None, 0.5, 0.9)), seeds)
def test_updates(case, options, relative, more, keep, seed):
    """Three in a row, each from where the one before led."""
    engine = engine_of(case.module, case.net, **options)
    if keep is not None:
        keep = np.full(len(case.net.layer_sizes) - 1, keep, case.net.dtype)
    outcomes = [
        compare_update(case, engine, options, relative, len(case.X) + more, keep, seed) for _ in range(3)
    ]  # fmt: skip
    return max(outcomes)


@all_examples(
    cases(most=33, scales=("plain", "spread"), deepest=3), st.sampled_from((1e-3, 0.05)), st.sampled_from((0.0, 0.1))
)
def test_sgd_by_samples(case, eta, alpha):
    """A run of updates, some of which the kernels put off or make in other copies: in another order of adding up."""
    net, X = case.net, case.X
    reference = BallNetwork(net)
    precision = reference.precision
    each, total = np.ones(len(X)) if case.weight is None else case.weight, precision.exact(0.0)
    sizes = [W.size for W in reference.W]
    rate, decay = precision.rounded(eta), precision.rounded(eta * alpha)
    with np.errstate(all="ignore"):
        for i, (x, y, weight) in enumerate(zip(X, case.rows, each, strict=True)):
            exactly = reference.W
            # What is put off is added up from the first weights and all updates: more may cancel than is left.
            reference.W = [
                precision.ball(W.value, W.radius, size, max(size.shape) + i + 8)
                for W, size in zip(exactly, sizes, strict=True)
            ]
            loss, dW, db = reference.loss_and_gradients(x[None], y[None], precision.exact([weight]))
            total = total + loss + reference.penalty(precision.rounded(alpha))
            steps = [rate * g + decay * W for g, W in zip(dW, exactly, strict=True)]
            reference.W = [W - step for W, step in zip(exactly, steps, strict=True)]
            sizes = [size + step.size for size, step in zip(sizes, steps, strict=True)]
            reference.b = [b - rate * g for b, g in zip(reference.b, db, strict=True)]
        final = [
            precision.ball(W.value, W.radius, size, len(X) + 8) for W, size in zip(reference.W, sizes, strict=True)
        ]
    engine = engine_of(case.module, net, learning_rate=eta, alpha=alpha)
    loss = engine.epoch(X, case.y, case.weight, None, 1)
    if not in_range(reference):
        return "out of range"
    (total * precision.rounded(1 / len(X))).assert_contains(loss, "mean loss")
    for (place, shape), ball in zip(slices(net.layer_sizes), interleaved(final, reference.b), strict=True):
        ball.assert_contains(net.parameters[place].reshape(shape), f"parameters {shape}")
    return "compared"


# ---- the reference itself ----------------------------------------------------------------------------------


@all_examples(cases(most=20, scales=("plain",), deepest=2).filter(lambda case: len(case.X) < 20))
def test_two_references_agree(case):
    """The balls and the formulas in loops, which share no code, in float64."""
    net = cmlp.Network(
        case.net.layer_sizes, case.net.activation, case.net.loss_name, random_state=0, quantile=case.net.quantile,
        out_activation=case.net.out_activation,
    )  # fmt: skip
    net.parameters[:] = case.net.parameters
    balls, loops = BallNetwork(net), Reference.of(net)
    with np.errstate(all="ignore"):
        scale, _ = shares(balls, case.weight, len(case.X))
        loss, dW, db = balls.loss_and_gradients(case.X, case.rows, scale)
    value, *gradients = loops.loss_and_gradients(case.X, case.rows, 0.0, case.weight)
    if case.net.loss_name != "log_cosh":  # which cancels there
        loss.assert_contains(value, "loss")
    for ball, want in zip((*dW, *db), (*gradients[0], *gradients[1]), strict=True):
        ball.assert_contains(want, "gradient")
    return "compared"


@pytest.mark.parametrize("loss", LOSSES)
def test_the_bounds_are_narrow(loss):
    """Of a network in float32 and plain data: less than half the slips below."""
    net = cmlp.Network((16, 33, 9, 4), ("gelu", "tanh"), loss=loss, dtype="float32", random_state=0)
    random = np.random.default_rng(0)
    X, Y = random.standard_normal((32, 16)).astype(np.float32), np.full((32, 4), 0.25)
    reference = BallNetwork(net)
    value, dW, db = reference.loss_and_gradients(X, Y, shares(reference, None, 32)[0])
    for ball in (value, *dW, *db):
        assert ball.radius.max() < 5e-4 * np.abs(ball.value).max()


@pytest.mark.parametrize("slip", ["a weight", "the mean", "the slope", "no L2 term"])
def test_a_slip_is_found(slip):
    """An error of a thousandth, wherever it is made, leaves the balls."""
    net = cmlp.Network((16, 33, 4), "tanh", dtype="float32", random_state=0)
    random = np.random.default_rng(0)
    X, y = random.standard_normal((32, 16)).astype(np.float32), random.integers(0, 4, 32)
    case = Case("", net, X, y, None)
    reference = BallNetwork(net)
    if slip == "a weight":
        net.weights[0][5, 3] *= 1.001
    _, dW, db = net.loss_and_gradients(X, y, 0.01 if slip == "no L2 term" else 0.0)
    gradient = flat(dW, db)
    gradient *= {"the mean": 1.001, "the slope": 1 + 1e-3 * (np.arange(gradient.size) == 7)}.get(slip, 1)
    _, dW, db = reference.loss_and_gradients(X, case.rows, shares(reference, None, 32)[0])
    with pytest.raises(AssertionError, match="gradient"):
        assert_gradient(net, gradient, dW, db)


# ---- properties that hold whatever the numbers are ------------------------------------------------------------


def on_build(case):
    """The case's network with kernels of its build."""
    net = case.net
    net._kernels, net._engine = case.module, engine_of(case.module, net)
    net._predict_one, net._predict, net._step_one = (
        net._engine.predict_one, net._engine.predict, net._engine.step_one,
    )  # fmt: skip
    return net


def gradient_of(case, order=None, weight=None, relative=False, rows=None):
    order = np.arange(len(case.X)) if order is None else order
    weight = case.weight if weight is None else weight
    out = np.empty_like(case.net.parameters)
    loss = engine_of(case.module, case.net).loss_and_gradient(
        np.ascontiguousarray(case.X[order]), np.ascontiguousarray(case.y[order]),
        None if weight is None else np.ascontiguousarray(weight[order]), 0.0, out, relative,
    )  # fmt: skip
    return loss, out


def within_twice_the_bound(case, one, two, relative=False):
    """Two results of the same sums in another order."""
    reference = BallNetwork(case.net)
    with np.errstate(all="ignore"):
        scale, _ = shares(reference, case.weight, len(case.X), relative)
        loss, dW, db = reference.loss_and_gradients(case.X, case.rows, scale)
    if not in_range(reference):
        return "out of range"
    assert abs(one[0] - two[0]) <= 2 * loss.radius
    for (place, _), ball in zip(slices(case.net.layer_sizes), interleaved(dW, db), strict=True):
        assert (np.abs(one[1][place] - two[1][place]) <= 2 * ball.radius.ravel()).all()
    return "compared"


@all_examples(cases(most=33, deepest=2), seeds)
def test_the_order_of_samples_does_not_matter(case, seed):
    order = np.random.default_rng(seed).permutation(len(case.X))
    return within_twice_the_bound(case, gradient_of(case), gradient_of(case, order))


@all_examples(cases(deepest=2).filter(lambda case: case.weight is not None))
def test_twice_the_relative_weights_change_nothing(case):
    one, two = (gradient_of(case, weight=factor * case.weight, relative=True) for factor in (1, 2))
    np.testing.assert_array_equal(one[1], two[1])
    assert one[0] == two[0] or np.isnan(one[0])
    return "compared"


@all_examples(cases(most=33, deepest=2).filter(lambda case: case.weight is not None))
def test_a_sample_of_weight_0_is_as_if_left_out(case):
    left = np.flatnonzero(case.weight)
    one, two = gradient_of(case, relative=True), gradient_of(case, left, relative=True)
    return within_twice_the_bound(case, one, two, relative=True)


@all_examples(cases(most=33, deepest=2))
def test_rows_are_predicted_as_each_alone(case):
    """To rounding; and a row comes out to the bit alike in any company of as many."""
    net, n = on_build(case), len(case.X)
    together, reference = net.forward(case.X), BallNetwork(net)
    np.testing.assert_array_equal(net.forward(case.X[::-1]), together[::-1])
    with np.errstate(all="ignore"):
        radius = reference.outputs(case.X).radius
    if not in_range(reference):
        return "out of range"
    for i in range(n):
        alone = net(case.X[i])
        np.testing.assert_array_equal(alone, net.forward(case.X[i]))
        np.testing.assert_array_equal(alone, net.forward(case.X[i : i + 1])[0])
        assert (np.abs(alone - together[i]) <= 2 * radius[i]).all()
    return "compared"


def trained_copy(net, case, **options):
    """Bits of the losses and parameters after a fit of a copy; of a run that diverges, of what it leaves."""
    net = copy.deepcopy(net)
    weight = None if case.weight is None or not case.weight.any() else case.weight
    try:
        losses = net.fit(case.X, case.y, sample_weight=weight, **options)
    except cmlp.DivergenceError:
        losses = np.zeros(0)
    return losses.tobytes(), net.parameters.tobytes()


def public(options):
    """What `Network.fit` takes."""
    return {name: value for name, value in options.items() if name not in ("epsilon_outside", "clip_norm")}


@all_examples(cases(most=48, deepest=3), solvers(), counts, seeds)
def test_threads_and_seeds(case, options, batch_size, seed):
    """Any number of threads and the same seed: the same bits."""
    options = {**public(options), "batch_size": batch_size, "epochs": 2, "shuffle": True, "random_state": seed}
    one = trained_copy(case.net, case, n_threads=1, **options)
    assert trained_copy(case.net, case, n_threads=2, **options) == one
    assert trained_copy(case.net, case, n_threads=1, **options) == one
    return "compared"


@all_examples(cases(most=33, deepest=3, scales=SCALES[:2]), solvers())
def test_copies_are_exact(case, options):
    """Pickled and deeply copied: outputs and the updates to come, to the bit."""
    net = case.net
    net.fit(case.X, case.y, **{**public(options), "learning_rate": 1e-4}, batch_size=4)
    for other in (pickle.loads(pickle.dumps(net)), copy.deepcopy(net)):
        np.testing.assert_array_equal(other.parameters, net.parameters)
        np.testing.assert_array_equal(other.forward(case.X), net.forward(case.X))
        assert trained_copy(other, case, epochs=1) == trained_copy(net, case, epochs=1)
    return "compared"


@all_examples(cases(most=33, deepest=2), solvers())
def test_epochs_one_by_one_are_a_fit(case, options):
    """Of the engine: two epochs leave what two calls of one do."""
    states = []
    for again in (1, 2):
        case.net.parameters[:] = 0.1 * np.random.default_rng(0).standard_normal(case.net.parameters.size)
        engine = engine_of(case.module, case.net, **options)
        for _ in range(2):
            if again == 2:  # the same settings once more, which must not disturb
                set_solver(engine, case.module.codes(), **options)
            engine.epoch(case.X, case.y, case.weight, None, 8)
        states.append((case.net.parameters.tobytes(), np.asarray(runs(engine, case.net.parameters.size)[1]).tobytes()))
    assert states[0] == states[1]
    return "compared"


# ---- models ------------------------------------------------------------------------------------------------------


def fitted(case, options, C):
    """A model of classes, or of values for C = 1; half of them know nothing, so that their probabilities tie."""
    random = np.random.default_rng(len(case.X))
    y = random.integers(0, C, len(case.X) + C) if C > 1 else random.standard_normal(len(case.X) + 1)
    y[-C:] = np.arange(C) if C > 1 else 0.5
    X = np.concatenate([case.X, np.resize(case.X, (C, case.X.shape[1]))])
    chosen = {name: options[name] for name in ("solver", "alpha", "beta_1", "beta_2", "epsilon")}
    model = cmlp.fit(
        X, y, hidden_layer_sizes=case.net.layer_sizes[1:-1], activation=case.net.activation, max_iter=2,
        learning_rate_init=1e-4, random_state=0, dtype=case.net.dtype.name, **chosen,
    )  # fmt: skip
    if len(case.X) % 2:
        model.network.parameters[:] = 0
    return model, X


tame = cases(most=33, deepest=2, scales=SCALES[:2])


@all_examples(tame, solvers(), st.integers(2, 7))
def test_labels_are_those_of_the_largest_probability(case, options, C):
    model, X = fitted(case, options, C)
    probabilities = model.predict_proba(X)
    np.testing.assert_array_equal(model.predict(X), model.classes_[probabilities.argmax(axis=1)])
    np.testing.assert_array_equal(model.predict_proba(X[0]).shape, (C,))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=(C + 8) * np.finfo(case.net.dtype).eps)
    return "compared"


@all_examples(tame, solvers(), st.integers(1, 7))
def test_saved_models_are_exact(case, options, C):
    model, X = fitted(case, options, C)
    with tempfile.TemporaryDirectory() as folder:
        cmlp.save(model, Path(folder) / "model.safetensors")
        loaded = cmlp.load(Path(folder) / "model.safetensors")
    for other in (loaded, pickle.loads(pickle.dumps(model))):
        assert repr(other) == repr(model)
        assert other.network.parameters.tobytes() == model.network.parameters.tobytes()
        assert other.predict(X).tobytes() == model.predict(X).tobytes()
        assert other.loss_curve_ == model.loss_curve_
    return "compared"


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@all_examples(tame, solvers(), st.integers(1, 3), st.integers(1, 40))
def test_partial_fits_are_a_fit(case, options, epochs, batch_size):
    """Of an estimator that takes the samples as they stand: as many calls as epochs leave what one fit does."""
    pytest.importorskip("sklearn")
    y = np.arange(len(case.X)) % 3
    given = {
        "hidden_layer_sizes": case.net.layer_sizes[1:-1], "activation": "tanh", "solver": options["solver"],
        "alpha": options["alpha"], "batch_size": min(batch_size, len(case.X)), "shuffle": False, "random_state": 0,
        "learning_rate_init": 1e-3, "n_iter_no_change": 1000, "max_iter": epochs,
    }  # fmt: skip
    X = np.concatenate([case.X, case.X[[0, 0, 0]]])
    y = np.append(y, [0, 1, 2])
    with np.errstate(all="ignore"):
        once, often = cmlp.MLPClassifier(**given).fit(X, y), cmlp.MLPClassifier(**given)
        for _ in range(epochs):
            often.partial_fit(X, y, classes=[0, 1, 2])
    for one, two in zip((*once.coefs_, *once.intercepts_), (*often.coefs_, *often.intercepts_), strict=True):
        assert one.tobytes() == two.tobytes()
    assert once.predict_proba(X).tobytes() == often.predict_proba(X).tobytes()
    return "compared"
