"""The operator beside everything that a user could take instead: `python benchmarks/operator.py --help`."""

import sys

# Run as a script, this folder comes first on the path, and this file would stand for the standard library's operator.
sys.path[0] = __file__.rpartition("benchmarks")[0] or "."

from benchmarks.command import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
