"""What cmlp raises beyond Python's own exceptions."""

from __future__ import annotations

from typing import Any


class DivergenceError(FloatingPointError, ValueError):
    """Training produced a loss or parameters that are NaN or infinite.

    The network holds the last finite parameters.

    Attributes
    ----------
    model : Model or None
        From `cmlp.fit`: the model with these parameters, so that nothing is lost.
    """

    def __init__(self, message: str, model: Any = None):
        super().__init__(message)
        self.model = model


class ModelFileError(ValueError):
    """A file is not a model that cmlp saved, or is damaged.

    Attributes
    ----------
    path : str
    """

    def __init__(self, path: Any, problem: str):
        super().__init__(f"cannot load {str(path)!r}: {problem}")
        self.path, self.problem = str(path), problem

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.path, self.problem)
