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
WORDS = {  # what a mark stands for among the arguments
    "network": "hidden_layer_sizes, activation, loss or dtype",
    "start": "random_state, or the parameters that a warm start begins with",
    "y": "y or label_smoothing",
    "sample_weight": "sample_weight or class_weight",
    "validation": "X_val or y_val",
    "held_out": "the samples held out",
    "X": "X",
}
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
    news : str or None
        A line on what was found, for those who want to be told.
    """

    def __init__(self, path: Any, every: Any):
        self.path = files.file_path(path, "checkpoint")
        if not self.path:
            raise ValueError("checkpoint='': expected the path of a file")
        self.every = check.whole("checkpoint_every", every, 1)
        self.outcome: str | None = None
        self.news: str | None = None
        self._place = os.path.abspath(self.path)  # wherever the process goes
        self._arrays: dict[str, Array] = {}
        self._found: dict[str, Any] | None = None
        if os.path.exists(self._place):
            try:
                self._arrays, self._found = _read(self._place)
            except ModelFileError as error:
                problem = f"{error.problem}; as a checkpoint, remove it to train from the start"
                raise ModelFileError(self.path, problem) from None
        files.sweep(self._place)

    def begin_random(self, random: RandomSource, given: bool) -> None:
        """Before anything is drawn: numbers that nobody gave a seed for are drawn as in the run that is found."""
        if self._found is not None and not given:
            if self._found["random"]["start"]["bit_generator"] != _state_of(random)["bit_generator"]:
                raise self._another("random_state")
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
                "the training goes on, and the file, if it is there, holds an earlier epoch", stacklevel=2,
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
        files.write(self._place, present, {"format": FORMAT, "training": json.dumps(described, default=_as_json)})

    def _restore(self, found: dict[str, Any]) -> None:
        if found["marks"] != self._marks:
            raise self._another(differences(found["marks"], self._marks))
        try:
            self._check(found)
        except (TypeError, ValueError, KeyError) as error:
            raise ModelFileError(self.path, f"it does not hold a state of this training ({error})") from None
        if found["solver"]["epochs"] > self._solver.options.max_iter:
            raise ValueError(
                f"max_iter={self._solver.options.max_iter}: checkpoint={check.shown(self.path)} has "
                f"{found['solver']['epochs']} epochs behind it, expected as many or more"
            )
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
        went = "has ended" if self.outcome in ("converged", "stopped") else "goes on"
        self.news = f"checkpoint {self.path!r}: the training {went} after {self._solver.epochs} epochs"

    def _check(self, found: dict[str, Any]) -> None:
        """What the checksum of a file cannot tell."""
        size, dtype, order = self._network.parameters.size, self._network.dtype, self._order
        shapes: dict[str, Any] = {"parameters": (size,), "solver": (2, size), "best_parameters": (size,)}
        if order is not None:
            shapes["order"] = order.shape
        for name, array in self._arrays.items():
            wanted = np.dtype(np.int64) if name == "order" else dtype
            if (array.shape, array.dtype) != (shapes.get(name), wanted) or not np.isfinite(array).all():
                raise ValueError(f"its array {name} is not one of this training")
        if order is not None and not np.array_equal(np.sort(self._arrays["order"]), np.sort(order)):
            raise ValueError("its order is not one of these samples")
        if found["outcome"] not in (None, "max_iter", "converged", "stopped"):
            raise ValueError(f"outcome={check.shown(found['outcome'])}")
        solver, history = found["solver"], found["history"]
        whole = {"updates": found["updates"], **{name: solver[name] for name in ("epochs", "seed")}}
        for name, value in {**whole, **{name: history[name] for name in ("samples_seen", "stalled")}}.items():
            check.whole(name, value, 0)
        for name in ("learning_rate", "last_rate"):
            check.number(name, solver[name], 0)
        for curve in (
            history["loss_curve_"],
            history["validation_scores_"] or [],
            history["validation_loss_curve_"] or [],
        ):
            if not isinstance(curve, list) or not all(type(value) in (int, float) for value in curve):
                raise ValueError("its curves are not lists of numbers")

    def _another(self, what: str) -> ValueError:
        return ValueError(
            f"checkpoint={check.shown(self.path)} holds another training, which differs in {what}: expected the "
            "arguments of the run to go on with, or a path where no file is.  Each training needs a file of its own, "
            "each warm start and each fit of a search or of a cross-validation too"
        )


def differences(found: dict[str, Any], marks: dict[str, Any]) -> str:
    """In words; what follows from another difference is left out."""
    names = [name for name in marks if found.get(name) != marks[name]]
    if "network" in names:
        names = [name for name in names if name != "start"]
    if len(names) > 1:
        names = [name for name in names if name != "held_out"]
    return ", ".join(WORDS.get(name) or f"{name}={marks[name]} ({found.get(name)} there)" for name in names)


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
        parts = (described["marks"], described["random"], described["random"]["start"], described["random"]["now"])
        if not all(isinstance(part, dict) for part in parts):
            raise TypeError("marks or random")
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
