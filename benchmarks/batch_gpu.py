"""Small pairs where there is a GPU: `python benchmarks/batch_gpu.py --help`."""

import sys

# Run as a script, this folder would come first on the path, and hide the standard library's operator.
sys.path[0] = __file__.rpartition("benchmarks")[0] or "."

from benchmarks.batch.sharing import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
