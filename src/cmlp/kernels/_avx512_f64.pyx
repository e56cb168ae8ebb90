# The kernels in float64 for avx512; setup.py gives the flags.
include "engine.pyx"
include "probes.pyx"
