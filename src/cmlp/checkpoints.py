"""A training run in a file, from which another process goes on where this one ended, bit for bit."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from typing import Any

import numpy as np

from . import files
from . import validation as check
from .exceptions import ModelFileError
from .network import Network
from .options import Options
from .training import PLANNED, History, Samples, Solver
from .validation import Array, RandomSource

FORMAT = "cmlp checkpoint 1"
LOST_ON_THE_WAY = ("verbose", "n_threads")  # of the options: they change nothing of the result
HISTORY = (
    "loss_curve_", "validation_scores_", "validation_loss_curve_", "best_loss_", "best_validation_score_", "converged_",
    "best_watched", "samples_seen", "stalled",
)  # fmt: skip
SOLVER = ("learning_rate", "last_rate", "epochs", "seed")


class Checkpoint:
    """The file of one training run: what it holds when the run begins, and what the run leaves in it.

    Parameters
    ----------
    path : str, bytes or path-like
    every : int
        Epochs from one writing to the next.

    Attributes
    ----------
    outcome : str or None
        How the run that is found in the file ended, None if it has not.
    """

    def __init__(self, path: Any, every: Any):
        self.path = files.file_path(path, "checkpoint")
        self.every = check.whole("checkpoint_every", every, 1)
        self.outcome: str | None = None
        self._arrays: dict[str, Array] = {}
        self._found: dict[str, Any] | None = None
        if os.path.lexists(self.path):
            self._arrays, self._found = _read(self.path)

    def begin_random(self, random: RandomSource, given: bool) -> None:
        """Before anything is drawn: numbers that nobody gave a seed for are drawn as in the run that is found."""
        if self._found is not None and not given:
            if self._found["random"]["start"]["bit_generator"] != _state_of(random)["bit_generator"]:
                raise self._another(["random_state"])
            _set_state(random, self._found["random"]["start"])
        self._random, self._random_start = random, _state_of(random)

    def attach(
        self, network: Network, solver: Solver, history: History, samples: Samples, order: Array | None,
        held: Any = None, scoring: Any = None,
    ) -> None:  # fmt: skip
        """Goes on with the run that is found, or writes down the one that begins.

        `order` is the order of the samples, which the epochs change in place; `held` are the inputs, targets and
        weights of a validation set.
        """
        self._network, self._solver, self._history, self._order = network, solver, history, order
        self._marks = marks_of(network, solver.options, samples, held, scoring)
        if self._found is None:
            self.write(None)
        else:
            self._restore(self._found)

    def epoch_ends(self, outcome: str | None) -> None:
        """Writes, if it is time.  What fails leaves the file as it was, and does not stop the training."""
        if outcome is None and self._solver.epochs % self.every > 0:
            return
        try:
            self.write(outcome)
        except OSError as error:
            warnings.warn(
                f"checkpoint={check.shown(self.path)} could not be written after epoch {self._solver.epochs}: {error}; "
                "the training goes on, the file holds an earlier epoch", stacklevel=2,
            )  # fmt: skip

    # ---- to and from the file ----------------------------------------------------------------------

    def write(self, outcome: str | None) -> None:
        t, runs = self._network._engine.solver_state
        arrays = {
            "parameters": self._network.parameters,
            "solver": runs,
            "best_parameters": self._history.best_parameters,
            "order": None if self._order is None else self._order.astype(np.int64),
        }
        described = {
            "marks": self._marks,
            "outcome": outcome,
            "updates": t,
            "solver": {name: getattr(self._solver, name) for name in SOLVER},
            "history": {name: getattr(self._history, name) for name in HISTORY},
            "random": {"start": self._random_start, "now": _state_of(self._random)},
        }
        present = {name: array for name, array in arrays.items() if array is not None}
        files.write(self.path, present, {"format": FORMAT, "training": json.dumps(described, default=_as_json)})

    def _restore(self, found: dict[str, Any]) -> None:
        others = [name for name in self._marks if found["marks"].get(name) != self._marks[name]]
        if others or set(found["marks"]) != set(self._marks):
            raise self._another(others)
        size, dtype = self._network.parameters.size, self._network.dtype
        expected = {
            "parameters": ((size,), dtype),
            "solver": ((2, size), dtype),
            "best_parameters": ((size,), dtype),
            "order": (None if self._order is None else self._order.shape, np.dtype(np.int64)),
        }
        for name, array in self._arrays.items():
            if (array.shape, array.dtype) != expected.get(name):
                raise ModelFileError(self.path, f"its array {name} does not belong to this training")
        self._network.parameters[:] = self._arrays["parameters"]
        if self._order is not None:
            self._order[:] = self._arrays["order"]
        _set_state(self._random, found["random"]["now"])
        for name in SOLVER:
            setattr(self._solver, name, found["solver"][name])
        for name in HISTORY:
            setattr(self._history, name, found["history"][name])
        best = self._arrays.get("best_parameters")
        self._history.best_parameters = None if best is None else best.copy()
        if self._solver.epochs > 0:
            self._network._set_solver(*self._solver.settings())
            self._network._engine.solver_state = found["updates"], self._arrays.get("solver")
        self.outcome = found["outcome"]

    def _another(self, names: list[str]) -> ValueError:
        what = f"differs in {', '.join(names)}" if names else "takes other options"
        return ValueError(
            f"checkpoint={check.shown(self.path)} holds another training, which {what}: expected the arguments of the "
            "run to go on with, a path where no file is, or the file removed"
        )


def _read(path: str) -> tuple[dict[str, Array], dict[str, Any]]:
    arrays, metadata = files.read(path)
    if metadata.get("format") != FORMAT:
        raise ModelFileError(path, f"its format is {metadata.get('format')!r}: expected {FORMAT!r}")
    try:
        described = json.loads(metadata["training"])
        present = {"parameters"} <= set(arrays) <= {"parameters", "solver", "best_parameters", "order"}
        whole = set(SOLVER) == set(described["solver"]) and set(HISTORY) == set(described["history"])
        if not (present and whole and {"marks", "outcome", "updates", "random"} <= set(described)):
            raise ValueError("something is missing")
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        problem = f"its description is not that of a training ({type(error).__name__}: {error})"
        raise ModelFileError(path, problem) from None
    return arrays, described


# ---- what tells one training from another ----------------------------------------------------------


def marks_of(network: Network, asked: Options, samples: Samples, held: Any, scoring: Any) -> dict[str, Any]:
    """The network as it starts, the data and the options by name; of large things a digest.

    The number of epochs counts only where the learning rate is planned by it, so that a run can go on for longer.
    """
    options = asked._asdict()
    for name in LOST_ON_THE_WAY:
        del options[name]
    if options["learning_rate"] not in PLANNED:
        del options["max_iter"]
    return {
        **{name: repr(value) for name, value in options.items()},
        "network": repr(network),
        "start": digest(network.parameters),
        "X": digest(samples.X),
        "y": digest(samples.y),
        "sample_weight": digest(samples.weights),
        "validation": digest(held),
        "held_out": digest(samples.rows),
        "scoring": scoring if isinstance(scoring, str) else callable(scoring),
    }


def digest(data: Any) -> str | None:
    """Of an array, of several, or of nothing."""
    if data is None:
        return None
    if isinstance(data, tuple):
        return hashlib.sha256(repr([digest(part) for part in data]).encode()).hexdigest()
    array = np.ascontiguousarray(data)
    found = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
    found.update(array.data)
    return found.hexdigest()


# ---- sources of random numbers ---------------------------------------------------------------------


def _state_of(random: RandomSource) -> dict[str, Any]:
    state = random.get_state(legacy=False) if isinstance(random, np.random.RandomState) else random.bit_generator.state
    return dict(state)


def _set_state(random: RandomSource, state: dict[str, Any]) -> None:
    if isinstance(random, np.random.RandomState):
        random.set_state(_from_json(state))
    else:
        random.bit_generator.state = _from_json(state)


def _as_json(value: Any) -> Any:
    """What json does not know: arrays and numbers of NumPy."""
    return {"array": value.tolist(), "dtype": value.dtype.str} if isinstance(value, np.ndarray) else value.item()


def _from_json(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if set(value) == {"array", "dtype"}:
        return np.array(value["array"], value["dtype"])
    return {name: _from_json(part) for name, part in value.items()}
