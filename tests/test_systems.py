"""Whole runs of training against the formulas: System A, System B, batches, weights, L2 term, a slip."""

from functools import cache

import numpy as np
import pytest

import cmlp
from reference import (
    ACTIVATIONS,
    LOSSES,
    Reference,
    Solver,
    assert_entries_close,
    assert_network_close,
    assert_vector_close,
    central_differences,
    classes,
    flat,
    inputs,
    one_hot,
    round_to_float32,
    sample_weights,
    target_rows,
    train_system_a,
)

N, EPOCHS, ETA = 200, 5, 0.05
TOLERANCE = {"float64": 1e-12, "float32": 1e-5}

SYSTEM_A = [(4, 8, 8, 3), (64, 64, 32, 10)]
SYSTEM_B = {
    "no hidden layer": ((5, 3), ()),
    "one unit": ((3, 1, 2), ("tanh",)),
    "one input, two classes": ((1, 3, 2), ("softplus",)),
    "odd widths": ((7, 5, 9, 3), ("relu", "tanh")),
    "identity below sigmoid": ((6, 11, 7, 5), ("identity", "sigmoid")),
    "beyond one vector": ((33, 17, 65, 4), ("leaky_relu", "silu")),
    "four hidden layers": ((4, 9, 7, 5, 3, 3), ("gelu", "elu", "selu", "tanh")),
    "five hidden layers": ((3, 5, 5, 5, 5, 5, 2), ("tanh", "relu", "sigmoid", "silu", "softplus")),
}


@pytest.fixture(params=["float64", "float32"])
def dtype(request):
    return request.param


def network(layer_sizes, activation, dtype="float64", loss="cross_entropy"):
    return round_to_float32(cmlp.Network(layer_sizes, activation, loss=loss, dtype=dtype, random_state=1))


@cache
def system_a_run(layer_sizes):
    net = network(layer_sizes, ("relu", "sigmoid"))
    Y = one_hot(classes(N, layer_sizes[-1]), layer_sizes[-1])
    return train_system_a(net.weights, net.biases, inputs(N, layer_sizes[0]), Y, ETA, EPOCHS)


@cache
def reference_run(
    layer_sizes, activation, loss="cross_entropy", eta=ETA, batch_size=1, alpha=0.0, weighted=False,
    slip_1=False,
):  # fmt: skip
    """The reference after training from `network`'s weights, and its losses."""
    reference = Reference.of(network(layer_sizes, activation, loss=loss), slip_1)
    X, Y = inputs(N, layer_sizes[0]), targets(layer_sizes[-1], loss)
    weight = sample_weights(N) if weighted else None
    return reference, reference.train(X, Y, Solver("sgd", eta), EPOCHS, batch_size, alpha, weight)


def targets(C, loss="cross_entropy"):
    return one_hot(classes(N, C), C) if loss == "cross_entropy" else target_rows(N, C, loss)


def system_a_reference(layer_sizes):
    weights, biases, _ = system_a_run(layer_sizes)
    return Reference(weights, biases, ("relu", "sigmoid"), "cross_entropy")


# ---- batch-1 SGD ------------------------------------------------------------------------------------


@pytest.mark.parametrize("layer_sizes", SYSTEM_A)
@pytest.mark.parametrize("labels", [True, False], ids=["labels", "one-hot"])
def test_system_a(layer_sizes, labels, dtype):
    net = network(layer_sizes, ("relu", "sigmoid"), dtype)
    y = classes(N, layer_sizes[-1]) if labels else targets(layer_sizes[-1])
    losses = net.fit(inputs(N, layer_sizes[0]), y, learning_rate=ETA, epochs=EPOCHS)
    assert_network_close(net, system_a_reference(layer_sizes), TOLERANCE[dtype])
    assert_entries_close(losses, system_a_run(layer_sizes)[2], TOLERANCE[dtype])


def test_system_a_is_a_case_of_system_b():
    a, losses_a = system_a_reference(SYSTEM_A[0]), system_a_run(SYSTEM_A[0])[2]
    b, losses_b = reference_run(SYSTEM_A[0], ("relu", "sigmoid"))
    assert_network_close(a, b, 1e-13)
    assert_entries_close(losses_a, losses_b, 1e-13)


@pytest.mark.parametrize("case", SYSTEM_B)
@pytest.mark.parametrize("labels", [True, False], ids=["labels", "one-hot"])
def test_system_b(case, labels, dtype):
    layer_sizes, activation = SYSTEM_B[case]
    net = network(layer_sizes, activation, dtype)
    y = classes(N, layer_sizes[-1]) if labels else targets(layer_sizes[-1])
    losses = net.fit(inputs(N, layer_sizes[0]), y, learning_rate=ETA, epochs=EPOCHS)
    reference, reference_losses = reference_run(layer_sizes, activation)
    assert_network_close(net, reference, TOLERANCE[dtype])
    assert_entries_close(losses, reference_losses, TOLERANCE[dtype])


@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
def test_long_rows(activation, dtype):
    """The kernels pass over a long row whose delta is 0, as relu leaves many."""
    layer_sizes, eta = (300, 33, 3), 0.01
    net = network(layer_sizes, (activation,), dtype)
    net.fit(inputs(N, 300), classes(N, 3), learning_rate=eta, epochs=EPOCHS)
    assert_network_close(net, reference_run(layer_sizes, (activation,), eta=eta)[0], TOLERANCE[dtype])


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation(activation, dtype):
    layer_sizes, activations = (5, 9, 7, 3), (activation, activation)
    net = network(layer_sizes, activations, dtype)
    net.fit(inputs(N, 5), classes(N, 3), learning_rate=ETA, epochs=EPOCHS)
    assert_network_close(net, reference_run(layer_sizes, activations)[0], TOLERANCE[dtype])


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("batch_size", [1, 3])
def test_every_loss(loss, batch_size, dtype):
    net = network((5, 9, 7, 3), ("tanh", "sigmoid"), dtype, loss)
    losses = net.fit(inputs(N, 5), targets(3, loss), learning_rate=0.01, epochs=EPOCHS, batch_size=batch_size)
    reference, reference_losses = reference_run((5, 9, 7, 3), ("tanh", "sigmoid"), loss, 0.01, batch_size)
    assert_network_close(net, reference, TOLERANCE[dtype])
    assert_entries_close(losses, reference_losses, TOLERANCE[dtype])


@pytest.mark.parametrize("labels", [True, False], ids=["labels", "one-hot"])
def test_steps_are_what_fit_does(labels):
    layer_sizes, activation = SYSTEM_B["odd widths"]
    net = network(layer_sizes, activation)
    X = inputs(N, layer_sizes[0])
    y = classes(N, layer_sizes[-1]).tolist() if labels else targets(layer_sizes[-1])
    for _ in range(EPOCHS):
        for x, target in zip(X, y, strict=True):
            net.step(x, target, learning_rate=ETA)
    assert_network_close(net, reference_run(layer_sizes, activation)[0], TOLERANCE["float64"])


# ---- batches, the L2 term, sample weights -----------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 3, 32, 200, 1000])
@pytest.mark.parametrize("alpha", [0.0, 0.02])
@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
def test_batches(batch_size, alpha, weighted, dtype):
    layer_sizes, activation = SYSTEM_B["odd widths"]
    net = network(layer_sizes, activation, dtype)
    weight = sample_weights(N) if weighted else None
    losses = net.fit(
        inputs(N, 7), classes(N, 3), learning_rate=ETA, epochs=EPOCHS, batch_size=batch_size, alpha=alpha,
        sample_weight=weight,
    )  # fmt: skip
    reference, reference_losses = reference_run(
        layer_sizes, activation, batch_size=batch_size, alpha=alpha, weighted=weighted
    )
    assert_network_close(net, reference, TOLERANCE[dtype])
    assert_entries_close(losses, reference_losses, TOLERANCE[dtype])


def effect_of_l2(dtype, alpha, eta, batch_size):
    """How the L2 term changes the parameters that many epochs lead to."""
    plain, decayed = (network((7, 9, 3), ("tanh",), dtype) for _ in range(2))
    for net, strength in ((plain, 0.0), (decayed, alpha)):
        net.fit(inputs(N, 7), classes(N, 3), "sgd", eta, batch_size, epochs=100, alpha=strength)
    return decayed.parameters.astype(float) - plain.parameters


@pytest.mark.parametrize(("alpha", "eta", "batch_size"), [(1e-4, 1e-3, 1), (2.5e-6, 1e-2, 1), (1e-4, 1e-2, 32)])
def test_a_small_l2_term_counts_in_float32(alpha, eta, batch_size):
    """Even where eta * alpha / n is less than float32 resolves beside one."""
    expected = effect_of_l2("float64", alpha, eta, batch_size)
    assert_vector_close(effect_of_l2("float32", alpha, eta, batch_size), expected, 0.1)


def test_no_sample_weight_is_all_ones():
    X, y = inputs(N, 7), classes(N, 3)
    plain, weighted = (network(*SYSTEM_B["odd widths"]) for _ in range(2))
    plain.fit(X, y, batch_size=3)
    weighted.fit(X, y, batch_size=3, sample_weight=np.ones(N))
    np.testing.assert_array_equal(plain.parameters, weighted.parameters)


# ---- slip 1 of the derivations: the checks above would see it ---------------------------------------


@pytest.mark.parametrize("layer_sizes", [SYSTEM_A[0], (7, 5, 9, 3)])
def test_training_with_slip_1_fails_the_check(layer_sizes, dtype):
    activation = ("relu", "sigmoid")
    net = network(layer_sizes, activation, dtype)
    net.fit(inputs(N, layer_sizes[0]), classes(N, 3), learning_rate=ETA, epochs=EPOCHS)
    assert_network_close(net, reference_run(layer_sizes, activation)[0], TOLERANCE[dtype])
    with pytest.raises(AssertionError, match="W_1 off by"):
        assert_network_close(net, reference_run(layer_sizes, activation, slip_1=True)[0], TOLERANCE[dtype])


@pytest.mark.parametrize("activation", [("tanh",), ("relu", "identity")])
def test_slip_1_is_right_below_a_linear_layer(activation):
    layer_sizes = (5, 7, 3) if len(activation) == 1 else (5, 7, 4, 3)
    net = network(layer_sizes, activation)
    net.fit(inputs(N, 5), classes(N, 3), learning_rate=ETA, epochs=EPOCHS)
    assert_network_close(net, reference_run(layer_sizes, activation, slip_1=True)[0], TOLERANCE["float64"])


def check_finite_differences(reference, X, Y):
    arrays = [array for pair in zip(reference.weights, reference.biases, strict=True) for array in pair]
    numeric = [central_differences(lambda: reference.loss(X, Y), array.reshape(-1)) for array in arrays]
    _, dW, db = reference.loss_and_gradients(X, Y)
    assert_vector_close(flat(dW, db), np.concatenate(numeric), 1e-7)


def test_gradients_with_slip_1_fail_finite_differences():
    net = network((4, 5, 3, 3), ("tanh", "sigmoid"))
    X, Y = inputs(7, 4), one_hot(classes(7, 3), 3)
    check_finite_differences(Reference.of(net), X, Y)
    with pytest.raises(AssertionError, match="of the norm"):
        check_finite_differences(Reference.of(net, slip_1=True), X, Y)
