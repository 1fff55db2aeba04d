"""The client: asks the owners of keys directly, in batches, until all have answered."""

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

#: Seconds for which the owners that a worker named are taken for the owners.
_TOPOLOGY_S = 30.0
#: Seconds between two attempts, where no answer says how many.
_PAUSE_S = 0.2


class Outcome(NamedTuple):
    """What one request has left to ask again."""

    ids: list[int]
    after: float
    """Seconds."""
    reason: str
    gone: str
    """The address, when nobody answers there."""


class Client:
    """Reads users, videos and creators by their ids.

    An id of which nothing is known is not in the answer. All methods raise :class:`ReelsError`
    when the service refuses, and :class:`Unavailable` with the ids that had no answer in time.
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
        """Ask the service at ``addresses``: any of its workers, one or more.

        Arguments:
            addresses: such as ``http://127.0.0.1:6066``.
            token: the service's ``REELS_HTTP_TOKEN``; sent to ``addresses`` only, other workers get
                a proof of it.
            deadline: seconds within which a call has its answer, asking again included.
            stale: whether a copy that may be behind answers while the owner of a key cannot; its
                rows have ``"stale": True``.
            hedge_after: seconds after which another worker is asked, too (None: never).
            batch_size: the most ids of a request, up to 10,000.
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
        """Return what users did: rows as ``GET /users/{user_id}`` answers them, by id."""
        return await self._rows("users", "user_id", ids, window=window, at=at)

    async def videos(self, ids: Iterable[int], *, at: str | None = None) -> dict[int, Row]:
        """Return what happened to videos: rows as ``GET /videos/{video_id}``, by id."""
        return await self._rows("videos", "video_id", ids, at=at)

    async def creators(
        self, ids: Iterable[int], *, window: str | None = None, at: str | None = None
    ) -> dict[int, Row]:
        """Return what happened to creators: rows as ``GET /creators/{creator_id}``, by id."""
        return await self._rows("creators", "creator_id", ids, window=window, at=at)

    async def users_table(
        self, ids: Iterable[int], *, window: str | None = None, at: str | None = None
    ) -> pa.Table:
        """Return the same as :meth:`users` as an Arrow table; needs pyarrow here and there."""
        return await self._table("users", "user_id", ids, window=window, at=at)

    async def videos_table(self, ids: Iterable[int], *, at: str | None = None) -> pa.Table:
        """Return the same as :meth:`videos` as an Arrow table."""
        return await self._table("videos", "video_id", ids, at=at)

    async def creators_table(
        self, ids: Iterable[int], *, window: str | None = None, at: str | None = None
    ) -> pa.Table:
        """Return the same as :meth:`creators` as an Arrow table."""
        return await self._table("creators", "creator_id", ids, window=window, at=at)

    async def viral(self, limit: int = 50) -> list[Row]:
        """Return the videos that are viral now, the highest coefficient first."""
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
            raise ValueError("a table needs an id: without one, its columns are not known")
        await self._read(table, asked, fields, result)
        return result.of(asked)

    async def _read(
        self, table: str, ids: Sequence[int], fields: dict[str, Any], result: Result
    ) -> None:
        """Ask for ``ids`` until each has its answer, or the deadline has come."""
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
                # Who owns what has changed, or is about to.
                self._topology_until = 0.0
                reason = outcomes[0].reason
                gone = {outcome.gone for outcome in outcomes if outcome.gone}
                pause = max(outcome.after for outcome in outcomes)
                await asyncio.sleep(min(pause, max(0.0, until - monotonic())))
        if left:
            raise Unavailable(left, reason)

    def _batches(self, ids: Sequence[int], gone: Collection[str]) -> list[tuple[str, list[int]]]:
        """Return the requests for ``ids``: each to the owner, where it is known and not gone."""
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
        """Ask for some ids, and say which of them have no answer."""
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
        """Ask a worker and, when it is slow and hedging is wanted, another one as well."""
        other = next((each for each in self._others(address)), None)
        asked = self._workers.ask(address, target, body, accept, max(timeout_s, 0.001))
        if self._hedge_after is None or other is None:
            return await asked
        first = asyncio.ensure_future(asked)
        done, _ = await asyncio.wait({first}, timeout=self._hedge_after)
        if done:
            return await first
        left = max(timeout_s - self._hedge_after, 0.001)
        second = asyncio.ensure_future(self._workers.ask(other, target, body, accept, left))
        return await _first_answer(first, second)

    def _others(self, address: str) -> list[str]:
        known = [] if self._topology is None else sorted(set(self._topology.owners.values()))
        return [each for each in [*self._workers.addresses, *known] if each != address]

    async def _learn(self, until: float) -> None:
        """Ask a worker who owns which partition; without an answer, any worker is asked for all."""
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
    """Return the first answer, and end the other request; raise when there is none."""
    waiting = set(tasks)
    try:
        while True:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if task.exception() is None or not waiting:
                    return task.result()
    finally:
        for task in waiting:
            task.cancel()
