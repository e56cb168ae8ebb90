"""`python bench/run.py` is `python -m bench` from anywhere."""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from bench.__main__ import main

    sys.exit(main())
