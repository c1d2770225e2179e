"""A batch that is killed, and pairs a second: `python benchmarks/batch_survival.py --help`."""

import sys

# Run as a script, this folder would come first on the path, and hide the standard library's operator.
sys.path[0] = __file__.rpartition("benchmarks")[0] or "."

from benchmarks.batch.survival import main  # noqa: E402

if __name__ == "__main__":
    main()
