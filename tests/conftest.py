"""Fixtures that many tests share: every build of the kernels that this CPU runs, and threads that take turns often."""

from __future__ import annotations

import os
import sys
from typing import NamedTuple

import numpy as np
import pytest

from cmlp.kernels import available, kernels

try:
    from hypothesis import settings
except ImportError:  # the tests that need it are skipped
    pass
else:
    settings.register_profile("ci", derandomize=True, max_examples=50, deadline=None)
    settings.register_profile("nightly", max_examples=3000, deadline=None, print_blob=True)
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


class Build(NamedTuple):
    """An instruction set and a precision."""

    isa: str
    dtype: str


BUILDS = [Build(isa, dtype) for isa in available() for dtype in ("float32", "float64")]


@pytest.fixture(scope="session", params=BUILDS, ids="-".join)
def build(request):
    return request.param


@pytest.fixture(scope="session")
def module(build):
    """The kernels of one build."""
    return kernels(build.dtype, build.isa)


@pytest.fixture(scope="session")
def dtype(build):
    """The precision of the build at hand."""
    return np.dtype(build.dtype)


@pytest.fixture
def torch():
    """PyTorch on one thread, where it is installed."""
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # starting more costs more than these networks take
    yield torch
    torch.set_num_threads(threads)


@pytest.fixture
def eager_threads():
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)
