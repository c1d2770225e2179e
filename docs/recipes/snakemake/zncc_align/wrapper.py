"""Align a pair of images by zncc-align, as a Snakemake wrapper."""

import shutil
import tempfile
from pathlib import Path

from snakemake.shell import shell

# The outputs that a rule may name, and what --write calls them.
_PRODUCTS = {
    "aligned": ("aligned.tif", "aligned"),
    "transform": ("transform.json", "transform"),
    "mask": ("mask.tif", "mask"),
    "overlay": ("overlay.png", "overlay"),
    "html": ("report.html", "html"),
    "report": ("report.json", "report"),
}

unknown = sorted(set(snakemake.output.keys()) - set(_PRODUCTS))  # noqa: F821 - Snakemake defines it
if unknown or not snakemake.output.keys():  # noqa: F821
    raise ValueError(f"output: expected names from {', '.join(_PRODUCTS)}, found {', '.join(unknown) or 'none'}")
log = snakemake.log_fmt_shell(stdout=True, stderr=True)  # noqa: F821
extra = snakemake.params.get("extra", "")  # noqa: F821
write = ",".join(_PRODUCTS[name][1] for name in snakemake.output.keys())  # noqa: F821, SIM118 - no mapping
threads = snakemake.threads  # noqa: F821
fixed, moving = snakemake.input.fixed, snakemake.input.moving  # noqa: F821

with tempfile.TemporaryDirectory() as folder:
    shell(
        "OMP_NUM_THREADS={threads} zncc-align {fixed:q} {moving:q} {extra} --write {write} --reproducible "
        "--out {folder:q}/out {log}"
    )
    for name, path in snakemake.output.items():  # noqa: F821
        shutil.move(Path(folder, "out", _PRODUCTS[name][0]), path)
