# The kernels in float64 for neon; setup.py gives the flags.
include "engine.pyx"
include "probes.pyx"
