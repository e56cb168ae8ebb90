# The kernels in float32 for avx2; setup.py gives the flags.
include "engine.pyx"
include "probes.pyx"
