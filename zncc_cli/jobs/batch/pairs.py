"""Which files make a pair: by the endings of their names, by a pattern, or by a table."""

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
from zncc_cli.files.paths import is_zarr, refusal, refuse_url, regular_file_size
from zncc_cli.jobs.batch.pattern import Pattern
from zncc_cli.text import shown

FIXED, MOVING = "_fixed", "_moving"
# Files beside the folders of the pairs.
_RESERVED_NAMES = re.compile(r"(batch|manifest)(-[0-9]+-of-[0-9]+)?\.(csv|html|jsonl)")


class Pair(NamedTuple):
    """Two files, or the problem why there are not two. A "/" in ``name`` puts the pair's folder into another one."""

    name: str
    fixed: str = ""
    moving: str = ""
    problem: str = ""


def find_pairs(config: BatchConfig) -> list[Pair]:
    """Return the pairs of this shard, in the order of their names.

    Raises:
        InputError: the folder, the table or the fixed image cannot be read, or there is no pair.
        OptionError: ``pattern`` or ``fixed_where`` make no sense, or are given together with a table.
    """
    if config.source.is_dir():
        pairs = _pairs_of_folder(config)
    else:
        for given, option in ((config.fixed, "--fixed"), (config.pattern, "--pattern")):
            if given is not None:
                raise OptionError(f"{option}: expected with a folder, got {shown(config.source)}; leave it out")
        pairs = _pairs_of_table(config.source)
    assert len({pair.name for pair in pairs}) == len(pairs)
    number, count = config.part
    return sorted(_checked(pair) for pair in pairs if count == 1 or _shard(pair.name, count) == number)


def _shard(name: str, count: int) -> int:
    """Return the number of a pair's shard, from 1. It depends on the name alone, so that all shards agree on it."""
    return (
        int.from_bytes(hashlib.blake2b(name.encode(errors="surrogateescape"), digest_size=8).digest(), "big") % count
        + 1
    )


def _checked(pair: Pair) -> Pair:
    """Return the pair, or a problem if its folder would lie outside the output folder or replace a file there."""
    parts = pair.name.split("/")
    unusable = any(part in ("", "..") or part.startswith(".") or "\0" in part for part in parts)
    if unusable or _RESERVED_NAMES.fullmatch(parts[0]):
        return Pair(pair.name, problem=f"expected a name for a folder, found {shown(pair.name)!r}; choose another name")
    return pair


def _pairs_of_folder(config: BatchConfig) -> list[Pair]:
    if config.pattern is not None:
        pattern = Pattern(config.pattern, config.fixed_where or "")
        pairs = _pairs_by_pattern(config.source, pattern)
        if not pairs:
            raise InputError(f"{config.source}: expected images named {config.pattern}, found none; see {EXAMPLE}")
        return pairs
    images = list_images(config.source)
    pairs = _pairs_with_one_fixed(images, config.fixed) if config.fixed is not None else _pairs_by_ending(images)
    if not pairs:
        raise InputError(
            f"{config.source}: expected images named *{FIXED}.* and *{MOVING}.*, found {len(images)} image files and "
            "no pair; give --pattern, or --fixed IMAGE to align every image to one"
        )
    return pairs


def _pairs_with_one_fixed(images: list[Path], fixed: Path) -> list[Pair]:
    if not (fixed.is_file() or is_zarr(fixed)):
        raise InputError(f"{shown(fixed)}: expected an image for --fixed, found none; check the name")
    moving = [image for image in images if not (image.exists() and image.samefile(fixed))]
    names = _names([PurePath(image.name) for image in moving])
    return [Pair(name, str(fixed), str(image)) for name, image in zip(names, moving, strict=True)]


def _without_suffix(path: PurePath) -> PurePath:
    """Return a path without its suffix: ``a`` for a.tif, a.ome.tif and a.ome.zarr."""
    bare = path.with_suffix("")
    return bare.with_suffix("") if bare.suffix.lower() == ".ome" else bare


def _names(images: Sequence[PurePath]) -> list[str]:
    """Return the images' paths without suffixes; those that would be the same (a.tif, a.png) keep their suffixes."""
    bare = {image: _without_suffix(image) for image in images}
    count = Counter(bare.values())
    whole = {image for image, name in bare.items() if count[name] > 1}
    # a.tif.png must not take the name of an a.tif that keeps its suffix. Shorter names come first, so that chains work.
    for image in sorted(images, key=lambda image: len(image.name)):
        if bare[image] in whole:
            whole.add(image)
    return [str(image if image in whole else bare[image]) for image in images]


def _pairs_by_ending(images: list[Path]) -> list[Pair]:
    sides: dict[str, dict[str, list[Path]]] = {}
    for image in images:
        bare = _without_suffix(image).name
        for ending in (FIXED, MOVING):
            if bare.endswith(ending) and len(bare) > len(ending):
                name = bare[: -len(ending)]
                sides.setdefault(name, {FIXED: [], MOVING: []})[ending].append(image)
    return [_pair_of_sides(name, files) for name, files in sides.items()]


def _pair_of_sides(name: str, sides: dict[str, list[Path]]) -> Pair:
    """Return the pair of the files with each ending, or a problem if there is not one of each."""
    for ending, files in sides.items():
        if len(files) != 1:
            names = ", ".join(shown(file.name) for file in files) or "none"
            return Pair(name, problem=f"expected one file named {shown(name)}{ending}.*, found {names}")
    return Pair(name, str(sides[FIXED][0]), str(sides[MOVING][0]))


def _pairs_by_pattern(folder: Path, pattern: Pattern) -> list[Pair]:
    fixed: dict[tuple[str, ...], str] = {}
    moving: dict[tuple[str, ...], list[str]] = {}
    for path, fields in pattern.files(folder):
        group = pattern.group(fields)
        if pattern.is_fixed(fields):
            fixed[group] = path
        else:
            moving.setdefault(group, []).append(path)
    if not fixed and moving:
        count, example = sum(map(len, moving.values())), min(min(paths) for paths in moving.values())
        raise InputError(
            f"{shown(folder)}: expected a fixed image with {pattern.where}, found none among {count} images such as "
            f"{shown(example)}; check --fixed-where"
        )
    sides: list[tuple[str, str, str]] = []  # the path that gives the name, the fixed image's path, a problem
    for group in fixed.keys() | moving.keys():
        paths = moving.get(group, [])
        if group not in fixed:
            problem = f"expected a file of {pattern.described(group)} with {pattern.where}, found none"
            sides += [(path, "", problem) for path in paths]
        elif not paths:
            problem = f"expected a file beside {shown(fixed[group])} without {pattern.where}, found none"
            sides.append((fixed[group], "", problem))
        else:
            sides += [(path, fixed[group], "") for path in paths]
    names = _names([PurePosixPath(path) for path, _, _ in sides])
    return [
        Pair(name, problem=problem) if problem else Pair(name, str(folder / reference), str(folder / path))
        for name, (path, reference, problem) in zip(names, sides, strict=True)
    ]


def _pairs_of_table(path: Path) -> list[Pair]:
    expected = "a folder of images, or a table (CSV) with columns fixed and moving"
    if not path.exists():
        refuse_url(path)
        raise refusal(path, expected=expected, found="nothing there", advice="check the name")
    regular_file_size(path, expected=expected)
    pairs: dict[str, Pair] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            for line, pair in _table_pairs(path, csv.reader(file), expected):
                if pair.name in pairs:
                    found = f"{pair.name!r} again in line {line}"
                    advice = "add a column called name, and give each pair another name"
                    raise refusal(path, expected="a different name for each pair", found=found, advice=advice)
                pairs[pair.name] = pair
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        if isinstance(error, InputError):
            raise
        advice = "save the table as CSV in UTF-8, with commas between the columns"
        what = "a file that is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error)
        raise refusal(path, expected=expected, found=what, advice=advice) from error
    if not pairs:
        raise refusal(path, expected="a line for each pair", found="a table without pairs", advice="add lines")
    return list(pairs.values())


def _table_pairs(path: Path, table: Iterator[list[str]], expected: str) -> Iterator[tuple[int, Pair]]:
    """Yield the number and the pair of each line of a table."""
    header = [word.strip() for word in next(table, [])]
    if not {"fixed", "moving"} <= set(header):
        semicolons = any(";" in word for word in header)
        advice = "separate the columns by commas" if semicolons else "name the columns in the first line"
        raise refusal(path, expected=expected, found=f"columns {', '.join(header) or 'none'}", advice=advice)
    for line, words in enumerate(table, 2):
        if not any(word.strip() for word in words):
            continue
        values = dict(zip(header, (word.strip() for word in words), strict=False))
        fixed, moving = values.get("fixed"), values.get("moving")
        if not fixed or not moving:
            found, advice = f"an empty cell in line {line}", "fill it, or remove the line"
            raise refusal(path, expected="a fixed and a moving image in each line", found=found, advice=advice)
        name = values.get("name") or _without_suffix(Path(moving)).name
        yield line, Pair(name, str(path.parent / fixed), str(path.parent / moving))
