"""Bad input, each case in a process of its own, where a crash or a hang is a failure like any other."""

import pytest

import hostile_calls
import hostile_data
import hostile_parameters
from hostile import HAS
from isolated import Server, Servers

TABLES = (hostile_data, hostile_parameters, hostile_calls)
CASES = [case.name for table in TABLES for case in table.CASES]


@pytest.fixture(scope="module")
def servers(request):
    """Busy with the cases that pytest has chosen."""
    chosen = [item.callspec.params["case"] for item in request.session.items if item.name.startswith("test_hostile[")]
    servers = Servers([table.__name__ for table in TABLES], chosen)
    yield servers
    servers.stop()


@pytest.mark.parametrize("case", CASES)
def test_hostile(servers, case):
    problem = servers.problem_of(case)
    assert not problem, problem


def test_names_are_unique():
    assert len(set(CASES)) == len(CASES)


# ---- the server itself: what it is to find, it finds -------------------------------------------------


SEEN = {
    "crash": "crashed",
    "abort": "crashed",
    "exit": "crashed",
    "hang": "hung",
    "exception": "ZeroDivisionError",
    "not refused": "expected <class 'ValueError'>, got 3",
    "other words": "does not say ['alpha']",
    "other error": "got TypeError('alpha')",
    "changed": "behaves otherwise",
    "input changed": "given is changed",
    "random numbers drawn": "given is changed",
    "input changed on the way": "given is changed",
    **({"history changed": "['_history']", "solver changed": "['_optimizer']"} if HAS["sklearn"] else {}),
    "other result": "not equal",
    "fine": "",
}


@pytest.fixture(scope="module")
def faulty():
    server = Server(["hostile_itself"])
    yield server
    server.stop()


@pytest.mark.parametrize("case", SEEN)
def test_a_fault_is_seen(faulty, case):
    problem = faulty.problem_of(case, seconds=3 if case == "hang" else 20)
    assert SEEN[case] in problem if SEEN[case] else not problem, problem
