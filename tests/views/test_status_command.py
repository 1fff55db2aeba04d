"""``faust -A app status`` logs in to the worker without revealing the token."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from commands.status import StatusError, figures_of
from views.proof import Prover

if TYPE_CHECKING:
    from commands.status import Figures
    from tests.views.conftest import MakeWorker, Worker


TOKEN = "a-token-of-some-length"


@pytest_asyncio.fixture
async def worker(make_worker: MakeWorker) -> Worker:
    worker = await make_worker(REELS_HTTP_TOKEN=TOKEN)
    await worker.open()
    await worker.become_ready()
    return worker


async def first_of(url: object, token: str | None, **kwargs: bool) -> Figures:
    figures = figures_of(str(url), token, **kwargs)
    try:
        return await anext(figures)
    finally:
        await figures.aclose()


async def refusal(url: object, token: str | None, **kwargs: bool) -> str:
    with pytest.raises(StatusError) as caught:
        await first_of(url, token, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


async def test_the_worker_is_found_by_its_address_and_by_names_of_this_machine(
    worker: Worker,
) -> None:
    for url in (worker.url, f"{worker.url}/", worker.url.with_host("localhost")):
        assert (await first_of(url, TOKEN))["worker"] == str(worker.url)


async def test_a_worker_without_a_token_asks_for_none(make_worker: MakeWorker) -> None:
    worker = await make_worker()
    for token in (None, TOKEN):
        assert (await first_of(worker.url, token))["worker"] == str(worker.url)


async def test_a_wrong_token_is_refused_and_one_that_is_missing_is_asked_for(
    worker: Worker,
) -> None:
    assert "set REELS_HTTP_TOKEN" in await refusal(worker.url, None)
    text = await refusal(worker.url, "another-token")
    assert "another token" in text
    assert "--send-token" in text


async def test_by_a_name_that_the_worker_does_not_know_the_token_has_to_be_sent(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Elsewhere(Prover):
        def headers(self, now: float, _: str, *args: Any) -> tuple[dict[str, str], str]:
            return super().headers(now, "http://proxy:80", *args)

    monkeypatch.setattr("commands.status.Prover", Elsewhere)
    assert "the proof is for http://proxy:80" in await refusal(worker.url, TOKEN)
    assert await first_of(worker.url, TOKEN, is_token_sent=True)


async def test_whatever_answers_at_that_address_does_not_learn_the_token() -> None:
    heard = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        text = await refusal(f"http://127.0.0.1:{port}", TOKEN)
    assert "no reason given" in text
    assert len(heard) == 1
    assert TOKEN.encode() not in heard[0]


@pytest.mark.parametrize(
    "url", ["http://joe:hunter2@h:1", "joe:hunter2@h:1", "ftp://h", "", "http:"]
)
async def test_what_is_no_address_is_refused_and_a_login_in_it_not_shown(url: str) -> None:
    text = await refusal(url, TOKEN)
    assert "is not an address: write http://host:port" in text
    assert "hunter2" not in text
