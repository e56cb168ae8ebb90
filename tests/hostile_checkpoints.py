"""Small trainings with a checkpoint, and files for them that lie, each with the checksum to match."""

import json
import pathlib
import tempfile
from functools import cache

import numpy as np

import cmlp
from cmlp import files
from model_files import parts, with_header

X = np.random.default_rng(0).standard_normal((12, 3))
y = np.arange(12) % 3
VALIDATED = {"X_val": X[:4], "y_val": y[:4]}
SOURCES = {
    "seed": lambda: 0,
    "none": lambda: None,
    "state": lambda: np.random.RandomState(0),
    **{
        name: lambda name=name: np.random.Generator(getattr(np.random, name)(0))
        for name in ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64")
    },
}
RUNS = {
    **{name: {} for name in SOURCES},
    "sgd": {"solver": "sgd", "shuffle": False, "momentum": 0.0},
    "adaptive": {"solver": "sgd", "learning_rate": "adaptive", "n_iter_no_change": 1},
    "validated": {**VALIDATED, "scoring": "loss"},
    "held out": {"early_stopping": True, "validation_fraction": 0.3, "dropout": 0.2},
}
EPOCHS = 4


def trained(path, run, epochs=EPOCHS):
    source = SOURCES.get(run, SOURCES["seed"])()
    given = {"hidden_layer_sizes": 2, "batch_size": 5, "random_state": source, **RUNS[run]}
    return cmlp.fit(X, y, max_iter=epochs, checkpoint=path, **given)


@cache
def content(run):
    """The file of a run after two epochs."""
    with tempfile.TemporaryDirectory() as folder:
        trained(f"{folder}/c", run, 2)
        return pathlib.Path(folder, "c").read_bytes()


def taken_apart(file):
    """Arrays, metadata and what it describes."""
    header, data = parts(file)
    metadata = header.pop("__metadata__")
    arrays = {}
    for name, entry in header.items():
        start, end = entry["data_offsets"]
        arrays[name] = np.frombuffer(data[start:end], files.DTYPES[entry["dtype"]]).reshape(entry["shape"]).copy()
    return arrays, metadata, json.loads(metadata["training"])


def changed(run, change):
    """The file of a run with other arrays or another description, and the checksum to match."""
    arrays, metadata, told = taken_apart(content(run))
    change(arrays, told)
    metadata = {"format": metadata["format"], "training": json.dumps(told)}
    blocks = [np.ascontiguousarray(array) for array in arrays.values()]
    return with_header(files._header(arrays, blocks, metadata), b"".join(block.tobytes() for block in blocks))


def at(*place, value):
    """A change of one item of the description."""

    def change(_, told):
        *parents, last = place
        for name in parents:
            told = told[name]
        told[last] = value

    return change


def without(*place):
    def change(_, told):
        *parents, last = place
        for name in parents:
            told = told[name]
        del told[last]

    return change


NOT_NUMBERS = ["x", None, [1], {}, True, float("nan"), -1, 0.5, 2**70, 10**400]
NOT_REALS = ["x", [1.0], {}, True, 10**400]
ITEMS = {  # a place in the description of "validated", and what it is never
    ("updates",): NOT_NUMBERS,
    ("outcome",): ["zzz", 1, [], {}, "interrupted"],
    ("marks",): [3, None, [], {"X": 1}, {"X": [["deep"]]}],
    ("random",): [5, None, [], {}],
    ("solver",): [5, None, [], {}, ["learning_rate", "last_rate", "epochs", "seed"]],
    ("history",): [5, None, [], {}],
    ("solver", "epochs"): [*NOT_NUMBERS, 0, 1, 3],
    ("solver", "seed"): NOT_NUMBERS,
    ("solver", "learning_rate"): [*NOT_REALS, None, -1.0, float("nan"), float("inf"), 1e300],
    ("solver", "last_rate"): [*NOT_REALS, None, -1.0, float("nan"), float("inf"), 1e300],
    ("history", "loss_curve_"): [3, None, [], [0.5], [0.5] * 3, ["x", "y"], [None, None], {}, [True, False]],
    ("history", "validation_scores_"): [3, None, [], [0.5], [0.5] * 3, ["x", "y"], "xy"],
    ("history", "validation_loss_curve_"): [3, None, [], [0.5], [0.5] * 3, ["x", "y"], "xy"],
    ("history", "best_loss_"): [*NOT_REALS, None, 0.0, float("inf"), float("nan")],
    ("history", "best_watched"): [*NOT_REALS, None, float("nan"), -float("inf")],
    ("history", "best_validation_score_"): [*NOT_REALS, None],
    ("history", "converged_"): ["no", 0, None, []],
    ("history", "samples_seen"): [*NOT_NUMBERS, 0, 12, 36],
    ("history", "stalled"): [*NOT_NUMBERS, 3],
}
NOW = ("random", "now")
KEY = (*NOW, "state", "key")


def array(values, dtype="<u4"):
    return {"array": values, "dtype": dtype}


STATES = {  # of sources of random numbers: a run, a place, and what it is never
    ("seed", NOW): [5, [], {}],
    ("seed", (*NOW, "bit_generator")): ["PCG64", "MT19938", 1, None, []],
    ("seed", (*NOW, "state")): [5, None, [], {}],
    ("seed", KEY): [
        5, None, [], array([1, 2]), array([[1] * 624]), array([1] * 625), array([1] * 624, "<i8"), array(["1"] * 624),
        array([-1] * 624), array([2**32] * 624), array([0.5] * 624), array([None] * 624), array([float("nan")] * 624),
        array([1, 2], "S500000000"), array(["a"] * 624, "U100000000"), array([1, 2], "(100000,100000)u4"),
        array([1] * 624, "O"), array([1] * 624, 3), array(3), array("x"), array({}), {"array": [1] * 624},
        [1] * 624,
    ],
    ("seed", (*NOW, "state", "pos")): [-1, 625, 10**8, 2**31, 2**70, "x", None, 1.0, True],
    ("MT19937", (*NOW, "state", "pos")): [-1, 625, 10**8],
    ("seed", (*NOW, "has_gauss")): [2, -1, "x", None, True],
    ("seed", (*NOW, "gauss")): ["x", None, float("nan"), float("inf"), 10**400],
    ("none", ("random", "start", "state", "pos")): [625, 10**8, -(10**8)],
    ("none", ("random", "start", "state", "key")): [array([1, 2]), array([1, 2], "S500000000")],
    ("PCG64", (*NOW, "state", "inc")): [0, 4, -1, 2**128, "x", None, 1.0],
    ("PCG64DXSM", (*NOW, "state", "inc")): [0],
    ("PCG64", (*NOW, "state", "state")): [-1, 2**128, 10**400, "x", None],
    ("PCG64", (*NOW, "has_uint32")): [2, -1, "x"],
    ("PCG64", (*NOW, "uinteger")): [2**32, -1, "x"],
    ("Philox", (*NOW, "buffer_pos")): [5, -1, 10**8, -(10**8), "x"],
    ("Philox", (*NOW, "buffer")): [array([0] * 3, "<u8"), array([0] * 4), array([0] * 4, "S100000000"), None],
    ("Philox", (*NOW, "state", "counter")): [array([0] * 3, "<u8"), array([2**64] * 4, "<u8")],
    ("SFC64", (*NOW, "state", "state")): [array([0] * 3, "<u8"), array([0] * 5, "<u8"), 3],
}  # fmt: skip
ARRAYS = {
    "no solver": ("seed", lambda arrays, _: arrays.pop("solver")),
    "no order": ("seed", lambda arrays, _: arrays.pop("order")),
    "no parameters": ("seed", lambda arrays, _: arrays.pop("parameters")),
    "no best parameters": ("validated", lambda arrays, _: arrays.pop("best_parameters")),
    "one more": ("seed", lambda arrays, _: arrays.update(another=arrays["parameters"])),
    "an order of what stands still": ("sgd", lambda arrays, _: arrays.update(order=np.arange(12))),
    "a sample twice": ("seed", lambda arrays, _: arrays.update(order=np.zeros_like(arrays["order"]))),
    "samples beyond": ("seed", lambda arrays, _: arrays.update(order=arrays["order"] + 2**40)),
    "an order of floats": ("seed", lambda arrays, _: arrays.update(order=arrays["order"] * 1.0)),
    "a short solver": ("seed", lambda arrays, _: arrays.update(solver=arrays["solver"][:, :-1])),
    "a flat solver": ("seed", lambda arrays, _: arrays.update(solver=arrays["solver"].ravel())),
    "float32": ("seed", lambda arrays, _: arrays.update(parameters=arrays["parameters"].astype("<f4"))),
    "NaN": ("seed", lambda arrays, _: arrays["parameters"].fill(np.nan)),
    "infinite": ("seed", lambda arrays, _: arrays["solver"].fill(np.inf)),
    "random without state": ("seed", without(*NOW, "state")),
    "random without start": ("none", without("random", "start", "state")),
    "random without a kind": ("none", without("random", "start", "bit_generator")),
    "random without now": ("seed", without("random", "now")),
    "more in the random state": ("seed", at(*NOW, "more", value=1)),
    **{
        f"no {name}": ("seed", without(name)) for name in ("marks", "outcome", "updates", "solver", "history", "random")
    },
    "no epochs": ("seed", without("solver", "epochs")),
    "no stalled": ("seed", without("history", "stalled")),
}
WRONG = {
    **ARRAYS,
    **{
        f"{'.'.join(place)} {number}": ("validated", at(*place, value=value))
        for place, values in ITEMS.items()
        for number, value in enumerate(values)
    },
    **{
        f"{run} {'.'.join(place)} {number}": (run, at(*place, value=value))
        for (run, place), values in STATES.items()
        for number, value in enumerate(values)
    },
}


def fill(folder):
    """A folder with all of these; their names begin with those of their runs."""
    for name, (run, change) in WRONG.items():
        (folder / f"{run},{name}").write_bytes(changed(run, change))


def load(path):
    """Goes on with the checkpoint at such a path."""
    return trained(path, pathlib.Path(path).name.split(",")[0])
