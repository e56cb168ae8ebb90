"""What cmlp raises beyond Python's own exceptions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def memory_errors() -> Iterator[None]:
    """What NumPy says in places where there is no memory: nothing, which Python calls a SystemError."""
    try:
        yield
    except SystemError as error:
        if "without setting an exception" not in str(error) and "without exception set" not in str(error):
            raise
        raise MemoryError("NumPy found no memory") from error
