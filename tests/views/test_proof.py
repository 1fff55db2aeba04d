"""Workers prove to each other that they know the token, without revealing it."""

from __future__ import annotations

import hashlib
import re
from contextlib import AsyncExitStack
from time import time
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from aiohttp import web
from yarl import URL

from views import peers
from views.proof import MAX_SKEW_S, ProofError, Prover

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.views.conftest import Answer, MakeWorker, Worker


TOKEN = "a-token-of-some-length"
OTHER = "another-token-of-some-length"
HERE = "http://worker-1:6066"
NOW = 1_736_951_445.5
PATH = "/users/1?window=1h"


def proof(
    now: float = NOW, to: str = HERE, path: str = PATH, body: bytes = b"", token: str = TOKEN
) -> str:
    headers, _ = Prover(token).headers(now, to, "GET", path, body)
    return headers["Authorization"].removeprefix("Reels-Proof ")


def is_refused(prover: Prover, fields: str, method: str = "GET", path: str = PATH) -> str:
    with pytest.raises(ProofError) as caught:
        prover.check(NOW, fields, method, path, {HERE})
    return str(caught.value)


class TestProof:
    def test_is_taken_by_who_knows_the_same_token(self) -> None:
        taken = Prover(TOKEN).check(NOW, proof(body=b"abc"), "GET", PATH, {HERE})
        assert taken.body_hash == hashlib.sha256(b"abc").hexdigest()

    def test_holds_nothing_of_the_token(self) -> None:
        assert TOKEN not in proof()
        assert proof() != proof()

    def test_is_taken_once(self) -> None:
        prover, fields = Prover(TOKEN), proof()
        prover.check(NOW, fields, "GET", PATH, {HERE})
        assert "used before" in is_refused(prover, fields)

    def test_is_refused_with_another_token(self) -> None:
        assert "another token" in is_refused(Prover(TOKEN), proof(token=OTHER))

    def test_is_refused_for_another_method_path_or_query(self) -> None:
        for method, path in [("HEAD", PATH), ("GET", "/users/2?window=1h"), ("GET", "/users/1")]:
            assert "another request" in is_refused(Prover(TOKEN), proof(), method, path)

    def test_is_refused_by_a_worker_that_it_is_not_meant_for(self) -> None:
        text = is_refused(Prover(TOKEN), proof(to="http://stranger:1"))
        assert text == "the proof is for http://stranger:1, but this worker is http://worker-1:6066"

    @pytest.mark.parametrize("apart", [MAX_SKEW_S - 1, 1 - MAX_SKEW_S])
    def test_is_taken_when_the_clocks_differ_a_little(self, apart: int) -> None:
        Prover(TOKEN).check(NOW, proof(NOW + apart), "GET", PATH, {HERE})

    @pytest.mark.parametrize("apart", [MAX_SKEW_S + 1, -1 - MAX_SKEW_S])
    def test_is_refused_when_it_is_old_or_of_the_future(self, apart: int) -> None:
        assert "at most 30 s are allowed" in is_refused(Prover(TOKEN), proof(NOW + apart))

    @pytest.mark.parametrize("field", ["to", "time", "nonce", "body", "mac"])
    def test_is_refused_when_anything_of_it_is_changed(self, field: str) -> None:
        changed = re.sub(
            rf'{field}="?[^",]*([0-9a-f])', lambda m: m[0][:-1] + "07"[m[1] == "0"], proof()
        )
        assert changed != proof()
        is_refused(Prover(TOKEN), changed)

    @pytest.mark.parametrize("fields", ["", "x", "mac=", 'to="a"', "\x00", "é" * 500])
    def test_is_refused_when_it_is_none(self, fields: str) -> None:
        assert "not well-formed" in is_refused(Prover(TOKEN), fields)

    def test_is_remembered_until_its_time_is_over_and_no_longer(self) -> None:
        prover = Prover(TOKEN)
        for second in range(10 * MAX_SKEW_S):
            now = NOW + second
            early = proof(now + MAX_SKEW_S - 1)
            prover.check(now, early, "GET", PATH, {HERE})
            with pytest.raises(ProofError, match="used before"):
                prover.check(now + MAX_SKEW_S, early, "GET", PATH, {HERE})
        assert sum(map(len, prover._used.values())) <= 4 * MAX_SKEW_S

    def test_of_an_answer_is_for_that_request_status_and_body(self) -> None:
        prover = Prover(TOKEN)
        headers = prover.answer_headers("1", 200, b"abc")
        assert prover.is_answer(headers, "1", 200, b"abc")
        for other in [("2", 200, b"abc"), ("1", 404, b"abc"), ("1", 200, b"abd")]:
            assert not prover.is_answer(headers, *other)
        assert not prover.is_answer({}, "1", 200, b"abc")
        assert not Prover(OTHER).is_answer(headers, "1", 200, b"abc")


def sent(worker: Worker, path: str, to: URL | None = None, **kwargs: bytes) -> dict[str, str]:
    return Prover(TOKEN).headers(time(), str(to or worker.url), "GET", path, **kwargs)[0]


@pytest_asyncio.fixture
async def worker(make_worker: MakeWorker) -> Worker:
    worker = await make_worker(REELS_HTTP_TOKEN=TOKEN)
    await worker.open()
    return worker


class TestRequestsWithAProof:
    async def test_are_let_in_once(self, worker: Worker) -> None:
        headers = sent(worker, "/users/x?window=1h")
        assert (await worker.ask("/users/x?window=1h", headers=headers)).status == 400
        again = await worker.ask("/users/x?window=1h", headers=headers)
        assert (again.status, again.code) == (401, "unauthorized")

    async def test_are_refused_with_another_body(self, worker: Worker) -> None:
        headers = sent(worker, "/users/x", body=b"abc")
        answer = await worker.ask("/users/x", headers=headers, data=b"abd")
        assert (answer.status, answer.code) == (401, "unauthorized")
        headers = sent(worker, "/users/x", body=b"abc")
        assert (await worker.ask("/users/x", headers=headers, data=b"abc")).status == 400

    async def test_may_name_the_socket_when_they_come_from_this_machine(
        self, worker: Worker
    ) -> None:
        socket = worker.url
        worker.status.url = URL("http://worker-1:6066")
        assert (
            await worker.ask("/users/x", headers=sent(worker, "/users/x", socket))
        ).status == 400
        for other in (socket.with_port(1), socket.with_host("127.0.0.2")):
            headers = sent(worker, "/users/x", other)
            assert (await worker.ask("/users/x", headers=headers)).status == 401


class Stranger:
    """A member of the group without the token: it keeps every request that it receives."""

    def __init__(self) -> None:
        self.url = URL()
        self.heard: list[web.BaseRequest] = []
        self.answer: dict[str, str] = {}

    async def handle(self, request: web.BaseRequest) -> web.Response:
        self.heard.append(request)
        return web.json_response(self.answer)


@pytest_asyncio.fixture
async def stranger() -> AsyncIterator[Stranger]:
    async with AsyncExitStack() as stack:
        stranger = Stranger()
        runner = web.ServerRunner(web.Server(stranger.handle), shutdown_timeout=0.1)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        stranger.url = URL(site.name)
        yield stranger


class TestAStrangerInTheGroup:
    async def ask(
        self, worker: Worker, stranger: Stranger, path: str = "/users/1?window=1h"
    ) -> Answer:
        """Request a key that the stranger owns."""
        await worker.users.data.close(worker.users.partition(1))
        worker.owns({worker.url: [], stranger.url: [0, 1]})
        return await worker.ask(path, headers={"Authorization": f"Bearer {TOKEN}"})

    async def test_is_not_sent_the_token(self, worker: Worker, stranger: Stranger) -> None:
        await self.ask(worker, stranger)
        (heard,) = stranger.heard
        assert TOKEN not in str(heard.raw_headers)
        assert heard.headers["Authorization"].startswith("Reels-Proof ")

    async def test_cannot_pass_on_to_another_worker_what_it_is_sent(
        self, make_worker: MakeWorker, worker: Worker, stranger: Stranger
    ) -> None:
        other = await make_worker(REELS_HTTP_TOKEN=TOKEN)
        await self.ask(worker, stranger)
        headers = {"Authorization": stranger.heard[0].headers["Authorization"]}
        for victim in (worker, other):
            assert (await victim.ask("/users/1?window=1h", headers=headers)).status == 401

    async def test_cannot_answer_in_the_place_of_a_worker(
        self,
        worker: Worker,
        stranger: Stranger,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(peers, "QUIET_S", 60.0)
        stranger.answer = {"likes": "1000000"}
        for _ in range(3):
            answer = await self.ask(worker, stranger)
            assert (answer.status, answer.code) == (503, "unavailable")
        assert caplog.text.count("does not prove that it knows the token") == 1


async def test_a_worker_whose_clock_is_off_says_so(
    make_worker: MakeWorker, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await make_worker(REELS_HTTP_TOKEN=TOKEN)
    second = await make_worker(REELS_HTTP_TOKEN=TOKEN)
    for worker in (first, second):
        worker.owns({second.url: [0, 1]})
    monkeypatch.setattr(peers, "time", lambda: time() - 3600)
    answer = await first.ask("/users/1", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status == 503
    assert re.search("the proof is -360[01] s from the clock", caplog.text)


async def test_a_worker_with_another_token_is_named(
    make_worker: MakeWorker, caplog: pytest.LogCaptureFixture
) -> None:
    first = await make_worker(REELS_HTTP_TOKEN=TOKEN)
    second = await make_worker(REELS_HTTP_TOKEN=OTHER)
    first.owns({second.url: [0, 1]})
    answer = await first.ask("/users/1", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status == 503
    assert f"{second.url} does not accept this worker's proof" in caplog.text
    assert TOKEN not in caplog.text
