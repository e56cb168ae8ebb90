"""The benchmark suite: cmlp against its competitors and against the limits of the machine.  `python -m bench`."""
