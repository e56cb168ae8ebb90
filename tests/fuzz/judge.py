"""What may come of a file: a refusal, or a model that predicts finite numbers and is saved as it came.

Of a checkpoint: a refusal, or a training that goes on to its end, which the file then holds.
"""

from __future__ import annotations

import os
import pathlib
import tempfile

import numpy as np

import cmlp
import cmlp.saved  # else at the first load, where atheris does not watch the import
import hostile_checkpoints
from model_files import TASKS, saved_bytes, small_file, trained

RUNS = tuple(hostile_checkpoints.RUNS)
SAFE = 80  # outputs up to here are finite in float32, also their exponential


def folder() -> str:
    """In memory where there is such a place: each judgement writes a file or two."""
    return tempfile.mkdtemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)


def judged(content: bytes, path: pathlib.Path) -> cmlp.Model | None:
    """The model in these bytes, None if they are refused; any other outcome is an error."""
    path.write_bytes(content)
    try:
        model = cmlp.load(path)
    except cmlp.ModelFileError as error:
        message = str(error)
    else:
        _check(model, path)
        return model
    assert str(path) in message
    assert len(message.encode()) < 2000, message
    return None


def _check(model: cmlp.Model, path: pathlib.Path) -> None:
    X = np.full((2, model.n_features_in_), 0.5)
    outputs = model.network.forward(X)
    assert outputs.shape == (2, model.network.layer_sizes[-1])
    if bound_of(model.network) < SAFE:
        assert np.isfinite(outputs).all(), outputs
        if model.classes_ is not None:
            probabilities = model.predict_proba(X)
            assert ((probabilities >= 0) & (probabilities <= 1)).all(), probabilities
    if np.isnan(outputs).any():  # of weights near the end of the range
        _refuses(model, X)
    else:
        predictions = model.predict(X)
        assert len(predictions) == 2
        if model.task in ("binary", "multiclass"):
            assert set(predictions.tolist()) <= set(model.classes_.tolist())
    assert isinstance(model.n_iter_, int), repr(model)
    again = path.with_suffix(".again")
    cmlp.save(model, again)
    once = again.read_bytes()
    cmlp.save(cmlp.load(again), again)
    assert again.read_bytes() == once


def _refuses(model: cmlp.Model, X: np.ndarray) -> None:
    said = ""
    try:
        model.predict(X)
    except ValueError as error:
        said = str(error)
    assert "outputs are NaN" in said, "a class or value was predicted from outputs that are NaN"


def bound_of(network: cmlp.Network) -> float:
    """No unit's |z| is above it for inputs within 0.5; |s(z)| is at most 1.8 + 1.1 |z| for every activation."""
    bound, largest = 0.5, 0.0
    with np.errstate(all="ignore"):
        for W, b in zip(network.weights, network.biases, strict=True):
            z = float((np.abs(W).sum(axis=1, dtype=np.float64) * bound + np.abs(b)).max())
            largest, bound = max(largest, z), 1.8 + 1.1 * z
    return largest if largest == largest else np.inf


def seeds() -> list[bytes]:
    """A file of every task, the same ones in every run."""
    return [small_file(), *(saved_bytes(trained(task, dtype)) for task in TASKS for dtype in ("float32", "float64"))]


# ---- checkpoints ------------------------------------------------------------------------------------


def resumed(content: bytes, path: pathlib.Path) -> cmlp.Model | None:
    """The model of a training that goes on from all but the first byte, which says what training it is; or None."""
    run, file = RUNS[content[0] % len(RUNS)] if content else RUNS[0], content[1:]
    path.write_bytes(file)
    try:
        model = hostile_checkpoints.trained(path, run)
    except cmlp.DivergenceError:
        return None  # of weights near the end of the range
    except ValueError as error:
        message, known = str(error), isinstance(error, cmlp.ModelFileError)
    else:
        _check_training(model, run, path)
        return model
    assert known or "holds another training, which differs in" in message or "epochs behind it" in message, message
    assert str(path) in message
    assert len(message.encode()) < 2000, message
    assert path.read_bytes() == file, "a file that was refused has changed"
    return None


def _check_training(model: cmlp.Model, run: str, path: pathlib.Path) -> None:
    assert np.isfinite(model.network.parameters).all()
    assert model.n_iter_ <= hostile_checkpoints.EPOCHS
    assert all(type(loss) is float for loss in model.loss_curve_)
    again = hostile_checkpoints.trained(path, run)
    assert np.array_equal(again.network.parameters, model.network.parameters)
    assert again.loss_curve_ == model.loss_curve_
    _check(model, path.with_suffix(".model"))


def checkpoints() -> list[bytes]:
    """One of every training, the number of the training before it."""
    return [bytes([number]) + hostile_checkpoints.content(run) for number, run in enumerate(RUNS)]
