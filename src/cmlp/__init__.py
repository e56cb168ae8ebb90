"""cmlp: a compiled multilayer perceptron."""

from .exceptions import DivergenceError
from .network import Network

__all__ = ["DivergenceError", "Network"]
