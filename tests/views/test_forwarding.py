"""A request for a key of another worker is answered all the same, or told to come again."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from time import monotonic

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from yarl import URL

from views import routing

TOKEN = "a-token-of-some-length"
LIKE = ("like", "2025-01-15T14:30:45.123Z", 0)


@pytest.fixture
def key_of(make_worker):
    """Find a key of a partition."""

    def find(worker, partition: int) -> int:
        return next(key for key in range(1000) if worker.users.partition(key) == partition)

    return find


async def two_workers(make_worker, **environ: str):
    """One has partition 0, the other partition 1; both know that."""
    first, second = await make_worker(**environ), await make_worker(**environ)
    await first.open(0)
    await second.open(1)
    for worker in (first, second):
        worker.owns({first.url: [0], second.url: [1]})
    return first, second


def unavailable(answer) -> bool:
    return (answer.status, answer.code, answer.headers["Retry-After"]) == (503, "unavailable", "1")


class TestForwarding:
    async def test_the_owner_answers_whichever_worker_is_asked(self, make_worker, key_of) -> None:
        first, second = await two_workers(make_worker)
        key = key_of(second, 1)
        second.put_user(key, LIKE)
        second.put_video(key, ("2025-01-15T14:30:00Z", 3, 0, 0, 0))
        user = f"/users/{key}?window=1h&at=2025-01-15T14:40:00%2B00:00"
        series = [user.replace("?", "/series?"), f"/videos/{key}/series"]
        for path in (user, f"/videos/{key}", *series):
            there, here = await second.ask(path), await first.ask(path)
            assert here.status == 200
            assert here.body == there.body
            assert here.headers["Content-Type"] == "application/json"

    async def test_the_owners_refusals_are_passed_back(self, make_worker, key_of) -> None:
        first, second = await two_workers(make_worker)
        key = key_of(second, 1)
        assert (await first.ask(f"/users/{key}")).code == "not_found"
        second.put_user(key, LIKE)
        answer = await first.ask(f"/users/{key}?at=2020-01-01T00:00:00Z")
        assert (answer.status, answer.code) == (400, "window_not_kept")

    async def test_it_asks_for_the_token_once(self, make_worker, key_of) -> None:
        first, second = await two_workers(make_worker, REELS_HTTP_TOKEN=TOKEN)
        key = key_of(second, 1)
        second.put_user(key, LIKE)
        headers = {"Authorization": f"Bearer {TOKEN}"}
        assert (await first.ask(f"/users/{key}", headers=headers)).status == 200
        assert (await first.ask(f"/users/{key}")).status == 401

    async def test_nothing_of_the_clients_headers_goes_along(
        self, worker, key_of, listening
    ) -> None:
        seen = {}

        async def owner(request: web.Request) -> web.Response:
            seen.update(request.headers)
            return web.json_response({})

        url = await listening(owner)
        worker.owns({url: [0]})
        await worker.users.data.close(0)
        path = f"/users/{key_of(worker, 0)}"
        await worker.ask(path, headers={"Cookie": "a=b", "X-Other": "1", "Authorization": "x y"})
        assert {"Cookie", "X-Other", "Authorization"}.isdisjoint(seen)
        assert seen[routing.FORWARDED] == "1"


class TestNobodyCanAnswer:
    async def test_no_owner_is_known_yet(self, make_worker) -> None:
        worker = await make_worker()
        worker.owns({})
        assert unavailable(await worker.ask("/users/1"))

    async def test_the_partition_is_ours_but_recovers(self, make_worker) -> None:
        worker = await make_worker()
        assert unavailable(await worker.ask("/users/1"))

    async def test_the_partition_is_open_but_not_readable(self, worker) -> None:
        worker.put_user(1, LIKE)
        worker.users.state(1).readable = False
        assert unavailable(await worker.ask("/users/1"))

    async def test_the_owner_is_gone(self, make_worker, key_of) -> None:
        first, second = await two_workers(make_worker)
        await second.listener.stop()
        assert unavailable(await first.ask(f"/users/{key_of(second, 1)}"))

    async def test_the_owner_recovers(self, make_worker, key_of) -> None:
        first, second = await two_workers(make_worker)
        await second.users.data.close(1)
        assert unavailable(await first.ask(f"/users/{key_of(second, 1)}"))

    async def test_two_workers_that_think_it_is_the_others_do_not_go_in_circles(
        self, make_worker, key_of
    ) -> None:
        first, second = await two_workers(make_worker)
        first.owns({second.url: [0, 1]})
        second.owns({first.url: [0, 1]})
        await first.users.data.close(0)
        assert unavailable(await first.ask(f"/users/{key_of(first, 0)}"))

    async def test_a_wrong_id_is_refused_here(self, make_worker) -> None:
        worker = await make_worker()
        worker.owns({})
        assert (await worker.ask("/users/x")).status == 400

    async def test_a_worker_that_stops_passes_nothing_on(self, make_worker, key_of) -> None:
        first, second = await two_workers(make_worker)
        second.put_user(key_of(second, 1), LIKE)
        first.app._stopped.set()
        assert unavailable(await first.ask(f"/users/{key_of(second, 1)}"))


@pytest_asyncio.fixture
async def listening():
    """Serve a handler at an address of its own until the test ends."""
    async with AsyncExitStack() as stack:

        async def serve(handler) -> URL:
            runner = web.ServerRunner(web.Server(handler), shutdown_timeout=0.1)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            return URL(site.name)

        yield serve


class TestOwnersThatMisbehave:
    async def ask_by(self, worker, key_of, url: URL):
        await worker.users.data.close(0)
        worker.owns({url: [0]})
        return await worker.ask(f"/users/{key_of(worker, 0)}")

    async def test_one_that_never_answers_is_not_waited_for(
        self, worker, key_of, listening, monkeypatch
    ) -> None:
        monkeypatch.setattr(routing, "FORWARD_TIMEOUT", aiohttp.ClientTimeout(total=0.2))

        async def sleep(_: web.BaseRequest) -> web.Response:
            await asyncio.sleep(5)
            return web.Response()

        began = monotonic()
        assert unavailable(await self.ask_by(worker, key_of, await listening(sleep)))
        assert monotonic() - began < 2

    @pytest.mark.parametrize("status", [302, 401, 403, 418, 500, 502])
    async def test_one_with_another_status(self, worker, key_of, listening, status: int) -> None:
        async def fail(_: web.BaseRequest) -> web.Response:
            return web.Response(status=status, text="secret", headers={"Location": "/elsewhere"})

        answer = await self.ask_by(worker, key_of, await listening(fail))
        assert unavailable(answer)
        assert b"secret" not in answer.body
