# The kernels in float32 for neon; setup.py gives the flags.
include "engine.pyx"
include "probes.pyx"
