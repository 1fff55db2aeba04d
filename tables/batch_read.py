"""Many keys of several partitions read at once: one look into memory, one visit to the disk."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from rocksdict import DbClosedError

from tables.rocks import StoreCorruptError
from tables.state import THREAD_WORTH

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from concurrent.futures import Executor

    from tables.layers import Value, Values
    from tables.state import PartitionState

T = TypeVar("T")


class BatchReader:
    """Reads for requests."""

    def __init__(self, executor: Executor, turn: asyncio.Semaphore) -> None:
        """Read in a thread of ``executor`` what is on disk, while it is this reader's ``turn``.

        All readers have the same turns: one thread at most waits for the disk on their behalf, and
        the other one stays for the tasks.
        """
        self._executor = executor
        self._turn = turn

    async def read(
        self,
        asked: Mapping[PartitionState, Sequence[bytes]],
        take: Callable[[PartitionState, Values], T],
    ) -> dict[PartitionState, T | None]:
        """Return what ``take`` makes of each partition's values, as they are at that moment.

        None for a partition that is closed, or found damaged, before it is read.
        """
        taken: dict[PartitionState, T | None] = dict.fromkeys(asked)
        left = {state: _Reading(state, keys) for state, keys in asked.items()}
        for state in [state for state, reading in left.items() if not reading.values.missing]:
            taken[state] = take(state, left.pop(state).values)
        if sum(len(reading.values.missing) for reading in left.values()) < THREAD_WORTH:
            for state, reading in left.items():
                found = reading.from_disk()
                if found is not None:
                    reading.fill(found)
                    taken[state] = take(state, reading.values)
            return taken
        async with self._turn:
            while left := {s: reading for s, reading in left.items() if not s.is_closed}:
                for reading in left.values():
                    reading.look_again()
                for state, found in (await self._in_thread(left)).items():
                    # What was read may be from before a write that has ended since: once more.
                    if state.flushes == left[state].flushes or found is None:
                        reading = left.pop(state)
                        if found is not None:
                            reading.fill(found)
                            state.renew(reading.values)
                            taken[state] = take(state, reading.values)
        return taken

    async def _in_thread(
        self, readings: Mapping[PartitionState, _Reading]
    ) -> dict[PartitionState, list[Value] | None]:
        def read() -> dict[PartitionState, list[Value] | None]:
            return {state: reading.from_disk() for state, reading in readings.items()}

        future = self._executor.submit(read)
        for state in readings:
            state.close_after(future)
        return await asyncio.wrap_future(future)


class _Reading:
    """The keys of one partition that are being read."""

    def __init__(self, state: PartitionState, keys: Sequence[bytes]) -> None:
        self._state = state
        self._keys = keys
        self.flushes = state.flushes
        self.values = state.find(keys)

    def look_again(self) -> None:
        """Begin anew when what was in memory may have left it since."""
        if self.flushes != self._state.flushes:
            self.flushes = self._state.flushes
            self.values = self._state.find(self._keys)

    def from_disk(self) -> list[Value] | None:
        """Return the values that are not in memory, None when they cannot be read."""
        try:
            return self._state.store.get_many(self.values.missing)
        except (DbClosedError, StoreCorruptError):
            return None

    def fill(self, found: list[Value]) -> None:
        """Take what :meth:`from_disk` has returned, while no write of it has ended."""
        self._state.remember(self.values.missing, found)
        self.values.fill(found)
