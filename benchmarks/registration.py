"""The registration beside the tools that a user could take instead: `python benchmarks/registration.py --help`."""

import os
import sys

# Run as a script, this folder comes first on the path, and would hide the standard library's operator.
sys.path[0] = __file__.rpartition("benchmarks")[0] or "."
# One thread each: whatever a package computes with reads one of these when it is imported.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"):
    os.environ[name] = "1"

from benchmarks.alignment.command import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
