# The kernels in float32 for baseline; setup.py gives the flags.
include "engine.pyx"
include "probes.pyx"
