"""cmlp: a compiled multilayer perceptron."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .callbacks import EpochState
from .exceptions import DivergenceError, ModelFileError
from .fitting import fit
from .kernels import show_config
from .model import Model, load, predict, predict_proba, save
from .network import Network

__version__ = "0.1.0"

__all__ = [
    "DivergenceError",
    "EpochState",
    "Model",
    "ModelFileError",
    "Network",
    "fit",
    "load",
    "predict",
    "predict_proba",
    "save",
    "show_config",
]

if TYPE_CHECKING:
    from .estimators import MLPClassifier as MLPClassifier
    from .estimators import MLPRegressor as MLPRegressor


def __getattr__(name: str) -> Any:
    """The estimators, which alone need scikit-learn, are loaded when they are asked for."""
    if name not in ("MLPClassifier", "MLPRegressor"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from . import estimators
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in ("sklearn", "scipy"):
            raise
        raise ImportError(f"cmlp.{name} needs scikit-learn: pip install cmlp[sklearn]") from error
    return getattr(estimators, name)


def __dir__() -> list[str]:
    return sorted({*globals(), "MLPClassifier", "MLPRegressor"})
