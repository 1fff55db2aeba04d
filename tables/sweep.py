"""The sweep: finds the keys of which no pane is in any window any more, a few at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from tables.rocks import RocksStore

T = TypeVar("T")

#: Keys deleted by one commit at most, and found ahead.
MOST_AT_ONCE = 500


class Sweepable(Protocol):
    """A partition of a table, as far as its expired keys are concerned."""

    store: RocksStore
    stream_time: int | None

    @property
    def is_closed(self) -> bool:
        """Whether nothing can be read any more."""

    async def in_thread(self, function: Callable[[], T], /) -> T:
        """Run what waits for the disk."""

    def has_changed(self, key: bytes) -> bool:
        """Whether ``key`` has uncommitted changes."""

    def get(self, key: bytes) -> bytes | None:
        """Return the value of ``key`` as it is now."""

    def delete(self, key: bytes) -> None:
        """Delete ``key``, with the next commit."""


class Sweeper:
    """Walks over a partition in the order of its keys, once in each ``period``."""

    def __init__(
        self, state: Sweepable, is_expired: Callable[[bytes, int], bool], period: float
    ) -> None:
        """Sweep ``state``.

        Arguments:
            state: the partition's.
            is_expired: whether a value counts no more at a stream time in ms.
            period: seconds of one walk over all keys.
        """
        self._state = state
        self._is_expired = is_expired
        self._period = period
        self._after: bytes | None = None
        self._found: list[bytes] = []

    def __bool__(self) -> bool:
        """Whether expired keys are waiting to be deleted."""
        return bool(self._found)

    async def scan(self, seconds: float) -> None:
        """Look at as many keys as are due after ``seconds`` of the period."""
        stream_time = self._state.stream_time
        if self._state.is_closed or stream_time is None or len(self._found) >= MOST_AT_ONCE:
            return
        store = self._state.store
        due = 100 + int(store.estimated_keys * seconds / self._period)
        items = await self._state.in_thread(lambda: list(store.items(self._after, due)))
        self._found += [key for key, value in items if self._is_expired(value, stream_time)]
        self._after = items[-1][0] if len(items) == due else None

    def delete_found(self) -> None:
        """Delete what was found, unless it has come to life again."""
        state = self._state
        found, self._found = self._found[:MOST_AT_ONCE], self._found[MOST_AT_ONCE:]
        for key in found:
            if not state.has_changed(key):
                value = state.get(key)
                if value is not None and self._is_expired(value, state.stream_time or 0):
                    state.delete(key)
