"""The hyper-parameters of a training run, each within its range."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from . import validation as check
from .network import SOLVERS
from .threads import checked_threads

SCHEDULES = ("constant", "invscaling", "adaptive", "cosine", "one_cycle")
RATE = "; the rate itself is learning_rate_init"
EVERY_SOLVER = (*SOLVERS, "lbfgs")
AUTO_BATCH = 200
LARGEST = float(np.finfo(np.float32).max)  # of what either precision computes with
LARGEST_POWER = 10  # of the number of samples seen, which is to stay a float


class Options(NamedTuple):
    """The hyper-parameters of a training run; `checked` refuses those out of range."""

    solver: str = "adam"
    alpha: float = 1e-4
    batch_size: int | str = "auto"
    learning_rate: str = "constant"
    learning_rate_init: float = 1e-3
    power_t: float = 0.5
    max_iter: int = 200
    shuffle: bool = True
    tol: float = 1e-4
    verbose: bool | int = False
    momentum: float = 0.9
    nesterovs_momentum: bool = True
    early_stopping: bool = False
    validation_fraction: float = 0.1
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    n_iter_no_change: float = 10
    max_fun: int = 15000
    dropout: float | tuple[float, ...] = 0.0
    input_dropout: float = 0.0
    max_grad_norm: float | None = None
    warmup_epochs: float = 0.0
    n_threads: int | None = None
    epsilon_outside: bool = False  # Adam's epsilon as scikit-learn has it

    def checked(self) -> Options:
        return Options(
            solver=check.choice("solver", self.solver, EVERY_SOLVER),
            alpha=check.number("alpha", self.alpha, 0, LARGEST),
            batch_size=self._checked_batch_size(),
            learning_rate=check.choice("learning_rate", self.learning_rate, SCHEDULES, RATE),
            learning_rate_init=check.number("learning_rate_init", self.learning_rate_init, 0, LARGEST, open_low=True),
            power_t=self.power_t,
            max_iter=check.whole("max_iter", self.max_iter, 1),
            shuffle=check.flag("shuffle", self.shuffle),
            tol=check.number("tol", self.tol, 0),
            verbose=self._checked_verbose(),
            momentum=check.number("momentum", self.momentum, 0, 1),
            nesterovs_momentum=check.flag("nesterovs_momentum", self.nesterovs_momentum),
            early_stopping=check.flag("early_stopping", self.early_stopping),
            validation_fraction=check.number(
                "validation_fraction", self.validation_fraction, 0, 1, open_low=True, open_high=True
            ),
            beta_1=check.number("beta_1", self.beta_1, 0, 1, open_high=True),
            beta_2=check.number("beta_2", self.beta_2, 0, 1, open_high=True),
            epsilon=check.number("epsilon", self.epsilon, 0, open_low=True),
            n_iter_no_change=check.whole("n_iter_no_change", self.n_iter_no_change, 1),
            max_fun=check.whole("max_fun", self.max_fun, 1),
            dropout=self.dropout,
            input_dropout=self.input_dropout,
            max_grad_norm=self.max_grad_norm,
            warmup_epochs=self.warmup_epochs,
            n_threads=self.n_threads,
            epsilon_outside=self.epsilon_outside,
        ).checked_extras()

    def checked_extras(self) -> Options:
        """The same where scikit-learn has checked what it knows."""
        return self._replace(
            dropout=self._checked_dropout(),
            power_t=check.number("power_t", self.power_t, 0, LARGEST_POWER),
            input_dropout=check.number("input_dropout", self.input_dropout, 0, 1, open_high=True),
            max_grad_norm=self._checked_norm(),
            warmup_epochs=check.number("warmup_epochs", self.warmup_epochs, 0, LARGEST),
            n_threads=checked_threads(self.n_threads),
        )._consistent()

    def _consistent(self) -> Options:
        if self.solver == "lbfgs":
            for name in ("dropout", "input_dropout", "max_grad_norm", "warmup_epochs"):
                value = getattr(self, name)
                if np.any(value):
                    raise ValueError(f"{name}={check.shown(value)}: expected none with solver='lbfgs'")
        return self

    def _checked_dropout(self) -> float | tuple[float, ...]:
        given = self.dropout
        if not isinstance(given, list | tuple | np.ndarray) or (isinstance(given, np.ndarray) and given.ndim == 0):
            return check.number("dropout", given, 0, 1, open_high=True)
        rates = enumerate(given)
        return tuple(check.number(f"dropout[{i}]", rate, 0, 1, open_high=True) for i, rate in rates)

    def _checked_norm(self) -> float | None:
        norm = self.max_grad_norm
        return None if norm is None else check.number("max_grad_norm", norm, 0, LARGEST, open_low=True)

    def keep(self, hidden: int) -> list[float] | None:
        """The chance to stay of the inputs and of each hidden layer's units; None without dropout."""
        rates = self.dropout if isinstance(self.dropout, tuple) else (self.dropout,) * hidden
        if len(rates) != hidden:
            raise ValueError(
                f"dropout={check.shown(self.dropout)}: expected a number or a sequence of {hidden}, one per hidden "
                "layer"
            )
        chances = [1 - rate for rate in (self.input_dropout, *rates)]
        return chances if min(chances) < 1 else None

    def _checked_batch_size(self) -> int | str:
        expected = "'auto' or a positive integer"
        if not isinstance(self.batch_size, str):
            return check.whole("batch_size", self.batch_size, 1, expected)
        if self.batch_size != "auto":
            raise ValueError(f"batch_size={check.shown(self.batch_size)}: expected {expected}")
        return self.batch_size

    def _checked_verbose(self) -> bool | int:
        if isinstance(self.verbose, bool | np.bool_):
            return bool(self.verbose)
        return check.whole("verbose", self.verbose, 0, "True, False or an integer, 0 or more")

    def batch_of(self, n: int) -> int:
        return min(AUTO_BATCH if self.batch_size == "auto" else int(self.batch_size), n)
