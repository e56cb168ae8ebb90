"""Batch-1 SGD of cmlp against scikit-learn's partial_fit with batch_size=1, in one process, alternating, one thread.

python bench/run.py
"""

import os
import statistics
import time
import warnings

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import numpy as np

import cmlp

ROUNDS = 7
NETWORKS = {"D": ((64, 64, 32, 10), 2000), "M": ((784, 128, 64, 10), 1000)}
ETA = 1e-3


def data(layer_sizes, n):
    random = np.random.default_rng(0)
    X = random.normal(size=(n, layer_sizes[0])).astype(np.float32)
    return X, random.integers(0, layer_sizes[-1], n)


def sklearn_epoch(layer_sizes, X, y):
    """One epoch of scikit-learn: ReLU throughout, as it has one activation for all hidden layers."""
    from sklearn.neural_network import MLPClassifier

    estimator = MLPClassifier(
        layer_sizes[1:-1], solver="sgd", batch_size=1, momentum=0, alpha=0, learning_rate_init=ETA, shuffle=False
    )
    classes = np.arange(layer_sizes[-1])
    return lambda: estimator.partial_fit(X, y, classes=classes)


def cmlp_epoch(layer_sizes, X, y):
    network = cmlp.Network(layer_sizes, activation=("relu", "sigmoid"), dtype="float32", random_state=0)
    return lambda: network.fit(X, y, learning_rate=ETA, batch_size=1)


def microseconds(run, n):
    start = time.perf_counter()
    run()
    return (time.perf_counter() - start) / n * 1e6


def compare(name, layer_sizes, n):
    X, y = data(layer_sizes, n)
    runs = {"scikit-learn": sklearn_epoch(layer_sizes, X, y), "cmlp": cmlp_epoch(layer_sizes, X, y)}
    for run in runs.values():
        run()
    times = {library: [] for library in runs}
    for _ in range(ROUNDS):
        for library, run in runs.items():
            times[library].append(microseconds(run, n))
    medians = {library: statistics.median(values) for library, values in times.items()}
    ratio = medians["scikit-learn"] / medians["cmlp"]
    spread = {
        library: f"{m:9.2f} ({min(times[library]):.2f} to {max(times[library]):.2f})" for library, m in medians.items()
    }
    print(
        f"{name} {'-'.join(map(str, layer_sizes)):<15} {spread['scikit-learn']:>30} {spread['cmlp']:>26} {ratio:8.0f}x"
    )


def main():
    warnings.simplefilter("ignore")
    cmlp.show_config()
    print("\nbatch-1 SGD, float32, microseconds per sample, median (min to max)")
    print(f"{'network':<17} {'scikit-learn':>30} {'cmlp':>26} {'ratio':>9}")
    for name, (layer_sizes, n) in NETWORKS.items():
        compare(name, layer_sizes, n)


if __name__ == "__main__":
    main()
