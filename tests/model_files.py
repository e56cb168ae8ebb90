"""Models of every task, the bytes of their files, and files made to lie: what the tests of files share."""

import hashlib
import json
import pathlib
import tempfile
from functools import cache

import numpy as np
import pytest

import cmlp

# ---- models -----------------------------------------------------------------------------------------


def samples(n=24, features=3):
    return np.random.default_rng(0).standard_normal((n, features))


def labels(*names, dtype=None):
    """24 labels that take turns."""
    return np.array(names, dtype)[np.arange(24) % len(names)]


Z = samples(24, 3) @ samples(3, 3)
TASKS = {
    "binary str": labels("no", "yes"),
    "binary bool": labels(False, True),
    "binary int": labels(-1, 1),
    "binary float": labels(0.0, 1.0),
    "binary bytes": labels(b"no", b"yes"),
    "binary object": labels("no", "yes", dtype=object),
    "str": labels("rose", "ß", "\U0001f339 'quoted\"\n"),
    "wide str": labels("a", "b", "c", dtype="<U40"),
    "object": labels("rose", "lily", "a longer name", dtype=object),
    "bytes": labels(b"a", b"\xff\xfe", b"ccc"),
    "int": labels(7, -3, 2**62),
    "uint8": labels(0, 3, 255, dtype=np.uint8),
    "big-endian": labels(1, 2, 300, dtype=">i4"),
    "float": labels(0.0, 1.0, 5.0),
    "float16": labels(0.0, 1.0, 5.0, dtype=np.float16),
    "long double": labels(0.0, 1.0, 5.0, dtype=np.longdouble),
    "multilabel int": (Z > 0).astype(int),
    "multilabel bool": Z > 0,
    "multilabel float": (Z > 0).astype(np.float32),
    "regression": Z[:, 0],
    "regression, one column": Z[:, :1],
    "regression, three columns": Z,
}
OPTIONS = {"hidden_layer_sizes": (5, 2), "activation": ("tanh", "relu"), "max_iter": 3, "random_state": 0}


@cache
def trained(task, dtype="float64"):
    return cmlp.fit(samples(), TASKS[task], dtype=dtype, **OPTIONS)


@cache
def validated():
    return cmlp.fit(samples(), TASKS["int"], X_val=samples(), y_val=TASKS["int"], **OPTIONS)


@cache
def small_file():
    """The bytes of a file of one hidden layer, small so that every byte can be tried."""
    return saved_bytes(
        cmlp.fit([[0.0], [1.0], [2.0]], [0.5, 1.0, 2.0], hidden_layer_sizes=2, max_iter=1, random_state=0)
    )


def saved_bytes(model):
    with tempfile.TemporaryDirectory() as folder:
        cmlp.save(model, f"{folder}/m")
        return pathlib.Path(folder, "m").read_bytes()


HISTORY = (
    "loss_curve_", "validation_scores_", "validation_loss_curve_", "best_loss_", "best_validation_score_", "n_iter_",
    "converged_",
)  # fmt: skip
NETWORK = ("layer_sizes", "activation", "loss_name", "dtype")


def assert_same_bits(a, b):
    assert (type(a), a.dtype, a.shape) == (type(b), b.dtype, b.shape)
    assert a.tolist() == b.tolist() if a.dtype == object else a.tobytes() == b.tobytes()


def assert_same_model(a, b):
    for name in HISTORY:
        assert getattr(a, name) == getattr(b, name), name
        assert type(getattr(a, name)) is type(getattr(b, name)), name
    for name in NETWORK:
        assert getattr(a.network, name) == getattr(b.network, name), name
    assert_same_bits(a.network.parameters, b.network.parameters)
    assert (a.task, a.n_features_in_) == (b.task, b.n_features_in_)
    if a.classes_ is None:
        assert b.classes_ is None
    else:
        assert_same_bits(a.classes_, b.classes_)


# ---- the format -------------------------------------------------------------------------------------


def parts(content):
    """Header and data of a file."""
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def with_header(text, data=b""):
    return len(text).to_bytes(8, "little") + text + data


def signed(header, data):
    """A file with this header and its checksum, whatever the header says."""
    entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
    metadata = {name: text for name, text in header["__metadata__"].items() if name != "sha256"}
    described = json.dumps([metadata, entries], sort_keys=True, separators=(",", ":")).encode()
    metadata = {**metadata, "sha256": hashlib.sha256(described + data).hexdigest()}
    return with_header(json.dumps({**header, "__metadata__": metadata}).encode(), data)


def refusal(path):
    """What `load` says to a file; fails if it loads, or if another exception comes."""
    try:
        cmlp.load(path)
    except cmlp.ModelFileError as error:
        refused = error
    else:
        pytest.fail(f"loaded {path.read_bytes()[:2000]!r}")
    assert refused.path == str(path)
    assert str(refused).startswith(f"cannot load {str(path)!r}: ")
    return str(refused)


def refusal_of(content, path):
    path.write_bytes(content)
    return refusal(path)
