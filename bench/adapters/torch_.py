"""PyTorch, eager, on one thread: by autograd with its quickest update, and with the backward pass written by hand."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from ..networks import Network, initial, rate
from .base import Adapter, Idioms


@functools.cache
def library() -> Any:
    import torch

    torch.set_num_threads(1)
    return torch


def tensors(network: Network, dtype: str) -> tuple[list[Any], list[Any]]:
    torch = library()
    W, b = initial(network, dtype)
    return [torch.from_numpy(w) for w in W], [torch.from_numpy(v) for v in b]


def batches(X: np.ndarray, y: np.ndarray, batch_size: int) -> list[tuple[Any, Any]]:
    """Views of the rows of each batch, cut once: slicing takes microseconds."""
    torch = library()
    return list(
        zip(torch.from_numpy(X).split(batch_size), torch.from_numpy(y.astype(np.int64)).split(batch_size), strict=True)
    )


def update(parameters: list[Any], solver: str, fused: bool) -> Callable[[list[Any] | None], None]:
    """p -= eta g for all parameters at once; Adam by torch.optim, whose fused form is its quickest."""
    torch = library()
    if solver == "adam":
        return torch.optim.Adam(parameters, lr=rate(solver), fused=fused, foreach=not fused).step

    def step() -> None:
        torch._foreach_add_(parameters, [p.grad for p in parameters], alpha=-rate(solver))

    return step


class Epoch:
    """What the two ways share: batches cut beforehand, parameters in lists."""

    def __init__(self, network: Network, X: np.ndarray, y: np.ndarray, batch_size: int, solver: str, dtype: str):
        self.network, self.solver = network, solver
        self.batches = batches(X, y, batch_size)
        self.W, self.b = tensors(network, dtype)
        self.step = update([*self.W, *self.b], solver, fused=True)

    def parameters(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        return [w.detach().numpy() for w in self.W], [v.detach().numpy() for v in self.b]


class Autograd(Epoch):
    def __init__(self, *cell: Any):
        super().__init__(*cell)
        for p in (*self.W, *self.b):
            p.requires_grad_(True)

    def __call__(self) -> None:
        torch = library()
        linear, cross_entropy = torch.nn.functional.linear, torch.nn.functional.cross_entropy
        activations = [getattr(torch, name) for name in self.network.activations]
        every = (*self.W, *self.b)
        for x, y in self.batches:
            for W, b, s in zip(self.W, self.b, activations, strict=False):
                x = s(linear(x, W, b))
            cross_entropy(linear(x, self.W[-1], self.b[-1]), y).backward()
            with torch.no_grad():
                self.step()
            for p in every:
                p.grad = None


class ByHand(Epoch):
    """No graph: deltas by mm, and for SGD the rank-n update in place by addmm_."""

    def __call__(self) -> None:
        torch = library()
        with torch.inference_mode():
            for x, y in self.batches:
                self.batch(torch, x, y)

    def batch(self, torch: Any, x: Any, y: Any) -> None:
        o = [x]
        for W, b, s in zip(self.W, self.b, self.network.activations, strict=False):
            z = torch.addmm(b, o[-1], W.t())
            o.append(z.relu_() if s == "relu" else z.sigmoid_())
        delta = torch.addmm(self.b[-1], o[-1], self.W[-1].t()).softmax(1)
        delta[torch.arange(len(y)), y] -= 1
        for l in range(len(self.W) - 1, -1, -1):
            below = delta @ self.W[l] if l else None
            self.descend(torch, l, delta, o[l], len(y))
            if l:
                delta = self.through(below, o[l], self.network.activations[l - 1])

    def through(self, below: Any, o: Any, activation: str) -> Any:
        return below.mul_(o > 0) if activation == "relu" else below.mul_(o).mul_(1 - o)

    def descend(self, torch: Any, l: int, delta: Any, o: Any, n: int) -> None:
        eta = rate(self.solver) / n
        self.W[l].addmm_(delta.t(), o, alpha=-eta)
        self.b[l].add_(delta.sum(0), alpha=-eta)


class PyTorch(Adapter):
    name = "PyTorch"
    module = "torch"

    def trainers(
        self, network: Network, X: np.ndarray, y: np.ndarray, batch_size: int, solver: str, dtype: str
    ) -> Idioms:
        cell = (network, X, y, batch_size, solver, dtype)
        found: Idioms = {"autograd": lambda: Autograd(*cell)}
        if solver == "sgd":
            found["by hand"] = lambda: ByHand(*cell)
        return found

    def ones(self, network: Network, x: np.ndarray) -> Idioms:
        return self.manys(network, x)

    def manys(self, network: Network, X: np.ndarray) -> Idioms:
        """From a NumPy array to a NumPy array, which costs no copy."""
        torch = library()
        W, b = tensors(network, X.dtype.name)
        linear = torch.nn.functional.linear
        activations = [getattr(torch, f"{name}_") for name in network.activations]

        def predict(X: np.ndarray) -> np.ndarray:
            with torch.inference_mode():
                o = torch.from_numpy(X)
                for w, v, s in zip(W, b, activations, strict=False):
                    o = s(linear(o, w, v))
                return linear(o, W[-1], b[-1]).softmax(-1).numpy()

        return {"functional, inference_mode": lambda: functools.partial(predict, X)}
