"""One export, from start to end.

1. **read**: the committed records of each changelog partition go to a temporary database
2. **at**: the time of all rows is the requested one, or the latest stream time
3. **write**: one file per partition goes to a hidden folder, which readers ignore
4. **publish**: all files move to their final names
"""

from __future__ import annotations

import asyncio
import errno
from contextlib import AsyncExitStack, contextmanager
from itertools import compress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

import msgspec
from faust.types import TP

from exporting.errors import ExportError
from exporting.writers import Format, check_format, open_writer
from models.dedup import is_sealed_key
from models.windows import to_iso
from streaming.kafka.metadata import Right, find_topics
from streaming.kafka.rights import require_rights
from streaming.kafka.topics import admin_client
from streaming.restore.changelog import changelog_consumer
from streaming.restore.committed import read_changes
from streaming.runtime.data_directory import NO_SPACE
from tables.layout import LAYOUT_KEY, LayoutError
from tables.rocks import RocksStore
from tables.rocks_options import RocksMemory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    from exporting.columns import Metrics
    from exporting.sources import ExportSource
    from streaming.restore.changelog_fetch import Changes
    from tables.layout import Position

T = TypeVar("T")

#: Bytes for the write buffers of all databases, and rows computed and written at once.
WRITE_BUFFER_BYTES = 64 << 20
ROWS_PER_STEP = 20_000

#: Number of level 0 files that starts a compaction. Each row is read once, so most exports are
#: faster without any; the bound is for a changelog with many values per key.
LEVEL_0_FILES = 64

#: Errors of the output folder, not of a connection.
_OF_THE_FOLDER = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM),
    *(errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EIO),
}


class Progress(Protocol):
    """Receives the progress of an export."""

    def begin(self, what: str, total: int) -> None:
        """Start the next step."""

    def advance(self, count: int) -> None:
        """Report more progress of the current step."""


class Partition(NamedTuple):
    """One partition, as read."""

    number: int
    store: RocksStore
    stream_time: int | None
    positions: Mapping[str, Position]
    complete_from: int
    """The stream time in ms from which counts are complete; 0: always."""
    unit: int
    """The unit in ms that panes are numbered by."""


class Result(NamedTuple):
    """The result of an export."""

    rows: int
    files: int
    at: int | None
    """The time of all rows in ms; None: the table is empty."""


class Exporter:
    """Exports one table to one folder."""

    def __init__(
        self, source: ExportSource, client_settings: Mapping[str, Any], progress: Progress
    ) -> None:
        """Use aiokafka's ``client_settings``; :meth:`run` connects."""
        self._source = source
        self._settings = client_settings
        self._progress = progress

    async def run(self, out: Path, kind: Format, at: int | None) -> Result:
        """Write the files of ``kind`` into the folder ``out``, as of ``at`` (ms).

        Raises:
            ExportError: the export failed. It leaves files only if it failed while publishing.
            ChangelogError: a changelog has rows that no worker wrote.
        """
        check_format(kind)
        try:
            self._prepare(out)
            # On the disk of the files, which take as much space; /tmp may be in memory.
            with TemporaryDirectory(prefix=".export-", dir=out) as folder:
                return await self._run(out, Path(folder), kind, at)
        except OSError as exc:
            if exc.errno in _OF_THE_FOLDER:
                raise _unwritable(out, exc.strerror or str(exc)) from exc
            raise

    def _prepare(self, out: Path) -> None:
        """Create the folder, and refuse one with an export of the table."""
        out.mkdir(parents=True, exist_ok=True)
        name = self._source.name
        if found := sorted(out.glob(f"{name}-*.*")):
            raise ExportError(
                f"{out} already has an export of {name} ({found[0].name}): choose another folder, "
                "or delete it"
            )

    async def _run(self, out: Path, folder: Path, kind: Format, at: int | None) -> Result:
        async with AsyncExitStack() as stack:
            partitions = await self._read(folder, stack)
            at = self._time(partitions, at)
            rows, files = 0, []
            for each in partitions:
                name = f"{self._source.name}-{each.number:05d}.{kind}"
                rows += await _in_thread(self._write, each, folder / name, kind, at)
                files.append(name)
        for name in files:
            (folder / name).rename(out / name)
        (out / f"_{self._source.name}.json").write_bytes(self._summary(partitions, at, rows))
        return Result(rows, len(files), at)

    async def _read(self, folder: Path, stack: AsyncExitStack) -> list[Partition]:
        await self._check_topic()
        stores, memory = [], RocksMemory.create(WRITE_BUFFER_BYTES, LEVEL_0_FILES)
        with _room_in(folder.parent):
            for number in range(self._source.partitions):
                stores.append(RocksStore(folder / f"{number}.db", memory))
                stack.callback(stores[-1].close)
        async with changelog_consumer(self._settings) as consumer:
            return [await self._fold(consumer, *each) for each in enumerate(stores)]

    async def _check_topic(self) -> None:
        name = self._source.changelog
        async with admin_client(self._settings) as admin:
            await require_rights(admin, {name: {Right.READ}})
            found = (await find_topics(admin, [name])).topics.get(name)
        if found is None:
            raise ExportError(f"topic {name} does not exist: has a worker run yet?")
        if found.partitions != self._source.partitions:
            raise ExportError(
                f"topic {name} has {found.partitions} partitions, but TOPIC_PARTITIONS is "
                f"{self._source.partitions}: set TOPIC_PARTITIONS={found.partitions}"
            )

    async def _fold(self, consumer: Any, number: int, store: RocksStore) -> Partition:
        source, layout = self._source, None
        changelog, read = TP(source.changelog, number), None
        writing: asyncio.Task[None] | None = None
        try:
            async for chunk in read_changes(consumer, changelog, source.layout):
                if read is None:
                    read = chunk.read[0].offset
                    end = (await consumer.end_offsets([changelog]))[changelog]
                    self._progress.begin(f"reading {source.name}, partition {number}", end - read)
                rows = chunk.changes
                layout = rows.pop(LAYOUT_KEY, layout)
                for key in [key for key in rows if key is None or is_sealed_key(key)]:
                    del rows[key]
                # The next rows are fetched while the last ones are written.
                if writing is not None:
                    await writing
                writing = asyncio.create_task(_put(store, rows, chunk.offset))
                self._progress.advance(chunk.offset + 1 - read)
                read = chunk.offset + 1
        finally:
            if writing is not None:
                await writing
        try:
            time = source.layout.stored_stream_time(source.changelog, layout)
        except LayoutError as exc:
            raise ExportError(str(exc)) from exc
        return Partition(
            *(number, store, time),
            source.layout.positions_of(layout) or {},
            source.layout.complete_from_of(layout),
            source.layout.unit_of(layout),
        )

    def _time(self, partitions: list[Partition], at: int | None) -> int | None:
        """Return the time of all rows: the requested one, or the latest stream time."""
        times = [each.stream_time for each in partitions if each.stream_time is not None]
        if at is None:
            return max(times, default=None)
        metrics = self._source.metrics
        step, kept_from = metrics.slices.step, max(map(metrics.slices.kept_from, times), default=0)
        if metrics.first_pane(at) < kept_from:
            raise ExportError(
                f"--at {to_iso(at)} is too early: the window begins at "
                f"{to_iso(metrics.first_pane(at) * step)}, but only events from "
                f"{to_iso(kept_from * step)} on are kept"
            )
        return at

    def _write(self, partition: Partition, path: Path, kind: Format, at: int | None) -> int:
        metrics, rows = self._source.metrics.in_units(partition.unit), 0
        self._progress.begin(
            f"writing {self._source.name}, partition {partition.number}",
            partition.store.estimated_keys,
        )
        metadata = {f"reels.{k}": v for k, v in self._describe(partition, at).items()}
        writer = open_writer(kind, path, metrics.columns, metadata)
        try:
            now = partition.stream_time
            if now is not None and at is not None:
                for ids, values in _batches(partition.store, metrics, now):
                    writer.write(metrics.values(ids, values, at, partition.complete_from))
                    rows += len(ids)
                    self._progress.advance(len(ids))
        finally:
            writer.close()
        return rows

    def _describe(self, partition: Partition, at: int | None) -> dict[str, str]:
        source = self._source
        return {
            "app_id": source.app_id,
            "table": source.name,
            "at": "" if at is None else to_iso(at),
            "partition": str(partition.number),
            "partitions": str(source.partitions),
            "as_of": "" if partition.stream_time is None else to_iso(partition.stream_time),
            "positions": msgspec.json.encode(
                {topic: each._asdict() for topic, each in partition.positions.items()}
            ).decode(),
        }

    def _summary(self, partitions: list[Partition], at: int | None, rows: int) -> bytes:
        """Return the metadata of all partitions as JSON, for formats without metadata."""
        source = self._source
        summary = {
            "app_id": source.app_id,
            "table": source.name,
            "at": None if at is None else to_iso(at),
            "rows": rows,
            "partitions": [
                {
                    "partition": each.number,
                    "as_of": None if each.stream_time is None else to_iso(each.stream_time),
                    "positions": {k: v._asdict() for k, v in each.positions.items()},
                }
                for each in partitions
            ],
        }
        return msgspec.json.format(msgspec.json.encode(summary), indent=2) + b"\n"


async def _put(store: RocksStore, rows: Changes, offset: int) -> None:
    with _room_in(store.path.parents[1]):
        await _in_thread(store.write, rows, offset)


async def _in_thread(work: Callable[..., T], *args: object) -> T:
    """Run ``work`` in a thread; a cancelled caller waits for its end, and may delete its files."""
    working = asyncio.ensure_future(asyncio.to_thread(work, *args))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.wait([working])
        raise


@contextmanager
def _room_in(out: Path) -> Iterator[None]:
    """Raise ExportError if the disk of ``out`` is full."""
    try:
        yield
    except Exception as exc:
        # rocksdict raises a plain Exception for every error of RocksDB.
        if (full := NO_SPACE.search(str(exc))) is None:
            raise
        raise _unwritable(out, full[0]) from exc


def _batches(
    store: RocksStore, metrics: Metrics, now: int
) -> Iterator[tuple[list[int], list[bytes]]]:
    """Yield the ids and values of keys that are not expired at the stream time ``now``."""
    for keys, values in store.batches(ROWS_PER_STEP):
        known = metrics.known(values, now)
        if ids := list(map(int, compress(keys, known))):
            yield ids, list(compress(values, known))


def _unwritable(out: Path, reason: str) -> ExportError:
    return ExportError(
        f"the folder {out} cannot be written to ({reason}): choose another with --out, or "
        "free some space"
    )
