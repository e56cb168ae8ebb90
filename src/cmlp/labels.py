"""What a model predicts: the task that y stands for, and labels to and from a network's targets."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from . import validation as check
from .network import DISTANCES
from .validation import Array

CLASS_LOSSES = ("cross_entropy", "binary_cross_entropy")
REGRESSION_LOSSES = (*DISTANCES, "poisson")
MANY_CLASSES = 30
FEW_SAMPLES = 5  # for each class, of integers: more likely a regression
EXACT = 2**53  # up to which float64 holds every integer
INDICATORS = np.dtype(np.int64)


class Task(NamedTuple):
    """binary, multiclass, multilabel or regression, with what is needed to read the network's outputs.

    Attributes
    ----------
    kind : str
    loss : str
        Of the network.
    outputs : int
        Of the network: 1 for binary under binary_cross_entropy.
    classes : ndarray or None
        Sorted labels; of multilabel the columns 0 ... C - 1.
    column : bool
        Of regression: whether y was 1-D, so that predictions are.
    label_dtype : dtype
        Of multilabel indicators.
    """

    kind: str
    loss: str
    outputs: int
    classes: Array | None = None
    column: bool = True
    label_dtype: np.dtype[Any] = INDICATORS

    @property
    def is_classifier(self) -> bool:
        return self.kind != "regression"

    def targets(self, name: str, y: Any, n: int) -> Array:
        """What the network's loss is measured against, for n samples; refuses labels that are not among the classes."""
        if self.kind == "regression":
            values = check.numeric_array(name, y)
            if values.shape != (n, self.outputs) and (values.shape != (n,) or self.outputs > 1):
                expected = f"({n}, {self.outputs})" + (f" or ({n},)" if self.outputs == 1 else "")
                raise ValueError(f"{name} has shape {values.shape}: expected {expected}")
            check.finite(name, values)
            return values.reshape(n, self.outputs)
        labels = _label_array(name, y)
        if self.kind == "multilabel":
            return self._indicators(name, labels, n)
        codes = self.encode(name, labels, n)
        return codes.reshape(-1, 1) if self.loss == "binary_cross_entropy" else codes

    def _indicators(self, name: str, labels: Array, n: int) -> Array:
        if labels.dtype.kind not in "biuf":
            raise TypeError(f"{name} has dtype {labels.dtype}: expected indicators, 0 or 1")
        if labels.shape != (n, self.outputs):
            raise ValueError(f"{name} has shape {labels.shape}: expected indicators ({n}, {self.outputs})")
        wrong = ~np.isin(labels, (0, 1))
        if wrong.any():
            raise ValueError(f"{check.entry(name, labels, int(wrong.argmax()))}: expected indicators, 0 or 1")
        return labels

    def encode(self, name: str, labels: Array, n: int) -> Array:
        """Positions of labels among the classes."""
        assert self.classes is not None
        labels = _one_column(labels)
        if labels.shape != (n,):
            raise ValueError(f"{name} has shape {labels.shape}: expected ({n},)")
        _refuse_rounded(name, labels, self.classes)
        integers = labels.dtype.kind in "iu" and self.classes.dtype.kind in "iu"
        # NumPy would look among uint64 for int64, and the other way about, as floats
        sought = labels.astype(self.classes.dtype, copy=False) if integers else labels
        try:
            codes = np.searchsorted(self.classes, sought).clip(0, len(self.classes) - 1)
            unknown = self.classes[codes] != sought
        except TypeError:
            raise TypeError(
                f"{name} has dtype {labels.dtype}: expected labels like {check.shown(self.classes.tolist())}"
            ) from None
        if sought is not labels:  # what has come round to another integer
            unknown |= self.classes[codes] != labels
        if np.any(unknown):
            i = int(np.argmax(unknown))
            label, classes = check.shown(labels[i : i + 1].tolist()[0]), check.shown(self.classes.tolist())
            raise ValueError(f"{name}[{i}]={label}: expected one of the classes {classes}")
        return codes.astype(np.intp)

    def decoded(self, targets: Array) -> Array:
        """The labels, or values, that `targets` made these targets of."""
        if self.classes is None or self.kind == "multilabel":
            return targets[:, 0] if self.column and self.kind == "regression" else targets
        labels: Array = self.classes[targets.reshape(-1).astype(np.intp)]
        return labels

    def class_weights(self, class_weight: Any, targets: Array) -> Array:
        """The weight of each sample's class: from a dict by label, or "balanced", n / (C * samples of the class)."""
        if self.classes is None or self.kind == "multilabel":
            raise ValueError(f"class_weight={check.shown(class_weight)}: expected None for {self.kind}")
        codes = targets.reshape(-1).astype(np.intp)
        if isinstance(class_weight, str) and class_weight == "balanced":
            counts = np.bincount(codes, minlength=len(self.classes))
            return (len(codes) / (len(self.classes) * counts))[codes]
        if not isinstance(class_weight, Mapping):
            error = ValueError if isinstance(class_weight, str) else TypeError
            raise error(f"class_weight={check.shown(class_weight)}: expected a dict or 'balanced'")
        return weights_of_classes(class_weight, self.classes)[codes]

    def probabilities(self, outputs: Array) -> Array:
        """(..., number of classes) from the network's outputs."""
        if self.kind == "binary" and self.outputs == 1:
            return np.concatenate([1 - outputs, outputs], axis=-1)
        return outputs

    def predictions(self, outputs: Array) -> Array:
        """Labels or values from the network's outputs."""
        if self.kind == "regression":
            return outputs[..., 0] if self.column else outputs
        if self.kind == "multilabel":
            return (outputs > 0.5).astype(self.label_dtype)
        assert self.classes is not None
        chosen = (outputs[..., 0] > 0.5).astype(np.intp) if self.outputs == 1 else outputs.argmax(axis=-1)
        labels: Array = self.classes[chosen]
        return labels


def weights_of_classes(class_weight: Mapping[Any, Any], classes: Array) -> Array:
    """A weight for each class, 1 where the dict has none; refuses labels that are not among them."""
    labels = classes.tolist()
    unknown = [label for label in class_weight if label not in labels]
    if unknown:
        raise ValueError(f"class_weight has {check.shown(unknown[0])}: expected labels among {check.shown(labels)}")
    each = [check.number(f"class_weight[{label!r}]", class_weight.get(label, 1), 0) for label in labels]
    return np.array(each, np.float64)


def smoothed(targets: Array, outputs: int, label_smoothing: float, dtype: np.dtype[Any]) -> Array:
    """Targets as rows with the share `label_smoothing` of each spread evenly over the classes, two for an indicator."""
    if not label_smoothing:
        return targets
    if targets.ndim == 2:
        return (targets * (1 - label_smoothing) + label_smoothing / 2).astype(dtype)
    rows = np.full((len(targets), outputs), label_smoothing / outputs, dtype)
    rows[np.arange(len(targets)), targets] += 1 - label_smoothing
    return rows


def read_task(y: Any, loss: str | None) -> Task:
    """The task that y stands for, as scikit-learn's `type_of_target` reads it; regression if the loss says so."""
    if loss in REGRESSION_LOSSES:
        return _regression(check.numeric_array("y", y), loss)
    labels = _label_array("y", y)
    if labels.ndim == 2 and labels.shape[1] > 1:
        return _many_columns(labels, loss)
    if labels.dtype.kind == "f" and _has_fractions(labels):
        return _regression(labels, _only("regression", loss, "squared_error", REGRESSION_LOSSES))
    labels = _one_column(labels)
    if labels.ndim != 1:
        raise ValueError(f"{check.shaped('y', labels)}: expected (n,) or (n, outputs)")
    return _classes(labels, loss)


def _classes(labels: Array, loss: str | None) -> Task:
    try:
        classes = np.unique(labels)
    except TypeError:
        raise TypeError("y mixes labels that cannot be ordered: expected labels of one type") from None
    if len(classes) < 2:
        raise ValueError(f"y has one class, {check.shown(classes.tolist())}: expected two or more")
    numbers, many = labels.dtype.kind in "iuf", len(classes) > MANY_CLASSES
    if numbers and many and (labels.dtype.kind == "f" or len(classes) > len(labels) / FEW_SAMPLES):
        warnings.warn(
            f"y holds {len(classes)} different whole numbers as {labels.dtype} and is read as classes; for regression, "
            "pass loss='squared_error'",
            stacklevel=4,
        )
    if len(classes) == 2 and loss != "cross_entropy":
        return Task("binary", _only("binary", loss, "binary_cross_entropy", CLASS_LOSSES), 1, classes)
    kind = "binary" if len(classes) == 2 else "multiclass"
    return Task(kind, _only(kind, loss, "cross_entropy", ("cross_entropy",)), len(classes), classes)


def _many_columns(labels: Array, loss: str | None) -> Task:
    if labels.dtype.kind in "biuf" and np.isin(labels, (0, 1)).all():
        chosen = _only("multilabel", loss, "binary_cross_entropy", ("binary_cross_entropy",))
        columns = labels.shape[1]
        return Task("multilabel", chosen, columns, np.arange(columns), label_dtype=labels.dtype)
    if labels.dtype.kind == "f" and _has_fractions(labels):
        return _regression(labels, _only("regression", loss, "squared_error", REGRESSION_LOSSES))
    raise ValueError(
        f"y has shape {labels.shape} and holds {_other_than_indicators(labels)}: expected class labels (n,), "
        "indicators of 0 and 1 (n, labels), or, with loss='squared_error', values (n, outputs)"
    )


def _other_than_indicators(labels: Array) -> str:
    others = labels[~np.isin(labels, (0, 1))] if labels.dtype.kind in "biuf" else labels.ravel()
    return check.shown(others[:1].tolist()[0])


def _regression(y: Array, loss: str) -> Task:
    if y.ndim not in (1, 2) or 0 in y.shape:
        raise ValueError(f"{check.shaped('y', y)}: expected (n,) or (n, outputs)")
    return Task("regression", loss, 1 if y.ndim == 1 else y.shape[1], column=y.ndim == 1)


def _only(kind: str, loss: str | None, default: str, options: tuple[str, ...]) -> str:
    if loss is None:
        return default
    return check.choice(f"y is {kind}: loss", loss, options)


def _has_fractions(values: Array) -> bool:
    return bool((values != np.floor(values)).any())


def _one_column(labels: Array) -> Array:
    return labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels


def _refuse_rounded(name: str, labels: Array, classes: Array) -> None:
    """Labels that as floats stand for several integers, where integers are the classes, and the other way about."""
    if sorted((labels.dtype.kind, classes.dtype.kind)) not in (["f", "i"], ["f", "u"]):
        return
    large = np.abs(labels.astype(np.float64)) >= EXACT
    if large.any():
        i = int(large.argmax())
        raise ValueError(
            f"{name}[{i}]={labels[i]} has dtype {labels.dtype}, the classes have {classes.dtype}: expected the same, "
            "as floats beyond 2**53 stand for several integers"
        )


def compared_as_floats(labels: Array, classes: Array) -> bool:
    """Whether NumPy would take integers for equal that are not: as int64 and uint64, or integers and floats, meet."""
    kinds = {labels.dtype.kind, classes.dtype.kind}
    if not kinds <= set("iuf") or len(kinds) == 1 or np.result_type(labels, classes).kind != "f":
        return False
    return any(abs(float(extreme)) >= EXACT for each in (labels, classes) for extreme in (each.min(), each.max()))


def _label_array(name: str, y: Any) -> Array:
    """Labels as an array of one kind: booleans, integers, floats, strings or ordered objects."""
    check.refuse_sparse_and_masked(name, y)
    if y is None:
        raise TypeError(f"{name} is None: expected labels or values")
    labels = check.array_of(name, y, "labels")
    if labels.size == 0:
        raise ValueError(f"{name} has shape {labels.shape}: expected at least one label")
    labels = as_they_are_meant(name, y, labels)
    if labels.dtype.kind not in "biufUSO":
        raise TypeError(f"{name} has dtype {labels.dtype}: expected booleans, numbers or strings")
    if labels.dtype.kind == "f":
        check.finite(name, labels)
        labels = labels if labels.dtype.itemsize <= 8 else _in_float64(name, labels)
    return labels


def _in_float64(name: str, labels: Array) -> Array:
    """Of long double: values are rounded, classes must not be."""
    with np.errstate(over="ignore", under="ignore"):
        rounded = labels.astype(np.float64)
    wrong = rounded != labels
    if wrong.any() and not _has_fractions(labels):
        first = check.entry(name, labels, int(wrong.argmax()))
        raise ValueError(f"{first} is no float64: expected classes that are, integers or strings")
    return rounded


def as_they_are_meant(name: str, y: Any, labels: Array) -> Array:
    """The array that NumPy makes of y, with objects as strings or numbers; refused where NumPy changes a label.

    It makes strings of numbers and NaN among strings, drops null characters at their end, and makes floats of integers
    that only uint64 holds, and of those among floats.
    """
    if labels.dtype.kind == "T":
        labels = labels.astype(object)
    if labels.dtype.kind in "US" and not hasattr(y, "dtype"):
        objects = np.asarray(y, object)
        _of_one_kind(name, objects)
        refuse_nulls(name, objects)
    if labels.dtype.kind == "f" and not hasattr(y, "dtype") and labels.size and float(np.abs(labels).max()) >= EXACT:
        objects = np.asarray(y, object)
        labels = objects if any(isinstance(label, int | np.integer) for label in objects.flat) else labels
    return _of_one_kind(name, labels) if labels.dtype.kind == "O" else labels


def refuse_nulls(name: str, labels: Array) -> None:
    """Of strings as objects, where others are to become arrays of them."""
    for label in set(labels.flat):
        if label and label[-1] in ("\0", 0):  # 0 in bytes
            raise ValueError(
                f"{name} holds {check.shown(label)}: expected labels that do not end in a null character, which NumPy "
                "drops"
            )


def _of_one_kind(name: str, labels: Array) -> Array:
    """Python objects as strings or numbers."""
    types = {type(label) for label in labels.flat}
    numbers = not any(issubclass(t, check.NOT_NUMBERS) for t in types)
    if all(issubclass(t, str) for t in types):
        return labels
    if all(issubclass(t, bytes) for t in types):
        refuse_nulls(name, labels)
        return labels.astype(np.bytes_)
    if all(issubclass(t, bool | np.bool_) for t in types):
        return labels.astype(bool)
    try:
        if numbers and all(issubclass(t, int | np.integer) for t in types):
            return _as_integers(labels)
        if numbers and all(issubclass(t, int | float | np.number) for t in types):
            return _as_floats(name, labels)
    except OverflowError:
        raise ValueError(
            f"{name} holds integers that no type of 64 bits has room for: expected smaller labels or values"
        ) from None
    names = ", ".join(sorted(t.__name__ for t in types))
    rows = f" in rows of {labels.shape[1]}" if labels.ndim == 2 else ""  # as NumPy reads tuples
    raise TypeError(
        f"{name} holds objects of type {names}{rows}: expected labels of one type, strings, integers or booleans"
    )


def _as_integers(labels: Array) -> Array:
    """Of 64 bits, without a sign where only that holds them."""
    try:
        return labels.astype(np.int64)
    except OverflowError:
        if min(labels.flat) < 0:
            raise
        return labels.astype(np.uint64)


def _as_floats(name: str, labels: Array) -> Array:
    """Integers among floats; refused where rounding may make one label of several, but not among values."""
    floats: Array = labels.astype(np.float64)
    if not _has_fractions(floats):
        for label in labels.flat:
            if isinstance(label, int | np.integer) and int(label) != int(float(label)):
                raise ValueError(
                    f"{name} holds {label} among floats, which round it: expected integers alone, or of at most 2**53"
                )
    return floats
