"""The setting that numpy, torch and ITK compute on one thread, here and in child processes; to be imported first."""

import os

# Each package reads one of these when it is imported.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"):
    os.environ[name] = "1"
