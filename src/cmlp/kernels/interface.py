"""What every compiled module of kernels offers to the Python layer, for type checkers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]
    Inputs = Array | tuple[Array, Array, Array]  # rows, or sparse rows: entries, their columns, where each row begins


class Engine(Protocol):
    """A network over a block of parameters; engine.pyx documents each method."""

    parameters: Array
    solver_state: tuple[int, Array | None]
    settings: Any
    mean_penalty: float

    def predict_one(self, x: Any) -> Array | None: ...
    def predict(self, X: Any) -> Array | None: ...
    def predict_sparse(self, X: tuple[Array, Array, Array]) -> Array | None: ...
    def loss(self, X: Inputs, y: Array, weights: Array | None, alpha: float, relative: bool = False) -> float: ...
    def loss_and_gradient(
        self, X: Inputs, y: Array, weights: Array | None, alpha: float, gradient_out: Array, relative: bool = False
    ) -> float: ...

    def __enter__(self) -> Engine: ...
    def __exit__(self, *exception: object) -> None: ...
    def set_solver(
        self,
        settings: Any,
        kind: int,
        learning_rate: float,
        momentum: float = 0,
        nesterov: bool = False,
        alpha: float = 0,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        epsilon_outside: bool = False,
        clip_norm: float = 0,
    ) -> None: ...
    def reset_solver(self) -> None: ...
    def step_one(self, x: Any, y: Any, settings: Any) -> float | None: ...
    def step(self, X: Array, y: Array, weights: Array | None) -> float: ...
    def epoch(
        self, X: Inputs, y: Array, weights: Array | None, index: Array | None, batch_size: int, n_threads: int = 1,
        relative: bool = False, rates: Array | None = None, keep: Array | None = None, seed: int = 0,
    ) -> float: ...  # fmt: skip
    def trace(self, x: Array, y: Array) -> tuple[float, list[Array], list[Array], list[Array], Array]: ...


class Kernels(Protocol):
    """A module: one instruction set in one precision."""

    def Engine(
        self, layer_sizes: Sequence[int], activations: Sequence[int], loss: int, parameters: Array, output: int = 0,
        quantile: float = 0.5,
    ) -> Engine: ...  # fmt: skip
    def codes(self) -> dict[str, dict[str, int]]: ...
    def first_not_finite(self, a: Array) -> int: ...
    def vector_lanes(self) -> int: ...
