# The kernels in float64 for baseline; setup.py gives the flags.
include "engine.pyx"
include "probes.pyx"
