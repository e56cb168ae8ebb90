"""The time that `import cmlp` takes beyond NumPy: of the processor, which other work takes no part of; a median."""

import statistics
import subprocess
import sys

LIMIT = 15  # ms
PROCESSES = 21
CODE = "import numpy, time; start = time.process_time(); import cmlp; print(time.process_time() - start)"

times = [float(subprocess.check_output([sys.executable, "-c", CODE])) * 1e3 for _ in range(PROCESSES)]
print(f"import cmlp: {statistics.median(times):.1f} ms beyond NumPy")
sys.exit(statistics.median(times) >= LIMIT)
