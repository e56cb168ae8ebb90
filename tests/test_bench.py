"""The benchmark suite: every competitor computes what cmlp computes, and the suite's own arithmetic is right."""

import functools
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
if not (ROOT / "bench" / "networks.py").exists():
    pytest.skip("the benchmark suite is not beside these tests", allow_module_level=True)
sys.path.insert(0, str(ROOT))

from bench import checks, limits, networks, report, targets, timer  # noqa: E402
from bench.adapters import adapters, jax_  # noqa: E402
from bench.adapters.cmlp_ import Cmlp  # noqa: E402
from bench.workloads import WORKLOADS, Plan, Run  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # of the competitors

COMPETITORS = [name for name in adapters() if name not in ("cmlp", "cmlp avx2", "cmlp baseline")]


@functools.cache
def reason(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return adapters()[name].available()


@pytest.fixture(params=COMPETITORS)
def competitor(request, monkeypatch):
    if reason(request.param):
        pytest.skip(f"{request.param}: {reason(request.param)}")
    if request.param == "numba":  # its loops as plain Python: compiling them takes longer than all the rest
        import numba

        monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    if request.param == "JAX":  # its loops as they are: unrolled they take long to compile
        monkeypatch.setattr(jax_, "SMALL", 0)
    return adapters()[request.param]


@pytest.mark.parametrize(("batch", "solver"), checks.TRAINING)
def test_an_epoch_leaves_the_same_weights(competitor, batch, solver):
    slow_to_compile = competitor.name == "JAX" and (batch, solver) != (8, "sgd")  # both layouts once
    assert checks.training(competitor, batch, solver, most=1 if slow_to_compile else None) == {}


def test_a_wrong_gradient_is_found(monkeypatch):
    wrong = Cmlp()
    monkeypatch.setattr(Cmlp, "name", "wrong")
    train = wrong.trainers
    monkeypatch.setattr(wrong, "trainers", lambda network, X, *cell: train(network, 1.01 * X, *cell))
    assert all(checks.training(wrong, batch, solver) for batch, solver in checks.TRAINING)


def test_predictions_agree(competitor):
    network = checks.network_for(competitor)
    X, _ = networks.data(network, 100, "float32")
    ours = Cmlp().predict_many(network, X)[1]()
    for idiom in competitor.manys(network, X):
        got = competitor.predict_many(network, X, idiom)[1]()
        assert got.shape == ours.shape
        if competitor.name != "FANN":  # its own weights and outputs
            np.testing.assert_allclose(got, ours, atol=1e-5, err_msg=idiom)
    for idiom in competitor.ones(network, X[3].copy()):
        one = np.asarray(competitor.predict_one(network, X[3].copy(), idiom)[1]())
        if competitor.name != "FANN":
            np.testing.assert_allclose(one.reshape(-1), ours[3], atol=1e-5, err_msg=idiom)


@pytest.mark.parametrize(("batch", "solver"), checks.TRAINING)
def test_float64_of_the_c_reference(batch, solver, monkeypatch):
    if reason("C reference"):
        pytest.skip(reason("C reference"))
    monkeypatch.setattr(checks, "TOLERANCE", 1e-12)
    assert checks.training(adapters()["C reference"], batch, solver, "float64") == {}


# ---- the suite's own arithmetic ---------------------------------------------------------------------


def test_flops_and_parameters_of_a_network():
    network = networks.Network("hand", (2, 3, 4), ("relu",))
    assert (network.n_weights, network.n_parameters) == (18, 25)
    assert network.forward_flops == 36
    assert network.training_flops == 2 * 36 + 2 * 12  # deltas of the last layer's weights only
    assert network.bytes("float64") == 200


def test_flat_and_unflat():
    W, b = networks.initial(checks.MIXED, "float32")
    block = networks.flat(W, b)
    assert block.ctypes.data % 64 == 0
    again = networks.unflat(block, checks.MIXED.sizes)
    assert all((x == y).all() for x, y in zip([*W, *b], [*again[0], *again[1]], strict=True))
    np.testing.assert_array_equal(block, Cmlp().net(checks.MIXED, "float32").parameters)


class Steady:
    """A call that takes a second of its own clock, and notes whose turn it was."""

    def __init__(self, name, turns):
        self.name, self.turns = name, turns

    def seconds(self, repetitions):
        self.turns.append((self.name, repetitions))
        return float(repetitions)


def test_competitors_take_turns():
    turns = []
    found = timer.measure({name: Steady(name, turns) for name in "abc"}, rounds=7, sample_seconds=4)
    assert found["a"] == (1.0, 1.0, 1.0, 7, 4)
    rounds = [name for name, repetitions in turns if repetitions == 4]
    assert all(rounds.count(name) == 7 for name in "abc")
    assert {rounds[i] for i in range(0, 21, 3)} == set("abc")  # each goes first in its turn


def test_a_call_of_one_argument_is_timed_bare():
    seen = []
    runner = timer.Local(functools.partial(seen.append, 5))
    assert runner.seconds(3) > 0
    assert runner.function == seen.append
    assert seen == [5, 5, 5]


def test_the_limit_that_binds():
    found = {"peak": {"any": {"float32": 100.0}}, "bandwidth": {"T": {"float32": [10.0, 5.0]}}}
    T = networks.NETWORKS["T"]
    compute, memory = T.training_flops / 100e3, T.bytes("float32") / 5e3
    assert limits.training_limit(found, "T", "float32", 1) == max(compute, memory) == memory
    assert limits.training_limit(found, "T", "float32", 1000) == compute
    assert limits.training_limit({"missing": "no compiler"}, "T", "float32", 1) is None
    assert limits.best(found, found) == found


# ---- a whole run, small -----------------------------------------------------------------------------

LIMITS = {"peak": {"any": {"float32": 1e6}}, "bandwidth": {"T": {"float32": [1e6, 1e6]}}}
MACHINE = {
    "cpu": "a CPU", "cores": 1, "caches": {}, "cmlp": "cmlp", "system": "a system", "date": "today", "minutes": 1,
    "load_at_start": None, "load_at_end": [0.1, 0.1, 0.1], "pinned_cpus": 1, "allowed_cpus": 1, "threads": 1,
    "versions": {}, "notes": {}, "competitors": {"cmlp": "", "slow": ""},
}  # fmt: skip


class Slow(Cmlp):
    """cmlp by a clock that runs a hundred times as fast: on no machine it is the quicker one."""

    name = "slow"

    def clocked(self, *cell, **more):
        idiom, runner = super().clocked(*cell, **more)
        once = runner.seconds
        runner.seconds = lambda repetitions: 100 * once(repetitions)
        return idiom, runner


@pytest.fixture(scope="module")
def results():
    plan = Plan(rounds=7, sample_seconds=0.002, call_seconds=0.002)
    run = Run({"cmlp": Cmlp(), "slow": Slow()}, ["T"], ("float32",), plan, [0])
    for workload in ("W1", "W3", "W4"):
        WORKLOADS[workload][1](run)
    found = {"machine": MACHINE, "plan": plan._asdict(), "limits": LIMITS, **run.results}
    return {**found, "targets": targets.judged(found)}


def test_every_competitor_has_a_figure(results):
    assert [cell["workload"] for cell in results["cells"]] == ["W1", "W3", "W4"]
    for cell in results["cells"]:
        for entry in cell["competitors"].values():
            assert 0 < entry["min"] <= entry["us"] <= entry["max"]
            assert entry["rounds"] == 7


def test_targets_are_judged(results):
    verdicts = {verdict["key"]: verdict for verdict in results["targets"]}
    assert verdicts["w1-all"]["met"] is True
    assert "slow, T" in verdicts["w1-all"]["measured"]
    assert verdicts["w2-all"] == {**verdicts["w2-all"], "measured": "not measured", "met": None}
    assert verdicts["w3-call"]["met"] is not None
    assert len(verdicts) == len(targets.TARGETS)  # no two of one key


def test_the_page(results, monkeypatch):
    monkeypatch.setattr(targets, "notes", lambda: {"w4-peak-M": "unseen", "w1-all": "unseen, as it is met"})
    page = report.page(results, {"W1": "W1.png"})
    for part in ("## W1", "| T ", "![W1", "## Targets", "| met", "not measured"):
        assert part in page
    assert "unseen" not in page
    assert "## W2" not in page


def test_a_missed_target_shows_its_note(results, monkeypatch):
    missed = {**results, "targets": [{**results["targets"][0], "met": False}]}
    monkeypatch.setattr(targets, "notes", lambda: {results["targets"][0]["key"]: "The memory binds."})
    assert "The memory binds." in report.page(missed, {})
