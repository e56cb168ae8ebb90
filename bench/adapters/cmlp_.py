"""cmlp: in this process with the instruction set it chooses, and in workers with those that CMLP_ISA asks for."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from ..networks import Network, flat, initial, rate, unflat
from ..worker import Worker
from .base import Adapter, Idioms


class Epoch:
    def __init__(self, net: Any, X: np.ndarray, y: np.ndarray, batch_size: int, solver: str, **options: Any):
        self.net = net
        self.call = functools.partial(
            net.fit, X, y, solver=solver, learning_rate=rate(solver), batch_size=batch_size, **options
        )

    def __call__(self) -> Any:
        return self.call()

    def parameters(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        return unflat(self.net.parameters, self.net.layer_sizes)


class Cmlp(Adapter):
    name = "cmlp"
    module = "cmlp"
    options: dict[str, Any] = {}  # noqa: RUF012  of `fit`

    def net(self, network: Network, dtype: str) -> Any:
        import cmlp

        net = cmlp.Network(network.sizes, activation=network.activations, dtype=dtype, random_state=0)
        net.parameters[:] = flat(*initial(network, dtype))
        return net

    def trainers(
        self, network: Network, X: np.ndarray, y: np.ndarray, batch_size: int, solver: str, dtype: str
    ) -> Idioms:
        return {"Network.fit": lambda: Epoch(self.net(network, dtype), X, y, batch_size, solver, **self.options)}

    def ones(self, network: Network, x: np.ndarray) -> Idioms:
        return {"net(x)": lambda: functools.partial(self.net(network, x.dtype.name), x)}

    def manys(self, network: Network, X: np.ndarray) -> Idioms:
        return {"net.forward(X)": lambda: functools.partial(self.net(network, X.dtype.name).forward, X)}


class CmlpOn(Cmlp):
    """cmlp in a process of its own that runs another instruction set, since that is chosen at import."""

    def __init__(self, isa: str):
        self.isa = isa
        self.name = f"cmlp {isa}"
        self.worker: Worker | None = None

    def available(self) -> str | None:
        missing = super().available()
        if missing:
            return missing
        from cmlp.kernels import ISA, available

        if self.isa not in available():
            return f"this CPU or this build of cmlp is without {self.isa}"
        return f"it is what cmlp runs, as {Cmlp.name}" if self.isa == ISA else None

    def clocked(self, kind: str, network: Network, rows: int, **cell: Any) -> Any:
        if self.worker is None:
            self.worker = Worker({"CMLP_ISA": self.isa})
        return self.worker.clocked(kind, network, rows, **cell)
