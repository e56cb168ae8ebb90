"""scikit-learn's own tests of its MLPClassifier and MLPRegressor, and its check_estimator, run on cmlp's.

`python tests/sklearn_suite.py` prints a line for each part and ends with 1 where one failed.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from pathlib import Path

import cmlp

CLASSES = ("MLPClassifier", "MLPRegressor")
SOLVERS = ("sgd", "adam", "lbfgs", "adamw", "rmsprop")
LEFT_OUT = {"test_gradient": "calls _loss_grad_lbfgs, a private method that cmlp's kernels take the place of"}

IMPORT = re.compile(r"^from (sklearn\.neural_network[.\w]*) import (\([^)]*\)|[^\n(]*)", re.MULTILINE)

# Were the import not replaced, scikit-learn's tests would pass on scikit-learn.
GUARD = """

def test_the_classes_are_cmlps():
    assert MLPClassifier.__module__.startswith("cmlp.")
    assert MLPRegressor.__module__.startswith("cmlp.")
"""


def estimators():
    """Both for every solver."""
    return [getattr(cmlp, name)(solver=solver) for name in CLASSES for solver in SOLVERS]


def label_of(estimator):
    return f"{type(estimator).__name__}-{estimator.solver}"


# ---- sklearn/neural_network/tests/test_mlp.py -------------------------------------------------------


def test_file():
    """The installed one, or None: some distributions leave tests out."""
    path = Path(importlib.util.find_spec("sklearn").origin).parent / "neural_network" / "tests" / "test_mlp.py"
    return path if path.exists() else None


test_file.__test__ = False  # a helper, whatever module pytest finds it in


def with_cmlps_classes(source):
    """scikit-learn's source with its two classes imported from cmlp, and all else from where it was."""
    source, replaced = IMPORT.subn(imports_from_cmlp, source)
    if not replaced:
        raise ValueError("no import from sklearn.neural_network was found")
    return source + GUARD


def imports_from_cmlp(match):
    module, names = match[1], re.findall(r"\w+(?: as \w+)?", re.sub(r"#[^\n]*", "", match[2]))
    ours = [name for name in names if name.split()[0] in CLASSES]
    lines = {"cmlp": ours, module: [name for name in names if name not in ours]}
    return "\n".join(f"from {where} import {', '.join(some)}" for where, some in lines.items() if some)


def run_test_file(*arguments):
    """Runs it in a process of its own, away from the settings of this project's tests."""
    source = with_cmlps_classes(test_file().read_text(encoding="utf-8"))
    plugin = ["-p", "sklearn.conftest"] if importlib.util.find_spec("sklearn.conftest") else []
    deselected = [f"--deselect=test_mlp.py::{name}" for name in LEFT_OUT]
    command = [sys.executable, "-m", "pytest", "-q", "-rfE", "-p", "no:cacheprovider", "--tb=short"]
    path = os.pathsep.join(filter(None, [str(Path(cmlp.__file__).parents[1]), os.environ.get("PYTHONPATH")]))
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        Path(folder, "test_mlp.py").write_text(source, encoding="utf-8")
        return subprocess.run(
            [*command, *plugin, *deselected, *arguments, "test_mlp.py"],
            cwd=folder, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=600,
        )  # fmt: skip


# ---- check_estimator --------------------------------------------------------------------------------


def run_checks(estimator):
    """What became of each check: (its name, its status, its exception)."""
    from sklearn.utils.estimator_checks import check_estimator

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # max_iter reached
        results = check_estimator(estimator, on_fail=None, on_skip=None)
    return [(result["check_name"], result["status"], result["exception"]) for result in results]


def main():
    import sklearn

    print(f"scikit-learn {sklearn.__version__}")
    for name, reason in LEFT_OUT.items():
        print(f"test_mlp.py: left out {name}: {reason}")
    run = run_test_file()
    failed = run.returncode != 0
    print(run.stdout + run.stderr if failed else f"test_mlp.py: {run.stdout.splitlines()[-1]}", flush=True)
    for estimator in estimators():
        results = run_checks(estimator)
        counts = Counter(status for _, status, _ in results)
        print(f"{label_of(estimator)}:", ", ".join(f"{n} {status}" for status, n in counts.items()), flush=True)
        for check, status, exception in results:
            if status == "failed":
                failed = True
                print(f"  {check}: {type(exception).__name__}: {exception}", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
