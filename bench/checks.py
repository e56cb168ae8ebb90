"""Does a competitor compute what cmlp computes?  Asked before it is timed, and by the tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from .adapters import Adapter
from .adapters.cmlp_ import Cmlp
from .networks import Network, data, rates

MIXED = Network("mixed", (5, 9, 7, 3), ("relu", "sigmoid"))
RELU = Network("relu", (5, 9, 7, 3), ("relu", "relu"))  # scikit-learn has one activation for all layers
TRAINING = ((1, "sgd"), (8, "sgd"), (8, "adam"))
ROWS = 48
TOLERANCE = 1e-4
LOOSE = {("scikit-learn", "adam"): 1e-3}  # its epsilon stands outside the bias correction


def network_for(adapter: Adapter) -> Network:
    return RELU if adapter.name == "scikit-learn" else MIXED


def training(
    adapter: Adapter, batch: int, solver: str, dtype: str = "float32", most: int | None = None
) -> dict[str, str]:
    """What is wrong with each idiom's weights after an epoch, by its name; empty where they are cmlp's."""
    network = network_for(adapter)
    cell = (network, *data(network, ROWS, dtype), batch, solver, dtype)
    wrong = {}
    with rates(sgd=0.1, adam=0.002):
        ours = _blocks(_after_an_epoch(Cmlp(), cell, None))
        for idiom in list(adapter.trainers(*cell))[:most]:
            epoch = _after_an_epoch(adapter, cell, idiom)
            complaint = _falls(epoch) if hasattr(epoch, "loss") else _differs(epoch, ours, adapter.name, solver)
            if complaint:
                wrong[idiom] = complaint
    return wrong


def disagreement(adapter: Adapter, quick: bool) -> str | None:
    """The first complaint about a competitor, or None; the quick check takes the first idiom of two cells."""
    for batch, solver in TRAINING[::2] if quick else TRAINING:
        for idiom, complaint in training(adapter, batch, solver, most=1 if quick else None).items():
            return f"{idiom}, {solver} with batches of {batch}: {complaint}"
    return None


def _after_an_epoch(adapter: Adapter, cell: Any, idiom: str | None) -> Any:
    _, epoch = adapter.train(*cell, idiom)
    epoch()
    return epoch


def _blocks(epoch: Any) -> list[np.ndarray]:
    W, b = epoch.parameters()
    return [np.array(part) for part in (*W, *b)]


def _differs(epoch: Any, ours: list[np.ndarray], name: str, solver: str) -> str | None:
    allowed = LOOSE.get((name, solver), TOLERANCE)
    difference = max(float(abs(a - b).max()) for a, b in zip(_blocks(epoch), ours, strict=True))
    return None if difference < allowed else f"its weights differ from cmlp's by {difference:.2g} after an epoch"


def _falls(epoch: Any) -> str | None:
    """For a loss that is not ours."""
    first = epoch.loss()
    for _ in range(20):
        epoch()
    return None if epoch.loss() < first else "its loss does not fall"
