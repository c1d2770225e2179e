"""Which files make pairs: by their names in a folder, by a pattern, or by a table."""

from __future__ import annotations

import csv
import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath, PurePosixPath
from typing import NamedTuple

from zncc_cli.config.batch import EXAMPLE, BatchConfig
from zncc_cli.errors import InputError, OptionError
from zncc_cli.files.images import list_images
from zncc_cli.files.ome_zarr import is_zarr
from zncc_cli.files.paths import refusal, regular_file_size
from zncc_cli.jobs.batch.pattern import Pattern
from zncc_cli.text import shown

FIXED, MOVING = "_fixed", "_moving"
# What lies beside the pairs' folders.
_TAKEN = re.compile(r"(batch|manifest)(-[0-9]+-of-[0-9]+)?\.(csv|html|jsonl)")


class Pair(NamedTuple):
    """Two files, or why there are not two. ``name`` is divided by "/" where its folder lies in another."""

    name: str
    fixed: str = ""
    moving: str = ""
    problem: str = ""


def find_pairs(config: BatchConfig) -> list[Pair]:
    """Return the pairs of this shard, in the order of their names.

    Raises:
        InputError: the folder, the table or the fixed image cannot be read, or there is no pair.
        OptionError: ``--pattern`` or ``--fixed-where`` make no sense, or stand beside a table.
    """
    if config.source.is_dir():
        found = _of_folder(config)
    else:
        for given, option in ((config.fixed, "--fixed"), (config.pattern, "--pattern")):
            if given is not None:
                raise OptionError(f"{option}: expected with a folder, got {shown(config.source)}; leave it out")
        found = _of_table(config.source)
    assert len({pair.name for pair in found}) == len(found)
    number, count = config.part
    return sorted(_checked(pair) for pair in found if count == 1 or _shard(pair.name, count) == number)


def _shard(name: str, count: int) -> int:
    """Return the number of the shard, from 1: by the name alone, so that all shards agree whatever else there is."""
    return (
        int.from_bytes(hashlib.blake2b(name.encode(errors="surrogateescape"), digest_size=8).digest(), "big") % count
        + 1
    )


def _checked(pair: Pair) -> Pair:
    """``pair``, or with a problem if its folder would not lie in the output folder, or hide another file there."""
    parts = pair.name.split("/")
    if any(part in ("", "..") or part.startswith(".") or "\0" in part for part in parts) or _TAKEN.fullmatch(parts[0]):
        return Pair(pair.name, problem=f"expected a name for a folder, found {shown(pair.name)!r}; choose another")
    return pair


def _of_folder(config: BatchConfig) -> list[Pair]:
    if config.pattern is not None:
        pattern = Pattern(config.pattern, config.fixed_where or "")
        found = _by_pattern(config.source, pattern)
        if not found:
            raise InputError(f"{config.source}: expected images named {config.pattern}, found none; see {EXAMPLE}")
        return found
    images = list_images(config.source)
    found = _onto_one(images, config.fixed) if config.fixed is not None else _by_ending(images)
    if not found:
        raise InputError(
            f"{config.source}: expected images named *{FIXED}.* and *{MOVING}.*, or --fixed REF to align every image "
            f"to one, or --pattern; found {len(images)} image files and no pair"
        )
    return found


def _onto_one(images: list[Path], fixed: Path) -> list[Pair]:
    if not (fixed.is_file() or is_zarr(fixed)):
        raise InputError(f"{shown(fixed)}: expected an image for --fixed, found none; check the name")
    moving = [image for image in images if not (image.exists() and image.samefile(fixed))]
    names = _names([PurePath(image.name) for image in moving])
    return [Pair(name, str(fixed), str(image)) for name, image in zip(names, moving, strict=True)]


def _bare(path: PurePath) -> PurePath:
    """Return a path without its suffix: ``a`` of a.tif, a.ome.tif and a.ome.zarr."""
    bare = path.with_suffix("")
    return bare.with_suffix("") if bare.suffix.lower() == ".ome" else bare


def _names(images: Sequence[PurePath]) -> list[str]:
    """Return the bare paths; where two pairs would share a folder (a.tif, a.png) their files keep their suffixes."""
    bare = {image: _bare(image) for image in images}
    count = Counter(bare.values())
    whole = {image for image, name in bare.items() if count[name] > 1}
    # a.tif.png must not take the name of an a.tif that keeps its own; shorter ones come first, so that all are seen.
    for image in sorted(images, key=lambda image: len(image.name)):
        if bare[image] in whole:
            whole.add(image)
    return [str(image if image in whole else bare[image]) for image in images]


def _by_ending(images: list[Path]) -> list[Pair]:
    sides: dict[str, dict[str, list[Path]]] = {}
    for image in images:
        bare = _bare(image).name
        for ending in (FIXED, MOVING):
            if bare.endswith(ending) and len(bare) > len(ending):
                name = bare[: -len(ending)]
                sides.setdefault(name, {FIXED: [], MOVING: []})[ending].append(image)
    return [_one_pair(name, found) for name, found in sides.items()]


def _one_pair(name: str, found: dict[str, list[Path]]) -> Pair:
    for ending, files in found.items():
        if len(files) != 1:
            names = ", ".join(shown(file.name) for file in files) or "none"
            return Pair(name, problem=f"expected one file named {shown(name)}{ending}.*, found {names}")
    return Pair(name, str(found[FIXED][0]), str(found[MOVING][0]))


def _by_pattern(folder: Path, pattern: Pattern) -> list[Pair]:
    fixed: dict[tuple[str, ...], str] = {}
    moving: dict[tuple[str, ...], list[str]] = {}
    for place, fields in pattern.files(folder):
        group = pattern.group(fields)
        if pattern.is_fixed(fields):
            fixed[group] = place
        else:
            moving.setdefault(group, []).append(place)
    if not fixed and moving:
        count, example = sum(map(len, moving.values())), min(min(places) for places in moving.values())
        raise InputError(
            f"{shown(folder)}: expected a fixed image with {pattern.where}, found none among {count} images such as "
            f"{shown(example)}; check --fixed-where"
        )
    found: list[tuple[str, str, str]] = []  # the place that gives the name, the fixed image's, a problem
    for group in fixed.keys() | moving.keys():
        places = moving.get(group, [])
        if group not in fixed:
            problem = f"expected a file of {pattern.said(group)} with {pattern.where}, found none"
            found += [(place, "", problem) for place in places]
        elif not places:
            problem = f"expected a file beside {shown(fixed[group])} without {pattern.where}, found none"
            found.append((fixed[group], "", problem))
        else:
            found += [(place, fixed[group], "") for place in places]
    names = _names([PurePosixPath(place) for place, _, _ in found])
    return [
        Pair(name, problem=problem) if problem else Pair(name, str(folder / reference), str(folder / place))
        for name, (place, reference, problem) in zip(names, found, strict=True)
    ]


def _of_table(path: Path) -> list[Pair]:
    expected = "a folder of images, or a table (CSV) with columns fixed and moving"
    regular_file_size(path, expected=expected)
    pairs: dict[str, Pair] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            for line, pair in _lines(path, csv.reader(file), expected):
                if pair.name in pairs:
                    advice = "give each line another name, in a column name"
                    found = f"{pair.name!r} again in line {line}"
                    raise refusal(path, expected="names of pairs that differ", found=found, advice=advice)
                pairs[pair.name] = pair
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        if isinstance(error, InputError):
            raise
        advice = "save the table as CSV, in UTF-8, divided by commas"
        what = "what is no text in UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        raise refusal(path, expected=expected, found=what, advice=advice) from error
    if not pairs:
        raise refusal(path, expected="a line for each pair", found="a table without any", advice="add one")
    return list(pairs.values())


def _lines(path: Path, table: Iterator[list[str]], expected: str) -> Iterator[tuple[int, Pair]]:
    header = [word.strip() for word in next(table, [])]
    if not {"fixed", "moving"} <= set(header):
        semicolons = any(";" in word for word in header)
        advice = "divide them by commas" if semicolons else "name them in the first line"
        raise refusal(path, expected=expected, found=f"columns {', '.join(header) or 'none'}", advice=advice)
    for line, words in enumerate(table, 2):
        if not any(word.strip() for word in words):
            continue
        values = dict(zip(header, (word.strip() for word in words), strict=False))
        fixed, moving = values.get("fixed"), values.get("moving")
        if not fixed or not moving:
            found, advice = f"an empty cell in line {line}", "fill it, or remove the line"
            raise refusal(path, expected="fixed and moving in each line", found=found, advice=advice)
        name = values.get("name") or _bare(Path(moving)).name
        yield line, Pair(name, str(path.parent / fixed), str(path.parent / moving))
