"""cmlp: a compiled multilayer perceptron."""

from .exceptions import DivergenceError, ModelFileError
from .kernels import show_config
from .model import Model, fit, load, predict, predict_proba, save
from .network import Network

__version__ = "0.1.0"

__all__ = [
    "DivergenceError",
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
