"""W5 and W6: what a user waits for.  A whole fit, set-up and validation included; an import; a download."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import statistics
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..timer import Local
from .run import Run, timed

ACCURACY = 0.95
RATE = 0.003
EPOCHS = (5, 7, 10, 14, 20, 28, 40, 56, 80)
PACKAGES = {
    "cmlp": "cmlp", "scikit-learn": "sklearn.neural_network", "PyTorch": "torch", "JAX": "jax.numpy",
    "ONNX Runtime": "onnxruntime", "numba": "numba",
}  # fmt: skip
DISTRIBUTIONS = {"scikit-learn": "scikit-learn", "PyTorch": "torch", "JAX": "jax", "ONNX Runtime": "onnxruntime"}


# ---- W5 -------------------------------------------------------------------------------------------------


def whole_fit(run: Run) -> None:
    """Each library gets the fewest epochs that bring it to the accuracy, found beforehand; then its fit is timed.

    64 and 32 ReLU units, Adam at 0.003 with batches of 32, a tenth of the samples held out and scored after each epoch.
    """
    if importlib.util.find_spec("sklearn") is None:
        run.skip("W5", "scikit-learn is not installed, which has the data")
        return
    seeds = (0,) if run.plan.quick else (0, 1, 2)
    (X, y), test = digits()
    runners, found = {}, {}
    for name in run.adapters:
        fit = FITS.get(name)
        if fit is None:
            continue
        for epochs in EPOCHS:
            accuracy = statistics.mean(score(fit(X, y, epochs, seed), *test) for seed in seeds)
            if accuracy >= ACCURACY:
                break
        if accuracy < ACCURACY:
            run.skip(f"{name} in W5", f"its accuracy is {accuracy:.3f} after {epochs} epochs")
            continue
        found[name] = {"epochs": epochs, "accuracy": accuracy}
        runners[name] = Local(lambda fit=fit, epochs=epochs: fit(X, y, epochs, 0))
    for name, entry in timed(runners, run.plan).items():
        found[name].update(entry)
        print(f"W5 {name}: {entry['us'] / 1e6:.3f} s, {found[name]['epochs']} epochs, {found[name]['accuracy']:.4f}")
    run.results["whole"] = found


def digits() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split((X / 16).astype(np.float32), y, random_state=0)
    return (X_train, y_train), (X_test, y_test)


def score(predict: Callable[[np.ndarray], np.ndarray], X: np.ndarray, y: np.ndarray) -> float:
    return float((predict(X) == y).mean())


def fit_cmlp(X: np.ndarray, y: np.ndarray, epochs: int, seed: int) -> Any:
    import cmlp

    return cmlp.fit(
        X, y, hidden_layer_sizes=(64, 32), batch_size=32, max_iter=epochs, early_stopping=True,
        n_iter_no_change=epochs, learning_rate_init=RATE, random_state=seed,
    ).predict  # fmt: skip


def fit_sklearn(X: np.ndarray, y: np.ndarray, epochs: int, seed: int) -> Any:
    from sklearn.neural_network import MLPClassifier

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of epochs running out
        return MLPClassifier(
            (64, 32), batch_size=32, max_iter=epochs, early_stopping=True, n_iter_no_change=epochs,
            learning_rate_init=RATE, random_state=seed,
        ).fit(X, y).predict  # fmt: skip


def fit_torch(X: np.ndarray, y: np.ndarray, epochs: int, seed: int) -> Any:
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    held = len(X) // 10
    order = torch.randperm(len(X))
    X, y = torch.from_numpy(X)[order], torch.from_numpy(y)[order]
    net = torch.nn.Sequential(
        torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10)
    )
    optimiser = torch.optim.Adam(net.parameters(), lr=RATE, fused=True)
    best, kept = -1.0, None
    for _ in range(epochs):
        for rows in torch.randperm(len(X) - held).split(32):
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(net(X[held + rows]), y[held + rows]).backward()
            optimiser.step()
        with torch.inference_mode():
            accuracy = float((net(X[:held]).argmax(1) == y[:held]).float().mean())
        if accuracy > best:
            best, kept = accuracy, {name: value.clone() for name, value in net.state_dict().items()}
    net.load_state_dict(kept)

    def predict(X: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return net(torch.from_numpy(X)).argmax(1).numpy()

    return predict


FITS = {"cmlp": fit_cmlp, "scikit-learn": fit_sklearn, "PyTorch": fit_torch}


# ---- W6 -------------------------------------------------------------------------------------------------


def imports(run: Run) -> None:
    found = {}
    for name, module in PACKAGES.items():
        if name in run.adapters:
            seconds = import_seconds(module, 1 if run.plan.quick else 7)
            own, whole = installed_megabytes(name)
            found[name] = {"milliseconds": [1e3 * value for value in seconds], "own": own, "whole": whole}
            print(f"W6 {name}: {1e3 * seconds[0]:.1f} ms beyond NumPy's import, {own:.1f} MB ({whole:.1f})", flush=True)
    run.results["imports"] = found


def import_seconds(module: str, rounds: int) -> tuple[float, float, float]:
    """Median, least and most of what an import adds to that of NumPy, in fresh processes with warm files."""
    code = f"import time, numpy; start = time.perf_counter(); import {module}; print(time.perf_counter() - start)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    taken = []
    if rounds > 1:  # the first reads the files from the disk
        subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment)
    for _ in range(rounds):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
        taken.append(float(done.stdout))
    return statistics.median(taken), min(taken), max(taken)


def installed_megabytes(name: str) -> tuple[float, float]:
    """The package's own files, and those of everything it requires but NumPy."""
    if name == "cmlp":
        own = cmlp_bytes() / 1e6
        return own, own
    distribution = DISTRIBUTIONS.get(name, name)
    sizes = {}
    collect(distribution, sizes)
    return sizes[distribution.lower()] / 1e6, sum(sizes.values()) / 1e6


def cmlp_bytes() -> int:
    """Of the package's directory, without what a build leaves there: a source tree counts as an installation."""
    import cmlp

    folder = Path(cmlp.__file__).parent
    return sum(
        path.stat().st_size
        for path in folder.rglob("*")
        if path.suffix in (".py", ".pyi", ".so", ".pyd", ".typed") and "__pycache__" not in path.parts
    )


def collect(distribution: str, sizes: dict[str, int]) -> None:
    """Sizes of a distribution and of what it requires, extras left out."""
    key = distribution.lower()
    if key in sizes or key == "numpy":
        return
    try:
        found = importlib.metadata.distribution(distribution)
    except importlib.metadata.PackageNotFoundError:
        return  # required on other platforms only
    files = (Path(str(found.locate_file(file))) for file in found.files or [])
    sizes[key] = sum(file.stat().st_size for file in files if file.suffix != ".pyc" and file.is_file())
    for requirement in found.requires or []:
        if "extra ==" not in requirement:
            collect(re.split(r"[\s;<>=!~\[(]", requirement, maxsplit=1)[0], sizes)
