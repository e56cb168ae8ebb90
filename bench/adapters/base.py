"""What the suite asks of a competitor.

A library has more than one way to write the same loop, and which is fastest depends on the network.  So an adapter
offers its *idioms*, each a function that sets one up, and the suite takes the one that is fastest for the cell at hand:
every competitor runs in its best plain form, and the result names the form.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from ..networks import Network
from ..timer import Clocked, Local, seconds_of


class Epoch(Protocol):
    """One pass over the samples it was made for, from where the last one ended."""

    def __call__(self) -> Any: ...

    def parameters(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """W_l of shape (d_l, d_{l-1}) and b_l: what the tests compare."""
        ...


Idioms = dict[str, Callable[[], Any]]


class Adapter:
    """A competitor.

    Attributes
    ----------
    name : str
    module : str
        What it imports.
    note : str
        Where its network is not quite the one that the others compute.
    compiles_per_shape : bool
        Whether other rows mean another compilation of an epoch.
    """

    name = ""
    module = ""
    note = ""
    compiles_per_shape = False

    def available(self) -> str | None:
        """None, or why this competitor cannot run here."""
        missing = importlib.util.find_spec(self.module) is None
        return f"{self.module} is not installed" if missing else None

    def version(self) -> str:
        return str(getattr(importlib.import_module(self.module), "__version__", ""))

    # ---- what an adapter writes: idioms by name; an empty dict where the competitor cannot ----------

    def trainers(
        self, network: Network, X: np.ndarray, y: np.ndarray, batch_size: int, solver: str, dtype: str
    ) -> dict[str, Callable[[], Epoch]]:
        """Set-ups of an epoch over X and y, from `networks.initial`'s weights."""
        return {}

    def ones(self, network: Network, x: np.ndarray) -> Idioms:
        """Set-ups of a call that gives the outputs of one sample (d_0,) as a NumPy array."""
        return {}

    def manys(self, network: Network, X: np.ndarray) -> Idioms:
        """Set-ups of a call that gives the outputs of many rows as a NumPy array."""
        return {}

    # ---- what the suite calls -----------------------------------------------------------------------

    def train(
        self, network: Network, X: np.ndarray, y: np.ndarray, batch_size: int, solver: str, dtype: str,
        idiom: str | None = None,
    ) -> tuple[str, Any] | None:  # fmt: skip
        """The fastest idiom's name and epoch, or the one asked for; None where the competitor cannot."""
        return fastest(self.trainers(network, X, y, batch_size, solver, dtype), idiom)

    def predict_one(self, network: Network, x: np.ndarray, idiom: str | None = None) -> tuple[str, Any] | None:
        return fastest(self.ones(network, x), idiom, repetitions=20)

    def predict_many(self, network: Network, X: np.ndarray, idiom: str | None = None) -> tuple[str, Any] | None:
        return fastest(self.manys(network, X), idiom)

    def clocked(self, kind: str, network: Network, rows: int, **cell: Any) -> tuple[str, Clocked] | None:
        """The same on the suite's data and under its clock; a competitor in another process overrides this."""
        from .. import setups

        found = setups.set_up(self, kind, network, rows, **cell)
        return None if found is None else (found[0], Local(found[1]))


def fastest(idioms: Idioms, wanted: str | None, repetitions: int = 1) -> tuple[str, Any] | None:
    if not idioms:
        return None
    if wanted is None and len(idioms) > 1:
        wanted = min(idioms, key=lambda name: seconds_of(idioms[name](), repetitions))
    name = wanted if wanted is not None else next(iter(idioms))
    return name, idioms[name]()
