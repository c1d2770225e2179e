"""The files of a pair, by what is asked for."""

from __future__ import annotations

from zncc_cli.config import Canvas, PairConfig, Product

PAGE = "report.html"
FIXED_ON_CANVAS = "fixed.tif"  # written where the canvas is not the fixed image's own frame
MAPS = ("std_fixed.tif", "std_aligned.tif", "zncc.tif")

_FILES = {
    Product.PAGE: (PAGE,),
    Product.ALIGNED: ("aligned.tif",),
    Product.TRANSFORM: ("transform.json",),
    Product.MASK: ("mask.tif",),
    Product.MAPS: MAPS,
    Product.OVERLAY: ("overlay.png",),
    Product.REPORT: ("report.json",),
}


def file_names(config: PairConfig) -> tuple[str, ...]:
    """Return the names of all files that a pair writes, the page first."""
    names = tuple(name for product, files in _FILES.items() if product in config.products for name in files)
    beside = Product.ALIGNED in config.products and config.resampling.canvas is not Canvas.FIXED
    return (*names, FIXED_ON_CANVAS) if beside else names
