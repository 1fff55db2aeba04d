"""The sliced table: a Faust table whose values hold the panes of all windows of a key.

A window that hops by a step is a union of panes of one step (Li et al., "No pane, no gain",
2005): one packed value a key holds them, an event touches one pane, and a window of any multiple
of the step is summed when it is read. So a key costs one row and one changelog record a commit,
whatever the window's size and step; Faust's own windowed table rewrites every window.
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
    from tables.rocks import RocksMemory
    from tables.state import PartitionState
    from tables.store import StoreContext

View = TypeVar("View")


class NotHereError(Exception):
    """The key's partition is not on this worker, or not ready to be read."""


class Reading(NamedTuple):
    """A packed value (None: nothing known of the key) and the stream time that it stands for."""

    value: bytes | None
    as_of: int | None
    complete_from: int = 0
    """From which stream time on all is counted in it; 0: it always was."""


def is_readable(state: PartitionState) -> bool:
    """Whether requests may be answered from a partition: its owner's, whole, in order."""
    return state.readable and state.store.damage is None


class SlicedTable(faust.Table, Generic[View]):
    """Windows by panes. Keys are integers; values are read as views of a window.

    ``table[key]`` answers in the style of Faust's windowed tables: ``.now()``, ``.current()``,
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
        """Make the table; its databases open as partitions are assigned.

        Arguments:
            app: the Faust app.
            name: the table's name.
            layout: version of the values, and how windows are sliced.
            view: makes what readers get, of key, packed value and time in ms.
            parts: what the databases share with those of other tables.
            kwargs: as :class:`faust.Table` takes them.
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
        """What its databases share with those of the worker's other tables."""
        return self._parts.memory

    @property
    def executor(self) -> Executor:
        """What waits for the disk runs there."""
        return self._parts.executor

    @cached_property
    def partition_count(self) -> int:
        """Into how many partitions keys are divided. Faust's own setting takes 5 us to look up."""
        count: int = self.app.conf.topic_partitions
        return count

    def partition(self, key: int) -> int:
        """Return the partition that holds ``key``."""
        return partition_of(key, self.partition_count)

    def state(self, key: int) -> PartitionState:
        """Return the state of the partition that holds ``key``.

        Raises:
            NotHereError: it is not on this worker, or moving, or recovering, or damaged.
        """
        partition = self.partition(key)
        state = self.readable(partition)
        if state is None:
            raise NotHereError(f"partition {partition} of {self.name} is not here")
        return state

    def readable(self, partition: int) -> PartitionState | None:
        """Return a partition's state, None where :meth:`state` raises."""
        state = self.data.partitions.get(partition)
        return state if state is not None and is_readable(state) else None

    def copy(self, partition: int) -> PartitionState | None:
        """Return the state of a partition of which there is any copy here, None otherwise."""
        state = self.data.partitions.get(partition)
        return None if state is None or state.is_closed else state

    def read(self, key: int) -> Reading:
        """Return the packed value of ``key``, uncommitted changes included."""
        state = self.state(key)
        try:
            value = self._in_steps(state.get(b"%d" % key), state.unit)
        except StoreCorruptError as exc:
            raise NotHereError(str(exc)) from exc
        return Reading(value, state.stream_time, state.complete_from)

    def _in_steps(self, value: bytes | None, unit: int) -> bytes | None:
        """Return a value with its panes numbered by the step, as it is read everywhere."""
        if value is None or unit == self.layout.step:
            return value
        return self.layout.windows.in_units(unit).in_steps(value)

    def read_copy(self, key: int) -> Reading:
        """Return what the copy on this worker says, which may be behind.

        It is a standby's, or that of a partition which is moving or recovering.

        Raises:
            NotHereError: there is none.
        """
        partition = self.partition(key)
        state = self.copy(partition)
        if state is None:
            raise NotHereError(f"there is no copy of partition {partition} of {self.name} here")
        try:
            value = self._in_steps(state.get(b"%d" % key), state.known_unit())
            return Reading(value, state.known_time(), state.known_complete_from())
        except (DbClosedError, StoreCorruptError):
            raise NotHereError(f"partition {partition} of {self.name} is built anew") from None

    def view(self, key: int, at: int) -> View:
        """Return what readers get of ``key`` at the time ``at`` in ms."""
        return self._view(key, self.read(key).value, at)

    def __getitem__(self, key: int) -> SlicedWindows[View]:
        """Return the windows of ``key``; nothing is read before one is asked for."""
        return SlicedWindows(self, key)

    def __setitem__(self, key: int, value: Any) -> NoReturn:
        """Refuse: see ``READ_ONLY``."""
        raise TypeError(READ_ONLY)

    def __delitem__(self, key: int) -> NoReturn:
        """Refuse: see ``READ_ONLY``."""
        raise TypeError(READ_ONLY)

    def __contains__(self, key: object) -> bool:
        """Whether anything is known of ``key``."""
        return isinstance(key, int) and self.read(key).value is not None

    def __iter__(self) -> Iterator[int]:
        """Iterate over the keys on this worker (slow: it reads them all)."""
        return map(int, self.data)


class SlicedWindows(Generic[View]):
    """The windows of one key."""

    def __init__(self, table: SlicedTable[View], key: int) -> None:
        """Look at ``key`` of ``table``."""
        self.table = table
        self.key = key

    def now(self) -> View:
        """The window at the wall clock's time."""
        return self.table.view(self.key, round(time.time() * 1000))

    def current(self, event: EventT | None = None) -> View:
        """The window at the stream time of the key's partition."""
        return self.delta(0)

    value = current

    def delta(self, seconds: float, event: EventT | None = None) -> View:
        """The window ``seconds`` before the stream time."""
        at = self.table.read(self.key).as_of or 0
        return self.table.view(self.key, at - round(seconds * 1000))
