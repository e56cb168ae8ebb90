"""Saved files with changes to their structure, and the fuzzers in short runs; `.ci/run nightly` has long ones."""

import pathlib
import subprocess
import sys
import tracemalloc
from functools import cache

import numpy as np
import pytest

hypothesis = pytest.importorskip("hypothesis")
from hypothesis import given, strategies  # noqa: E402

from fuzz import judge, structures  # noqa: E402

MOST_MEMORY = 2**26  # labels of a wide dtype may take 16 MB, and are compared


@cache
def seeds():
    return judge.seeds()


@cache
def checkpoints():
    return judge.checkpoints()


@cache
def place():
    return pathlib.Path(judge.folder(), "m")


@strategies.composite
def changed_files(draw):
    content = draw(strategies.sampled_from(seeds()))
    return structures.mutated(content, lambda n: draw(strategies.integers(0, n - 1)))


@strategies.composite
def changed_checkpoints(draw):
    content = draw(strategies.sampled_from(checkpoints()))
    return content[:1] + structures.mutated(content[1:], lambda n: draw(strategies.integers(0, n - 1)))


def in_little_memory(judge, content):
    tracemalloc.start()
    try:
        judge(content, place())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < MOST_MEMORY


@given(changed_files())
def test_a_changed_file_is_refused_or_is_a_model(content):
    """Whatever its checksum says: most are signed anew."""
    in_little_memory(judge.judged, content)


@given(changed_checkpoints())
def test_a_changed_checkpoint_is_refused_or_goes_on(content):
    in_little_memory(judge.resumed, content)


def test_some_changed_files_load_and_most_are_refused():
    """The strategy reaches both."""
    source = np.random.default_rng(0)
    loaded = [
        judge.judged(structures.mutated(content, lambda n: int(source.integers(n))), place()) is not None
        for content in (*seeds(), *seeds())
    ]
    assert 0.05 < np.mean(loaded) < 0.6


def test_some_changed_checkpoints_go_on_and_most_are_refused():
    source = np.random.default_rng(0)
    resumed = [
        judge.resumed(content[:1] + structures.mutated(content[1:], lambda n: int(source.integers(n))), place())
        for content in checkpoints() * 8
    ]
    assert 0.02 < np.mean([model is not None for model in resumed]) < 0.6


@pytest.mark.parametrize("harness", ["load", "arrays", "checkpoints"])
def test_a_harness_runs(harness, tmp_path):
    script = pathlib.Path(__file__).parent / "fuzz" / f"fuzz_{harness}.py"
    command = [sys.executable, str(script), "--plain", "--seconds", "2", "--seed", "1", "--findings", str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stdout + run.stderr[-3000:]
    assert "no finding" in run.stdout


def test_a_harness_fails_and_keeps_what_made_it(tmp_path):
    program = """
import sys
sys.argv = ["x", "--plain", "--seconds", "60", "--seed", "1", "--findings", sys.argv[1]]
import drive

def one_input(content):
    if content == b"bad":
        raise KeyError("an exception that is no answer")
drive.main(one_input, [b"good"], lambda content, source: source.choice([b"good", b"bad"]))
"""
    folder = pathlib.Path(__file__).parent / "fuzz"
    run = subprocess.run([sys.executable, "-c", program, str(tmp_path)], cwd=folder, capture_output=True, text=True)
    assert run.returncode == 1
    assert "an exception that is no answer" in run.stderr
    assert (tmp_path / "crash-1").read_bytes() == b"bad"
