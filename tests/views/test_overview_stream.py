"""``GET /overview/stream``: one collector for all readers, and an end for each of them."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
import pytest

from models.timestamps import from_iso
from monitoring import metrics
from views import collector as collecting
from views import connection, overview, roster
from views.application import COLLECTOR
from views.peers import Peers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.views.conftest import MakeWorker, Worker
    from views.peers import PeerAnswer


TOKEN = "a-token-of-some-length"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "INTERVAL_S", 0.1)


class Reader:
    """Reads server-sent events."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response

    async def event(self) -> tuple[str, dict[str, Any]]:
        async with asyncio.timeout(10):
            block = await self.response.content.readuntil(b"\n\n")
        name, data = block.decode().strip().split("\n")
        return name.removeprefix("event: "), orjson.loads(data.removeprefix("data: "))

    async def figures(
        self, is_so: Callable[[dict[str, Any]], object] = lambda _: True
    ) -> dict[str, Any]:
        """Return the first figures for which ``is_so`` returns true."""
        async with asyncio.timeout(10):
            while True:
                name, data = await self.event()
                if name == "figures" and is_so(data):
                    return data

    async def ended(self) -> bool:
        async with asyncio.timeout(10):
            return await self.response.content.read() == b""


@asynccontextmanager
async def reading(worker: Worker, **kwargs: Any) -> AsyncIterator[Reader]:
    async with (
        aiohttp.ClientSession(read_bufsize=2**20) as session,
        session.get(f"{worker.url}/overview/stream", **kwargs) as response,
    ):
        yield Reader(response)


async def two_workers(make_worker: MakeWorker, **environ: str) -> tuple[Worker, Worker]:
    """The first worker has partition 0, the second partition 1; both know that."""
    first, second = await make_worker(**environ), await make_worker(**environ)
    for worker, partition in ((first, 0), (second, 1)):
        await worker.open(partition)
        await worker.become_ready()
        worker.assign([partition], accepting=[partition])
    for worker in (first, second):
        worker.owns({first.url: [0], second.url: [1]})
    return first, second


async def two_with_a_wrong_address(make_worker: MakeWorker) -> tuple[Worker, Worker]:
    """At the address of the second worker another one answers, as the group's ids tell."""
    first, second = await two_workers(make_worker)
    second.status.worker_id = "bbbb"
    first.owns({f"{first.url}#aaaa": [0], f"{second.url}#cccc": [1]})
    return first, second


def overviews_answered() -> float:
    answered: float = metrics.http_requests.labels("/overview", "200")._value.get()
    return answered


async def until(is_so: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not is_so():  # noqa: ASYNC110 - there is no event to await
            await asyncio.sleep(0.02)


def state_of(shown: dict[str, Any], worker: Worker) -> str:
    workers: list[dict[str, str]] = shown["workers"]
    return next(each["state"] for each in workers if each["url"] == str(worker.url))


class TestReading:
    async def test_the_history_comes_first_and_then_figures_again_and_again(
        self, worker: Worker
    ) -> None:
        await worker.become_ready()
        async with reading(worker) as reader:
            assert reader.response.content_type == "text/event-stream"
            assert reader.response.headers["Cache-Control"] == "no-store"
            name, history = await reader.event()
            assert (name, history["time"]) == ("history", [])
            # As numbers: as text, a whole second sorts after its milliseconds.
            times = [from_iso((await reader.figures())["time"]) for _ in range(3)]
            assert times == sorted(set(times))
        async with reading(worker) as reader:
            name, history = await reader.event()
            assert name == "history"
            assert len(history["time"]) >= 3

    async def test_figures_are_those_of_the_overview(self, worker: Worker) -> None:
        await worker.become_ready()
        overview_ = (await worker.ask("/overview")).json
        async with reading(worker) as reader:
            shown = await reader.figures()
        assert shown["worker"] == overview_["worker"]
        assert shown["events"] == overview_["events"]
        assert shown["viral"]["count"] == overview_["viral"]["count"]
        assert [each["state"] for each in shown["workers"]] == ["ready"]

    async def test_a_viral_video_comes_with_its_steps(self, worker: Worker) -> None:
        await worker.become_ready()
        worker.put_video(
            7, ("2025-01-15T14:00:00Z", 5, 0, 0, 0), ("2025-01-15T14:30:45Z", 9, 0, 0, 0)
        )
        async with reading(worker) as reader:
            await reader.figures()
            await worker.flag_viral(7, 2.0)
            shown = await reader.figures(lambda data: data["viral"]["count"])
        steps = shown["viral"]["videos"][0]["steps"]
        assert (steps["start"], steps["step_s"]) == ("2025-01-15T12:35:00Z", 300)
        assert steps["views"] == [0] * 17 + [5] + [0] * 5 + [9]
        assert [c["change"] for c in shown["viral"]["changes"]] == ["entered"]

    async def test_a_worker_whose_address_leads_to_another_is_shown_with_the_reason(
        self, make_worker: MakeWorker
    ) -> None:
        first, second = await two_with_a_wrong_address(make_worker)
        async with reading(first) as reader:
            shown = await reader.figures(lambda data: state_of(data, second) == "silent")
        (obstacle,) = (text for each in shown["workers"] if (text := each.get("obstacle")))
        assert "leads to worker bbbb" in obstacle
        assert "NODE_CANONICAL_URL" in obstacle

    async def test_a_wrong_address_is_no_longer_the_reason_once_nobody_answers_there(
        self, make_worker: MakeWorker
    ) -> None:
        first, second = await two_with_a_wrong_address(make_worker)
        async with reading(first) as reader:
            await reader.figures(lambda data: "leads to worker" in str(data["workers"]))
            await second.listener.stop()
            shown = await reader.figures(lambda data: "leads to worker" not in str(data["workers"]))
        assert state_of(shown, second) == "silent"

    async def test_a_head_request_is_answered_and_opens_no_stream(self, worker: Worker) -> None:
        raw = await worker.send_raw(b"HEAD /overview/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        head, _, body = raw.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        assert b"text/event-stream" in head
        assert body == b""

    async def test_the_token_is_asked_for(self, make_worker: MakeWorker) -> None:
        worker = await make_worker(REELS_HTTP_TOKEN=TOKEN)
        answer = await worker.ask("/overview/stream")
        assert (answer.status, answer.code) == (401, "unauthorized")
        async with reading(worker, headers=HEADERS) as reader:
            assert (await reader.event())[0] == "history"


class TestManyWorkers:
    @pytest.mark.parametrize("environ", [{}, {"REELS_HTTP_TOKEN": TOKEN}])
    async def test_all_are_shown_whichever_is_asked(
        self, make_worker: MakeWorker, environ: dict[str, str]
    ) -> None:
        first, second = await two_workers(make_worker, **environ)
        async with reading(first, headers=HEADERS) as reader:
            shown = await reader.figures(
                lambda data: all(each["state"] == "ready" for each in data["workers"])
            )
        assert {each["url"] for each in shown["workers"]} == {str(first.url), str(second.url)}
        assert [p["worker"] for p in shown["partitions"]] == [str(first.url), str(second.url)]
        assert [p["state"] for p in shown["partitions"]] == ["ready", "ready"]

    async def test_one_that_goes_without_a_word_is_shown_as_silent_then_as_lost(
        self, make_worker: MakeWorker
    ) -> None:
        first, second = await two_workers(make_worker)
        async with reading(first) as reader:
            await reader.figures(lambda data: state_of(data, second) == "ready")
            await second.listener.stop()
            shown = await reader.figures(lambda data: state_of(data, second) == "silent")
            assert shown["partitions"][1]["state"] == "silent"
            assert shown["partitions"][1]["lag"] == {"records": None, "seconds": None}
            assert (shown["lag"]["records"], shown["lag"]["unanswered"]) == (None, [1])
            first.owns({first.url: [0, 1]})
            await reader.figures(lambda data: state_of(data, second) == "lost")

    async def test_one_that_is_shown_no_more_is_remembered_no_more(
        self, make_worker: MakeWorker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(roster, "REMEMBERED_S", -1.0)
        first, second = await two_workers(make_worker)
        collector = first.application[COLLECTOR]
        async with reading(first) as reader:
            await reader.figures(lambda data: state_of(data, second) == "ready")
            assert set(collector._answers) == {str(second.url)}
            await second.listener.stop()
            first.owns({first.url: [0, 1]})
            await reader.figures(lambda data: len(data["workers"]) == 1)
            await until(lambda: not collector._answers)

    async def test_others_are_asked_as_often_for_many_readers_as_for_one(
        self, make_worker: MakeWorker
    ) -> None:
        first, _ = await two_workers(make_worker)
        asked_before = overviews_answered()
        async with AsyncExitStack() as stack:
            readers = [await stack.enter_async_context(reading(first)) for _ in range(20)]
            for _ in range(5):
                seen = [await reader.figures() for reader in readers]
            assert first.application[COLLECTOR].subscribers == len(seen) == 20
        looks = len(first.application[COLLECTOR]._cluster.history()["time"])
        # In addition, each of the two asks the other once for its rules.
        assert 1 <= overviews_answered() - asked_before <= looks + 3

    async def test_one_that_answers_nonsense_is_silent(
        self, make_worker: MakeWorker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first, second = await two_workers(make_worker)

        get = Peers.get

        async def nonsense(*args: Any, **kwargs: Any) -> PeerAnswer:
            return (await get(*args, **kwargs))._replace(body=b"nonsense")

        monkeypatch.setattr(Peers, "get", nonsense)
        async with reading(first) as reader:
            await reader.figures(lambda data: state_of(data, second) == "silent")


class TestBounds:
    async def test_too_many_are_sent_away_and_let_in_when_there_is_room(
        self, worker: Worker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(overview, "MAX_STREAMS", 1)
        async with reading(worker) as reader:
            await reader.figures()
            answer = await worker.ask("/overview/stream")
            assert (answer.status, answer.code) == (503, "too_many_streams")
            assert answer.headers["Retry-After"] == "10"
        await until(lambda: worker.application[COLLECTOR].subscribers == 0)
        async with reading(worker) as reader:
            await reader.figures()

    async def test_who_reads_nothing_is_dropped_and_others_go_on(
        self, worker: Worker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connection, "WRITE_TIMEOUT_S", 0.5)
        collector = worker.application[COLLECTOR]
        stuck, writer = await asyncio.open_connection("127.0.0.1", worker.port, limit=1024)
        writer.write(b"GET /overview/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        async with reading(worker) as reader:
            await reader.figures()
            assert collector.subscribers == 2
            async with asyncio.timeout(20):
                while collector.subscribers == 2:
                    collector.publish(collecting.frame("figures", {"x": "x" * 500_000}))
                    await reader.event()
            assert "time" in await reader.figures(lambda data: "time" in data)
        writer.close()
        del stuck

    async def test_nobody_collects_when_nobody_has_looked_for_a_while(
        self, worker: Worker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(collecting, "IDLE_TIMEOUT_S", 0.2)
        collector = worker.application[COLLECTOR]
        async with reading(worker) as reader:
            await reader.figures()
        assert collector._loop is not None
        await until(collector._loop.done)
        async with reading(worker) as reader:
            assert (await reader.event())[1]["time"] == []
            await reader.figures()

    async def test_a_mistake_in_collecting_ends_no_stream_and_is_logged_once(
        self, worker: Worker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with reading(worker) as reader:
            await reader.figures()
            with monkeypatch.context() as patch:
                patch.setattr(worker.application[COLLECTOR], "_figures", None)
                await asyncio.sleep(0.5)
            await reader.figures()
        assert caplog.text.count("cannot be collected") == 1


class TestTheEnd:
    async def test_when_the_worker_stops_every_stream_is_told_and_ends(
        self, make_worker: MakeWorker
    ) -> None:
        worker = await make_worker()
        async with reading(worker) as reader, reading(worker) as other:
            for each in (reader, other):
                await each.figures()
            async with asyncio.timeout(2):
                await worker.listener.stop()
            for each in (reader, other):
                name = ""
                while name != "end":
                    name, _ = await each.event()
                assert await each.ended()
        assert worker.application[COLLECTOR].subscribers == 0
