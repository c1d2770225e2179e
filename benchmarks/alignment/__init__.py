"""Benchmark of the registration: pairs with exact truth, who takes part, and what is said about them."""

import sys
from pathlib import Path

# The scripts that draw the sample pairs are run as files, and import each other as such.
sys.path.append(str(Path(__file__).resolve().parents[2] / "sample_data"))
