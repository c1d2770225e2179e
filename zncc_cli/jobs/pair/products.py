"""The files of a pair, by what is asked for."""

from __future__ import annotations

from pathlib import Path

from zncc_cli.config import Canvas, PairConfig, Product
from zncc_cli.errors import ZnccError
from zncc_cli.jobs.pair.repeat import run_of_report

PAGE = "report.html"
REPORT = "report.json"
FIXED_ON_CANVAS = "fixed.tif"  # written where the canvas is not the fixed image's own frame
OVERLAY = "overlay.png"
MASK = ("mask.tif",)
MAPS = ("std_fixed.tif", "std_aligned.tif", "zncc.tif")

_FILES = {
    Product.HTML: (PAGE,),
    Product.ALIGNED: ("aligned.tif",),
    Product.TRANSFORM: ("transform.json",),
    Product.MASK: MASK,
    Product.MAPS: MAPS,
    Product.OVERLAY: (OVERLAY,),
    Product.REPORT: (REPORT,),
}


def file_names(config: PairConfig) -> tuple[str, ...]:
    """Return the names of all files that a pair writes, the page first."""
    names = tuple(name for product, files in _FILES.items() if product in config.products for name in files)
    beside = Product.ALIGNED in config.products and config.resampling.canvas is not Canvas.FIXED
    return (*names, FIXED_ON_CANVAS) if beside else names


def names_before(folder: Path) -> tuple[str, ...]:
    """Return the names of the files that the pair wrote whose report stands in ``folder``; none where none stands.

    The report is what tells them from files of the user's own, which may be named mask.tif as well.
    """
    try:
        return file_names(run_of_report(folder / REPORT).config)
    except ZnccError:
        return ()


def others(folder: Path, names: tuple[str, ...], sources: tuple[Path | None, ...]) -> list[Path]:
    """Return what stands in ``folder`` by the name of a pair's file, is none of ``names``, and is not read."""
    every = (*(name for files in _FILES.values() for name in files), FIXED_ON_CANVAS)
    standing = [folder / name for name in every if name not in names and (folder / name).is_file()]
    return [path for path in standing if not any(path.samefile(source) for source in sources if source)]
