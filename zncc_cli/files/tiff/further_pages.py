"""What the pages after the first have of their own: how they are shown, and tags such as times."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import tifffile

from zncc_cli.files.image import Image
from zncc_cli.files.metadata import PageTags
from zncc_cli.files.palette import palette_of
from zncc_cli.files.tag_values import COLOR_MAP, ORIENTATION, decoded
from zncc_cli.files.tiff.copied_tags import is_copied_of_pages
from zncc_cli.files.tiff.ifd_chain import PageChain, own_tag_name
from zncc_cli.files.tiff.lazy_pages import PageLooks
from zncc_cli.files.tiff.samples import Samples


def _places(chain: PageChain, series: tifffile.TiffPageSeries) -> list[int | None]:
    """Return the place of each page of a series in the chain of pages; None for one that is missing or elsewhere."""
    pages = [page.index if page is not None and len(page.treeindex) == 1 else None for page in series.pages]
    return [page if page is not None and page < chain.pages else None for page in pages]


def looks_of(
    chain: PageChain, series: tifffile.TiffPageSeries, samples: Samples, orientation: Any
) -> tuple[PageLooks, tuple[str, ...]]:
    """Return how each page of a series is shown, and a note where that differs and cannot be told page by page."""
    one = PageLooks((orientation,), () if samples.applied is None else (samples.applied,))
    places = [place for place in _places(chain, series) if place is not None]
    if len(places) < 2 or len(places) != len(series.pages):
        return one, ()
    if chain.is_cut:
        return one, ("its pages have too many tags to be compared: all were read like the first one",)
    differing = chain.differing(places)
    looks, notes = one, tuple[str, ...]()
    if ORIENTATION in differing:
        tags = [{tag[0]: tag for tag in chain.tags_of(place, (ORIENTATION,))} for place in places]
        turned = [int(decoded(tag[ORIENTATION])[3][0]) if ORIENTATION in tag else orientation for tag in tags]
        looks = replace(looks, orientations=turned)
        notes += ("its pages are turned or mirrored as the orientation tag of each says",)
    if COLOR_MAP not in differing:
        return looks, notes
    maps = [chain.tags_of(place, (COLOR_MAP,)) for place in places]
    if samples.applied is not None and all(maps) and chain.is_whole(places, COLOR_MAP):
        stored = [np.frombuffer(tag[3], "<u2").astype(np.int64).reshape(3, -1).T for (tag,) in maps]
        if all(len(table) == len(samples.applied.colours) for table in stored):
            return replace(looks, palettes=[palette_of(table) for table in stored]), notes
    return looks, (*notes, "its pages have palettes of their own, of which the first was used")


def page_tags_of(
    chain: PageChain, series: tifffile.TiffPageSeries, image: Image
) -> tuple[tuple[PageTags, ...], tuple[str, ...]]:
    """Return the tags that the pages of a series have of their own, for each plane, and the names of others."""
    pages = _places(chain, series)
    numbers = [page for page in pages if page is not None]
    planes = math.prod(image.leading)
    if len(numbers) < 2 or planes % len(pages):
        return (), ()
    if chain.is_cut:
        return (), ("the tags of further pages",)
    codes = [code for code in chain.differing(numbers) if code not in (ORIENTATION, COLOR_MAP)]
    kept = [code for code in codes if is_copied_of_pages(code) and chain.is_whole(numbers, code)]
    left_out = tuple(own_tag_name(code) for code in codes if code not in kept)
    if not kept:
        return (), left_out
    own = [() if page is None else chain.tags_of(page, kept) for page in pages]
    return tuple(tags for tags in own for _ in range(planes // len(pages))), left_out
