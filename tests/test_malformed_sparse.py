"""Sparse matrices that contradict themselves, though not to SciPy's own check, are refused before anything walks them.

In a process of its own: SciPy's conversions and the kernels read and write where nothing is theirs if one gets through.
"""

import json
import subprocess
import sys

import pytest

pytest.importorskip("sklearn")

PROGRAM = """
import json, sys, warnings
import numpy as np, cmlp
from scipy import sparse
warnings.simplefilter("ignore")
X, y = np.tri(6), np.arange(6) % 2
model = cmlp.MLPClassifier(3, max_iter=1, random_state=0).fit(X, y)
before = model.predict_proba(X)
calls = (lambda: model.predict(S), lambda: model.score(S, y), lambda: model.partial_fit(S, y), lambda: model.fit(S, y),
         lambda: model.fit(X, y, X_val=S, y_val=y))
for container, change in json.loads(sys.argv[1]):
    print(container, change, flush=True)
    for call in calls:
        S = getattr(sparse, container)(X)
        exec(change)
        try:
            call()
        except ValueError as error:
            assert "X is a malformed sparse matrix: " in str(error) or "X_val is a malformed" in str(error), error
        else:
            raise AssertionError("not refused")
assert (model.predict_proba(X) == before).all()
"""

COMPRESSED = {
    "starts that fall to 0 at the end": "S.indptr[-1] = 0",
    "starts that fall": "S.indptr[2] = 19",
    "a huge start before a 0": "S.indptr[1:] = [10**8] * 5 + [0]",
    "starts of floats": "S.indptr = S.indptr.astype(float)",
    "indices of floats": "S.indices = S.indices + 0.5",
    "indices of NaN": "S.indices = S.indices * np.nan",
    "indices of objects": "S.indices = S.indices.astype(object)",
    "starts in two axes": "S.indptr = S.indptr.reshape(1, -1)",
    "indices in two axes": "S.indices = S.indices.reshape(-1, 1)",
}
CASES = [
    *((container, change) for container in ("csr_matrix", "csc_matrix", "csr_array") for change in COMPRESSED.values()),
    ("bsr_matrix", "S.indptr[-1] = 0"),
    ("bsr_matrix", "S.indices = S.indices * np.nan"),
    ("lil_matrix", "S.data[2] = S.data[2] + [1.0] * 1000"),
    ("lil_matrix", "S.rows[2] = S.rows[2] + [1] * 1000"),
    ("lil_matrix", "S.rows = S.rows[:3]"),
    ("lil_matrix", "S.data = np.concatenate([S.data, S.data])"),
    ("lil_matrix", "S.rows[0] = [10**6] * len(S.rows[0])"),
    ("dia_matrix", "S.offsets = S.offsets[:2]"),
    ("dia_matrix", "S.offsets = np.concatenate([S.offsets, S.offsets])"),
    ("dia_matrix", "S.offsets[:] = 0"),
    ("dia_matrix", "S.offsets = S.offsets.astype(np.int64); S.offsets[0] = 2**40"),
    ("dia_matrix", "S.offsets = S.offsets * np.nan"),
    ("dia_matrix", "S.data = S.data[0]"),
    ("coo_matrix", "S.row = S.row * np.nan"),
    ("coo_matrix", "S.col[0] = -2**31"),
    ("coo_matrix", "S.data = S.data[:5]"),
]


def test_sparse_matrices_that_contradict_themselves():
    command = [sys.executable, "-c", PROGRAM, json.dumps(CASES)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, (run.returncode, run.stdout.splitlines()[-1:], run.stderr[-1500:])
    assert len(run.stdout.splitlines()) == len(CASES)
