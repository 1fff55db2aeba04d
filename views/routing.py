"""Forwards requests for keys of other workers to the owners of their partitions."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from aiohttp import hdrs, web

from views.addresses import Addresses
from views.answers import unavailable
from views.peers import PeerError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from yarl import URL

    from streaming.ports import WorkerStatus
    from tables.sliced import SlicedTable
    from views.addresses import Member
    from views.peers import PeerAnswer, Peers

log = logging.getLogger(__name__)

#: Header that marks a forwarded request, which must not be forwarded again.
FORWARDED: Final = "X-Reels-Forwarded"

#: Header with the id of the recipient, because its address may lead to another worker.
OWNER: Final = "X-Reels-Owner"

#: Seconds for the owner's answer, including those to connect.
FORWARD_TIMEOUT: Final = aiohttp.ClientTimeout(total=3.0, connect=1.0)

#: The same if a copy may answer instead.
STALE_TIMEOUT: Final = aiohttp.ClientTimeout(total=0.8, connect=0.5)

#: Statuses of the owner's answers that the client gets.
_PASSED_BACK: Final = frozenset(
    {
        HTTPStatus.OK,
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.SERVICE_UNAVAILABLE,
    }
)


class Routing:
    """Finds the owners of partitions in the group's assignment, which every worker has."""

    def __init__(self, status: WorkerStatus, peers: Peers, *, has_standbys: bool) -> None:
        """Read owners from ``status``, and send requests through ``peers``.

        ``has_standbys``: whether another worker usually has a copy of each partition.
        """
        self._has_standbys = has_standbys
        self._status = status
        self._peers = peers
        self.addresses = Addresses(status)

    def workers(self, table: SlicedTable[Any]) -> dict[URL, list[int]]:
        """Return each worker's address and the partitions of ``table`` that it owns."""
        workers: dict[URL, list[int]] = {}
        for member in self.addresses.members(table):
            workers[member.url] = sorted({*workers.get(member.url, ()), *member.partitions})
        return workers

    def owner(self, table: SlicedTable[Any], partition: int) -> Member | None:
        """Return the worker that owns a partition, None without one."""
        members = self.addresses.members(table)
        return next((each for each in members if partition in each.partitions), None)

    async def forward(
        self, request: web.Request, table: SlicedTable[Any], key: int, *, stale_is_ok: bool
    ) -> web.Response:
        """Forward a request to the owner of ``key``, and return its answer.

        With ``stale_is_ok``, it waits less long for the owner if there are standbys.

        Raises:
            HttpError: no worker can answer now.
        """
        partition = table.partition(key)
        if self._status.stop_reason() is not None:
            raise unavailable("the worker is stopping")
        if FORWARDED in request.headers:
            wanted = request.headers.get(OWNER, "")
            misled = self.addresses.led_elsewhere(wanted, self._status.worker_id)
            raise unavailable(misled or f"partition {partition} is moving to another worker")
        owner = self.owner(table, partition)
        if owner is None:
            raise unavailable(f"partition {partition} has no owner yet")
        if (shared := self.addresses.shared(owner.url)) is not None:
            raise unavailable(shared)
        if owner.url == self.addresses.own:
            raise unavailable(f"partition {partition} is moving or recovering")
        timeout = self._patience(stale_is_ok=stale_is_ok)
        answer = await self._ask(owner.url, request, timeout, owner.id)
        if answer is None:
            raise unavailable(f"the owner of partition {partition} does not answer")
        return answer

    def _patience(self, *, stale_is_ok: bool) -> aiohttp.ClientTimeout:
        return STALE_TIMEOUT if stale_is_ok and self._has_standbys else FORWARD_TIMEOUT

    def owners(
        self, request: web.Request, table: SlicedTable[Any], partitions: Iterable[int]
    ) -> tuple[dict[Member, list[int]], list[int]]:
        """Return the owners of partitions that are not here, and the partitions without one.

        Like :meth:`forward`, it forwards nothing twice, and nothing to a shared address.
        """
        found: dict[Member, list[int]] = {}
        if self._status.stop_reason() is not None:
            return found, list(partitions)
        if FORWARDED in request.headers:
            self.addresses.led_elsewhere(request.headers.get(OWNER, ""), self._status.worker_id)
            return found, list(partitions)
        members = self.others(table)
        owner_of = {n: member for member in members for n in member.partitions}
        without = []
        for partition in partitions:
            owner = owner_of.get(partition)
            if owner is None or self.addresses.shared(owner.url) is not None:
                without.append(partition)
            else:
                found.setdefault(owner, []).append(partition)
        return found, without

    def others(self, table: SlicedTable[Any]) -> list[Member]:
        """Return the workers with other addresses than this one's."""
        own = self.addresses.own
        return [each for each in self.addresses.members(table) if each.url != own]

    async def ask_batch(
        self, worker: Member, path: str, body: bytes, media: str, *, stale_is_ok: bool
    ) -> PeerAnswer:
        """Return another worker's answer to a batch; ``stale_is_ok`` as in :meth:`forward`.

        Raises:
            PeerError: it does not answer.
        """
        headers = {FORWARDED: "1", hdrs.ACCEPT: media, hdrs.CONTENT_TYPE: "application/json"}
        if worker.id:
            headers[OWNER] = worker.id
        timeout = self._patience(stale_is_ok=stale_is_ok)
        return await self._peers.post(worker.url, path, body, headers=headers, timeout=timeout)

    async def ask_for_copy(
        self, request: web.Request, table: SlicedTable[Any], key: int
    ) -> web.Response | None:
        """Return the answer of a worker other than the owner from a copy of ``key``, if any has."""
        if FORWARDED in request.headers:
            return None
        owner = self.owner(table, table.partition(key))
        left_out = {self.addresses.own, owner and owner.url}
        for url in self.workers(table):
            if url not in left_out:
                answer = await self._ask(url, request, STALE_TIMEOUT)
                if answer is not None and answer.status != HTTPStatus.SERVICE_UNAVAILABLE:
                    return answer
        return None

    async def _ask(
        self,
        worker: URL,
        request: web.Request,
        timeout: aiohttp.ClientTimeout,
        owner_id: str = "",
    ) -> web.Response | None:
        """Return a worker's answer, None if it has none for the client."""
        headers = {FORWARDED: "1", **({OWNER: owner_id} if owner_id else {})}
        try:
            answer = await self._peers.get(
                worker, request.path, request.query, headers=headers, timeout=timeout
            )
        except PeerError as exc:
            log.debug("%s", exc)
            return None
        if answer.status not in _PASSED_BACK:
            log.warning("%s answers with status %s", worker, answer.status)
            return None
        return web.Response(
            body=answer.body,
            status=answer.status,
            content_type="application/json",
            headers={k: answer.headers[k] for k in (hdrs.RETRY_AFTER,) if k in answer.headers},
        )
