"""A client for programs without an event loop."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any, Self, TypeVar

from reels_client.client import Client

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable

    import pyarrow as pa

    from reels_client.client import Row

T = TypeVar("T")


class BlockingClient:
    """The methods of :class:`Client` without ``await``, for any number of threads.

    They run on an event loop in a separate thread.
    """

    def __init__(self, *addresses: str, **options: Any) -> None:
        """Accept the arguments of :class:`Client`."""
        self._client = Client(*addresses, **options)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        """Open the client."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="reels-client", daemon=True
        )
        self._thread.start()
        self._run(self._client.__aenter__())
        return self

    def __exit__(self, *exc: object) -> None:
        """Close its connections."""
        loop, thread = self._loop, self._thread
        if loop is not None and thread is not None:
            self._run(self._close(*exc))
            self._loop = self._thread = None
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    async def _close(self, *exc: object) -> None:
        """Close the connections, and end the calls of other threads."""
        calls = asyncio.all_tasks() - {asyncio.current_task()}
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        await self._client.__aexit__(*exc)

    def _run(self, call: Coroutine[Any, Any, T]) -> T:
        if self._loop is None:
            call.close()
            raise RuntimeError("the client is not open: use it in `with`")
        try:
            return asyncio.run_coroutine_threadsafe(call, self._loop).result()
        except CancelledError:
            raise RuntimeError("the client was closed during the call") from None

    def users(
        self, ids: Iterable[int], *, window: str | None = None, at: str | None = None
    ) -> dict[int, Row]:
        """See :meth:`Client.users`."""
        return self._run(self._client.users(ids, window=window, at=at))

    def videos(self, ids: Iterable[int], *, at: str | None = None) -> dict[int, Row]:
        """See :meth:`Client.videos`."""
        return self._run(self._client.videos(ids, at=at))

    def creators(
        self, ids: Iterable[int], *, window: str | None = None, at: str | None = None
    ) -> dict[int, Row]:
        """See :meth:`Client.creators`."""
        return self._run(self._client.creators(ids, window=window, at=at))

    def users_table(
        self, ids: Iterable[int], *, window: str | None = None, at: str | None = None
    ) -> pa.Table:
        """See :meth:`Client.users_table`."""
        return self._run(self._client.users_table(ids, window=window, at=at))

    def videos_table(self, ids: Iterable[int], *, at: str | None = None) -> pa.Table:
        """See :meth:`Client.videos_table`."""
        return self._run(self._client.videos_table(ids, at=at))

    def creators_table(
        self, ids: Iterable[int], *, window: str | None = None, at: str | None = None
    ) -> pa.Table:
        """See :meth:`Client.creators_table`."""
        return self._run(self._client.creators_table(ids, window=window, at=at))

    def viral(self, limit: int = 50) -> list[Row]:
        """See :meth:`Client.viral`."""
        return self._run(self._client.viral(limit))
