"""Gradients of every activation x loss: finite differences, formulas, PyTorch, precisions, large batches."""

from functools import cache

import numpy as np
import pytest

import cmlp
from reference import (
    ACTIVATIONS,
    DISTANCES,
    LOSSES,
    Reference,
    assert_entries_close,
    assert_vector_close,
    central_differences,
    classes,
    flat,
    inputs,
    round_to_float32,
    sample_weights,
    target_rows,
)

SIZES = (3, 9, 5, 3)
ODD = 19  # more than two vectors of any instruction set, and a rest
ALPHA = 0.3
ROUNDING = {"float64": 1e-12, "float32": 2e-6}

every_pair = pytest.mark.parametrize(
    ("activation", "loss"), [(activation, loss) for activation in ACTIVATIONS for loss in LOSSES]
)
both_precisions = pytest.mark.parametrize("dtype", ["float64", "float32"])


def network(activation, loss, dtype="float64", layer_sizes=SIZES, seed=0, **output):
    return round_to_float32(cmlp.Network(layer_sizes, activation, loss=loss, dtype=dtype, random_state=seed, **output))


@cache
def seed_away_from_kinks(activation, loss, n, **output):
    """A seed whose samples stay so far from every kink that no small step of a parameter crosses one."""
    for seed in range(1000):
        reference = Reference.of(network(activation, loss, seed=seed, **output))
        X, Y = inputs(n, SIZES[0], seed), target_rows(n, SIZES[-1], loss, seed)
        if reference.distance_to_kinks(X, Y) > 1e-3:
            return seed
    raise LookupError("every seed has a kink")


def problem(activation, loss, dtype="float64", n=ODD, **output):
    """A network, inputs and target rows."""
    seed = seed_away_from_kinks(activation, loss, n, **output)
    net = network(activation, loss, dtype, seed=seed, **output)
    return net, inputs(n, SIZES[0], seed), target_rows(n, SIZES[-1], loss, seed)


def gradient(net, X, y, alpha=0.0, sample_weight=None):
    _, dW, db = net.loss_and_gradients(X, y, alpha, sample_weight)
    return flat(dW, db)


# ---- finite differences, and the formulas -----------------------------------------------------------


@every_pair
@pytest.mark.parametrize("n", [ODD, 1], ids=["batch", "one"])
def test_central_differences(activation, loss, n):
    net, X, Y = problem(activation, loss, n=n)
    if n == 1:
        X, Y = X[0], Y[0]
    numeric = central_differences(lambda: net.loss_and_gradients(X, Y, ALPHA)[0], net.parameters)
    assert_vector_close(gradient(net, X, Y, ALPHA), numeric, 1e-7)


@every_pair
@both_precisions
@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
def test_the_formulas(activation, loss, dtype, weighted):
    net, X, Y = problem(activation, loss, dtype)
    weight = sample_weights(ODD) if weighted else None
    expected_loss, *expected = Reference.of(net).loss_and_gradients(X, Y, ALPHA, weight)
    value, dW, db = net.loss_and_gradients(X, Y, ALPHA, weight)
    assert [each.shape for each in dW] == [each.shape for each in net.weights]
    assert [each.shape for each in db] == [each.shape for each in net.biases]
    assert {each.dtype for each in (*dW, *db)} == {np.dtype(dtype)}
    assert_vector_close(flat(dW, db), flat(*expected), ROUNDING[dtype])
    assert_entries_close(value, expected_loss, ROUNDING[dtype])


@every_pair
@both_precisions
def test_one_sample_by_itself(activation, loss, dtype):
    """The kernels of batch-1 training and of the trace are not those of a batch."""
    net, X, Y = problem(activation, loss, dtype)
    for x, y in zip(X, Y, strict=True):
        trace = net.trace(x, y)
        expected_loss, *expected = Reference.of(net).loss_and_gradients([x], [y])
        assert trace.loss == pytest.approx(expected_loss, rel=ROUNDING[dtype], abs=ROUNDING[dtype])
        assert_vector_close(flat(trace.grad_W, trace.grad_b), flat(*expected), ROUNDING[dtype])


@every_pair
def test_float32_against_float64(activation, loss):
    single, X, Y = problem(activation, loss, "float32")
    double, _, _ = problem(activation, loss, "float64")
    assert_vector_close(gradient(single, X, Y, ALPHA), gradient(double, X, Y, ALPHA), ROUNDING["float32"])


every_output = pytest.mark.parametrize(
    ("loss", "output"),
    [(loss, {"out_activation": output, "quantile": 0.2}) for loss in DISTANCES for output in ACTIVATIONS]
    + [("quantile", {"quantile": q}) for q in (0.01, 0.75, 0.99)],
    ids=lambda value: value if isinstance(value, str) else "-".join(map(str, value.values())),
)


@every_output
@pytest.mark.parametrize("n", [ODD, 1], ids=["batch", "one"])
def test_central_differences_of_distances_from_any_output(loss, output, n):
    net, X, Y = problem("tanh", loss, n=n, **output)
    if n == 1:
        X, Y = X[0], Y[0]
    numeric = central_differences(lambda: net.loss_and_gradients(X, Y, ALPHA)[0], net.parameters)
    assert_vector_close(gradient(net, X, Y, ALPHA), numeric, 1e-7)


@every_output
@both_precisions
def test_the_formulas_of_distances_from_any_output(loss, output, dtype):
    net, X, Y = problem("silu", loss, dtype, **output)
    reference, weight = Reference.of(net), sample_weights(ODD)
    expected_loss, *expected = reference.loss_and_gradients(X, Y, ALPHA, weight)
    assert_vector_close(gradient(net, X, Y, ALPHA, weight), flat(*expected), ROUNDING[dtype])
    assert_entries_close(net.loss(X, Y, weight), reference.loss(X, Y, 0.0, weight), ROUNDING[dtype])
    assert_entries_close(net.forward(X), reference.forward(X), ROUNDING[dtype])
    assert_entries_close([net(x) for x in X], reference.forward(X), ROUNDING[dtype])
    for x, y in zip(X, Y, strict=True):
        trace = net.trace(x, y)
        expected_loss, *expected = reference.loss_and_gradients([x], [y])
        assert trace.loss == pytest.approx(expected_loss, rel=ROUNDING[dtype], abs=ROUNDING[dtype])
        assert_vector_close(flat(trace.grad_W, trace.grad_b), flat(*expected), ROUNDING[dtype])


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "elu", "selu"])
@pytest.mark.parametrize("n", [1, ODD])
def test_derivatives_at_kinks(activation, n):
    """At z = 0 relu and the absolute error have derivative 0, the others that from below."""
    net = network(activation, "absolute_error", layer_sizes=(3, 9, 5))
    net.weights[0][:], net.biases[0][:] = 0, 0
    X, Y = inputs(n, 3), target_rows(n, 5, "absolute_error")
    Y[:, 0] = net.biases[1][0]
    _, *expected = Reference.of(net).loss_and_gradients(X, Y)
    _, dW, db = net.loss_and_gradients(X, Y)
    assert_vector_close(flat(dW, db), flat(*expected), ROUNDING["float64"])
    assert (np.abs(dW[0]).max() == 0) == (activation == "relu")
    assert db[1][0] == 0


@pytest.mark.parametrize("loss", ["cross_entropy", "binary_cross_entropy"])
@pytest.mark.parametrize("n", [1, ODD])
@both_precisions
def test_probabilities_of_nearly_nothing(loss, n, dtype):
    """Outputs z so large that exp(z) overflows and most probabilities are 0."""
    net = network((), loss, dtype, layer_sizes=(3, 5))
    net.parameters *= 3000
    X, Y = inputs(n, 3), target_rows(n, 5, loss)
    if n == 1:
        trace = net.trace(X[0], Y[0])
        value, *actual = trace.loss, trace.grad_W, trace.grad_b
    else:
        value, *actual = net.loss_and_gradients(X, Y)
    expected_value, *expected = Reference.of(net).loss_and_gradients(X, Y)
    assert expected_value > 500
    assert_entries_close(value, expected_value, ROUNDING[dtype])
    assert_vector_close(flat(*actual), flat(*expected), ROUNDING[dtype])
    assert_entries_close(net.loss(X, Y), expected_value, ROUNDING[dtype])


@pytest.mark.parametrize("n", [1, ODD])
def test_labels_are_one_hot_rows(n):
    net = network("tanh", "cross_entropy")
    X, y = inputs(n, SIZES[0]), classes(n, SIZES[-1])
    np.testing.assert_array_equal(gradient(net, X, y), gradient(net, X, np.eye(SIZES[-1])[y]))


def test_biases_carry_no_l2_term():
    net, X, Y = problem("tanh", "squared_error")
    _, dW, db = net.loss_and_gradients(X, Y)
    _, dW_l2, db_l2 = net.loss_and_gradients(X, Y, alpha=ALPHA)
    for W, before, after in zip(net.weights, dW, dW_l2, strict=True):
        assert_entries_close(after - before, ALPHA / ODD * W, 1e-13)
    np.testing.assert_array_equal(np.concatenate(db), np.concatenate(db_l2))


def test_each_call_returns_arrays_of_its_own():
    net, X, Y = problem("tanh", "squared_error")
    _, dW, _ = net.loss_and_gradients(X, Y)
    kept = [each.copy() for each in dW]
    net.loss_and_gradients(X[:1], Y[:1])
    dW[0] += 1
    np.testing.assert_array_equal(net.loss_and_gradients(X, Y)[1][0], kept[0])


# ---- PyTorch ----------------------------------------------------------------------------------------


def torch_activation(torch, name):
    return {"identity": lambda z: z, "sigmoid": torch.sigmoid, "tanh": torch.tanh}.get(
        name, getattr(torch.nn.functional, name, None)
    )


def torch_losses(torch, loss, z, y):
    """One loss per sample."""
    F = torch.nn.functional
    if loss == "cross_entropy":
        return F.cross_entropy(z, y, reduction="none")
    each = {
        "binary_cross_entropy": lambda: F.binary_cross_entropy_with_logits(z, y, reduction="none"),
        "squared_error": lambda: F.mse_loss(z, y, reduction="none") / 2,
        "absolute_error": lambda: F.l1_loss(z, y, reduction="none"),
        "huber": lambda: F.huber_loss(z, y, reduction="none"),
        "log_cosh": lambda: torch.logaddexp(z - y, y - z) - np.log(2),
        "quantile": lambda: torch.maximum((z - y) / 2, (y - z) / 2),
        "poisson": lambda: F.poisson_nll_loss(z, y, reduction="none") + torch.special.xlogy(y, y) - y,
    }[loss]()
    return each.sum(dim=1)


def torch_loss_and_gradient(torch, net, X, y, sample_weight=None):
    parameters = [torch.tensor(each, requires_grad=True) for pair in zip(net.weights, net.biases, strict=True)
                  for each in pair]  # fmt: skip
    o = torch.tensor(X, dtype=parameters[0].dtype)
    for W, b, name in zip(parameters[0::2], parameters[1::2], (*net.activation, "identity"), strict=True):
        o = torch_activation(torch, name)(torch.nn.functional.linear(o, W, b))
    y = torch.tensor(y) if y.ndim == 1 else torch.tensor(y, dtype=o.dtype)
    losses = torch_losses(torch, net.loss_name, o, y)
    loss = (losses if sample_weight is None else losses * torch.tensor(sample_weight, dtype=o.dtype)).mean()
    loss.backward()
    return loss.item(), np.concatenate([each.grad.numpy().ravel() for each in parameters])


@every_pair
@both_precisions
@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
def test_torch(torch, activation, loss, dtype, weighted):
    net, X, Y = problem(activation, loss, dtype)
    weight = sample_weights(ODD) if weighted else None
    expected_loss, expected = torch_loss_and_gradient(torch, net, X, Y, weight)
    assert_vector_close(gradient(net, X, Y, 0.0, weight), expected, ROUNDING[dtype])
    assert_entries_close(net.loss(X, Y, weight), expected_loss, ROUNDING[dtype])


@both_precisions
def test_torch_with_labels(torch, dtype):
    net, X, _ = problem("silu", "cross_entropy", dtype)
    y = classes(ODD, SIZES[-1])
    assert_vector_close(gradient(net, X, y), torch_loss_and_gradient(torch, net, X, y)[1], ROUNDING[dtype])


# ---- batches beyond the engine's chunk of 256 samples -----------------------------------------------


@pytest.mark.parametrize("n", [255, 256, 257, 600])
@pytest.mark.parametrize("loss", ["cross_entropy", "squared_error"])
@both_precisions
def test_a_batch_is_the_mean_of_its_samples(n, loss, dtype):
    net = network(("relu", "silu"), loss, dtype)
    X, Y = inputs(n, SIZES[0]), target_rows(n, SIZES[-1], loss)
    singles = [net.loss_and_gradients(x, y) for x, y in zip(X, Y, strict=True)]
    mean = np.mean([flat(dW, db).astype(float) for _, dW, db in singles], axis=0)
    assert_vector_close(gradient(net, X, Y), mean, ROUNDING[dtype])
    assert_entries_close(net.loss(X, Y), np.mean([each[0] for each in singles]), ROUNDING[dtype])


@pytest.mark.parametrize("n", [257, 600])
def test_large_batches_with_weights_and_l2_term(n):
    net = network(("tanh", "gelu"), "cross_entropy")
    X, y, weight = inputs(n, SIZES[0]), classes(n, SIZES[-1]), sample_weights(n)
    singles = [w * gradient(net, x, label) for x, label, w in zip(X, y, weight, strict=True)]
    l2 = flat([ALPHA / n * W for W in net.weights], [np.zeros_like(b) for b in net.biases])
    assert_vector_close(gradient(net, X, y, ALPHA, weight), np.mean(singles, axis=0) + l2, 1e-12)


@pytest.mark.parametrize("n", [255, 256, 257, 600])
def test_forward_of_large_batches(n):
    net = network(("relu", "silu"), "cross_entropy")
    X = inputs(n, SIZES[0])
    assert_entries_close(net.forward(X), [net(x) for x in X], 1e-13)
