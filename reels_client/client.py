"""The client: sends batches to the owners of keys, until each key has an answer."""

from __future__ import annotations

import asyncio
import json
from itertools import cycle
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from reels_client.connection import JSON, Reply, TryAgainError, Workers
from reels_client.errors import ReelsError, Unavailable
from reels_client.results import Rows, Tables
from reels_client.topology import Topology

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    import pyarrow as pa

    from reels_client.results import Left, Result

Row = dict[str, Any]

#: Seconds for which the owners of partitions are cached.
_TOPOLOGY_S = 30.0
#: Seconds between two attempts if no answer has a Retry-After.
_PAUSE_S = 0.2
#: The part of the time left, and at least the seconds, after which another worker is asked as well
#: even without hedging: the first one may hang.
_LATE_SHARE, _MIN_LATE_S = 0.5, 1.0


class Outcome(NamedTuple):
    """The ids that a request left unanswered, and why."""

    ids: list[int]
    after: float
    """Seconds to wait before the next attempt."""
    reason: str
    gone: str
    """The worker's address if it cannot be reached, else empty."""


class Client:
    """Reads users, videos and creators by their ids.

    Unknown ids are not in the answer. All methods raise :class:`ReelsError` if the service refuses,
    and :class:`Unavailable` with the ids that had no answer in time.
    """

    def __init__(
        self,
        *addresses: str,
        token: str | None = None,
        deadline: float = 5.0,
        stale: bool = False,
        hedge_after: float | None = None,
        batch_size: int = 1000,
    ) -> None:
        """Use the service at ``addresses``: one or more of its workers.

        Arguments:
            addresses: URLs such as ``http://127.0.0.1:6066``.
            token: the service's ``REELS_HTTP_TOKEN``; sent to ``addresses`` only, other workers get
                a proof of it.
            deadline: seconds per call, including retries.
            stale: whether a copy, which may be behind, answers while the owner of a key cannot; its
                rows have ``"stale": True``.
            hedge_after: seconds after which another worker is asked as well (None: never).
            batch_size: maximum ids per request, up to 10,000.
        """
        if not addresses:
            raise ValueError("a client needs the address of a worker")
        self._workers = Workers(addresses, token, _PAUSE_S)
        self._next_address = cycle(self._workers.addresses)
        self._deadline = deadline
        self._stale = stale
        self._hedge_after = hedge_after
        self._batch_size = batch_size
        self._topology: Topology | None = None
        self._topology_until = 0.0

    async def __aenter__(self) -> Self:
        """Open the client."""
        await self._workers.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Close its connections."""
        await self._workers.__aexit__(*exc)

    async def users(
        self, ids: Iterable[int], *, window: str | None = None, at: str | None = None
    ) -> dict[int, Row]:
        """Return users by id: rows as in ``GET /users/{user_id}``."""
        return await self._rows("users", "user_id", ids, window=window, at=at)

    async def videos(self, ids: Iterable[int], *, at: str | None = None) -> dict[int, Row]:
        """Return videos by id: rows as in ``GET /videos/{video_id}``."""
        return await self._rows("videos", "video_id", ids, at=at)

    async def creators(
        self, ids: Iterable[int], *, window: str | None = None, at: str | None = None
    ) -> dict[int, Row]:
        """Return creators by id: rows as in ``GET /creators/{creator_id}``."""
        return await self._rows("creators", "creator_id", ids, window=window, at=at)

    async def users_table(
        self, ids: Iterable[int], *, window: str | None = None, at: str | None = None
    ) -> pa.Table:
        """Return :meth:`users` as an Arrow table; client and workers need pyarrow."""
        return await self._table("users", "user_id", ids, window=window, at=at)

    async def videos_table(self, ids: Iterable[int], *, at: str | None = None) -> pa.Table:
        """Return :meth:`videos` as an Arrow table."""
        return await self._table("videos", "video_id", ids, at=at)

    async def creators_table(
        self, ids: Iterable[int], *, window: str | None = None, at: str | None = None
    ) -> pa.Table:
        """Return :meth:`creators` as an Arrow table."""
        return await self._table("creators", "creator_id", ids, window=window, at=at)

    async def viral(self, limit: int = 50) -> list[Row]:
        """Return the current viral videos, the highest coefficient first."""
        until, reason = monotonic() + self._deadline, ""
        while (left := until - monotonic()) > 0:
            address = next(self._next_address)
            try:
                reply = await self._ask(address, f"/videos/viral?limit={limit}", None, JSON, left)
            except TryAgainError as exc:
                reason = str(exc)
                await asyncio.sleep(min(exc.after, max(0.0, until - monotonic())))
                continue
            videos: list[Row] = json.loads(reply.body)["videos"]
            return videos
        raise ReelsError(503, "unavailable", reason)

    async def _rows(
        self, table: str, key: str, ids: Iterable[int], **fields: Any
    ) -> dict[int, Row]:
        asked, result = list(dict.fromkeys(ids)), Rows(table, key)
        await self._read(table, asked, fields, result)
        return result.of(asked)

    async def _table(self, table: str, key: str, ids: Iterable[int], **fields: Any) -> pa.Table:
        asked, result = list(dict.fromkeys(ids)), Tables(key)
        if not asked:
            raise ValueError("a table needs an id: without one, its columns are unknown")
        await self._read(table, asked, fields, result)
        return result.of(asked)

    async def _read(
        self, table: str, ids: Sequence[int], fields: dict[str, Any], result: Result
    ) -> None:
        """Ask for ``ids`` until each has an answer, or until the deadline."""
        fields = {name: value for name, value in fields.items() if value is not None}
        if self._stale:
            fields["stale"] = True
        until, left, reason = monotonic() + self._deadline, list(ids), ""
        gone: set[str] = set()
        while left and monotonic() < until:
            await self._learn(until)
            outcomes = await asyncio.gather(
                *(
                    self._ask_batch(table, address, some, fields, result, until)
                    for address, some in self._batches(left, gone)
                )
            )
            outcomes = [each for each in outcomes if each.ids]
            missing = {key for outcome in outcomes for key in outcome.ids}
            left = [key for key in left if key in missing]
            if left:
                # Owners have changed, or are about to.
                self._topology_until = 0.0
                reason = outcomes[0].reason
                gone = {outcome.gone for outcome in outcomes if outcome.gone}
                pause = max(outcome.after for outcome in outcomes)
                await asyncio.sleep(min(pause, max(0.0, until - monotonic())))
        if left:
            raise Unavailable(left, reason)

    def _batches(self, ids: Sequence[int], gone: Collection[str]) -> list[tuple[str, list[int]]]:
        """Return addresses and batches of ``ids``; any worker replaces unknown or gone owners."""
        topology = self._topology
        any_worker = next((each for each in self._others("") if each not in gone), None)
        any_worker = any_worker or next(self._next_address)
        by_owner: dict[str, list[int]] = {}
        for key in ids:
            owner = None if topology is None else topology.owner(key)
            address = any_worker if owner is None or owner in gone else owner
            by_owner.setdefault(address, []).append(key)
        size = self._batch_size
        return [
            (address, keys[first : first + size])
            for address, keys in by_owner.items()
            for first in range(0, len(keys), size)
        ]

    async def _ask_batch(
        self,
        table: str,
        address: str,
        ids: list[int],
        fields: dict[str, Any],
        result: Result,
        until: float,
    ) -> Outcome:
        """Ask a worker for some ids, and return those without an answer."""
        body = json.dumps({"ids": ids, **fields}, separators=(",", ":")).encode()
        try:
            reply = await self._ask(
                address, f"/{table}/query", body, result.accept, until - monotonic()
            )
        except TryAgainError as exc:
            return Outcome(ids, exc.after, str(exc), address if exc.is_gone else "")
        left: Left = result.add(reply.body)
        return Outcome(left.unavailable, reply.retry_after, "their partitions are moving", "")

    async def _ask(
        self, address: str, target: str, body: bytes | None, accept: str, timeout_s: float
    ) -> Reply:
        """Ask a worker; if it is slow, ask another one as well: hedging, or in case it hangs."""
        other = next((each for each in self._others(address)), None)
        asked = self._workers.ask(address, target, body, accept, max(timeout_s, 0.001))
        if other is None:
            return await asked
        late_s = max(_LATE_SHARE * timeout_s, _MIN_LATE_S)
        hedge_after = min(late_s, late_s if self._hedge_after is None else self._hedge_after)
        first = asyncio.ensure_future(asked)
        done, _ = await asyncio.wait({first}, timeout=hedge_after)
        if done:
            return await first
        left = max(timeout_s - hedge_after, 0.001)
        second = asyncio.ensure_future(self._workers.ask(other, target, body, accept, left))
        return await _first_answer(first, second)

    def _others(self, address: str) -> list[str]:
        known = [] if self._topology is None else sorted(set(self._topology.owners.values()))
        return [each for each in [*self._workers.addresses, *known] if each != address]

    async def _learn(self, until: float) -> None:
        """Fetch the owners of partitions if they are not cached; on failure, keep the old ones."""
        now = monotonic()
        if self._topology is not None and now < self._topology_until:
            return
        for _ in self._workers.addresses:
            address = next(self._next_address)
            left = max(min(1.0, until - monotonic()), 0.001)
            try:
                reply = await self._workers.ask(address, "/overview", None, JSON, left)
                self._topology = Topology.of(json.loads(reply.body))
            except (TryAgainError, ReelsError, KeyError, TypeError, ValueError):
                continue
            self._topology_until = now + _TOPOLOGY_S
            return


async def _first_answer(*tasks: asyncio.Future[Reply]) -> Reply:
    """Return the first answer, and cancel the other request; raise if all fail."""
    waiting = set(tasks)
    try:
        while True:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            # Both may end at once, one of them with an error.
            for task in sorted(done, key=lambda each: each.exception() is not None):
                if task.exception() is None or not waiting:
                    return task.result()
    finally:
        for task in waiting:
            task.cancel()
