"""The settings of a batch."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path

from zncc_cli.config import Accept, Choice, InputConfig, RegistrationConfig, ResamplingConfig, chosen_products, coerce
from zncc_cli.errors import OptionError


class Engine(Choice):
    """Who runs the pairs of a batch: processes of this machine, or a cluster of Dask."""

    PROCESSES = "processes"
    DASK = "dask"


@dataclass(frozen=True, kw_only=True)
class BatchConfig:
    """Many pairs.

    Attributes:
        source: a folder of images, or a table of pairs (CSV).
        out: where ``<pair name>/`` folders and ``batch.csv`` go.
        fixed: one image that every other image of the folder is aligned to.
        pattern: how the images of the folder are named, as ``{id}_ch{channel}.tif``. Without ``fixed`` and ``pattern``
            pairs are found by the names ``*_fixed.*`` and ``*_moving.*``.
        fixed_where: which images that fit ``pattern`` are the fixed ones, as ``channel=0``.
        write: what is written of a pair, names of `Product` divided by commas; None for all.
        accept: the least of a verdict that counts as done for the exit code.
        resume: go on with what an earlier run into ``out`` has left.
        overwrite: replace files that exist.
        fail_fast: end at the first pair that fails.
        retries: how often a pair is tried again after an error that may pass.
        timeout: seconds after which a pair is given up.
        workers: processes; None for one on each core that may be used, or at most four where a GPU is asked for.
        engine: who runs the pairs.
        scheduler: address of a Dask scheduler; None starts a cluster on this machine where Dask is the engine.
        shard: "I/N", the part of the pairs that is done here; None for all.
        inputs, registration, resampling: settings of each pair.
    """

    source: Path
    out: Path
    fixed: Path | None = None
    pattern: str | None = None
    fixed_where: str | None = None
    write: str | None = None
    accept: Accept = Accept.OK
    resume: bool = False
    overwrite: bool = False
    fail_fast: bool = False
    retries: int = 1
    timeout: float = 3600.0
    workers: int | None = None
    engine: Engine = Engine.PROCESSES
    scheduler: str | None = None
    shard: str | None = None
    inputs: InputConfig = field(default_factory=InputConfig)
    registration: RegistrationConfig = field(default_factory=RegistrationConfig)
    resampling: ResamplingConfig = field(default_factory=ResamplingConfig)

    def __post_init__(self) -> None:
        coerce(self, engine=Engine, accept=Accept)
        if self.scheduler is not None:
            object.__setattr__(self, "engine", Engine.DASK)
        _ = chosen_products(self.write), self.part
        if self.pattern is not None and self.fixed is not None:
            raise OptionError("--pattern: expected without --fixed, which takes every image; give one of them")
        if (self.pattern is None) != (self.fixed_where is None):
            given, other = ("--pattern", "--fixed-where") if self.pattern else ("--fixed-where", "--pattern")
            raise OptionError(f"{given}: expected together with {other}, as in {EXAMPLE}; give both")
        if self.resume and self.overwrite:
            raise OptionError("--resume: expected without --overwrite, which begins anew; give one of them")
        if self.retries < 0:
            raise OptionError(f"--retries: expected at least 0, got {self.retries}")
        if not (self.timeout > 0 and math.isfinite(self.timeout)):
            raise OptionError(f"--timeout: expected seconds above 0, got {self.timeout}")
        if self.workers is not None and self.workers < 1:
            raise OptionError(f"--workers: expected at least 1, got {self.workers}")
        if self.workers is not None and self.scheduler is not None:
            raise OptionError("--workers: expected without --scheduler, whose cluster has its own; leave it out")

    @property
    def part(self) -> tuple[int, int]:
        """(i, n): part i of n, counted from 1; (1, 1) for all."""
        if self.shard is None:
            return 1, 1
        found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", self.shard)
        if found is None or not 1 <= int(found[1]) <= int(found[2]):
            raise OptionError(f"--shard: expected I/N with I from 1 to N, as 3/16, got {self.shard!r}")
        return int(found[1]), int(found[2])

    def file(self, name: str) -> Path:
        """Path of a file about the whole batch, such as ``batch.csv``: each shard has its own."""
        if self.shard is None:
            return self.out / name
        number, count = self.part
        stem, dot, suffix = name.rpartition(".")
        return self.out / f"{stem}-{number}-of-{count}{dot}{suffix}"


EXAMPLE = "--pattern '{id}_ch{channel}.tif' --fixed-where channel=0"
