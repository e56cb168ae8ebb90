"""A network, its task and its history to and from a file."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import numpy as np

from . import files
from . import validation as check
from .exceptions import ModelFileError
from .labels import CLASS_LOSSES, REGRESSION_LOSSES, Task
from .network import Network, precision
from .training import History
from .validation import Array

FORMAT = "cmlp model 1"
MALFORMED = (KeyError, TypeError, ValueError, AttributeError, RecursionError)


def write(path: Any, network: Network, task: Task, history: History) -> None:
    """Tensors W_1, b_1, ... and, as metadata, everything else in JSON."""
    arrays = {}
    for layer, (W, b) in enumerate(zip(network.weights, network.biases, strict=True), 1):
        arrays[f"W_{layer}"], arrays[f"b_{layer}"] = W, b
    files.write(path, arrays, {"format": FORMAT, "model": json.dumps(_description(network, task, history))})


def read(path: Any) -> tuple[Network, Task, History]:
    """What `write` wrote; ModelFileError for anything else."""
    arrays, metadata = files.read(path)
    if metadata.get("format") != FORMAT:
        raise ModelFileError(path, f"its format is {metadata.get('format')!r}: expected {FORMAT!r}")
    try:
        return _from_description(arrays, json.loads(metadata["model"]))
    except MALFORMED as error:
        problem = f"its description is not that of a model ({type(error).__name__}: {error})"
        raise ModelFileError(path, problem) from None


def _description(network: Network, task: Task, history: History) -> dict[str, Any]:
    return {
        "layer_sizes": network.layer_sizes,
        "activation": network.activation,
        "dtype": network.dtype.name,
        "task": {
            "kind": task.kind,
            "loss": task.loss,
            "column": task.column,
            "label_dtype": task.label_dtype.str,
            "classes": None if task.classes is None else _described_labels(task.classes),
        },
        "history": {
            "loss_curve_": history.loss_curve_,
            "validation_scores_": history.validation_scores_,
            "best_loss_": history.best_loss_ if history.loss_curve_ else None,
            "best_validation_score_": history.best_validation_score_,
            "converged_": history.converged_,
        },
    }


def _from_description(arrays: dict[str, Array], described: dict[str, Any]) -> tuple[Network, Task, History]:
    sizes = check.sizes("layer_sizes", described["layer_sizes"], 2)
    dtype = precision("dtype", described["dtype"])
    expected: dict[str, tuple[int, ...]] = {}
    for layer, (d_in, d_out) in enumerate(pairwise(sizes), 1):
        expected[f"W_{layer}"], expected[f"b_{layer}"] = (d_out, d_in), (d_out,)
    found = {name: array.shape for name, array in arrays.items()}
    if found != expected:
        raise ValueError(f"it holds arrays {check.shown(found)}, its layer_sizes are {check.shown(sizes)}")
    if any(array.dtype != dtype for array in arrays.values()):
        raise ValueError(f"its arrays are not all {dtype}")
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise ValueError("its parameters are not all finite")
    task = _task(described["task"], sizes[-1])
    network = Network(sizes, described["activation"], task.loss, dtype, random_state=0)
    for layer in range(1, len(sizes)):
        network.weights[layer - 1][...] = arrays[f"W_{layer}"]
        network.biases[layer - 1][...] = arrays[f"b_{layer}"]
    return network, task, _history(described["history"])


def _task(described: dict[str, Any], outputs: int) -> Task:
    kind = check.choice("kind", described["kind"], ("binary", "multiclass", "multilabel", "regression"))
    losses = REGRESSION_LOSSES if kind == "regression" else CLASS_LOSSES
    classes = None if kind == "regression" else _labels(described["classes"])
    task = Task(
        kind,
        check.choice("loss", described["loss"], losses),
        outputs,
        classes,
        check.flag("column", described["column"]),
        np.dtype(str(described["label_dtype"])),
    )
    if classes is not None and len(classes) != (2 if kind == "binary" else outputs):
        raise ValueError(f"it has {len(classes)} classes for {outputs} outputs")
    return task


def _history(described: dict[str, Any]) -> History:
    scores = described["validation_scores_"]
    best = described["best_validation_score_"]
    return History(
        [float(loss) for loss in described["loss_curve_"]],
        None if scores is None else [float(score) for score in scores],
        np.inf if described["best_loss_"] is None else float(described["best_loss_"]),
        None if best is None else float(best),
        check.flag("converged_", described["converged_"]),
    )


def _described_labels(classes: Array) -> dict[str, Any]:
    """Labels as JSON: their dtype and values."""
    values = classes.astype("U") if classes.dtype.kind == "S" else classes
    return {"dtype": classes.dtype.str, "values": values.tolist()}


def _labels(described: dict[str, Any]) -> Array:
    dtype = np.dtype(str(described["dtype"]))
    values = described["values"]
    plain = isinstance(values, list) and all(isinstance(value, bool | int | float | str) for value in values)
    if not plain or dtype.kind not in "biufUSO":
        raise ValueError(f"its classes are {check.shown(described)}")
    return np.array(values, dtype)
