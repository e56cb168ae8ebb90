"""Bad input, each case in a process of its own, where a crash or a hang is a failure like any other."""

import pytest

import hostile_calls
import hostile_data
import hostile_parameters
from isolated import Server

TABLES = (hostile_data, hostile_parameters, hostile_calls)
CASES = [case.name for table in TABLES for case in table.CASES]


@pytest.fixture(scope="module")
def server():
    server = Server([table.__name__ for table in TABLES])
    yield server
    server.stop()


@pytest.mark.parametrize("name", CASES)
def test_hostile(server, name):
    problem = server.problem_of(name)
    assert not problem, problem


def test_names_are_unique():
    assert len(set(CASES)) == len(CASES)
