"""The output folder of one pair: which files a run writes there, replaces and removes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from zncc_cli.config import AUTO, Canvas, PairConfig, Product
from zncc_cli.errors import ZnccError
from zncc_cli.files.images import check_kind
from zncc_cli.files.output_folder import OutputFolder, refuse_sources
from zncc_cli.files.output_formats import OUTPUT_FORMATS, output_format
from zncc_cli.files.transforms.side_files import DISPLACEMENT, EXPECTED_ERROR, SPLINE
from zncc_cli.files.transforms.transform_json import BSPLINE
from zncc_cli.jobs.missing import Missing
from zncc_cli.jobs.pair.rerun import earlier_run
from zncc_cli.text import shown

HTML = "report.html"
TRANSFORM = "transform.json"
REPORT = "report.json"
OVERLAY = "overlay.png"
MASK = ("mask.tif",)
MAPS = ("std_fixed.tif", "std_aligned.tif", "zncc.tif")
JACOBIAN, TRUSTED = "jacobian.tif", "trusted.tif"
# The images that were resampled, whose suffix is that of their format; that of the fixed image is written where the
# canvas is not its own frame.
_ALIGNED, _FIXED_ON_CANVAS = "aligned", "fixed"

_FILES = {
    Product.HTML: (HTML,),
    Product.ALIGNED: (_ALIGNED,),
    Product.TRANSFORM: (TRANSFORM,),
    Product.MASK: MASK,
    Product.MAPS: MAPS,
    Product.OVERLAY: (OVERLAY,),
    Product.REPORT: (REPORT,),
}
# Further files of a result that bends.
_FILES_OF_BENT = {
    Product.TRANSFORM: (SPLINE, DISPLACEMENT, EXPECTED_ERROR),
    Product.MASK: (TRUSTED,),
    Product.MAPS: (JACOBIAN,),
}


def file_names(config: PairConfig, *, bent: bool = False) -> tuple[str, ...]:
    """Return the names of all files that a run of ``config`` writes, the HTML report first; ``bent``: of a spline."""
    tables = (_FILES, _FILES_OF_BENT) if bent else (_FILES,)
    names = [
        name for table in tables for product, files in table.items() if product in config.products for name in files
    ]
    with_fixed = Product.ALIGNED in config.products and config.resampling.canvas is not Canvas.FIXED
    names += [_FIXED_ON_CANVAS] if with_fixed else []
    suffix = output_format(config.resampling.image_format).suffix
    return tuple(name + suffix if name in (_ALIGNED, _FIXED_ON_CANVAS) else name for name in names)


def aligned_name(config: PairConfig) -> str:
    """Return the name of the aligned image."""
    return _ALIGNED + output_format(config.resampling.image_format).suffix


def fixed_name(config: PairConfig) -> str:
    """Return the name of the fixed image on a canvas that is not its own frame."""
    return _FIXED_ON_CANVAS + output_format(config.resampling.image_format).suffix


def names_of_earlier_run(folder: Path) -> tuple[str, ...]:
    """Return the names of the files that an earlier run wrote into ``folder``; none where it left no report.json.

    The report tells these files from the user's own, which may have the same names, mask.tif for example. A report.json
    that zncc-align has not signed is the user's own as well.
    """
    try:
        run = earlier_run(folder / REPORT)
    except ZnccError:
        return ()
    return file_names(run.config, bent=run.bent) if run.signed else ()


def is_of_bend(names: Sequence[str]) -> bool:
    """Tell whether some of the files that a run wrote are those of a transform that bends."""
    return any(name in names for files in _FILES_OF_BENT.values() for name in files)


@dataclass
class RunFolder:
    """The output folder of one pair while a run writes into it.

    Attributes:
        staging: hidden folder into which the files are written; they appear in the output folder together at the end.
        config: of the run.
        missing: collects the files that could not be made.
        notes: a sentence for each file that stands in the folder under the name of a pair's file, and is neither
            of this run nor of the earlier one.
        bent: whether the result bends; it is set once that is known.
    """

    staging: Path
    config: PairConfig
    missing: Missing
    notes: tuple[str, ...]
    bent: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the files that the run writes."""
        return file_names(self.config, bent=self.bent)

    @property
    def missing_files(self) -> dict[str, str]:
        """Those of ``names`` that are missing, and why."""
        return self.missing.of(self.names)

    @classmethod
    @contextmanager
    def of(cls, config: PairConfig) -> Iterator[RunFolder]:
        """Open the folder of ``config`` for a ``with`` block, and publish the files when the block ends well.

        The files of this run replace what stands there. The other files of an earlier run, if its report stands there,
        are removed, so that the folder holds the files of one run. Files in ``staging`` that are none of ``names`` were
        made on the way, and are dropped.

        Raises:
            InputError: an input is no image file.
            OutputError: a file would be replaced without --overwrite, or is an input; or the folder cannot be written.
        """
        earlier = names_of_earlier_run(config.folder)
        replaceable = (*file_names(config, bent=config.registration.model in (BSPLINE, AUTO)), *earlier)
        sources = [path for path in (config.fixed, config.moving, config.fixed_mask, config.moving_mask) if path]
        for path in sources:
            check_kind(path)
        refuse_sources((config.folder / name for name in replaceable), sources)
        with OutputFolder(config.folder, names=replaceable, overwrite=config.overwrite) as output:
            foreign = _foreign_files(output.path, replaceable, sources)
            notes = tuple(f"{shown(path)}: stood there before, and is not of this run" for path in foreign)
            folder = cls(output.staging, config, Missing(output.staging), notes)
            yield folder
            output.names = (*folder.names, *earlier)  # the files of a bend that there is not stay what they are
            for path in output.staging.iterdir():
                if path.name not in folder.names:
                    path.unlink()


def _foreign_files(folder: Path, replaceable: Sequence[str], sources: Sequence[Path]) -> list[Path]:
    """Return the files in ``folder`` that are named like a pair's file, are not replaceable, and are no input."""
    tables = *_FILES.values(), *_FILES_OF_BENT.values()
    images = [name + entry.suffix for entry in OUTPUT_FORMATS.values() for name in (_ALIGNED, _FIXED_ON_CANVAS)]
    pair_names = (*(name for files in tables for name in files if name != _ALIGNED), *images)
    standing = [folder / name for name in pair_names if name not in replaceable and (folder / name).exists()]
    return [path for path in standing if not any(path.samefile(source) for source in sources)]
