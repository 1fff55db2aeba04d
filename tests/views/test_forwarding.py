"""A request for another worker's key is answered, or refused with a time to retry."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import web

from views import routing

if TYPE_CHECKING:
    from collections.abc import Callable

    from yarl import URL

    from tests.views.conftest import Answer, Listening, MakeWorker, Worker

    KeyOf = Callable[[Worker, int], int]

TOKEN = "a-token-of-some-length"
LIKE = ("like", "2025-01-15T14:30:45.123Z", 0)


@pytest.fixture
def key_of(make_worker: MakeWorker) -> KeyOf:
    """Find a key of a partition."""

    def find(worker: Worker, partition: int) -> int:
        return next(key for key in range(1000) if worker.users.partition(key) == partition)

    return find


async def two_workers(make_worker: MakeWorker, **environ: str) -> tuple[Worker, Worker]:
    """The first worker has partition 0, the second partition 1; both know that."""
    first, second = await make_worker(**environ), await make_worker(**environ)
    await first.open(0)
    await second.open(1)
    for worker in (first, second):
        worker.owns({first.url: [0], second.url: [1]})
    return first, second


def unavailable(answer: Answer) -> bool:
    return (answer.status, answer.code, answer.headers["Retry-After"]) == (503, "unavailable", "1")


class TestForwarding:
    async def test_the_owner_answers_whichever_worker_is_asked(
        self, make_worker: MakeWorker, key_of: KeyOf
    ) -> None:
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

    async def test_the_owners_refusals_are_passed_back(
        self, make_worker: MakeWorker, key_of: KeyOf
    ) -> None:
        first, second = await two_workers(make_worker)
        key = key_of(second, 1)
        assert (await first.ask(f"/users/{key}")).code == "not_found"
        second.put_user(key, LIKE)
        answer = await first.ask(f"/users/{key}?at=2020-01-01T00:00:00Z")
        assert (answer.status, answer.code) == (400, "window_not_kept")

    async def test_it_asks_for_the_token_once(self, make_worker: MakeWorker, key_of: KeyOf) -> None:
        first, second = await two_workers(make_worker, REELS_HTTP_TOKEN=TOKEN)
        key = key_of(second, 1)
        second.put_user(key, LIKE)
        headers = {"Authorization": f"Bearer {TOKEN}"}
        assert (await first.ask(f"/users/{key}", headers=headers)).status == 200
        assert (await first.ask(f"/users/{key}")).status == 401

    async def test_nothing_of_the_clients_headers_goes_along(
        self, worker: Worker, key_of: KeyOf, listening: Listening
    ) -> None:
        seen: dict[str, str] = {}

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
    async def test_no_owner_is_known_yet(self, make_worker: MakeWorker) -> None:
        worker = await make_worker()
        worker.owns({})
        assert unavailable(await worker.ask("/users/1"))

    async def test_the_partition_is_ours_but_recovers(self, make_worker: MakeWorker) -> None:
        worker = await make_worker()
        assert unavailable(await worker.ask("/users/1"))

    async def test_the_partition_is_open_but_not_readable(self, worker: Worker) -> None:
        worker.put_user(1, LIKE)
        worker.users.state(1).readable = False
        assert unavailable(await worker.ask("/users/1"))

    async def test_the_owner_is_gone(self, make_worker: MakeWorker, key_of: KeyOf) -> None:
        first, second = await two_workers(make_worker)
        await second.listener.stop()
        assert unavailable(await first.ask(f"/users/{key_of(second, 1)}"))

    async def test_the_owner_recovers(self, make_worker: MakeWorker, key_of: KeyOf) -> None:
        first, second = await two_workers(make_worker)
        await second.users.data.close(1)
        assert unavailable(await first.ask(f"/users/{key_of(second, 1)}"))

    async def test_two_workers_that_think_it_is_the_others_do_not_go_in_circles(
        self, make_worker: MakeWorker, key_of: KeyOf
    ) -> None:
        first, second = await two_workers(make_worker)
        first.owns({second.url: [0, 1]})
        second.owns({first.url: [0, 1]})
        await first.users.data.close(0)
        assert unavailable(await first.ask(f"/users/{key_of(first, 0)}"))

    async def test_a_wrong_id_is_refused_here(self, make_worker: MakeWorker) -> None:
        worker = await make_worker()
        worker.owns({})
        assert (await worker.ask("/users/x")).status == 400

    async def test_a_worker_that_stops_passes_nothing_on(
        self, make_worker: MakeWorker, key_of: KeyOf
    ) -> None:
        first, second = await two_workers(make_worker)
        second.put_user(key_of(second, 1), LIKE)
        first.status.stops_for = "the worker is stopping"
        assert unavailable(await first.ask(f"/users/{key_of(second, 1)}"))


class TestAddressesThatAreNotAlone:
    """Two workers at one address, or an address that leads to another worker."""

    def message(self, answer: Answer) -> str:
        assert unavailable(answer)
        message: str = answer.json["error"]["message"]
        assert "NODE_CANONICAL_URL" in message
        assert "\n" not in message
        return message

    def warnings(self, caplog: pytest.LogCaptureFixture) -> list[str]:
        return [each.getMessage() for each in caplog.records if each.name == "views.addresses"]

    async def test_a_key_of_whoever_shares_an_address_is_refused_with_the_reason(
        self, make_worker: MakeWorker, key_of: KeyOf, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Another worker, with the same address, has partition 1; the third worker sees it, too."""
        worker, third = await make_worker(), await make_worker()
        await worker.open(0)
        for each in (worker, third):
            each.owns(
                {
                    f"{worker.url}#aaaa": [0],
                    f"{worker.url}#bbbb": [1],
                    f"{third.url}#cccc": [],
                }
            )
            for _ in range(3):
                message = self.message(await each.ask(f"/users/{key_of(worker, 1)}"))
                assert f"aaaa and bbbb give the same address, {worker.url}" in message
        assert self.warnings(caplog) == [message] * 2

    async def test_workers_that_share_an_address_are_not_ready_and_others_are(
        self, make_worker: MakeWorker
    ) -> None:
        worker, third = await make_worker(), await make_worker()
        for each in (worker, third):
            await each.become_ready()
            each.owns(
                {
                    f"{worker.url}#aaaa": [0],
                    f"{worker.url}#bbbb": [1],
                    f"{third.url}#cccc": [],
                }
            )
        self.message(await worker.ask("/readyz"))
        assert (await third.ask("/readyz")).status == 200
        partitions = (await worker.ask("/overview")).json["partitions"]
        assert partitions["by_worker"][str(worker.url)] == [0, 1]
        assert partitions["shared_addresses"] == [str(worker.url)]

    async def test_an_address_that_leads_to_another_worker_is_found_at_the_first_request(
        self, make_worker: MakeWorker, key_of: KeyOf, caplog: pytest.LogCaptureFixture
    ) -> None:
        first, second = await make_worker(), await make_worker()
        second.status.worker_id = "bbbb"
        for each in (first, second):
            each.owns({f"{second.url}#cccc": [1]})
        for _ in range(3):
            message = self.message(await first.ask(f"/users/{key_of(first, 1)}"))
            assert f"{second.url}, the address of worker cccc" in message
            assert "leads to worker bbbb" in message
        assert self.warnings(caplog) == [message]

    async def test_a_worker_that_has_just_lost_the_partition_says_that_it_moves(
        self, make_worker: MakeWorker, key_of: KeyOf
    ) -> None:
        """The worker that asks still has the previous assignment, with the members of that time."""
        first, second = await make_worker(), await make_worker()
        second.status.worker_id = "bbbb"
        first.owns({f"{second.url}#cccc": [1]})
        second.owns({f"{second.url}#bbbb": [], f"{first.url}#aaaa": [1]})
        answer = await first.ask(f"/users/{key_of(first, 1)}")
        assert unavailable(answer)
        assert "is moving" in answer.json["error"]["message"]

    async def test_ids_change_nothing_while_each_address_is_its_workers_own(
        self, make_worker: MakeWorker, key_of: KeyOf
    ) -> None:
        first, second = await two_workers(make_worker)
        second.status.worker_id = "bbbb"
        first.owns({f"{first.url}#aaaa": [0], f"{second.url}#bbbb": [1]})
        key = key_of(second, 1)
        second.put_user(key, LIKE)
        assert (await first.ask(f"/users/{key}")).status == 200


class TestOwnersThatMisbehave:
    async def ask_by(self, worker: Worker, key_of: KeyOf, url: URL) -> Answer:
        await worker.users.data.close(0)
        worker.owns({url: [0]})
        return await worker.ask(f"/users/{key_of(worker, 0)}")

    async def test_one_that_never_answers_is_not_waited_for(
        self, worker: Worker, key_of: KeyOf, listening: Listening, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(routing, "FORWARD_TIMEOUT", aiohttp.ClientTimeout(total=0.2))

        async def sleep(_: web.BaseRequest) -> web.Response:
            await asyncio.sleep(5)
            return web.Response()

        began = monotonic()
        assert unavailable(await self.ask_by(worker, key_of, await listening(sleep)))
        assert monotonic() - began < 2

    @pytest.mark.parametrize("status", [302, 401, 403, 418, 500, 502])
    async def test_one_with_another_status(
        self, worker: Worker, key_of: KeyOf, listening: Listening, status: int
    ) -> None:
        async def fail(_: web.BaseRequest) -> web.Response:
            return web.Response(status=status, text="secret", headers={"Location": "/elsewhere"})

        answer = await self.ask_by(worker, key_of, await listening(fail))
        assert unavailable(answer)
        assert b"secret" not in answer.body
