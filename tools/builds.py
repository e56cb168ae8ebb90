"""Builds of the kernels on the processor at hand, an emulator's: `builds.py runs BUILD`, `builds.py chooses BUILDS`.

Needs tests/ on the path.
"""

import subprocess
import sys

import cmlp.kernels as k
from engines import engine_of, network, samples


def runs(build):
    """A fit and predictions by this build, whatever the processor: an illegal instruction ends the process."""
    k.supported = lambda: k.ORDER
    net = network((9, 20, 3), "tanh", "float32")
    X, y = samples(net, 50)
    engine = engine_of(k.kernels("float32", build), net)
    engine.epoch(X, y, None, None, 16)
    engine.predict(X)


def chooses(*available):
    """These can run, and the best of them is taken, as by a process that was started here."""
    child = [sys.executable, "-I", "-c", "from cmlp.kernels import ISA; print(ISA)"]
    assert k.built() == ("baseline", "avx2", "avx512")
    assert k.available() == available, k.available()
    assert subprocess.run(child, stdout=subprocess.PIPE, text=True).stdout.split() == [k.ISA] == [available[-1]]


if __name__ == "__main__":
    {"runs": runs, "chooses": chooses}[sys.argv[1]](*sys.argv[2:])
