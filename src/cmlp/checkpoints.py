"""A training run in a file, from which another process goes on where this one ended, bit for bit."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from . import files, randomness
from . import validation as check
from .exceptions import ModelFileError
from .kernels import ISA, VARIABLE
from .network import MOST_UPDATES, Network
from .options import LARGEST, Options
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
    "epsilon_outside": "being one of cmlp.fit or of an estimator",
}
FOLLOWS = {  # marks that differ because that one does, or any
    "start": "network",
    "alpha": "sample_weight",  # an estimator's is scaled with the weights
    "held_out": "",
    "epsilon_outside": "",
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
        self._place = files.absolute(self.path)
        self._known = files.identity(self._place)
        self._warned = False
        self._arrays: dict[str, Array] = {}
        self._found: dict[str, Any] | None = None
        if self._known is not None:
            try:
                self._arrays, self._found = _read(self._place)
            except ModelFileError as error:
                problem = f"{error.problem}; as a checkpoint, remove it to train from the start"
                raise ModelFileError(self.path, problem) from None
        files.sweep(self._place)

    def begin_random(self, random: RandomSource, given: bool) -> None:
        """Before anything is drawn: numbers that nobody gave a seed for are drawn as in the run that is found."""
        if self._found is not None and not given:
            start = self._found["random"]["start"]
            kind = start.get("bit_generator")
            if isinstance(kind, str) and kind != randomness.state_of(random)["bit_generator"]:
                raise self._another("random_state")
            with self._refusing():
                randomness.set_state(random, randomness.from_json(random, start))
        start = json.dumps(randomness.state_of(random), default=randomness.as_json)
        self._random, self._random_start = random, json.loads(start)  # as a file gives it back

    def attach(
        self, network: Network, solver: Solver, history: History, samples: Samples, order: Array | None,
        held: Any = None, scoring: Any = None,
    ) -> None:  # fmt: skip
        """Goes on with the run that is found, or writes down the one that begins.

        `order` is the order of the samples, which the epochs change in place; `held` are the inputs, targets and
        weights of a validation set.
        """
        self._network, self._solver, self._history, self._order = network, solver, history, order
        self._rows, self._validated = len(samples.rows), held is not None or solver.options.early_stopping
        self._marks = marks_of(network, solver.options, samples, held, scoring)
        if self._found is None:
            if self._is_anothers():
                raise ValueError(
                    f"checkpoint={check.shown(self.path)} was written by something else while this training began: "
                    "expected a path where no file is, and a file of its own for each training"
                )
            self.write(None)
        else:
            self._restore(self._found)

    def epoch_ends(self, outcome: str | None) -> None:
        """Writes, if it is time.

        What fails leaves the file as it was and does not stop the training, nor does what took the file's place, which
        is kept.
        """
        if outcome is None and self._solver.epochs % self.every > 0:
            return
        try:
            if self._is_anothers():
                self._warn_once()
                return
            self.write(outcome)
        except (OSError, MemoryError) as error:
            warnings.warn(
                f"checkpoint={check.shown(self.path)} could not be written after epoch {self._solver.epochs}: "
                f"{str(error) or type(error).__name__}; the training goes on, and the file, if it is there, holds an "
                "earlier epoch", stacklevel=2,
            )  # fmt: skip

    def _is_anothers(self) -> bool:
        """Whether a file has taken the place that holds no state of this training."""
        if files.identity(self._place) in (None, self._known):
            return False
        try:  # what the system tells may have changed by itself, on a network for one
            found = _read(self._place)[1]
        except FileNotFoundError:
            return False
        except ModelFileError:
            return True
        return bool(found["marks"] != self._marks or found["random"]["start"] != self._random_start)

    def _warn_once(self) -> None:
        if not self._warned:
            warnings.warn(
                f"checkpoint={check.shown(self.path)} is another training's or another file since it was last written, "
                f"and is kept: after epoch {self._solver.epochs} the training goes on without, as long as it is there; "
                "expected a file of its own for each training", stacklevel=3,
            )  # fmt: skip
        self._warned = True

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
            "random": {"start": self._random_start, "now": randomness.state_of(self._random)},
        }
        present = {name: array.copy() for name, array in arrays.items() if array is not None}
        text = json.dumps(described, default=randomness.as_json)
        self._known = files.write(self._place, present, {"format": FORMAT, "training": text})
        self._warned = False

    def _restore(self, found: dict[str, Any]) -> None:
        if found["marks"] != self._marks:
            raise self._another(differences(found["marks"], self._marks))
        if found["random"]["start"] != self._random_start:  # of a warm start, whose parameters do not depend on it
            raise self._another("random_state")
        with self._refusing():
            self._check(found)
            random = randomness.from_json(self._random, found["random"]["now"])
        if found["solver"]["epochs"] > self._solver.options.max_iter:
            raise ValueError(
                f"max_iter={self._solver.options.max_iter}: checkpoint={check.shown(self.path)} has "
                f"{found['solver']['epochs']} epochs behind it, expected as many or more"
            )
        self._network.parameters[:] = self._arrays["parameters"]
        if self._order is not None:
            self._order[:] = self._arrays["order"]
        randomness.set_state(self._random, random)
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

    @contextlib.contextmanager
    def _refusing(self) -> Iterator[None]:
        try:
            yield
        except files.MALFORMED as error:
            raise ModelFileError(self.path, f"it does not hold a state of this training ({error})") from None

    def _check(self, found: dict[str, Any]) -> None:
        """What the checksum of a file cannot tell."""
        epochs = check.whole("epochs", found["solver"]["epochs"], 0)
        said = {"outcome": found["outcome"], "updates": found["updates"], **found["solver"], **found["history"]}
        for name, right in self._held_true(said, epochs).items():
            if not right:
                raise ValueError(f"{name}={check.shown(said[name])} after {check.shown(epochs)} epochs")
        self._check_arrays(epochs)

    def _held_true(self, said: dict[str, Any], epochs: int) -> dict[str, bool]:
        """What must hold of each item after so many epochs, given the history that the run began with."""
        past, validated = self._history, epochs if self._validated else 0
        curves = {"loss_curve_": epochs, "validation_scores_": validated, "validation_loss_curve_": validated}
        right = {name: _goes_on(said[name], getattr(past, name), more) for name, more in curves.items()}
        if not all(right.values()):
            return right
        least = min([past.best_loss_, *said["loss_curve_"][len(past.loss_curve_) :]])
        seen = past.samples_seen + epochs * self._rows
        best, scored = said["best_validation_score_"], validated > 0 or past.best_validation_score_ is not None
        return {
            "outcome": said["outcome"] in ((None, "max_iter", "converged", "stopped") if epochs > 0 else (None,)),
            "updates": _is_whole(said["updates"], MOST_UPDATES),
            "seed": _is_whole(said["seed"], 2**63 - 1),
            "learning_rate": _is_real(said["learning_rate"]) and 0 <= said["learning_rate"] <= LARGEST,
            "last_rate": _is_real(said["last_rate"]) and 0 <= said["last_rate"] <= LARGEST,
            "samples_seen": _is_whole(said["samples_seen"]) and said["samples_seen"] == seen,
            "stalled": _is_whole(said["stalled"], past.stalled + epochs),
            "best_loss_": _is_real(said["best_loss_"]) and said["best_loss_"] == least,
            "best_watched": _is_real(said["best_watched"]) and -math.inf < said["best_watched"] <= past.best_watched,
            "best_validation_score_": _is_real(best) if scored else best is None,
            "converged_": isinstance(said["converged_"], bool),
        }

    def _check_arrays(self, epochs: int) -> None:
        size, dtype, order = self._network.parameters.size, self._network.dtype, self._order
        shapes: dict[str, Any] = {"parameters": (size,), "solver": (2, size), "best_parameters": (size,)}
        if order is not None:
            shapes["order"] = order.shape
        for name, array in self._arrays.items():
            wanted = np.dtype(np.int64) if name == "order" else dtype
            if (array.shape, array.dtype) != (shapes.get(name), wanted) or not np.isfinite(array).all():
                raise ValueError(f"its array {name} is not one of this training")
        missing = sorted(self._needed(epochs) - set(self._arrays))
        if missing:
            raise ValueError(f"it has no array {missing[0]}")
        if order is not None and not np.array_equal(np.sort(self._arrays["order"]), np.sort(order)):
            raise ValueError("its order is not one of these samples")

    def _needed(self, epochs: int) -> set[str]:
        """Arrays without which a run does not go on as it was."""
        name, _, momentum, *_ = self._solver.settings()
        kept = epochs > 0 and (name != "sgd" or self._network.dtype.type(momentum) != 0)
        best = epochs > 0 and self._validated and self._history.best_validation_score_ is None
        parts = {"order": self._order is not None, "solver": kept, "best_parameters": best}
        return {"parameters", *(name for name, needed in parts.items() if needed)}

    def _another(self, what: str) -> ValueError:
        return ValueError(
            f"checkpoint={check.shown(self.path)} holds another training, which differs in {what}: expected the "
            "arguments of the run to go on with, or a path where no file is.  Each training needs a file of its own, "
            "each warm start and each fit of a search or of a cross-validation too"
        )


def differences(found: dict[str, Any], marks: dict[str, Any]) -> str:
    """In words; what follows from another difference is left out."""
    names = [name for name in marks if name in found and found[name] != marks[name]]
    if not names:
        return f"the marks {check.shown(sorted(set(found) ^ set(marks)))}, as those of another version of cmlp"
    for name, cause in FOLLOWS.items():
        if name in names and (cause in names if cause else len(names) > 1):
            names.remove(name)
    said = {name: f"{name}={_plain(marks[name])} ({_plain(found[name])} there)" for name in names}
    return ", ".join(WORDS.get(name) or said[name] for name in names)


def _plain(mark: Any) -> str:
    return check.shown(mark).strip("'\"")


def _goes_on(curve: Any, past: list[float] | None, more: int) -> bool:
    """Whether it is None as before, or as many numbers more."""
    if past is None or curve is None:
        return past is curve
    return isinstance(curve, list) and len(curve) == len(past) + more and all(map(_is_real, curve))


def _is_real(value: Any) -> bool:
    return type(value) is float


def _is_whole(value: Any, most: float = math.inf) -> bool:
    return type(value) is int and 0 <= value <= most


def _read(path: str) -> tuple[dict[str, Array], dict[str, Any]]:
    arrays, metadata = files.read(path)
    if metadata.get("format") != FORMAT:
        raise ModelFileError(path, f"its format is {check.shown(metadata.get('format'))}: expected {FORMAT!r}")
    try:
        described = json.loads(metadata["training"])
        present = {"parameters"} <= set(arrays) <= {"parameters", "solver", "best_parameters", "order"}
        whole = set(SOLVER) == set(described["solver"]) and set(HISTORY) == set(described["history"])
        if not (present and whole and {"marks", "outcome", "updates", "random"} <= set(described)):
            raise ValueError("something is missing")
        parts = (described["marks"], described["random"], described["random"]["start"], described["random"]["now"])
        if not all(isinstance(part, dict) for part in parts):
            raise TypeError("marks or random")
        if not all(isinstance(mark, str | bool | None) for mark in described["marks"].values()):
            raise TypeError("marks")
    except files.MALFORMED as error:
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
        VARIABLE: ISA,
        "network": repr(network),
        "start": digest(network.parameters),
        "X": digest(samples.X),
        "y": digest(samples.y),
        "sample_weight": digest(samples.weights),
        "validation": digest(held),
        "held_out": digest(samples.rows),
        "scoring": "a function" if callable(scoring) else str(scoring),
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
