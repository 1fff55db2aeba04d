"""Collects the figures of all workers once per second while they are watched."""

from __future__ import annotations

import asyncio
import logging
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import aiohttp
import msgspec
import orjson
from yarl import URL

from views.cluster import Cluster
from views.peers import PeerError
from views.worker_stats import WorkerStats

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from views.addresses import Addresses
    from views.brokers_view import BrokersView
    from views.health import Readiness
    from views.neighbours import Neighbours
    from views.peers import Peers
    from views.query_context import QueryContext
    from views.worker_stats import WorkerStatsReader

log = logging.getLogger(__name__)

#: Seconds between two collections, and seconds that each waits for other workers' answers.
INTERVAL_S: Final = 1.0
ANSWER_TIMEOUT_S: Final = 0.3

#: Time limits of a request to another worker; its last answer is shown meanwhile.
ASK_TIMEOUT: Final = aiohttp.ClientTimeout(total=3.0, connect=1.0)

#: Seconds of collecting after the last reader left; a reloaded page still has the curves.
IDLE_TIMEOUT_S: Final = 300.0

_END: Final = b"event: end\ndata: {}\n\n"
_decode: Final = msgspec.json.Decoder(WorkerStats).decode


class Answer(NamedTuple):
    """What is known of another worker; nothing while it does not answer."""

    figures: WorkerStats | None = None
    misled: str | None = None
    """Warning that another worker answers at its address."""


def frame(event: str, data: dict[str, Any]) -> bytes:
    """Return a server-sent event."""
    return b"event: %b\ndata: %b\n\n" % (event.encode(), orjson.dumps(data))


class Collector:
    """Polls all workers, and publishes the result to all readers.

    It requests ``/overview``, which makes no further requests; loops are impossible. The cost does
    not grow with the readers. A slow reader misses outdated figures.
    """

    def __init__(
        self,
        peers: Peers,
        query_context: QueryContext,
        readiness: Readiness,
        figures: WorkerStatsReader,
        addresses: Addresses,
        neighbours: Neighbours,
        brokers: BrokersView,
    ) -> None:
        """Poll ``peers``, from the first :meth:`subscription` on."""
        self._brokers = brokers
        self._neighbours = neighbours
        self._peers = peers
        self._viral = query_context.viral
        self._readiness = readiness
        self._figures = figures
        self._addresses = addresses
        self._cluster = Cluster()
        self._answers: dict[str, Answer] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._loop: asyncio.Task[None] | None = None
        self._latest = b""
        self._published = asyncio.Event()
        self._ended = False
        self._alone_since = 0.0
        self.subscribers = 0

    @contextmanager
    def subscription(self) -> Iterator[AsyncIterator[bytes]]:
        """Yield an iterator of encoded events: history, current figures, then each update."""
        self.subscribers += 1
        if not self._ended and (self._loop is None or self._loop.done()):
            self._loop = asyncio.create_task(self._run(), name="dashboard-collector")
        try:
            yield self._frames()
        finally:
            self.subscribers -= 1
            self._alone_since = monotonic()

    async def stop(self) -> None:
        """Stop polling, and end all subscriptions."""
        self._ended = True
        tasks = [*self._asking.values(), *filter(None, [self._loop])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._brokers.stop()
        self._published.set()

    async def _frames(self) -> AsyncIterator[bytes]:
        yield frame("history", self._cluster.history())
        if self._latest and self._loop is not None and not self._loop.done():
            yield self._latest
        while not self._ended:
            await self._published.wait()
            if not self._ended:
                yield self._latest
        yield _END

    def publish(self, data: bytes) -> None:
        """Send ``data`` to all readers."""
        self._latest = data
        published, self._published = self._published, asyncio.Event()
        published.set()

    async def _run(self) -> None:
        failing = False
        while self.subscribers or monotonic() - self._alone_since < IDLE_TIMEOUT_S:
            began = monotonic()
            try:
                self.publish(frame("figures", await self._collect()))
                failing = False
            except Exception:
                # A fault of the page must not stop the worker. Logged once until it works again.
                if not failing:
                    log.exception("the dashboard's figures cannot be collected")
                failing = True
            await asyncio.sleep(max(0.1, INTERVAL_S - (monotonic() - began)))
        await self._brokers.stop()
        self._cluster, self._answers, self._latest = Cluster(), {}, b""

    async def _collect(self) -> dict[str, Any]:
        self._neighbours.refresh()
        own, group = self._figures.read(), self._neighbours.roster.members
        others = {*own.partitions.by_worker, *group, *self._cluster.workers} - {own.worker}
        for url in others - self._asking.keys():
            self._asking[url] = asyncio.create_task(self._ask(url), name=f"dashboard-asks-{url}")
        if self._asking:
            await asyncio.wait([*self._asking.values()], timeout=ANSWER_TIMEOUT_S)
        self._answers = {url: self._answers.get(url, Answer()) for url in others}
        answers = {url: figures for url, (figures, _) in self._answers.items()}
        misled = {url: reason for url, (_, reason) in self._answers.items() if reason}
        viral = self._viral if self._readiness.is_viral_list_complete() else None
        shown = self._cluster.update(
            own, answers, viral, group=group, behind=self._brokers.behind, misled=misled
        )
        self._brokers.want(self._cluster.unmeasured)
        return shown

    async def _ask(self, url: str) -> None:
        try:
            answer = await self._peers.get(URL(url), "/overview", timeout=ASK_TIMEOUT)
            self._answers[url] = self._checked(url, _decode(answer.body))
        except PeerError as exc:
            log.debug("%s", exc)
            self._answers[url] = Answer()
        except msgspec.MsgspecError as exc:
            log.debug("%s does not answer with figures: %r", url, exc)
            self._answers[url] = Answer()
        finally:
            del self._asking[url]

    def _checked(self, url: str, figures: WorkerStats) -> Answer:
        """Return ``figures``, or a warning if another worker answers at ``url``."""
        wanted, found = self._addresses.ids_at(URL(url)), figures.worker_id
        misled = None
        if found and wanted and found not in wanted:
            misled = self._addresses.led_elsewhere(min(wanted), found)
        return Answer(figures) if misled is None else Answer(misled=misled)
