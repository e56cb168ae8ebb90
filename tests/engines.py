"""The engine of any build over a network's parameters, and networks for it: what Python's layer has no option for."""

from __future__ import annotations

import numpy as np

import cmlp
from reference import LOSSES, classes, inputs, round_to_float32, target_rows


def network(layer_sizes, activation, dtype="float64", loss="cross_entropy", seed=1, **options):
    """Parameters that float32 holds exactly."""
    return round_to_float32(
        cmlp.Network(layer_sizes, activation, loss=loss, dtype=dtype, random_state=seed, **options)
    )  # fmt: skip


def engine_of(module, net, **solver):
    """An engine of this build that changes the network's own parameters."""
    codes = module.codes()
    engine = module.Engine(
        net.layer_sizes, [codes["activation"][name] for name in net.activation], codes["loss"][net.loss_name],
        net.parameters, codes["activation"].get(net.out_activation, 0), net.quantile,
    )  # fmt: skip
    set_solver(engine, codes, **solver)
    return engine


def set_solver(engine, codes, solver="sgd", learning_rate=0.1, **options):
    engine.set_solver(None, codes["solver"][solver], learning_rate, **options)


def samples(net, n, seed=0):
    """Inputs, and rows or labels, as the engine takes them."""
    X, C = inputs(n, net.layer_sizes[0], seed).astype(net.dtype), net.layer_sizes[-1]
    if net.loss_name == "cross_entropy":
        return X, classes(n, C, seed).astype(np.intp)
    assert net.loss_name in LOSSES
    return X, target_rows(n, C, net.loss_name, seed).astype(net.dtype)


def rows_of(net, y):
    return np.eye(net.layer_sizes[-1])[y] if y.ndim == 1 else y.astype(float)
