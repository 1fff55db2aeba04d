"""A worker's views over real HTTP and real tables, without Kafka: tests open the partitions."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest_asyncio
from aiohttp import web
from yarl import URL

from bootstrap import create_app
from models.counters import CREATOR
from models.windows import from_iso
from settings import load
from tables.records import ViralVideo
from tests.counted import of_user, of_video
from tests.views.fakes import FakeStatus
from views.application import make_application
from views.listener import Listener

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from models.schema import Metadata
    from settings import Settings

PARTITIONS = 2
#: Stream time of partitions for which a test sets no other.
NOW = "2025-01-15T14:30:45.123Z"

_apps = count()


@dataclass
class Answer:
    """An HTTP response."""

    status: int
    headers: Any
    body: bytes
    json: Any

    @property
    def code(self) -> str:
        """The code of an error."""
        code: str = self.json["error"]["code"]
        return code


class Worker:
    """The views of one worker, listening on a port of its own."""

    def __init__(self, settings: Settings) -> None:
        assert settings.data_dir is not None
        self.settings = settings
        self.app = app = create_app(settings)
        self.query_context = app.web.query_context
        self.tables, windows = self.query_context.tables, self.query_context.windows
        self.users, self.videos = self.tables["user_metrics"], self.tables["video_metrics"]
        self.user_windows, self.video_windows = windows["user_metrics"], windows["video_metrics"]
        self.creators = self.tables.get("creator_metrics")
        self.creator_windows = windows.get("creator_metrics")
        self.viral = self.query_context.viral
        self.status = FakeStatus(partitions=PARTITIONS, data_dir=Path(settings.data_dir))
        self.application = make_application(
            self.status, settings, self.query_context, lambda: app.http_client
        )
        self.listener = Listener(self.application)
        self.url = URL()
        self.port = 0

    async def start(self) -> None:
        self.port = await self.listener.start("127.0.0.1", 0)
        self.url = URL(f"http://127.0.0.1:{self.port}")
        self.status.url = self.url
        self.owns({self.url: range(PARTITIONS)})

    async def stop(self) -> None:
        await self.listener.stop()
        if self.app._http_client:
            await self.app._http_client.close()
        for table in self.tables.values():
            await table.data.on_stop()

    def owns(self, workers: Mapping[URL, Any] | Mapping[str, Any]) -> None:
        """Set the owners of partitions, as a rebalance would."""
        self.status.owned = {
            str(url): {
                table.changelog_topic_name: list(partitions) for table in self.tables.values()
            }
            for url, partitions in workers.items()
        }

    async def open(self, *partitions: int, at: str | None = NOW) -> None:
        """Open ``partitions`` with the stream time ``at``."""
        for partition in partitions or range(PARTITIONS):
            for table in self.tables.values():
                state = await table.data.open(partition)
                state.reset_to_committed()
                await state.caught_up()
                state.stream_time = None if at is None else from_iso(at)
                state.readable = True

    def put_user(self, user_id: int, *events: tuple[str, str, int]) -> None:
        """Apply events, each with its type, time and watch time in ms."""
        key, rows = b"%d" % user_id, self.users.state(user_id).dirty
        rows[key] = None
        for number, (event_type, at, watch_ms) in enumerate(events):
            t_ms = from_iso(at)
            added = of_user(event_type, watch_ms)
            self.user_windows.apply(rows, key, added, t_ms, number, t_ms)

    def put_video(self, video_id: int, *counts: tuple[str, int, int, int, int]) -> None:
        """Add counts, each with its time, views, likes, comments and shares."""
        state, value = self.videos.state(video_id), None
        for at, *numbers in counts:
            t_ms = from_iso(at)
            pane = self.video_windows.slices.pane_of(t_ms)
            value = self.video_windows.apply(value, pane, of_video(*numbers), t_ms)
        state.dirty[b"%d" % video_id] = value

    def put_creator(self, creator_id: int, *events: tuple[str, str, Metadata]) -> None:
        """Count events, each with its type, time and metadata."""
        state, value = self.creators.state(creator_id), None
        for event_type, at, metadata in events:
            t_ms = from_iso(at)
            pane = self.creator_windows.slices.pane_of(t_ms)
            added = CREATOR.increments(event_type, metadata)
            value = self.creator_windows.apply(value, pane, added, t_ms)
        state.dirty[b"%d" % creator_id] = value

    async def flag_viral(self, video_id: int, coefficient: float) -> None:
        """Apply a flag, as from the output topic."""
        flag = ViralVideo(
            video_id=video_id,
            viral_coefficient=coefficient,
            views=1000,
            shares=800,
            comments=int(1000 * coefficient) - 800,
            detected_at="2025-01-15T14:20:00Z",
            window_start="2025-01-15T12:35:00Z",
            window_end="2025-01-15T14:35:00Z",
        )
        partition = self.users.partition(video_id)
        await self.viral.feeds[partition].apply({b"%d" % video_id: flag.encode()}, 0)

    async def catch_up(self) -> None:
        """Mark the list of viral videos as complete."""
        self.status.viral_list_complete = True

    async def become_ready(self) -> None:
        """Take the steps that make a worker ready."""
        await self.catch_up()
        self.status.joined = True
        self.assign(range(PARTITIONS), accepting=range(PARTITIONS))

    def assign(self, assigned: Any, accepting: Any) -> None:
        """Set which partitions are assigned, and which of them are open."""
        self.status.assigned_now, self.status.open_now = set(assigned), set(accepting)

    async def ask(self, path: str, method: str = "GET", **kwargs: Any) -> Answer:
        """Send a request; the path is already encoded."""
        url = URL(f"{self.url}{path}", encoded=True)
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, url, allow_redirects=False, **kwargs) as response,
        ):
            body = await response.read()
            is_json = response.content_type == "application/json" and body
            return Answer(
                response.status, response.headers, body, await response.json() if is_json else None
            )

    async def send_raw(self, data: bytes) -> bytes:
        """Send bytes, and return everything received until the connection is closed."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(data)
        await writer.drain()
        try:
            async with asyncio.timeout(10):
                return await reader.read()
        finally:
            writer.close()


MakeWorker = Callable[..., Awaitable[Worker]]
Listening = Callable[..., Awaitable[URL]]


@pytest_asyncio.fixture
async def make_worker(tmp_path: Path) -> AsyncIterator[MakeWorker]:
    """Make a worker with the given settings: ``await make_worker(REELS_HTTP_TOKEN=...)``."""
    async with AsyncExitStack() as stack:

        async def make(**environ: str) -> Worker:
            folder = tmp_path / str(next(_apps))
            base = {
                "APP_DATADIR": str(folder),
                "TOPIC_PARTITIONS": str(PARTITIONS),
                "REELS_APP_ID": f"views-{folder.name}",
                # Tests write rows directly.
                "REELS_ACCELERATOR": "off",
            }
            worker = Worker(load({**base, **environ}))
            stack.push_async_callback(worker.stop)
            await worker.start()
            return worker

        yield make


@pytest_asyncio.fixture
async def worker(make_worker: MakeWorker) -> Worker:
    """A worker that owns all partitions and has opened them."""
    worker = await make_worker()
    await worker.open()
    return worker


@pytest_asyncio.fixture
async def listening() -> AsyncIterator[Listening]:
    """Serve a handler at its own address until the test ends."""
    async with AsyncExitStack() as stack:

        async def serve(handler: Callable[..., Awaitable[web.StreamResponse]]) -> URL:
            runner = web.ServerRunner(web.Server(handler), shutdown_timeout=0.1)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            return URL(site.name)

        yield serve
