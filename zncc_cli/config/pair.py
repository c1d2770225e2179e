"""The settings of one pair of files."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from zncc_cli.config.choices import Accept, Product, choose, coerce
from zncc_cli.config.inputs import InputConfig
from zncc_cli.config.registration import RegistrationConfig
from zncc_cli.config.resampling import ResamplingConfig
from zncc_cli.config.setting import setting
from zncc_cli.config.shared import ACCEPT, OUT, OVERWRITE, REPRODUCIBLE, WRITE
from zncc_cli.errors import OptionError

IDENTITY, GRID = "identity", "grid"  # the words that `init` takes beside the names of files
_FORMER_HTML = "page"  # the name of `Product.HTML` up to version 0.1


def chosen_products(write: str | None) -> frozenset[Product]:
    """Return the products that ``write`` names, divided by commas; None names all. Raise `OptionError` for others."""
    names = list(Product) if write is None else [name.strip() for name in write.split(",")]
    if _FORMER_HTML in names:
        raise OptionError(f"`write`: {_FORMER_HTML} is now called {Product.HTML}; use `write` {Product.HTML}")
    return frozenset(choose(Product, name, "write") for name in names)


@dataclass(frozen=True, kw_only=True)
class PairConfig:
    """One pair of files: what to read, where to write, how to register.

    ``out`` is None for ``<moving's stem>_aligned`` in the working folder; ``init`` is None for a search.
    """

    fixed: Path = field(metadata=setting("The image that stays where it is.", metavar="FIXED", positional=True))
    moving: Path = field(metadata=setting("The image that is moved onto it.", metavar="MOVING", positional=True))
    out: Path | None = field(default=None, metadata=OUT)
    fixed_mask: Path | None = field(
        default=None,
        metadata=setting("Use only fixed pixels where this image of FIXED's size is above zero.", metavar="IMAGE"),
    )
    moving_mask: Path | None = field(
        default=None,
        metadata=setting("Use only moving pixels where this image of MOVING's size is above zero.", metavar="IMAGE"),
    )
    init: str | None = field(
        default=None,
        metadata=setting(
            "Start from this instead of searching: a transform.json, the transform file of another tool (see zncc "
            "convert), 3 x 3 numbers as JSON or text (fixed -> moving); landmarks of both images in one file, or as "
            "points of each in two; grid, for files that say where they lie; or identity.",
            metavar="FILE|FIXED,MOVING|grid|identity",
        ),
    )
    write: str | None = field(default=None, metadata=WRITE)
    overwrite: bool = field(default=False, metadata=OVERWRITE)
    accept: Accept = field(default=Accept.OK, metadata=ACCEPT)
    reproducible: bool = field(default=False, metadata=REPRODUCIBLE)
    inputs: InputConfig = field(default_factory=InputConfig)
    registration: RegistrationConfig = field(default_factory=RegistrationConfig)
    resampling: ResamplingConfig = field(default_factory=ResamplingConfig)

    def __post_init__(self) -> None:
        coerce(self, accept=Accept)
        _ = self.products

    @property
    def products(self) -> frozenset[Product]:
        """The products that are written."""
        return chosen_products(self.write)

    @property
    def init_files(self) -> tuple[Path, ...]:
        """The files that ``init`` names: one, those of the fixed and of the moving image, or none."""
        if self.init is None or self.init in (IDENTITY, GRID):
            return ()
        first, comma, second = self.init.partition(",")
        if not comma or Path(self.init).exists():  # the name of a file may hold a comma
            return (Path(self.init),)
        return Path(first.strip()), Path(second.strip())

    @property
    def folder(self) -> Path:
        """The output folder."""
        return self.out or Path(f"{self.moving.stem}_aligned")
