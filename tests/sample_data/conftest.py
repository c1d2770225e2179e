import sys
from pathlib import Path

SAMPLES = Path(__file__).parents[2] / "sample_data"
sys.path.insert(0, str(SAMPLES))  # the scripts there are run as files, not installed as a package
