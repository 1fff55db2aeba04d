"""However many connections there are, whoever asks for something is answered."""

from __future__ import annotations

import asyncio
import resource

import pytest

from views import listener
from views.listener import MAX_CONNECTIONS, most_connections

REQUEST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
STREAM = b"GET /overview/stream HTTP/1.1\r\nHost: localhost\r\n\r\n"
OK = b'{"status":"ok"}'


@pytest.fixture
def connect():
    """Open connections that are closed at the end."""
    writers = []

    async def make(worker):
        reader, writer = await asyncio.open_connection("127.0.0.1", worker.port)
        writers.append(writer)
        return reader, writer

    yield make
    for writer in writers:
        writer.close()


@pytest.fixture
def few(monkeypatch) -> None:
    monkeypatch.setattr(listener, "MAX_CONNECTIONS", 3)


async def ask(reader, writer) -> bytes:
    writer.write(REQUEST)
    async with asyncio.timeout(5):
        return await reader.readuntil(OK)


@pytest.mark.usefixtures("few")
class TestTooMany:
    async def test_the_longest_open_idle_one_makes_room(self, make_worker, connect) -> None:
        worker = await make_worker()
        silent, kept = await connect(worker), await connect(worker)
        assert OK in await ask(*kept)
        others = [await connect(worker) for _ in range(3)]
        for each in others:
            assert OK in await ask(*each)
        async with asyncio.timeout(5):
            assert await silent[0].read() == b""
            assert await kept[0].read() == b""

    async def test_one_that_is_being_answered_stays(self, make_worker, connect) -> None:
        worker = await make_worker()
        streams = [await connect(worker) for _ in range(2)]
        for reader, writer in streams:
            writer.write(STREAM)
            await reader.readuntil(b"event: history")
        for _ in range(6):
            assert OK in await ask(*await connect(worker))
        for reader, _ in streams:
            async with asyncio.timeout(5):
                await reader.readuntil(b"event: figures")

    async def test_when_all_are_being_answered_a_new_one_is_closed(
        self, make_worker, connect
    ) -> None:
        worker = await make_worker()
        for _ in range(3):
            reader, writer = await connect(worker)
            writer.write(STREAM)
            await reader.readuntil(b"event: history")
        reader, _ = await connect(worker)
        async with asyncio.timeout(5):
            assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
        assert OK in await ask(*await connect(worker))


@pytest.mark.parametrize(
    ("files", "connections"),
    [(1024, 512), (20_000, MAX_CONNECTIONS), (resource.RLIM_INFINITY, MAX_CONNECTIONS)],
)
def test_tables_and_brokers_keep_half_of_the_files(monkeypatch, files, connections) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (files, files))
    assert most_connections() == connections
