"""The settings of a batch."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from zncc_cli.config.choices import Accept, Choice, coerce
from zncc_cli.config.inputs import InputConfig
from zncc_cli.config.pair import chosen_products
from zncc_cli.config.registration import RegistrationConfig
from zncc_cli.config.resampling import ResamplingConfig
from zncc_cli.config.setting import Range, check_ranges, setting
from zncc_cli.config.shared import ACCEPT, OUT, OVERWRITE, REPRODUCIBLE, WRITE
from zncc_cli.errors import OptionError

EXAMPLE = "--pattern '{id}_ch{channel}.tif' --fixed-where channel=0"


class Engine(Choice):
    """What runs the pairs of a batch: processes of this machine, or a Dask cluster."""

    PROCESSES = "processes"
    DASK = "dask"


@dataclass(frozen=True, kw_only=True)
class BatchConfig:
    """Many pairs.

    Without ``fixed`` and ``pattern``, pairs are found by the names ``*_fixed.*`` and ``*_moving.*``. Without
    ``scheduler``, the Dask engine starts a cluster on this machine.
    """

    source: Path = field(
        metadata=setting(
            "Folder of *_fixed.* and *_moving.* images, or a CSV table with columns fixed, moving and perhaps name.",
            metavar="DIR|TABLE",
            positional=True,
        )
    )
    out: Path = field(metadata=OUT)
    fixed: Path | None = field(
        default=None, metadata=setting("Align every image of DIR to this one instead.", metavar="IMAGE")
    )
    pattern: str | None = field(
        default=None,
        metadata=setting(
            "How the images of DIR are named, with fields in braces: '{id}_ch{channel}.tif'.", metavar="NAMES"
        ),
    )
    fixed_where: str | None = field(
        default=None,
        metadata=setting(
            "Which of the images named by `pattern` are fixed, such as channel=0; the images that are alike in all "
            "other fields are aligned to them.",
            metavar="FIELD=VALUE",
        ),
    )
    write: str | None = field(default=None, metadata=WRITE)
    accept: Accept = field(default=Accept.OK, metadata=ACCEPT)
    reproducible: bool = field(default=False, metadata=REPRODUCIBLE)
    resume: bool = field(
        default=False,
        metadata=setting("Continue an earlier run into the same output folder, or begin if there was none."),
    )
    overwrite: bool = field(default=False, metadata=OVERWRITE)
    fail_fast: bool = field(default=False, metadata=setting("Stop at the first pair that fails."))
    retries: int = field(
        default=1,
        metadata=setting(
            "How often a pair is tried again after an error that may pass: of a disk, of memory, a lost worker.",
            metavar="N",
            range=Range(kind="a whole number,", at_least=0),
        ),
    )
    timeout: float = field(
        default=3600.0,
        metadata=setting("Stop a pair that takes longer.", metavar="SECONDS", range=Range(kind="seconds", above=0)),
    )
    workers: int | None = field(
        default=None,
        metadata=setting(
            "Number of processes, each with one thread.",
            metavar="N",
            default="one for each core; at most four with `device` cuda",
            range=Range(kind="a whole number,", at_least=1),
        ),
    )
    engine: Engine = field(
        default=Engine.PROCESSES, metadata=setting("Run pairs in processes of this machine, or on a Dask cluster.")
    )
    scheduler: str | None = field(
        default=None, metadata=setting("Address of your own Dask cluster's scheduler.", metavar="tcp://HOST:PORT")
    )
    shard: str | None = field(
        default=None,
        metadata=setting(
            "Do only part I of N, for job arrays; all parts share the output folder.", metavar="I/N", default="all"
        ),
    )
    inputs: InputConfig = field(default_factory=InputConfig)
    registration: RegistrationConfig = field(default_factory=RegistrationConfig)
    resampling: ResamplingConfig = field(default_factory=ResamplingConfig)

    def __post_init__(self) -> None:
        coerce(self, engine=Engine, accept=Accept)
        check_ranges(self)
        if self.scheduler is not None:
            object.__setattr__(self, "engine", Engine.DASK)
        _ = chosen_products(self.write), self.part
        if self.pattern is not None and self.fixed is not None:
            raise OptionError("`pattern`: expected without `fixed`, which takes every image; give one of them")
        if (self.pattern is None) != (self.fixed_where is None):
            given, other = ("pattern", "fixed_where") if self.pattern else ("fixed_where", "pattern")
            raise OptionError(f"`{given}`: expected together with `{other}`, as in {EXAMPLE}; give both")
        if self.resume and self.overwrite:
            raise OptionError("`resume`: expected without `overwrite`, which begins anew; give one of them")
        if self.workers is not None and self.scheduler is not None:
            raise OptionError("`workers`: expected without `scheduler`, whose cluster has its own; leave it out")

    @property
    def part(self) -> tuple[int, int]:
        """(i, n): part i of n, counted from 1; (1, 1) for all."""
        if self.shard is None:
            return 1, 1
        numbers = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", self.shard)
        if numbers is None or not 1 <= int(numbers[1]) <= int(numbers[2]):
            raise OptionError(f"`shard`: expected I/N with I from 1 to N, such as 3/16, got {self.shard!r}")
        return int(numbers[1]), int(numbers[2])

    def file(self, name: str) -> Path:
        """Return the path of a file about the whole batch, such as ``batch.csv``; each shard has its own."""
        if self.shard is None:
            return self.out / name
        number, count = self.part
        stem, dot, suffix = name.rpartition(".")
        return self.out / f"{stem}-{number}-of-{count}{dot}{suffix}"
