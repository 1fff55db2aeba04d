"""Stand-ins for brokers and disks, named by their fault; those that have none are here, too."""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor, Future
from contextlib import asynccontextmanager
from types import SimpleNamespace

from faust.types import TP

from models.windows import Slices
from streaming.errors import ChangelogError, FencedError
from tables.layout import INTERNAL_PREFIX, LastCopyError, Position, StoreFormat
from tables.rocks import StoreCorruptError
from tables.state import PartitionState
from tests.streaming.fakes import TOPIC, Producer

SLICES = Slices(3_600_000, 60_000)
#: Where the tasks of these tests go on, and the id of their topic.
START, TOPIC_ID = 7, "an-id"


def events(partition):
    """Return the partition of the source topic."""
    return TP(TOPIC, partition)


class Inline(Executor):
    """Runs at once what waits for a disk that is none."""

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as exc:  # noqa: BLE001 - it is for whoever waits
            future.set_exception(exc)
        return future


class MemoryStore:
    """A database in memory."""

    def __init__(self):
        self.rows = {}
        self.offset = None
        self.changelog_id = ""
        self.damage = None
        self.is_closed = False

    def get(self, key):
        return self.rows.get(key)

    def get_many(self, keys):
        return [self.rows.get(key) for key in keys]

    def items(self, after=None, count=None):
        keys = sorted(
            key
            for key in self.rows
            if not key.startswith(INTERNAL_PREFIX) and (after is None or key > after)
        )
        return iter([(key, self.rows[key]) for key in keys[:count]])

    def write(self, changes, offset, *_):
        for key, value in changes.items():
            if value is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = value
        self.offset = offset
        return 100 * len(changes)

    @property
    def estimated_keys(self):
        return len(self.rows)

    def set_changelog_id(self, topic_id, offset=None):
        self.changelog_id = topic_id

    def clear(self):
        self.__init__()

    def close(self):
        self.is_closed = True


class FullDisk(MemoryStore):
    """Takes nothing more."""

    def write(self, changes, offset, *_):
        raise OSError("No space left on device")


class DamagedStore(MemoryStore):
    """Is found damaged by whoever reads on in it."""

    def items(self, after=None, count=None):
        self.damage = StoreCorruptError("table-0.db is damaged")
        raise self.damage


class Databases:
    """Those of one table."""

    def __init__(self, is_expired=lambda _value, _time: False):
        self.partitions = {}
        self.closed = []
        self.store = MemoryStore
        windows = SimpleNamespace(is_expired=is_expired, in_units=lambda _: windows)
        self._layout = StoreFormat.of(1, SLICES, windows=windows)

    async def open(self, partition):
        if partition not in self.partitions:
            self.partitions[partition] = PartitionState(
                "table", self._layout, self.store(), Inline()
            )
        return self.partitions[partition]

    async def close(self, partition):
        state = self.partitions.pop(partition, None)
        if state is not None:
            self.closed.append(partition)
            await state.close()


class FencedLock(Producer):
    """Finds, when it starts, that another worker has taken the partition meanwhile."""

    async def start(self):
        raise FencedError(self.transactional_id)


class LostLock(Producer):
    """Finds, when it claims, that another worker has taken the partition meanwhile."""

    @asynccontextmanager
    async def transaction(self):
        raise FencedError(self.transactional_id)
        yield


class HangingLock(Producer):
    """Commits its claim when a test says so."""

    def __init__(self, transactional_id):
        super().__init__(transactional_id)
        self.may_commit.clear()


class KnownPositions:
    """Brokers that answer: tasks go on at ``START``."""

    def __init__(self):
        self.named = {}
        self.begins = 0
        self.refusal = None

    async def claimants(self, tps):
        return {tp: self.named[tp] for tp in tps if tp in self.named}

    async def starts(self, tables):
        return dict.fromkeys(tables, Position(START, TOPIC_ID))

    async def first_kept(self, tp, at):
        return max(at, self.begins)

    async def check_ends(self, positions):
        if self.refusal is not None:
            raise self.refusal


class SilentBroker(KnownPositions):
    """Never answers."""

    async def claimants(self, tps):
        await asyncio.Event().wait()


async def broken_changelog(_sinks):
    """Restore from a changelog that is not the table's own."""
    raise ChangelogError("recreated")


class Sink:
    """Takes what a changelog says, and remembers it."""

    def __init__(self, offset=None):
        self.offset = offset
        self.rows = {}
        self.resets = 0
        self.attached = []

    async def attach(self, topic_id, end):
        self.attached.append((topic_id, end))

    async def apply(self, changes, offset):
        self.rows |= changes
        self.offset = offset
        return ()

    async def reset(self):
        self.rows, self.offset = {}, None
        self.resets += 1


class LastCopy(Sink):
    """Has what the changelog has lost."""

    async def attach(self, topic_id, end):
        await super().attach(topic_id, end)
        raise LastCopyError("ends at offset 0, but the disk is at 9")
