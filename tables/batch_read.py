"""Reads of many keys in several partitions: one search in memory, one visit to the disk."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from rocksdict import DbClosedError

from tables.rocks import StoreCorruptError
from tables.state import MIN_KEYS_FOR_THREAD

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from concurrent.futures import Executor

    from models._protocols import LookupResult
    from tables.layers import Value
    from tables.state import PartitionState

T = TypeVar("T")


class BatchReader:
    """Batched reads for requests."""

    def __init__(self, executor: Executor, turn: asyncio.Semaphore) -> None:
        """Read keys that are not in memory in a thread of ``executor``, while holding ``turn``.

        All readers share ``turn``. So at most one thread waits for the disk on their behalf, and
        the other one remains for the tasks.
        """
        self._executor = executor
        self._turn = turn

    async def read(
        self,
        asked: Mapping[PartitionState, Sequence[bytes]],
        take: Callable[[PartitionState, LookupResult], T],
    ) -> dict[PartitionState, T | None]:
        """Return the result of ``take`` for each partition, called with the current values.

        None if the partition is closed, or found to be damaged, before it is read.
        """
        taken: dict[PartitionState, T | None] = dict.fromkeys(asked)
        left = {state: _Reading(state, keys) for state, keys in asked.items()}
        for state in [state for state, reading in left.items() if not reading.values.missing]:
            taken[state] = take(state, left.pop(state).values)
        if sum(len(reading.values.missing) for reading in left.values()) < MIN_KEYS_FOR_THREAD:
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
                    # If a flush ended during the read, its results may be outdated: read again.
                    if state.layers.flushes == left[state].flushes or found is None:
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
    """A read of one partition's keys."""

    def __init__(self, state: PartitionState, keys: Sequence[bytes]) -> None:
        self._state = state
        self._keys = keys
        self.flushes = state.layers.flushes
        self.values = state.layers.find(keys)

    def look_again(self) -> None:
        """Search memory again if a flush has ended since, because rows may have been evicted."""
        if self.flushes != self._state.layers.flushes:
            self.flushes = self._state.layers.flushes
            self.values = self._state.layers.find(self._keys)

    def from_disk(self) -> list[Value] | None:
        """Return the values that are not in memory; None if the database cannot be read."""
        try:
            return self._state.store.get_many(self.values.missing)
        except (DbClosedError, StoreCorruptError):
            return None

    def fill(self, found: list[Value]) -> None:
        """Add the result of :meth:`from_disk`; no flush may have ended since."""
        self._state.remember(self.values.missing, found)
        self.values.fill(found)
