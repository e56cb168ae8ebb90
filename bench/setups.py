"""From a cell of the tables (kind, network, rows, ...) to a call to time: the same in this process and in a worker."""

from __future__ import annotations

from typing import Any

import numpy as np

from .networks import Network, data


def set_up(
    adapter: Any, kind: str, network: Network, rows: int, dtype: str = "float32", batch: int = 1, solver: str = "sgd",
    idiom: str | None = None,
) -> tuple[str, Any] | None:  # fmt: skip
    """The idiom and the call to time, of one epoch or one prediction; None where the competitor cannot."""
    X, y = data(network, rows, dtype)
    if kind == "train":
        return adapter.train(network, X, y, batch, solver, dtype, idiom)
    if kind == "one":
        return adapter.predict_one(network, np.ascontiguousarray(X[0]), idiom)
    if kind == "many":
        return adapter.predict_many(network, X, idiom)
    raise ValueError(kind)
