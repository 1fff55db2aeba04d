"""Single requests to workers: authorization, retries and errors."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import aiohttp

from reels_client.errors import ReelsError
from reels_client.proof import is_proven, prove

if TYPE_CHECKING:
    from collections.abc import Sequence

JSON = "application/json"
ARROW = "application/vnd.apache.arrow.stream"

_OK = 200
_TRY_AGAIN = frozenset({429, 502, 503, 504})
_MAX_RETRY_AFTER = 60.0


class TryAgainError(Exception):
    """A worker has no answer now."""

    def __init__(self, reason: str, after: float, *, is_gone: bool = False) -> None:
        """Set the reason, the seconds before a retry, and whether to ask another worker."""
        super().__init__(reason)
        self.after = after
        self.is_gone = is_gone


class Reply(NamedTuple):
    """An answer with status 200."""

    body: bytes
    retry_after: float


class Workers:
    """Sends requests to workers of one service."""

    def __init__(self, addresses: Sequence[str], token: str | None, pause: float) -> None:
        """Send ``token`` to ``addresses`` only; wait ``pause`` seconds without a Retry-After."""
        self.addresses = [address.rstrip("/") for address in addresses]
        self._token = token
        self._pause = pause
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open the session; it connects on demand."""
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def ask(
        self, address: str, target: str, body: bytes | None, accept: str, timeout_s: float
    ) -> Reply:
        """Return the answer of the worker at ``address`` to a GET, or to a POST with a body.

        Raises:
            TryAgainError: the worker does not answer, or cannot now.
            ReelsError: it refuses the request.
        """
        if self._session is None:
            raise RuntimeError("the client is not open: use it in `async with`")
        method = "GET" if body is None else "POST"
        headers, nonce = {"Accept": accept}, ""
        if body is not None:
            headers["Content-Type"] = JSON
        if self._token is not None and address in self.addresses:
            headers["Authorization"] = f"Bearer {self._token}"
        elif self._token is not None:
            headers["Authorization"], nonce = prove(
                self._token, address, method, target, body or b""
            )
        try:
            async with self._session.request(
                method,
                address + target,
                data=body,
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=timeout_s),
                allow_redirects=False,
            ) as response:
                answer = await response.read()
        except (TimeoutError, aiohttp.ClientError, OSError) as exc:
            reason = f"{address} does not answer: {exc!r}"
            raise TryAgainError(reason, self._pause, is_gone=True) from exc
        if nonce and self._token is not None:
            status = response.status
            if not is_proven(self._token, response.headers, nonce, status, answer):
                reason = f"{address} does not prove that it knows the token"
                raise TryAgainError(reason, self._pause, is_gone=True)
        after = self._retry_after(response.headers.get("Retry-After"))
        if response.status == _OK:
            return Reply(answer, after)
        code, message = _error(answer, response.status)
        if response.status in _TRY_AGAIN:
            raise TryAgainError(f"{address}: {message}", after)
        raise ReelsError(response.status, code, message)

    def _retry_after(self, text: str | None) -> float:
        try:
            return min(max(float(text or self._pause), 0.0), _MAX_RETRY_AFTER)
        except ValueError:
            return self._pause


def _error(body: bytes, status: int) -> tuple[str, str]:
    try:
        error: Any = json.loads(body)["error"]
        return str(error["code"]), str(error["message"])
    except (ValueError, KeyError, TypeError):
        return "unknown", f"the service answers with status {status}"
