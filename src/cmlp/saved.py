"""A network, its task and its history to and from a file."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import Any

import numpy as np

from . import files
from . import validation as check
from .exceptions import ModelFileError
from .labels import CLASS_LOSSES, INDICATORS, REGRESSION_LOSSES, Task
from .network import DISTANCES, Network, precision
from .training import History
from .validation import Array

FORMAT = "cmlp model 1"
LOSSES = {
    "binary": CLASS_LOSSES,
    "multiclass": ("cross_entropy",),
    "multilabel": ("binary_cross_entropy",),
    "regression": REGRESSION_LOSSES,
}
LABEL_DTYPE = re.compile("[<>|]?(b1|[iu][1248]|f[248]|[US][0-9]{1,9}|O)")
LABEL_BYTES = 2**24  # that labels may take, or 8 times what the parameters take


def write(path: Any, network: Network, task: Task, history: History, feature_names: Array | None) -> None:
    """Tensors W_1, b_1, ... and, as metadata, everything else in JSON; refuses what `read` would."""
    arrays = {}
    for layer, (W, b) in enumerate(zip(network.weights, network.biases, strict=True), 1):
        arrays[f"W_{layer}"], arrays[f"b_{layer}"] = W.copy(), b.copy()  # another thread may train the network
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise ValueError("the model's parameters are not all finite: a file of them would not load")
    text = json.dumps(_description(network, task, history, feature_names))
    described = json.loads(text)
    try:
        _task(described["task"], network.layer_sizes[-1], network.parameters.nbytes)
        _history(described["history"])
        check.names("feature_names", described["feature_names"], network.layer_sizes[0])
    except files.MALFORMED as error:
        raise ValueError(f"a file of this model would not load ({type(error).__name__}: {error})") from None
    files.write(path, arrays, {"format": FORMAT, "model": text})


def read(path: Any) -> tuple[Network, Task, History, Array | None]:
    """What `write` wrote; ModelFileError for anything else."""
    path = files.file_path(path)
    arrays, metadata = files.read(path)
    if metadata.get("format") != FORMAT:
        raise ModelFileError(path, f"its format is {check.shown(metadata.get('format'))}: expected {FORMAT!r}")
    try:
        return _from_description(arrays, json.loads(metadata["model"]))
    except files.MALFORMED as error:
        problem = f"its description is not that of a model ({type(error).__name__}: {error})"
        raise ModelFileError(path, problem) from None


def _description(network: Network, task: Task, history: History, feature_names: Array | None) -> dict[str, Any]:
    return {
        "layer_sizes": network.layer_sizes,
        "activation": network.activation,
        "dtype": network.dtype.name,
        "out_activation": network.out_activation if network.loss_name in DISTANCES else None,
        "quantile": network.quantile,
        "feature_names": None if feature_names is None else list(feature_names),
        "task": {
            "kind": task.kind,
            "loss": task.loss,
            "column": task.column,
            "label_dtype": task.label_dtype.str,
            "classes": None if task.classes is None else _described_labels(task.classes, network.parameters.nbytes),
        },
        "history": {
            "loss_curve_": history.loss_curve_,
            "validation_scores_": history.validation_scores_,
            "validation_loss_curve_": history.validation_loss_curve_,
            "best_loss_": history.best_loss_ if history.loss_curve_ else None,
            "best_validation_score_": history.best_validation_score_,
            "converged_": history.converged_,
        },
    }


def _from_description(
    arrays: dict[str, Array], described: dict[str, Any]
) -> tuple[Network, Task, History, Array | None]:
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
    task = _task(described["task"], sizes[-1], sum(array.nbytes for array in arrays.values()))
    out_activation, quantile = described["out_activation"], described["quantile"]
    network = Network(sizes, described["activation"], task.loss, dtype, 0, out_activation, quantile)
    for layer in range(1, len(sizes)):
        network.weights[layer - 1][...] = arrays[f"W_{layer}"]
        network.biases[layer - 1][...] = arrays[f"b_{layer}"]
    names = check.names("feature_names", described.get("feature_names"), sizes[0])  # older files lack it
    return network, task, _history(described["history"]), names


def _task(described: dict[str, Any], outputs: int, parameter_bytes: int) -> Task:
    kind = check.choice("kind", described["kind"], LOSSES)
    loss = check.choice("loss", described["loss"], LOSSES[kind])
    classes = None if kind == "regression" else _labels(described["classes"], parameter_bytes)
    column = check.flag("column", described["column"])
    indicators = _label_dtype(described["label_dtype"]) if kind == "multilabel" else INDICATORS
    if classes is not None and not _consistent(kind, loss, classes, outputs):
        raise ValueError(f"{kind} under {loss} with {outputs} outputs, the classes {check.shown(classes.tolist())}")
    if (kind == "regression" and column and outputs > 1) or indicators.kind not in "biuf":
        raise ValueError(f"its predictions are not those of {kind} with {outputs} outputs")
    return Task(kind, loss, outputs, classes, column, indicators)


def _consistent(kind: str, loss: str, classes: Array, outputs: int) -> bool:
    """Whether these are classes as `labels.read_task` makes them, for this number of outputs."""
    if kind == "multilabel":
        return np.array_equal(classes, np.arange(outputs))
    single = kind == "binary" and loss == "binary_cross_entropy"
    ordered = np.array_equal(np.unique(classes), classes)
    return ordered and (kind == "binary") == (len(classes) == 2) and outputs == (1 if single else len(classes))


def _history(described: dict[str, Any]) -> History:
    scores, losses = described["validation_scores_"], described["validation_loss_curve_"]
    return History(
        [_real(loss) for loss in described["loss_curve_"]],
        None if scores is None else [_real(score) for score in scores],
        np.inf if described["best_loss_"] is None else _real(described["best_loss_"]),
        None if described["best_validation_score_"] is None else _real(described["best_validation_score_"]),
        check.flag("converged_", described["converged_"]),
        None if losses is None else [_real(loss) for loss in losses],
    )


def _real(value: Any) -> float:
    if type(value) not in (int, float):
        raise TypeError(f"its history holds {check.shown(value)}: expected numbers")
    return float(value)


# ---- labels ----------------------------------------------------------------------------------------


def _described_labels(classes: Array, parameter_bytes: int) -> dict[str, Any]:
    """Labels as JSON: their dtype and values, bytes as the characters of the same codes."""
    _check_room(len(classes), classes.dtype, parameter_bytes)
    return {"dtype": classes.dtype.str, "values": _as_json(classes)}


def _as_json(classes: Array) -> list[Any]:
    values: list[Any] = classes.tolist()
    return [value.decode("latin-1") for value in values] if classes.dtype.kind == "S" else values


def _check_room(n: int, dtype: np.dtype[Any], parameter_bytes: int) -> None:
    """A short file could else name a dtype so wide that its labels fill the memory."""
    room = LABEL_BYTES + 8 * parameter_bytes
    if n * dtype.itemsize > room:
        raise ValueError(f"{n} labels of dtype {dtype} take {n * dtype.itemsize} bytes: expected at most {room}")


def _label_dtype(text: Any) -> np.dtype[Any]:
    if not isinstance(text, str) or not LABEL_DTYPE.fullmatch(text):
        raise ValueError(f"its labels are of dtype {check.shown(text)}: expected booleans, numbers or strings")
    return np.dtype(text)


def _labels(described: dict[str, Any], parameter_bytes: int) -> Array:
    dtype, values = _label_dtype(described["dtype"]), described["values"]
    kinds = str if dtype.kind in "USO" else bool | int | float
    if not isinstance(values, list) or not all(isinstance(value, kinds) for value in values):
        raise ValueError(f"its classes are {check.shown(described)}")
    _check_room(len(values), dtype, parameter_bytes)
    encoded = [value.encode("latin-1") for value in values] if dtype.kind == "S" else values
    with np.errstate(over="ignore"):
        labels = np.array(encoded, dtype)
    if _as_json(labels) != values:
        raise ValueError(f"its classes {check.shown(values)} are not of dtype {dtype}")
    return labels
