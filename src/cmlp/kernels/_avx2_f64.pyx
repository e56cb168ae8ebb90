# The kernels in float64 for avx2; setup.py gives the flags.
include "engine.pyx"
include "probes.pyx"
