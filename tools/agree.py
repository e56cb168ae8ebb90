"""What every build here makes of a few trainings: `agree.py write FILE`; on another processor `agree.py compare FILE`.

They agree within the bound of tests/test_builds.py, whose trainings these are.  Needs tests/ on the path.
"""

import sys

import numpy as np

from cmlp.kernels import available
from test_builds import APART, SOLVERS, apart, trained


def results():
    """By instruction set, precision and solver: losses, parameters and outputs."""
    return {
        f"{isa} {dtype} {name} {part}": np.asarray(value)
        for isa in available()
        for dtype in APART
        for name in SOLVERS
        for part, value in zip(("losses", "parameters", "outputs"), trained(isa, dtype, name), strict=True)
    }


def shares_of_the_bound(here, there, moved=0):
    """How far each result of each build here is from those of each build there."""
    for name, value in here.items():
        kind = name.split(" ", 1)[1]
        bound = APART[kind.split(" ", 1)[0]]
        for other, expected in there.items():
            if other.split(" ", 1)[1] == kind:
                yield apart(value, expected * (1 + moved * bound)) / bound


def main(action, path):
    here = results()
    if action == "write":
        np.savez(path, **here)
        return
    with np.load(path) as file:
        there = dict(file)
    assert min(shares_of_the_bound(here, there, moved=4)) > 1, "a difference would not have been seen"
    shares = list(shares_of_the_bound(here, there))
    builds = sorted({name.split(" ", 1)[0] for name in there})
    print(f"{len(shares)} results of {available()} and of {builds}: at most {max(shares):.2f} of the bound apart")
    assert len(shares) == len(here) * len(builds)
    assert max(shares) <= 1


if __name__ == "__main__":
    main(*sys.argv[1:])
