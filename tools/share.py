"""A plugin of pytest for emulators: a fixed share of the parametrisations, at least one of every test."""

import math
import zlib
from collections import defaultdict

import pytest


def pytest_addoption(parser):
    parser.addoption("--share", type=float, default=1.0, help="how much of every parametrised test runs")


@pytest.hookimpl(trylast=True)  # of what -k and -m have left
def pytest_collection_modifyitems(config, items):
    tests = defaultdict(list)
    for item in items:
        tests[item.path, item.cls, item.originalname].append(item)
    chosen = set()
    for cases in tests.values():
        cases.sort(key=lambda item: zlib.crc32(item.nodeid.encode()))
        chosen.update(cases[: math.ceil(config.getoption("share") * len(cases))])
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = [item for item in items if item in chosen]
