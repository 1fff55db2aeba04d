"""Fake brokers and disks, named after their faults, and some without a fault."""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor, Future
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar

from faust.types import TP

from models.windows import Slices
from streaming.errors import ChangelogError, FencedError
from tables.layout import INTERNAL_PREFIX, LastCopyError, Position, StoreFormat
from tables.rocks import StoreCorruptError
from tables.state import PartitionState
from tests.streaming.fakes import TOPIC, Producer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence

    from streaming.restore.changelog_fetch import Changes


T = TypeVar("T")
P = ParamSpec("P")

SLICES = Slices(3_600_000, 60_000)
#: The start position of the tasks in these tests, and their topic's id.
START, TOPIC_ID = 7, "an-id"


def events(partition: int) -> TP:
    """Return the partition of the source topic."""
    return TP(TOPIC, partition)


class Inline(Executor):
    """Runs the work immediately: there is no disk to wait for."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as exc:  # noqa: BLE001 - the future passes the error on
            future.set_exception(exc)
        return future


class MemoryStore:
    """A database in memory."""

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes] = {}
        self.offset: int | None = None
        self.changelog_id = ""
        self.damage: Exception | None = None
        self.is_closed = False

    def get(self, key: bytes) -> bytes | None:
        return self.rows.get(key)

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        return [self.rows.get(key) for key in keys]

    def items(
        self, after: bytes | None = None, count: int | None = None
    ) -> Iterator[tuple[bytes, bytes]]:
        keys = sorted(
            key
            for key in self.rows
            if not key.startswith(INTERNAL_PREFIX) and (after is None or key > after)
        )
        return iter([(key, self.rows[key]) for key in keys[:count]])

    def write(self, changes: Mapping[bytes, bytes | None], offset: int, *_: object) -> int:
        for key, value in changes.items():
            if value is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = value
        self.offset = offset
        return 100 * len(changes)

    @property
    def estimated_keys(self) -> int:
        return len(self.rows)

    def set_changelog_id(self, topic_id: str, offset: int | None = None) -> None:
        self.changelog_id = topic_id

    def clear(self) -> None:
        self.__init__()  # type: ignore[misc]  # the state of a new store

    def close(self) -> None:
        self.is_closed = True


class FullDisk(MemoryStore):
    """A full disk: no write succeeds."""

    def write(self, changes: Mapping[bytes, bytes | None], offset: int, *_: object) -> NoReturn:
        raise OSError("No space left on device")


class DamagedStore(MemoryStore):
    """A database whose damage shows when rows are iterated."""

    def items(self, after: bytes | None = None, count: int | None = None) -> NoReturn:
        self.damage = StoreCorruptError("table-0.db is damaged")
        raise self.damage


class Databases:
    """The databases of one table."""

    def __init__(
        self, is_expired: Callable[[bytes, int], bool] = lambda _value, _time: False
    ) -> None:
        #: Partition states, whose store is not RocksDB.
        self.partitions: Any = {}
        self.closed: list[int] = []
        self.store: Callable[[], Any] = MemoryStore
        windows: Any = SimpleNamespace(is_expired=is_expired, in_units=lambda _: windows)
        self._layout = StoreFormat.of(1, SLICES, windows=windows)

    async def open(self, partition: int) -> Any:
        if partition not in self.partitions:
            self.partitions[partition] = PartitionState(
                "table", self._layout, self.store(), Inline()
            )
        return self.partitions[partition]

    async def close(self, partition: int) -> None:
        state = self.partitions.pop(partition, None)
        if state is not None:
            self.closed.append(partition)
            await state.close()


class FencedLock(Producer):
    """Finds at its start that another worker has locked the partition."""

    async def start(self) -> None:
        raise FencedError(self.transactional_id)


class LostLock(Producer):
    """Finds at its claim that another worker has locked the partition."""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[NoReturn]:
        raise FencedError(self.transactional_id)
        yield


class HangingLock(Producer):
    """Commits its claim once ``may_commit`` is set."""

    def __init__(self, transactional_id: str) -> None:
        super().__init__(transactional_id)
        self.may_commit.clear()


class KnownPositions:
    """Brokers that answer: tasks begin at ``START``."""

    def __init__(self) -> None:
        self.named: dict[TP, str] = {}
        self.begins = 0
        self.refusal: Exception | None = None

    async def claimants(self, tps: Iterable[TP]) -> dict[TP, str]:
        return {tp: self.named[tp] for tp in tps if tp in self.named}

    async def starts(self, tables: Iterable[TP]) -> dict[TP, Position]:
        return dict.fromkeys(tables, Position(START, TOPIC_ID))

    async def first_kept(self, tp: TP, at: int) -> int:
        return max(at, self.begins)

    async def check_ends(self, positions: Mapping[TP, int]) -> None:
        if self.refusal is not None:
            raise self.refusal


class SilentBroker(KnownPositions):
    """A broker that never answers."""

    async def claimants(  # type: ignore[override]  # it never returns
        self, tps: Iterable[TP]
    ) -> None:
        await asyncio.Event().wait()


async def broken_changelog(_sinks: object) -> None:
    """Fail to restore: the changelog is not the table's own."""
    raise ChangelogError("recreated")


class Sink:
    """Applies the rows of a changelog and keeps them."""

    def __init__(self, offset: int | None = None) -> None:
        self.offset = offset
        self.rows: Changes = {}
        self.resets = 0
        self.is_whole = False
        self.attached: list[tuple[str, int]] = []

    async def attach(self, topic_id: str, end: int) -> None:
        self.attached.append((topic_id, end))

    async def apply(self, changes: Changes, offset: int) -> Sequence[tuple[bytes | None, str]]:
        self.rows |= changes
        self.offset = offset
        return ()

    async def reset(self) -> None:
        self.rows, self.offset = {}, None
        self.is_whole = False
        self.resets += 1

    async def caught_up(self) -> None:
        self.is_whole = True


class LastCopy(Sink):
    """A copy with rows that the changelog has lost."""

    async def attach(self, topic_id: str, end: int) -> None:
        await super().attach(topic_id, end)
        raise LastCopyError("ends at offset 0, but the disk is at 9")
