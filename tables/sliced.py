"""The sliced table: a Faust table whose values hold the panes of all windows of a key.

A window that hops by a step is a union of panes of one step (Li et al., "No pane, no gain", 2005).
One packed value per key holds the panes, an event changes one pane, and a read sums a window of any
multiple of the step. So a key costs one row and one changelog record per commit, whatever the
window's size and step. Faust's own windowed table rewrites every window.
"""

from __future__ import annotations

import time
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, NoReturn, TypeVar

import faust
from rocksdict import DbClosedError

from models.partitioner import partition_of
from tables.rocks import StoreCorruptError
from tables.store import READ_ONLY, SlicedStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Executor

    from faust.types import EventT

    from tables.layout import StoreFormat
    from tables.rocks_options import RocksMemory
    from tables.state import PartitionState
    from tables.store import StoreContext

View = TypeVar("View")


class NotHereError(Exception):
    """The key's partition is not on this worker, or cannot be read yet."""


class Reading(NamedTuple):
    """A packed value (None: unknown key) and its stream time."""

    value: bytes | None
    as_of: int | None
    complete_from: int = 0
    """The stream time from which its counts are complete; 0: from the start."""


def is_readable(state: PartitionState) -> bool:
    """Whether a partition may answer requests: owned by this worker, restored and undamaged."""
    return state.readable and state.store.damage is None


class SlicedTable(faust.Table, Generic[View]):
    """A table of windows cut into panes. Keys are integers; values are read as views of a window.

    ``table[key]`` has the methods of Faust's windowed tables: ``.now()``, ``.current()``,
    ``.value()``, ``.delta(seconds)``.
    """

    data: SlicedStore

    def __init__(
        self,
        app: faust.App,
        *,
        name: str,
        layout: StoreFormat,
        view: Callable[[int, bytes | None, int], View],
        parts: StoreContext,
        **kwargs: Any,
    ) -> None:
        """Create the table; its databases are opened when partitions are assigned.

        Arguments:
            app: the Faust app.
            name: the table's name.
            layout: the format of its values, with their windows.
            view: makes the result for readers from key, packed value and time in ms.
            parts: resources that the worker's tables share.
            kwargs: arguments of :class:`faust.Table`.
        """
        super().__init__(app, name=name, key_type=bytes, value_type=bytes, **kwargs)
        self.layout = layout
        self._view = view
        self._parts = parts

    def _new_store_by_url(self, url: Any) -> SlicedStore:
        return SlicedStore(
            url,
            self.app,
            self,
            table_name=self.name,
            key_type=bytes,
            value_type=bytes,
            key_serializer="raw",
            value_serializer="raw",
            options=self.options,
            layout=self.layout,
            parts=self._parts,
        )

    @property
    def memory(self) -> RocksMemory:
        """Memory that the worker's databases share."""
        return self._parts.memory

    @property
    def executor(self) -> Executor:
        """Threads for disk access."""
        return self._parts.executor

    @cached_property
    def partition_count(self) -> int:
        """Number of partitions. Cached, because Faust's own setting takes 5 us to look up."""
        count: int = self.app.conf.topic_partitions
        return count

    def partition(self, key: int) -> int:
        """Return the partition that holds ``key``."""
        return partition_of(key, self.partition_count)

    def state(self, key: int) -> PartitionState:
        """Return the state of the partition that holds ``key``.

        Raises:
            NotHereError: the partition is elsewhere, moving, recovering or damaged.
        """
        partition = self.partition(key)
        state = self.readable(partition)
        if state is None:
            raise NotHereError(f"partition {partition} of {self.name} is not here")
        return state

    def readable(self, partition: int) -> PartitionState | None:
        """Return a partition's state; None if :meth:`state` would raise."""
        state = self.data.partitions.get(partition)
        return state if state is not None and is_readable(state) else None

    def copy(self, partition: int) -> PartitionState | None:
        """Return the state of a partition that is whole, if behind; None without one here."""
        state = self.data.partitions.get(partition)
        return None if state is None or state.is_closed or not state.is_whole else state

    def read(self, key: int) -> Reading:
        """Return the packed value of ``key``, uncommitted changes included."""
        state = self.state(key)
        try:
            value = self._in_steps(state.get(b"%d" % key), state.unit)
        except StoreCorruptError as exc:
            raise NotHereError(str(exc)) from exc
        return Reading(value, state.stream_time, state.complete_from)

    def _in_steps(self, value: bytes | None, unit: int) -> bytes | None:
        """Return a value with its panes numbered by the step, as all readers expect."""
        if value is None or unit == self.layout.step:
            return value
        return self.layout.windows.in_units(unit).in_steps(value)

    def read_copy(self, key: int) -> Reading:
        """Read ``key`` from a copy on this worker, which may be behind.

        The copy is a standby's, or that of a partition which is moving or recovering.

        Raises:
            NotHereError: there is no copy.
        """
        partition = self.partition(key)
        state = self.copy(partition)
        if state is None:
            raise NotHereError(f"there is no copy of partition {partition} of {self.name} here")
        try:
            value = self._in_steps(state.get(b"%d" % key), state.known_unit())
            return Reading(value, state.known_time(), state.known_complete_from())
        except (DbClosedError, StoreCorruptError):
            raise NotHereError(f"partition {partition} of {self.name} is being rebuilt") from None

    def view(self, key: int, at: int) -> View:
        """Return the view of ``key`` at the time ``at`` in ms."""
        return self._view(key, self.read(key).value, at)

    def __getitem__(self, key: int) -> SlicedWindows[View]:
        """Return the windows of ``key``; they are read on demand."""
        return SlicedWindows(self, key)

    def __setitem__(self, key: int, value: Any) -> NoReturn:
        """Refuse; see ``READ_ONLY``."""
        raise TypeError(READ_ONLY)

    def __delitem__(self, key: int) -> NoReturn:
        """Refuse; see ``READ_ONLY``."""
        raise TypeError(READ_ONLY)

    def __contains__(self, key: object) -> bool:
        """Whether the table has ``key``."""
        return isinstance(key, int) and self.read(key).value is not None

    def __iter__(self) -> Iterator[int]:
        """Iterate over the keys on this worker (slow: it reads them all)."""
        return map(int, self.data)


class SlicedWindows(Generic[View]):
    """The windows of one key."""

    def __init__(self, table: SlicedTable[View], key: int) -> None:
        """Bind ``key`` of ``table``."""
        self.table = table
        self.key = key

    def now(self) -> View:
        """The window at the wall-clock time."""
        return self.table.view(self.key, round(time.time() * 1000))

    def current(self, event: EventT | None = None) -> View:
        """The window at the stream time of the key's partition."""
        return self.delta(0)

    value = current

    def delta(self, seconds: float, event: EventT | None = None) -> View:
        """The window ``seconds`` before the stream time."""
        at = self.table.read(self.key).as_of or 0
        return self.table.view(self.key, at - round(seconds * 1000))
