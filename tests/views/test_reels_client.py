"""The client against real workers: whom it asks, and what it does if a worker cannot answer."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
import threading
import tomllib
import zipfile
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from aiohttp import web

from models.partitioner import partition_of
from models.schema import Metadata
from reels_client import BlockingClient, Client, ReelsError, Unavailable, topology
from reels_client import client as client_module
from reels_client.connection import Reply, TryAgainError
from tests.worker import ROOT
from views import middlewares

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.views.conftest import Listening, MakeWorker, Worker

    RequestsOf = Callable[[Worker], list[tuple[str, str, bool]]]


AT = "2025-01-15T14:30:45.123Z"
TOKEN = "a-token-of-some-length"
LIKE = ("like", AT, 0)
COUNTS = (AT, 1000, 7, 900, 800)


async def pair(make_worker: MakeWorker, **environ: str) -> tuple[Worker, Worker]:
    """Two workers: the first owns partition 0, the second partition 1."""
    first, second = await make_worker(**environ), await make_worker(**environ)
    for worker, partition in (first, 0), (second, 1):
        await worker.open(partition)
        await worker.become_ready()
        worker.owns({first.url: [0], second.url: [1]})
    for key in range(30):
        owner = (first, second)[first.users.partition(key)]
        owner.put_user(key, LIKE)
        owner.put_video(key, COUNTS)
        owner.put_creator(key, ("follow", AT, Metadata()))
    return first, second


async def never_answer(_: web.BaseRequest) -> web.Response:
    await asyncio.sleep(60)
    return web.Response()


@pytest.fixture
def requests_of(monkeypatch: pytest.MonkeyPatch) -> RequestsOf:
    """Return a worker's requests by path, scheme of the login, and whether they were forwarded."""
    seen: dict[int, list[tuple[str, str, bool]]] = defaultdict(list)
    add_headers = middlewares.add_headers

    async def record(request: web.Request, response: web.StreamResponse) -> None:
        await add_headers(request, response)
        scheme = request.headers.get("Authorization", "").partition(" ")[0]
        assert request.transport is not None
        port = request.transport.get_extra_info("sockname")[1]
        seen[port].append((request.path, scheme, "X-Reels-Forwarded" in request.headers))

    monkeypatch.setattr(middlewares, "add_headers", record)
    return lambda worker: seen[worker.port]


class TestAnswers:
    async def test_rows_come_by_id_in_the_order_asked(self, make_worker: MakeWorker) -> None:
        first, second = await pair(make_worker)
        ids = [*range(35)][::-1]
        async with Client(str(first.url)) as client:
            users, videos = await client.users(ids, window="1h"), await client.videos(ids)
            creators = await client.creators(ids, window="1h")
        assert list(users) == list(videos) == list(creators) == ids[5:]
        for key in (3, 4, 5):
            assert users[key] == (await second.ask(f"/users/{key}?window=1h")).json
            assert videos[key] == (await first.ask(f"/videos/{key}")).json
            assert creators[key] == (await first.ask(f"/creators/{key}?window=1h")).json

    async def test_no_ids_are_no_rows(self, make_worker: MakeWorker) -> None:
        first, _ = await pair(make_worker)
        async with Client(str(first.url)) as client:
            assert await client.users([]) == {}

    async def test_tables_have_the_rows_of_all_workers(self, make_worker: MakeWorker) -> None:
        first, _ = await pair(make_worker)
        ids = [*range(35)][::-1]
        async with Client(str(first.url), batch_size=7) as client:
            table = await client.users_table(iter(ids))
            assert (await client.videos_table(ids)).column("viral").to_pylist() == [True] * 30
            creators = await client.creators_table(ids)
        assert creators.column("follows").to_pylist() == [1] * 30
        assert creators.column("complete_since").to_pylist() == [None] * 30
        assert table.column("user_id").to_pylist() == ids[5:]
        assert orjson.loads(table.schema.metadata[b"unknown"]) == ids[:5]

    async def test_the_viral_list_is_the_services(self, make_worker: MakeWorker) -> None:
        first, _ = await pair(make_worker)
        await first.flag_viral(7, 1.7)
        async with Client(str(first.url)) as client:
            viral = await client.viral(limit=5)
        assert viral == (await first.ask("/videos/viral")).json["videos"]
        assert [video["video_id"] for video in viral] == [7]

    async def test_a_program_without_an_event_loop_reads_too(self, make_worker: MakeWorker) -> None:
        first, _ = await pair(make_worker)

        def read() -> tuple[Any, ...]:
            with BlockingClient(str(first.url)) as client:
                table = client.users_table([1, 2])
                rows = table.num_rows, client.creators_table([1, 2, 40]).num_rows
                read = client.users([2, 1]), client.videos([40]), client.creators([40, 3])
                return *read, client.viral(), rows

        users, videos, creators, viral, rows = await asyncio.to_thread(read)
        assert (list(users), videos, list(creators), viral, rows) == ([2, 1], {}, [3], [], (2, 2))


class TestWhomItAsks:
    async def test_owners_are_asked_directly(
        self, make_worker: MakeWorker, requests_of: RequestsOf
    ) -> None:
        first, second = await pair(make_worker)
        seen = requests_of(first), requests_of(second)
        async with Client(str(first.url)) as client:
            await client.users(range(30))
        paths = [[(path, forwarded) for path, _, forwarded in each] for each in seen]
        assert paths == [
            [("/overview", False), ("/users/query", False)],
            [("/users/query", False)],
        ]

    async def test_large_requests_are_split(
        self, make_worker: MakeWorker, requests_of: RequestsOf
    ) -> None:
        first, second = await pair(make_worker)
        seen = requests_of(first), requests_of(second)
        async with Client(str(first.url), batch_size=10) as client:
            assert len(await client.users(range(30))) == 30
        asked = sum(path == "/users/query" for each in seen for path, _, _ in each)
        sizes = [sum(first.users.partition(key) == n for key in range(30)) for n in (0, 1)]
        assert asked == sum(-(-size // 10) for size in sizes)

    async def test_learned_addresses_get_a_proof_and_not_the_token(
        self, make_worker: MakeWorker, requests_of: RequestsOf
    ) -> None:
        first, second = await pair(make_worker, REELS_HTTP_TOKEN=TOKEN)
        seen = requests_of(first), requests_of(second)
        async with Client(str(first.url), token=TOKEN) as client:
            assert len(await client.users(range(30))) == 30
        assert {scheme for _, scheme, _ in seen[0]} == {"Bearer"}
        assert {scheme for _, scheme, _ in seen[1]} == {"Reels-Proof"}

    async def test_an_answer_without_a_proof_does_not_count(
        self, make_worker: MakeWorker, listening: Listening
    ) -> None:
        first, _ = await pair(make_worker, REELS_HTTP_TOKEN=TOKEN)

        async def pretend(_: web.Request) -> web.Response:
            return web.json_response({"users": [], "unknown": [1], "unavailable": []})

        first.owns({first.url: [0], await listening(pretend): [1]})
        key = next(key for key in range(30) if first.users.partition(key) == 1)
        async with Client(str(first.url), token=TOKEN, deadline=0.5) as client:
            with pytest.raises(Unavailable):
                await client.users([key])


class TestWhenNobodyAnswers:
    async def test_refusals_have_status_and_code(self, make_worker: MakeWorker) -> None:
        first, _ = await pair(make_worker, REELS_HTTP_TOKEN=TOKEN)
        async with Client(str(first.url), token="another") as client:
            with pytest.raises(ReelsError) as caught:
                await client.users([1])
        assert (caught.value.status, caught.value.code) == (401, "unauthorized")
        async with Client(str(first.url), token=TOKEN) as client:
            with pytest.raises(ReelsError) as caught:
                await client.users([1], window="7m")
        assert (caught.value.status, caught.value.code) == (400, "invalid_window")

    async def test_ids_without_an_answer_are_named(self, make_worker: MakeWorker) -> None:
        first, second = await pair(make_worker)
        await second.listener.stop()
        there = [key for key in range(30) if first.users.partition(key) == 1]
        async with Client(str(first.url), deadline=0.5) as client:
            with pytest.raises(Unavailable) as caught:
                await client.users(range(30))
        assert caught.value.ids == there
        assert caught.value.status == 503

    async def test_it_asks_again_until_a_partition_is_open(
        self, make_worker: MakeWorker, requests_of: RequestsOf
    ) -> None:
        first, second = await pair(make_worker)
        state = second.users.data.partitions[1]
        state.readable = False
        seen = requests_of(second)
        async with Client(str(first.url), deadline=30) as client:
            reading = asyncio.create_task(client.users(range(30)))
            # The test continues once the worker has refused a request.
            while not any(path == "/users/query" for path, _, _ in seen):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            state.readable = True
            assert len(await reading) == 30

    async def test_a_worker_that_is_gone_is_replaced_by_another_address(
        self, make_worker: MakeWorker
    ) -> None:
        _, second = await pair(make_worker)
        gone = await make_worker()
        await gone.listener.stop()
        async with Client(str(gone.url), str(second.url)) as client:
            assert len(await client.users(range(30))) == 30

    async def test_copies_answer_when_it_is_told_so(self, make_worker: MakeWorker) -> None:
        first, second = await pair(make_worker)
        await first.open(1)
        first.users.data.partitions[1].readable = False
        there = [key for key in range(30) if first.users.partition(key) == 1]
        for key in there:
            state = first.users.data.partitions[1]
            state.dirty[b"%d" % key] = second.users.state(key).get(b"%d" % key)
        await second.listener.stop()
        async with Client(str(first.url), stale=True) as client:
            users = await client.users(range(30))
        assert [key for key, row in users.items() if row.get("stale")] == there

    async def test_an_address_that_accepts_and_never_answers_leaves_time_for_another(
        self, make_worker: MakeWorker, listening: Listening, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first, _ = await pair(make_worker)
        hung = await listening(never_answer)
        monkeypatch.setattr(client_module, "_LATE_SHARE", 0.01)
        monkeypatch.setattr(client_module, "_MIN_LATE_S", 0.2)
        async with Client(str(hung), str(first.url), deadline=20) as client:
            # The addresses take turns.
            assert [await client.viral() for _ in range(2)] == [[], []]
            assert len(await client.users(range(30))) == 30

    async def test_a_copy_answers_for_an_owner_that_never_does(
        self, make_worker: MakeWorker, listening: Listening, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first, second = await pair(make_worker)
        await first.open(1)
        first.users.data.partitions[1].readable = False
        second.owns({second.url: [0], await listening(never_answer): [1]})
        first.owns({second.url: [0], await listening(never_answer): [1]})
        key = next(key for key in range(30) if first.users.partition(key) == 1)
        first.users.data.partitions[1].dirty[b"%d" % key] = second.users.state(key).get(b"%d" % key)
        monkeypatch.setattr(client_module, "_LATE_SHARE", 0.01)
        async with Client(str(first.url), deadline=20, stale=True) as client:
            assert (await client.users([key]))[key]["stale"] is True

    async def test_a_slow_owner_is_hedged(
        self, make_worker: MakeWorker, listening: Listening
    ) -> None:
        first, _ = await pair(make_worker)
        asked = asyncio.Event()

        async def slow(request: web.Request) -> web.Response:
            if request.path == "/users/query" and "X-Reels-Forwarded" not in request.headers:
                asked.set()
                await asyncio.sleep(60)
            ids = orjson.loads(await request.read())["ids"]
            return web.json_response({"users": [], "unknown": ids, "unavailable": []})

        first.owns({first.url: [0], await listening(slow): [1]})
        key = next(key for key in range(30) if first.users.partition(key) == 1)
        async with Client(str(first.url), deadline=30, hedge_after=0.05) as client:
            assert await client.users([key]) == {}
        assert asked.is_set()


async def test_of_two_requests_that_end_at_once_the_answer_counts() -> None:
    for _ in range(20):
        loop = asyncio.get_running_loop()
        failed, answered = loop.create_future(), loop.create_future()
        failed.set_exception(TryAgainError("gone", 0.1))
        answered.set_result(Reply(b"", 0.0))
        assert await client_module._first_answer(failed, answered) == Reply(b"", 0.0)
        failed = loop.create_future()
        failed.set_exception(TryAgainError("gone", 0.1))
        with pytest.raises(TryAgainError):
            await client_module._first_answer(failed)


async def test_a_thread_that_still_reads_is_told_that_the_client_was_closed(
    listening: Listening,
) -> None:
    asked = threading.Event()

    async def hang(_: web.BaseRequest) -> web.Response:
        asked.set()
        return await never_answer(_)

    url = str(await listening(hang))

    def read_until_closed() -> str:
        with ThreadPoolExecutor(1) as pool:
            with BlockingClient(url, deadline=60) as client:
                reading = pool.submit(client.users, [1])
                assert asked.wait(10)
            return str(reading.exception(10))

    assert "was closed" in await asyncio.to_thread(read_until_closed)


def test_keys_are_looked_for_where_kafka_puts_them() -> None:
    keys = [*range(2000), *(10**n + n for n in range(19)), 2**63 - 1]
    for partitions in (1, 8, 12):
        expected = [partition_of(key, partitions) for key in keys]
        assert [topology.partition_of(key, partitions) for key in keys] == expected


async def test_a_client_needs_an_address_and_to_be_open() -> None:
    with pytest.raises(ValueError, match="address"):
        Client()
    with pytest.raises(RuntimeError, match="async with"):
        await Client("http://127.0.0.1:1").users([1])
    with pytest.raises(RuntimeError, match="`with`"):
        BlockingClient("http://127.0.0.1:1").users([1])


async def test_tables_without_pyarrow_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    async with Client("http://127.0.0.1:1") as client:
        with pytest.raises(ImportError, match="tables need pyarrow: pip install pyarrow"):
            await client.users_table([1])


def test_the_clients_own_distribution_needs_aiohttp_alone() -> None:
    project = tomllib.loads((ROOT / "client" / "pyproject.toml").read_text())["project"]
    names = [re.findall(r"^[\w-]+", each)[0] for each in project["dependencies"]]
    assert names == ["aiohttp"]
    code = "import sys, reels_client; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    )
    theirs = {name.partition(".")[0] for name in done.stdout.split()}
    assert "aiohttp" in theirs
    ours = {path.name.partition(".")[0] for path in ROOT.iterdir()} - {"reels_client"}
    assert not theirs & (ours | {"faust", "aiokafka", "rocksdict", "numpy", "orjson", "pyarrow"})


def test_the_clients_own_distribution_has_its_code(tmp_path: Path) -> None:
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation"]
    source = shutil.copytree(ROOT / "client", tmp_path / "client")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", *options, "-w", str(tmp_path), str(source)],
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info" not in name}
    packed = [*(ROOT / "reels_client").glob("*.py"), ROOT / "reels_client" / "py.typed"]
    assert names == {f"reels_client/{path.name}" for path in packed}
