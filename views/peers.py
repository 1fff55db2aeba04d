"""Requests to other workers, at their addresses in the group.

Anyone who can join the group can choose any address. A request therefore has a proof of the token
instead of the token, and its answer is accepted only with a proof, too.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from time import monotonic, time
from typing import TYPE_CHECKING, Final, NamedTuple

import aiohttp
from aiohttp import hdrs

from views.proof import Prover

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from yarl import URL

log = logging.getLogger(__name__)

#: Seconds between two warnings about the same worker.
QUIET_S: Final = 10.0


class PeerError(Exception):
    """Another worker does not answer, or does not prove that it knows the token."""


class PeerAnswer(NamedTuple):
    """Another worker's answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Peers:
    """Sends requests to other workers."""

    def __init__(self, client: Callable[[], aiohttp.ClientSession], token: str | None) -> None:
        """Use the session that ``client`` returns, and prove ``token`` if there is one."""
        self._client = client
        self._prover = None if token is None else Prover(token)
        self._warned: dict[URL, float] = {}

    async def get(
        self,
        worker: URL,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: aiohttp.ClientTimeout,
    ) -> PeerAnswer:
        """Return the answer of ``worker`` to a GET.

        Raises:
            PeerError: it does not answer in time, or does not prove that it knows the token.
        """
        url = (worker / path.lstrip("/")).with_query(query)
        return await self._ask(hdrs.METH_GET, worker, url, b"", headers or {}, timeout)

    async def post(
        self,
        worker: URL,
        path: str,
        body: bytes,
        *,
        headers: Mapping[str, str],
        timeout: aiohttp.ClientTimeout,
    ) -> PeerAnswer:
        """Return the answer of ``worker`` to a POST of ``body``; raises like :meth:`get`."""
        url = worker / path.lstrip("/")
        return await self._ask(hdrs.METH_POST, worker, url, body, headers, timeout)

    async def _ask(
        self,
        method: str,
        worker: URL,
        url: URL,
        body: bytes,
        headers: Mapping[str, str],
        timeout: aiohttp.ClientTimeout,
    ) -> PeerAnswer:
        proof: dict[str, str] = {}
        nonce = ""
        if self._prover is not None:
            target = url.raw_path_qs.removeprefix(worker.raw_path.rstrip("/"))
            proof, nonce = self._prover.headers(time(), address_of(worker), method, target, body)
        try:
            async with self._client().request(
                method,
                url,
                data=body or None,
                headers={**headers, **proof},
                timeout=timeout,
                allow_redirects=False,
            ) as response:
                answer = PeerAnswer(response.status, response.headers, await response.read())
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise PeerError(f"{worker} does not answer: {exc!r}") from exc
        if self._prover is not None and not self._prover.is_answer(
            answer.headers, nonce, answer.status, answer.body
        ):
            raise self._unproven(worker, answer)
        return answer

    def _unproven(self, worker: URL, answer: PeerAnswer) -> PeerError:
        if answer.status == HTTPStatus.UNAUTHORIZED:
            text = f"{worker} does not accept this worker's proof: {answer.body[:300]!r}"
        else:
            text = f"{worker} does not prove that it knows the token (status {answer.status})"
        now = monotonic()
        if now - self._warned.get(worker, -QUIET_S) >= QUIET_S:
            self._warned[worker] = now
            log.warning("%s; all workers need the same REELS_HTTP_TOKEN and the same time", text)
        return PeerError(text)


def address_of(worker: URL) -> str:
    """Return a worker's address in the form that proofs use."""
    return str(worker).rstrip("/")
