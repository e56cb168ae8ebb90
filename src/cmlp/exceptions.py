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
