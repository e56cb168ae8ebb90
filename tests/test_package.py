"""The package as a whole: what it imports, documents and prints, which kernels it chooses, copies of its objects."""

import ast
import copy
import doctest
import importlib
import inspect
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import cmlp
from cmlp.__main__ import main
from cmlp.kernels import ISA, REASON, VARIABLE, available, built, kernels, supported
from cmlp.kernels import ORDER as INSTRUCTION_SETS

SOURCE = Path(__file__).resolve().parents[1] / "src" / "cmlp"  # wheels are without the .pyx files
KERNELS = SOURCE / "kernels"

every_isa = pytest.mark.parametrize("isa", available())
both_precisions = pytest.mark.parametrize("dtype", ["float32", "float64"])


def python(*arguments, isa=None, fails=False):
    """What a Python process prints; its errors if it is to fail."""
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    if isa is not None:
        environment[VARIABLE] = isa
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == int(fails), done.stderr
    return done.stderr if fails else done.stdout


# ---- imports ----------------------------------------------------------------------------------------


ORDER = [
    "exceptions", "kernels", "validation", "parameters", "threads", "trace", "files", "network", "labels", "weights",
    "options", "training", "randomness", "checkpoints", "progress", "scores", "saved", "lbfgs", "model", "callbacks",
    "held_out", "fitting", "demo", "estimators", "__init__", "__main__",
]  # fmt: skip
HEAVY = ["sklearn", "scipy", "torch", "pandas", "matplotlib", "tqdm"]

PACKAGES = ("kernels", "estimators")
MODULES = {path.stem for path in SOURCE.glob("*.py")} | set(PACKAGES)
PYTHON_FILES = sorted([*SOURCE.glob("*.py"), *(path for name in PACKAGES for path in (SOURCE / name).glob("*.py"))])


def test_import_takes_numpy_alone():
    loaded = python("-c", "import sys, cmlp; print(*sys.modules)").split()
    assert "numpy" in loaded
    assert not set(HEAVY) & set(loaded)


def test_every_module_has_its_place():
    assert sorted(ORDER) == sorted(MODULES)


def place_of(path):
    """A file's package and its place in the order."""
    inside = path.parent.name
    return (f"cmlp.{inside}", inside) if inside in PACKAGES else ("cmlp", path.stem)


def imported(source, package):
    """The places of what source code in a package imports from cmlp."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = ".".join(package.split(".")[: len(package.split(".")) + 1 - node.level]) if node.level else ""
            module = ".".join(part for part in (start, node.module) if part)
            names = [f"{module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            first, *rest = name.split(".")
            if first == "cmlp":
                yield rest[0] if rest and rest[0] in ORDER else "__init__"


def upward(source, package, place):
    return sorted({name for name in imported(source, package) if ORDER.index(name) > ORDER.index(place)})


@pytest.mark.parametrize("path", PYTHON_FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_run_downwards(path):
    assert upward(path.read_text(), *place_of(path)) == []


@pytest.mark.parametrize(
    ("source", "package"),
    [
        ("from .model import fit", "cmlp"),
        ("from . import network, model", "cmlp"),
        ("def f():\n    from .model import fit", "cmlp"),
        ("if TYPE_CHECKING:\n    from .model import Model", "cmlp"),
        ("import cmlp.model", "cmlp"),
        ("import cmlp.model as m", "cmlp"),
        ("from cmlp.model import fit", "cmlp"),
        ("from cmlp import model", "cmlp"),
        ("from ..model import fit", "cmlp.kernels"),
        ("from .. import model", "cmlp.kernels"),
    ],
)
def test_an_upward_import_is_found(source, package):
    assert upward(source, package, "network") == ["model"]


def test_an_import_of_the_whole_package_is_upward():
    for source in ("import cmlp", "from . import Network", "from cmlp import Network"):
        assert upward(source, "cmlp", "model") == ["__init__"]
        assert upward(source, "cmlp", "__main__") == []


# ---- the kernels' sources ---------------------------------------------------------------------------


def code(name):
    """Of a .pyx file, without comments and docstrings."""
    text = re.sub(r'""".*?"""', "", (KERNELS / f"{name}.pyx").read_text(), flags=re.DOTALL)
    return re.sub(r"#.*", "", text)


def found(pattern, text):
    return set(re.findall(pattern, text, re.MULTILINE))


def defined(text):
    """Functions and structs."""
    return found(r"^cdef\b[^(=\n]*?(\w+)\(", text) | found(r"^cdef struct (\w+)", text)


def used(text):
    return found(r"(\w+)\(", text) | found(r"(\w+_t)\b", text)


LAYERS = re.findall(r'^include "(\w+)\.pyx"', code("engine"), re.MULTILINE)  # the lowest first
BELOW_PYTHON = [name for name in LAYERS if name not in ("arrays", "crew", "predictor")]
every_layer = pytest.mark.parametrize("name", LAYERS)


def test_every_kernel_file_is_a_layer():
    others = {"engine", "probes", "_cpu", "_call", *(f"_{isa}_{p}" for isa in INSTRUCTION_SETS for p in ("f32", "f64"))}
    assert sorted(path.stem for path in KERNELS.glob("*.pyx")) == sorted({*LAYERS} | others)


def test_the_derivation_names_functions_that_exist():
    """Every name in backticks is a word of the sources or, `test_...`, of the tests."""
    page = (SOURCE.parents[1] / "docs" / "derivation.md").read_text(encoding="utf-8")
    files = [*SOURCE.rglob("*.py"), *SOURCE.rglob("*.pyx"), *Path(__file__).parent.glob("*.py")]
    words = set(re.findall(r"\w+", " ".join(path.read_text(encoding="utf-8") for path in files)))
    assert {name for name in re.findall(r"`([a-z]\w+)`", page) if name not in words} == set()


def test_the_version_is_that_of_the_distribution():
    table = (SOURCE.parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    assert f'\nversion = "{cmlp.__version__}"\n' in table


@every_layer
def test_a_kernel_file_imports_nothing_but_c(name):
    modules = found(r"^\s*(?:from|c?import|include)\s+(\S+)", code(name))
    assert {module for module in modules if not module.startswith("libc.")} == set()


@every_layer
def test_a_kernel_file_uses_no_later_one(name):
    later = {other: defined(code(other)) for other in [*LAYERS[LAYERS.index(name) + 1 :], "engine"]}
    assert {other: names & used(code(name)) for other, names in later.items() if names & used(code(name))} == {}


def test_what_a_kernel_file_uses_is_found():
    """Of two neighbours far up and down: the check above is not blind."""
    assert defined(code("matvec")) & used(code("backprop"))
    assert "network_t" in defined(code("backprop")) & used(code("training"))


@pytest.mark.parametrize("name", BELOW_PYTHON)
def test_a_kernel_file_knows_no_python_object(name):
    assert found(r"\b(object|cnp|np|PyArray\w*|PyObject)\b", code(name)) == set()


# ---- documentation ----------------------------------------------------------------------------------


PUBLIC = {
    f"{name}.{member}": value
    for name in cmlp.__all__
    if inspect.isclass(getattr(cmlp, name))
    for member, value in vars(getattr(cmlp, name)).items()
    if member[0] != "_"
}
METHODS = [name for name, value in PUBLIC.items() if callable(value)]
PROPERTIES = [name for name, value in PUBLIC.items() if isinstance(value, property)]


@pytest.mark.parametrize("name", cmlp.__all__)
def test_a_public_name_is_documented(name):
    assert getattr(cmlp, name).__doc__


@pytest.mark.parametrize("name", METHODS)
def test_a_public_method_is_documented(name):
    assert PUBLIC[name].__doc__


WITH_ARGUMENTS = {name: PUBLIC[name] for name in METHODS} | {
    name: getattr(cmlp, name) for name in cmlp.__all__ if inspect.isfunction(getattr(cmlp, name))
}
del WITH_ARGUMENTS["show_config"]


@pytest.mark.parametrize("name", WITH_ARGUMENTS)
def test_arguments_results_and_exceptions_are_documented(name):
    sections = set(re.findall(r"^ *(\w+)\n *-+$", WITH_ARGUMENTS[name].__doc__, re.MULTILINE))
    gives = inspect.signature(WITH_ARGUMENTS[name]).return_annotation != "None"
    assert sections >= {"Parameters", "Raises", *(["Returns"] if gives else [])}


@pytest.mark.parametrize("name", PROPERTIES)
def test_a_public_property_is_among_the_attributes(name):
    owner, member = name.split(".")
    assert re.search(rf"^ *{member} : ", getattr(cmlp, owner).__doc__, re.MULTILINE)


@pytest.mark.parametrize("path", PYTHON_FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_module_says_what_lives_in_it(path):
    assert ast.get_docstring(ast.parse(path.read_text()))


def module_name(path):
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(["cmlp", *(part for part in parts if part != "__init__")])


@pytest.mark.parametrize("name", [module_name(path) for path in PYTHON_FILES if ">>>" in path.read_text()])
def test_examples(name):
    if name.startswith("cmlp.estimators"):
        pytest.importorskip("sklearn")
    results = doctest.testmod(importlib.import_module(name))
    assert results.attempted > 0
    assert results.failed == 0


# ---- the commands -----------------------------------------------------------------------------------


def test_trace_prints_the_hand_calculation():
    out = python("-m", "cmlp", "trace")
    net = cmlp.Network((4, 8, 8, 3), activation=("relu", "sigmoid"), random_state=0)
    lines = out.splitlines()
    titles = [line for line in lines if line.startswith("Layer")]
    assert titles == ["Layer 1: 4 -> 8, relu", "Layer 2: 8 -> 8, sigmoid", "Layer 3: 8 -> 3, softmax"]
    assert lines[1] == "y = [0, 1, 0]"
    assert float(re.search(r"loss \(cross_entropy\) = (\S+)", out)[1]) == pytest.approx(
        net.loss([0.5, -1.0, 0.25, 1.5], 1), rel=1e-8
    )
    for name in ("W_1", "grad_W_2", "new_W_3"):
        assert any(line.startswith(name) for line in lines)


DEMO = {
    "all there": ("", r"loss curve +\S+loss\.png"),
    "no matplotlib": ("sys.modules['matplotlib'] = None", "loss curve +not drawn: matplotlib is not installed"),
}


@pytest.mark.parametrize(("before", "picture"), DEMO.values(), ids=DEMO)
def test_demo(before, picture, tmp_path):
    pytest.importorskip("sklearn")
    if not before:
        pytest.importorskip("matplotlib")
    call = f"import sys; {before}\nfrom cmlp.__main__ import main; main()"
    out = python("-c", call, "demo", "--epochs", "2", "--output", tmp_path / "out")
    assert "digits: 1347 images of 8 x 8 to train on, 450 to test on" in out
    assert re.findall(r"^epoch (\d), loss = ", out, re.MULTILINE) == ["1", "2"]
    assert float(re.search(r"test accuracy +(\S+)%", out)[1]) > 50
    assert re.search(r"training +2,694 samples in \S+ s: [\d,]+ samples per second", out)
    assert confusions(out).sum() == 450
    assert re.search(picture, out)
    assert cmlp.load(tmp_path / "out" / "digits.safetensors").n_iter_ == 2
    assert (tmp_path / "out" / "loss.png").exists() == (not before)


def confusions(out):
    """The counts in the table that the demo prints."""
    rows = re.findall(r"^ +\d((?: +[\d.]+){10})$", out, re.MULTILINE)[-10:]
    return np.array([[int(count.replace(".", "0")) for count in row.split()] for row in rows])


def test_demo_without_scikit_learn():
    call = "import sys; sys.modules['sklearn'] = None\nfrom cmlp.__main__ import main; main(['demo'])"
    assert "pip install scikit-learn" in python("-c", call, fails=True)


@pytest.mark.parametrize(
    "arguments",
    [[], ["train"], ["demo", "--epochs", "many"], ["demo", "--epochs", "0"], ["demo", "--seed", "-1"]],
    ids=str,
)
def test_a_wrong_command_explains_itself(arguments, capsys):
    with pytest.raises(SystemExit) as e:
        main(arguments)
    assert e.value.code == 2
    said = capsys.readouterr().err
    assert "usage: python -m cmlp" in said
    assert "demo" not in arguments or re.search(r"(many|0|-1): expected an integer from [01] to 4294967295", said)


# ---- the choice of kernels --------------------------------------------------------------------------


def config(text):
    return dict(line.strip().split(": ", 1) for line in text.splitlines())


def test_config_of_this_process(capsys):
    main(["config"])
    shown = config(capsys.readouterr().out)
    cmlp.show_config()
    assert config(capsys.readouterr().out) == shown
    assert shown["kernels built"] == ", ".join(built())
    assert shown["this CPU runs"] == ", ".join(supported())
    assert shown["cmlp runs"] == f"{ISA}: {REASON}"
    assert shown["vectors of"] == f"{kernels('float32').vector_lanes() * 4} bytes"
    assert shown["NumPy"] == np.__version__


@pytest.mark.parametrize("isa", [None, ""], ids=["not set", "empty"])
def test_the_best_kernels_run_unless_told_otherwise(isa):
    shown = config(python("-m", "cmlp", "config", isa=isa))
    assert shown["cmlp runs"] == f"{available()[-1]}: the best of those built that this CPU runs"
    assert shown[VARIABLE] == f"not set; one of {', '.join(available())} overrides"


@every_isa
def test_the_environment_chooses_the_kernels(isa):
    shown = config(python("-m", "cmlp", "config", isa=isa))
    assert shown["cmlp runs"] == f"{isa}: {VARIABLE} asks for it"
    assert shown[VARIABLE] == isa


@every_isa
@pytest.mark.parametrize(("dtype", "suffix"), [("float32", "f32"), ("float64", "f64")])
def test_a_network_runs_the_chosen_kernels(isa, dtype, suffix):
    call = f"import cmlp; print(type(cmlp.Network((2, 2), dtype={dtype!r})._engine).__module__)"
    assert python("-c", call, isa=isa).strip() == f"cmlp.kernels._{isa}_{suffix}"


@pytest.mark.parametrize("isa", ["sse9", "AVX2", "avx2 "])
def test_an_unknown_instruction_set(isa):
    errors = python("-m", "cmlp", "config", isa=isa, fails=True)
    expected = f"{VARIABLE}={isa!r} is not an instruction set: expected one of {', '.join(INSTRUCTION_SETS)}"
    assert errors.splitlines()[-1] == f"ValueError: {expected}"


@pytest.mark.parametrize("isa", [isa for isa in INSTRUCTION_SETS if isa not in available()])
def test_an_instruction_set_that_cannot_run_here(isa):
    errors = python("-m", "cmlp", "config", isa=isa, fails=True)
    why = "it was not built" if isa in supported() else "this CPU lacks it"
    expected = f"{VARIABLE}={isa!r} cannot run here, {why}: expected one of {', '.join(available())}"
    assert errors.splitlines()[-1] == f"ValueError: {expected}"


@pytest.mark.parametrize("isa", ["sse9", "", None, *(isa for isa in INSTRUCTION_SETS if isa not in available())])
def test_kernels_of_no_such_instruction_set(isa):
    with pytest.raises(ValueError, match=re.escape(f"isa={isa!r}: expected one of {', '.join(available())}")):
        kernels("float64", isa)


@pytest.mark.parametrize("dtype", ["float16", "int64", "complex128", "longdouble", "O"])
def test_kernels_of_no_such_precision(dtype):
    with pytest.raises(TypeError, match="expected one of float32, float64"):
        kernels(dtype)


def test_a_long_double_that_is_as_small_as_a_double_is_none(monkeypatch):
    """As on Windows and on macOS for arm64, where its dtype has a double's name and equals it."""
    double = np.dtype("float64")
    facts = {name: getattr(double, name) for name in ("name", "kind", "itemsize", "str", "isnative")}
    small = SimpleNamespace(**facts, char="g", num=np.dtype("g").num, type=np.longdouble)
    stand_in = SimpleNamespace(dtype=lambda _: small)
    monkeypatch.setattr("cmlp.kernels.np", stand_in)
    with pytest.raises(TypeError, match=r"^dtype='longdouble': expected one of float32, float64$"):
        kernels("longdouble")
    monkeypatch.setattr("cmlp.network.np", stand_in)
    with pytest.raises(ValueError, match=r"^dtype='longdouble': expected one of float32, float64$"):
        cmlp.Network((2, 2), dtype="longdouble")


@every_isa
@both_precisions
def test_kernels_are_those_asked_for(isa, dtype):
    assert kernels(dtype, isa).__name__ == f"cmlp.kernels._{isa}_f{dtype[-2:]}"


# ---- copies -----------------------------------------------------------------------------------------


COPIES = {
    **{f"pickle {p}": lambda it, p=p: pickle.loads(pickle.dumps(it, p)) for p in range(2, pickle.HIGHEST_PROTOCOL + 1)},
    "deepcopy": copy.deepcopy,
}
every_copy = pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)


def assert_network_copied(twin, net):
    """The same network in memory of its own, laid out as every network is."""
    assert repr(twin) == repr(net)
    np.testing.assert_array_equal(twin.parameters, net.parameters)
    assert not np.shares_memory(twin.parameters, net.parameters)
    assert twin.parameters.ctypes.data % 64 == 0
    for view in (*twin.weights, *twin.biases):
        assert np.shares_memory(view, twin.parameters)


@every_copy
@both_precisions
def test_a_network_is_copied(copied, dtype):
    net = cmlp.Network((3, 5, 4, 2), ("relu", "logistic"), "huber", dtype)
    twin, X = copied(net), np.random.default_rng(0).standard_normal((7, 3))
    assert_network_copied(twin, net)
    np.testing.assert_array_equal(twin.forward(X), net.forward(X))
    twin.weights[0][...] = 0
    assert not np.array_equal(twin.forward(X), net.forward(X))


LABELS = {
    "binary": np.array([False, True]), "multiclass": np.array(["a", "b", "c"], object), "multilabel": np.eye(3, 2),
    "regression": np.array([0.5, 0.25, 1.0]),
}  # fmt: skip


@every_copy
@pytest.mark.parametrize("task", LABELS)
@both_precisions
def test_a_model_is_copied(copied, task, dtype):
    X = np.random.default_rng(0).standard_normal((30, 3)).astype(dtype)
    y = LABELS[task][np.arange(30) % len(LABELS[task])]
    model = cmlp.fit(X, y, hidden_layer_sizes=(4,), max_iter=3, early_stopping=True)
    twin = copied(model)
    assert_network_copied(twin.network, model.network)
    assert repr(twin) == repr(model)
    assert (twin.task, twin.loss_curve_, twin.validation_scores_) == (task, model.loss_curve_, model.validation_scores_)
    np.testing.assert_array_equal(twin.classes_, model.classes_)
    np.testing.assert_array_equal(twin.predict(X), model.predict(X))
    assert twin.predict(X).dtype == model.predict(X).dtype


@every_copy
def test_a_divergence_error_takes_its_model_along(copied):
    model = cmlp.fit([[0.0], [1.0]], [0, 1], max_iter=1)
    twin = copied(cmlp.DivergenceError("the loss is nan", model))
    assert str(twin) == "the loss is nan"
    assert_network_copied(twin.model.network, model.network)
