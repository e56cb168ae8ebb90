"""One file per competitor, each with the protocol of `base.Adapter`; a library is imported when it is asked for."""

from __future__ import annotations

from .base import Adapter
from .c_reference import CReference
from .cmlp_ import Cmlp, CmlpOn
from .fann import Fann
from .jax_ import Jax
from .numba_ import Numba
from .onnx_ import OnnxRuntime
from .sklearn_ import ScikitLearn
from .torch_ import PyTorch

__all__ = ["Adapter", "adapters"]


def adapters() -> dict[str, Adapter]:
    """Every competitor by name, cmlp first."""
    every = [
        Cmlp(), CmlpOn("avx2"), CmlpOn("baseline"), CReference(), Numba(), Fann(), ScikitLearn(), PyTorch(), Jax(),
        OnnxRuntime(),
    ]  # fmt: skip
    return {adapter.name: adapter for adapter in every}
