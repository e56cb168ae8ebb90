# The kernels in float32 for avx512; setup.py gives the flags.
include "engine.pyx"
include "probes.pyx"
