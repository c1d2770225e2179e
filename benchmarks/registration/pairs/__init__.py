"""Pairs with exact truth: scenes, motions, damages; the error of an estimate and its lower bound."""

import sys
from pathlib import Path

# The scripts that draw the sample pairs are run as files, and import each other as such.
sys.path.append(str(Path(__file__).resolve().parents[3] / "sample_data"))
