"""A batch, from its pairs to its table and batch.html."""

from __future__ import annotations

import dataclasses
import heapq
import itertools
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from zncc_cli.config import Accept, Device, PairConfig, Product
from zncc_cli.config.batch import BatchConfig, Engine
from zncc_cli.errors import BackendError, ExitCode, OutputError, ZnccError
from zncc_cli.files.images import read_image
from zncc_cli.jobs.batch import engine as engines
from zncc_cli.jobs.batch.cluster import Cluster
from zncc_cli.jobs.batch.manifest import NAME, Manifest, Record, manifests, read_manifests
from zncc_cli.jobs.batch.pairs import Pair
from zncc_cli.jobs.batch.processes import Processes
from zncc_cli.jobs.batch.row import ERROR, STATUSES, BatchRow, row_of, write_table
from zncc_cli.jobs.batch.worker import clear
from zncc_cli.jobs.missing import Missing
from zncc_cli.jobs.pair.run_folder import HTML, OVERLAY, file_names
from zncc_cli.process import usable_cores
from zncc_cli.report.batch_html import BatchHtmlRow, thumbnail, write_batch_html
from zncc_cli.text import shown

logger = logging.getLogger("zncc_cli.batch")

_GPU_PROCESSES = 4  # each is busy with launching while the GPU waits; but all have to fit into its memory
_WAIT_SECONDS = 0.5  # for which ^C, or an engine's own clock, may have to wait
_TABLE_SECONDS = 5.0  # between two writings of the table,
_TABLE_TIME_FRACTION = 0.02  # which never take more of the time than this: the table of a large batch is large
_HTML_ROWS = 1000  # what a browser and 4 MB hold; the worst of more

OnRow = Callable[[BatchRow, bool], None]
"""Is called with the row of each finished pair, and whether an earlier run had done it."""


@dataclass(frozen=True)
class BatchOutcome:
    """The result of a batch.

    Attributes:
        pairs: the rows of all finished pairs, in the order of their names.
        table: the file that holds them.
        left: how many pairs were not begun or not finished.
        kept: how many pairs an earlier run had done.
        accept: which verdicts are good enough.
        missing: batch.html, if it could not be made, and why.
    """

    pairs: tuple[BatchRow, ...]
    table: Path
    left: int = 0
    kept: int = 0
    accept: Accept = Accept.OK
    missing: Mapping[str, str] = field(default_factory=dict)

    @property
    def bad(self) -> tuple[BatchRow, ...]:
        """The rows of pairs that are not good enough."""
        return tuple(row for row in self.pairs if not self.accept.takes(row.status))

    @property
    def incomplete(self) -> tuple[BatchRow, ...]:
        """The rows of pairs some of whose files could not be made."""
        return tuple(row for row in self.pairs if row.missing)

    @property
    def exit_code(self) -> ExitCode:
        """0 when every pair is good enough and all files are written, else 5."""
        return ExitCode.INCOMPLETE if self.left or self.bad or self.incomplete or self.missing else ExitCode.OK


def run_batch(
    config: BatchConfig, pairs: list[Pair], on_row: OnRow, engine: engines.Engine | None = None
) -> BatchOutcome:
    """Align every pair; write the manifest as pairs finish, the table every few seconds, and batch.html at the end.

    Args:
        config: the settings of the batch.
        pairs: the pairs that `find_pairs` returned.
        on_row: is called with each finished pair.
        engine: runs the pairs; None takes the one that ``config`` names.

    Raises:
        OutputError: the output folder cannot be written, or holds a batch already. Finished pairs stay.
        BackendError: no worker can be started.
    """
    if config.scheduler is not None:  # its workers do not know our working folder
        config = dataclasses.replace(config, out=config.out.absolute())
        pairs = [_absolute(pair) for pair in pairs]
    manifests_before = _manifests_before(config)
    resumed = config.resume and bool(manifests_before)
    records_before = read_manifests(manifests_before) if resumed else {}
    table = config.file("batch.csv")
    rows: dict[str, BatchRow] = {}
    kept_count = 0
    start = round(time.time(), 3)  # as records are rounded
    with Manifest(config.file(NAME), keep=config.resume) as manifest:
        last, pause = time.monotonic(), _TABLE_SECONDS
        try:
            with engine or _engine(config, len(pairs), since=0 if resumed else manifest.begun) as running:
                results = _results(config, running, _tasks(pairs, records_before), records_before)
                for row, key, kept in itertools.chain(_problems(pairs), results):
                    if not kept:
                        manifest.add(row, key)
                    kept_count += kept
                    rows[row.name] = row
                    on_row(row, kept)
                    if config.fail_fast and not kept and row.status in ("failed", ERROR):
                        break
                    if time.monotonic() - last > pause:
                        began = time.monotonic()
                        write_table(table, _ordered(pairs, rows))
                        last = time.monotonic()
                        pause = max(_TABLE_SECONDS, (last - began) / _TABLE_TIME_FRACTION)
        except BaseException as error:
            if isinstance(error, BackendError) and not rows and manifest.begun:
                manifest.discard()  # the batch has not begun: nothing of it stays
            else:
                # A signal may come between a pair's record and its row: the pairs that this run has recorded are done.
                records = read_manifests([manifest.path]).items()
                recorded = {name: record.row for name, record in records if record.time >= start}
                write_table(table, _ordered(pairs, rows | recorded))
            raise
        write_table(table, _ordered(pairs, rows))
        if config.reproducible:
            manifest.sort(pair.name for pair in pairs)
    left = len(pairs) - len(rows)
    outcome = BatchOutcome(tuple(_ordered(pairs, rows)), table, left=left, kept=kept_count, accept=config.accept)
    html, missing = config.file("batch.html"), Missing(config.out)  # an older one, of other rows, does not stay either
    with missing.on_failure(html.name):
        write_batch_html(html, _html_rows(config, outcome.pairs), total=len(outcome.pairs))
    return dataclasses.replace(outcome, missing=missing.of([html.name]))


def _absolute(pair: Pair) -> Pair:
    """Return the pair with absolute paths."""
    return (
        pair
        if pair.problem
        else pair._replace(fixed=str(Path(pair.fixed).absolute()), moving=str(Path(pair.moving).absolute()))
    )


def _manifests_before(config: BatchConfig) -> list[Path]:
    """Return the manifests of earlier runs; refuse to begin anew where there is one."""
    table, manifest = config.file("batch.csv"), config.file(NAME)
    existing = manifests(config.out)
    # A table without any manifest is not of a batch that could be continued.
    refused = () if config.overwrite or (config.resume and existing) else (manifest, table, *existing)
    for path in refused:
        if path.exists() and not _is_of_other_shard(config, path):
            if config.resume:
                found, advice = "one without the manifest of a batch", "move it away, or choose another --out"
                raise OutputError(f"{shown(path)}: expected no such file, found {found}; {advice}")
            advice = "give --resume to continue that batch, --overwrite to begin anew, or choose another --out"
            raise OutputError(f"{shown(path)}: expected no such file, found one; {advice}")
    return existing


_Done = tuple[BatchRow, str, bool]
"""The row and the key of a finished pair, and whether an earlier run had done it."""


def _problems(pairs: list[Pair]) -> Iterator[_Done]:
    """Yield an error for each pair that is not two files."""
    return ((BatchRow(pair.name, ERROR, pair.problem), "", False) for pair in pairs if pair.problem)


def _is_of_other_shard(config: BatchConfig, path: Path) -> bool:
    """Tell whether a manifest belongs to another shard of this batch, which may run at the same time."""
    ending = f"-of-{config.part[1]}.jsonl"
    return config.shard is not None and path.name.endswith(ending) and path != config.file(NAME)


def _tasks(pairs: list[Pair], records: dict[str, Record]) -> Iterator[engines.Task]:
    """Yield the tasks, each with the key of the pair's earlier result, if it has one."""
    for pair in pairs:
        if not pair.problem:
            record = records.get(pair.name)
            key = record.key if record is not None and record.is_result else ""
            yield {"name": pair.name, "fixed": pair.fixed, "moving": pair.moving, "key": key}


def _pair_config(config: BatchConfig) -> PairConfig:
    """Return the settings that all pairs share; the files are filled in for each."""
    return PairConfig(
        fixed=Path(),
        moving=Path(),
        write=config.write,
        overwrite=config.overwrite,
        reproducible=config.reproducible,
        inputs=config.inputs,
        registration=config.registration,
        resampling=config.resampling,
    )


def _engine(config: BatchConfig, count: int, *, since: int) -> engines.Engine:
    settings = {"pair": _plain(dataclasses.asdict(_pair_config(config))), "out": str(config.out), "since": since}
    # With --device cuda every worker uses the GPU; otherwise a few do, for images that are large enough.
    cores, all_on_gpu = usable_cores(), config.registration.device is Device.CUDA
    workers = max(1, min(config.workers or (min(_GPU_PROCESSES, cores) if all_on_gpu else cores), count))

    def clear_task(task: engines.Task) -> None:
        clear(config.out / task["name"])

    if config.engine is Engine.DASK:
        return Cluster(settings, config.scheduler, workers, config.timeout, clear_task)
    return Processes(settings, workers, config.timeout, clear_task, on_gpu=workers if all_on_gpu else _GPU_PROCESSES)


def _plain(value: Any) -> Any:
    """Return a value of a config as JSON can hold it."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return str(value) if isinstance(value, Path) else value


def _results(
    config: BatchConfig,
    engine: engines.Engine,
    tasks: Iterator[engines.Task],
    records: dict[str, Record],
) -> Iterator[_Done]:
    """Yield the result of each task; those that ended with a transient error are tried again, after all others."""
    attempts: Counter[str] = Counter()
    again: deque[engines.Task] = deque()
    under_way = 0
    while True:
        while engine.room and (task := next(tasks, None) or (again.popleft() if again else None)) is not None:
            engine.submit(task)
            under_way += 1
        if not under_way:
            return
        for answer in engine.wait(_WAIT_SECONDS):
            under_way -= 1
            name = answer.task["name"]
            attempts[name] += 1
            content = answer.content
            if content is None:
                content = {"key": "", "row": dataclasses.asdict(BatchRow(name, ERROR, answer.reason))}
            if content.get("transient", answer.transient) and attempts[name] <= config.retries:
                logger.debug("%s: %s; again", name, answer.reason)
                again.append(answer.task)
                continue
            count = attempts.pop(name)
            if content.get("kept"):
                yield records[name].row, content["key"], True
            else:
                yield dataclasses.replace(row_of(content["row"]), attempts=count), content["key"], False


def _ordered(pairs: list[Pair], rows: dict[str, BatchRow]) -> Iterator[BatchRow]:
    """Yield the rows in the order of the pairs."""
    return (rows[pair.name] for pair in pairs if pair.name in rows)


def _html_rows(config: BatchConfig, rows: Iterable[BatchRow]) -> list[BatchHtmlRow]:
    """Return the rows of batch.html: the worst, should there be many."""
    worst = heapq.nsmallest(_HTML_ROWS, rows, key=lambda row: (-STATUSES.index(row.status), row.zncc_after or -1.0))
    names = file_names(_pair_config(config))
    pictures = Product.OVERLAY in _pair_config(config).products
    return [_html_row(row, config.out / row.name, pictures, HTML in names) for row in worst]


def _html_row(row: BatchRow, folder: Path, picture: bool, html: bool) -> BatchHtmlRow:
    shown_metrics = ("zncc_before", "zncc_after", "motion", "model", "seconds")
    there, missing = row.status != ERROR, row.missing.split()
    small: np.ndarray[Any, Any] | None = None
    if there and picture and OVERLAY not in missing:
        try:
            small = thumbnail(np.asarray(read_image(folder / OVERLAY).data))
        except ZnccError as error:  # of an earlier run, and removed since
            logger.debug("%s", error)
    return BatchHtmlRow(
        name=row.name,
        status=row.status,
        reason=row.reason,
        metrics={key: value for key in shown_metrics if (value := getattr(row, key)) is not None},
        thumbnail=small,
        report=f"{row.name}/{HTML}" if there and html and HTML not in missing else None,
    )
