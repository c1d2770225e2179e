"""Is the tool's own word to be trusted: its verdict and its uncertainty: `python benchmarks/trust.py --help`."""

import os
import sys

# Run as a script, this folder comes first on the path, and would hide the standard library's operator.
sys.path[0] = __file__.rpartition("benchmarks")[0] or "."
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

from benchmarks.alignment.trust import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
