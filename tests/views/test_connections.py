"""However many connections there are, requests are answered."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from views import connection, listener, pages, places
from views.listener import MAX_CONNECTIONS, most_connections
from views.pages import StaticFile

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from tests.views.conftest import MakeWorker, Worker

    Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
    Connect = Callable[[Worker], Awaitable[Connection]]
    MakeDeaf = Callable[[Worker], Awaitable["Deaf"]]


TOKEN = "a-token-of-some-length"
REQUEST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
STREAM = b"GET /overview/stream HTTP/1.1\r\nHost: localhost\r\n\r\n"
OK = b'{"status":"ok"}'


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Open connections that are closed at the end."""
    writers: list[asyncio.StreamWriter] = []

    async def make(worker: Worker) -> Connection:
        reader, writer = await asyncio.open_connection("127.0.0.1", worker.port)
        writers.append(writer)
        return reader, writer

    yield make
    for writer in writers:
        writer.close()


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "MAX_CONNECTIONS", 3)


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    writer.write(REQUEST)
    async with asyncio.timeout(5):
        return await reader.readuntil(OK)


@pytest.mark.usefixtures("few")
class TestTooMany:
    async def test_the_longest_open_idle_one_makes_room(
        self, make_worker: MakeWorker, connect: Connect
    ) -> None:
        worker = await make_worker()
        silent, kept = await connect(worker), await connect(worker)
        assert OK in await ask(*kept)
        others = [await connect(worker) for _ in range(3)]
        for each in others:
            assert OK in await ask(*each)
        async with asyncio.timeout(5):
            assert await silent[0].read() == b""
            assert await kept[0].read() == b""

    async def test_one_that_is_being_answered_stays(
        self, make_worker: MakeWorker, connect: Connect
    ) -> None:
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
        self, make_worker: MakeWorker, connect: Connect
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


class Deaf:
    """A client that requests a file again and again, and reads nothing."""

    FILE = b"GET /static/dashboard.css HTTP/1.1\r\nHost: localhost\r\n\r\n"

    def __init__(self, worker: Worker) -> None:
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.sock.connect(("127.0.0.1", worker.port))
        self.sock.setblocking(False)

    async def ask_until(self, is_so: Callable[[], object]) -> None:
        """Send requests until ``is_so`` returns true."""
        async with asyncio.timeout(20):
            while not is_so():
                with contextlib.suppress(BlockingIOError):
                    self.sock.send(self.FILE * 16)
                await asyncio.sleep(0.01)

    @property
    def is_cut(self) -> bool:
        """Whether the worker has closed the connection: then a send fails."""
        try:
            self.sock.send(b"G")
        except BlockingIOError:
            return False
        except ConnectionError:
            return True
        return False


@pytest.fixture
def deaf() -> Iterator[MakeDeaf]:
    """Return a factory of clients that read nothing; each has an unread answer at the worker."""
    made: list[Deaf] = []

    async def make(worker: Worker) -> Deaf:
        made.append(client := Deaf(worker))
        before = len(worker.listener.places._untaken)
        await client.ask_until(lambda: len(worker.listener.places._untaken) > before)
        return client

    yield make
    for client in made:
        client.sock.close()


async def until(is_so: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not is_so():  # noqa: ASYNC110 - there is no event to await
            await asyncio.sleep(0.02)


class TestWhoDoesNotTakeItsAnswer:
    async def test_is_cut_in_time_whatever_is_left_to_send(
        self, make_worker: MakeWorker, deaf: MakeDeaf, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connection, "WRITE_TIMEOUT_S", 0.3)
        worker = await make_worker(REELS_HTTP_TOKEN=TOKEN)
        client = await deaf(worker)
        await until(lambda: client.is_cut)
        assert not worker.listener.places._untaken

    async def test_is_cut_in_time_also_when_it_has_said_that_it_leaves(
        self, make_worker: MakeWorker, deaf: MakeDeaf, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connection, "WRITE_TIMEOUT_S", 0.5)
        worker = await make_worker()
        client = await deaf(worker)
        client.sock.shutdown(socket.SHUT_WR)
        await until(lambda: not worker.listener.places._seated)

    async def test_is_the_first_to_go_when_room_is_short(
        self, make_worker: MakeWorker, connect: Connect, deaf: MakeDeaf, few: None
    ) -> None:
        worker = await make_worker(REELS_HTTP_TOKEN=TOKEN)
        idle = await connect(worker)
        assert OK in await ask(*idle)
        clients = [await deaf(worker) for _ in range(2)]
        new = await connect(worker)
        assert OK in await ask(*new)
        await until(lambda: clients[0].is_cut)
        assert not clients[1].is_cut
        assert OK in await ask(*await connect(worker))
        await until(lambda: clients[1].is_cut)
        assert OK in await ask(*idle)
        assert OK in await ask(*new)

    async def test_is_the_first_to_go_when_memory_is_short(
        self, make_worker: MakeWorker, deaf: MakeDeaf, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(places, "MAX_UNTAKEN_BYTES", 1)
        worker = await make_worker()
        first, second = await deaf(worker), Deaf(worker)
        await second.ask_until(lambda: first.is_cut)
        assert not second.is_cut
        second.sock.close()

    async def test_is_not_who_takes_it_slowly_but_steadily(
        self, make_worker: MakeWorker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connection, "WRITE_TIMEOUT_S", 0.3)
        monkeypatch.setattr(connection, "MIN_TAKEN_BYTES", 1)
        size = 24 << 20
        file = StaticFile(b"x" * size, "text/css")
        monkeypatch.setattr(pages, "read_files", lambda: {"dashboard.css": file})
        worker = await make_worker()
        reader, writer = await asyncio.open_connection("127.0.0.1", worker.port)
        writer.write(Deaf.FILE)
        await reader.readuntil(b"\r\n\r\n")
        taken = 0
        while taken < size and (some := await reader.read(1 << 18)):
            taken += len(some)
            await asyncio.sleep(0.01)
        assert taken == size
        writer.close()


class TestWhatIsNotTakenUp:
    HEADER = b"X-%d: " + b"x" * 500 + b"\r\n"

    async def test_is_bounded_when_a_request_does_not_end(
        self, make_worker: MakeWorker, connect: Connect
    ) -> None:
        worker = await make_worker()
        reader, writer = await connect(worker)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n")
        for number in range(90):
            writer.write(self.HEADER % number)
        async with asyncio.timeout(5):
            with suppress(ConnectionError):
                assert await reader.read() == b""

    async def test_is_bounded_when_requests_do_not_wait_for_their_answers(
        self, make_worker: MakeWorker, connect: Connect
    ) -> None:
        worker = await make_worker()
        reader, writer = await connect(worker)
        writer.write(STREAM)
        await reader.readuntil(b"event: history")
        head = b"".join(self.HEADER % number for number in range(10))
        for _ in range(10):
            writer.write(REQUEST.replace(b"\r\n\r\n", b"\r\n" + head + b"\r\n"))
        async with asyncio.timeout(5):
            with suppress(ConnectionError):
                await reader.read()

    async def test_is_enough_for_a_long_request_and_for_many_short_ones(
        self, make_worker: MakeWorker, connect: Connect
    ) -> None:
        worker = await make_worker()
        reader, writer = await connect(worker)
        head = b"".join(self.HEADER % number for number in range(40))
        for _ in range(3):
            writer.write(REQUEST.replace(b"\r\n\r\n", b"\r\n" + head + b"\r\n"))
            await reader.readuntil(OK)
        writer.write(REQUEST * 400)
        async with asyncio.timeout(10):
            for _ in range(400):
                await reader.readuntil(OK)


@pytest.mark.usefixtures("few")
class TestHealthIsAnswered:
    async def test_when_all_connections_wait_for_what_does_not_come(
        self, make_worker: MakeWorker, connect: Connect
    ) -> None:
        worker = await make_worker(REELS_HTTP_TOKEN=TOKEN)
        for _ in range(3):
            _, writer = await connect(worker)
            writer.write(REQUEST.replace(b"\r\n\r\n", b"\r\nContent-Length: 9\r\n\r\n"))
        seated: Any = worker.listener.places._seated
        await until(lambda: all(each._body is not None for each in seated))
        assert OK in await ask(*await connect(worker))

    async def test_when_all_connections_are_being_answered(
        self, make_worker: MakeWorker, connect: Connect
    ) -> None:
        worker = await make_worker()
        for _ in range(3):
            reader, writer = await connect(worker)
            writer.write(STREAM)
            await reader.readuntil(b"event: history")
        for _ in range(2 * places.MAX_GUESTS):
            assert OK in await ask(*await connect(worker))
        reader, writer = await connect(worker)
        writer.write(REQUEST.replace(b"/healthz", b"/users/1"))
        async with asyncio.timeout(5):
            answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b'"too_many_connections"' in answer

    async def test_when_those_without_a_place_say_nothing(
        self, make_worker: MakeWorker, connect: Connect
    ) -> None:
        worker = await make_worker()
        for _ in range(3):
            reader, writer = await connect(worker)
            writer.write(STREAM)
            await reader.readuntil(b"event: history")
        silent = [await connect(worker) for _ in range(2 * places.MAX_GUESTS)]
        assert OK in await ask(*await connect(worker))
        async with asyncio.timeout(10):
            assert {await reader.read() for reader, _ in silent} == {b""}


@pytest.mark.parametrize(
    ("files", "connections"),
    [(1024, 512), (20_000, MAX_CONNECTIONS), (resource.RLIM_INFINITY, MAX_CONNECTIONS)],
)
def test_tables_and_brokers_keep_half_of_the_files(
    monkeypatch: pytest.MonkeyPatch, files: int, connections: int
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (files, files))
    assert most_connections() == connections
