"""The demo: System A's network learns handwritten digits by SGD, one sample at a time."""

from __future__ import annotations

import os
import sys
import time

import numpy as np

from .fitting import fit
from .kernels import ISA
from .model import Model, load, save
from .validation import Array


def run(epochs: int, seed: int, folder: str) -> None:
    """Trains, reports, and writes the model and a picture of the loss into `folder`."""
    X_train, X_test, y_train, y_test = _digits(seed)
    os.makedirs(folder, exist_ok=True)
    print(f"digits: {len(X_train)} images of 8 x 8 to train on, {len(X_test)} to test on")
    print(
        f"network 64-64-32-10: ReLU, sigmoid, softmax; cross-entropy, SGD with batch size 1, float32, {ISA} kernels\n"
    )

    start = time.perf_counter()
    model = fit(
        X_train, y_train, hidden_layer_sizes=(64, 32), activation=("relu", "sigmoid"), solver="sgd", momentum=0.0,
        learning_rate_init=0.05, alpha=0.0, batch_size=1, max_iter=epochs, tol=0.0, random_state=seed, verbose=True,
    )  # fmt: skip
    seconds = time.perf_counter() - start

    path = os.path.join(folder, "digits.safetensors")
    save(model, path)
    model = load(path)
    updates = model.n_iter_ * len(X_train)
    print(f"\ntest accuracy   {model.score(X_test, y_test):.2%}")
    print(f"training        {updates:,} samples in {seconds:.2f} s: {updates / seconds:,.0f} samples per second")
    print(f"\nconfusion matrix (rows: the digit, columns: what was read)\n{_confusion(model, X_test, y_test)}")
    print(f"\nmodel           {path}")
    print(f"loss curve      {_picture(model, os.path.join(folder, 'loss.png'))}")


def _digits(seed: int) -> tuple[Array, Array, Array, Array]:
    try:
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split
    except ImportError:
        sys.exit("the demo reads its data from scikit-learn, which is not installed: pip install scikit-learn")
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(
        (X / 16).astype(np.float32), y, test_size=0.25, random_state=seed, stratify=y
    )
    return X_train, X_test, y_train, y_test


def _confusion(model: Model, X: Array, y: Array) -> str:
    counts = np.zeros((10, 10), int)
    np.add.at(counts, (y, model.predict(X)), 1)
    rows = [f"{digit:>4}" + "".join(f"{count or '.':>5}" for count in row) for digit, row in enumerate(counts)]
    return "\n".join(["    " + "".join(f"{digit:>5}" for digit in range(10)), *rows])


def _picture(model: Model, path: str) -> str:
    """Draws the loss curve; where matplotlib is missing, says so instead."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return "not drawn: matplotlib is not installed"
    figure = Figure(figsize=(6, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.semilogy(range(1, model.n_iter_ + 1), model.loss_curve_)
    axes.set(xlabel="epoch", ylabel="mean cross-entropy", title="Digits, SGD one sample at a time")
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)
    return path
