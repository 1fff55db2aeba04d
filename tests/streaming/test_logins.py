"""Login behaviour that aiokafka itself does not guarantee."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.conn import AIOKafkaConnection, OAuthAuthenticator
from aiokafka.errors import SaslAuthenticationFailed
from aiokafka.protocol.admin import SaslAuthenticateRequest

from streaming.kafka.patches import logins

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator


SASL_AUTHENTICATE = 36
#: The response after its correlation id: no error, no message, no bytes, a session of 10 s.
SESSION = b"\0\0" + b"\xff\xff" + b"\0\0\0\0" + (10_000).to_bytes(8, "big")


class Tokens:
    async def token(self) -> str:
        return "abc"


async def test_a_broker_that_answers_a_token_with_a_text_has_refused_it() -> None:
    login = OAuthAuthenticator(sasl_oauth_token_provider=Tokens())
    assert await login.step(None) == (b"n,,\x01auth=Bearer abc\x01\x01", True)
    with pytest.raises(SaslAuthenticationFailed, match="invalid_token"):
        await login.step(b'{"status":"invalid_token"}')


async def test_a_token_that_is_taken_is_answered_with_nothing() -> None:
    login = OAuthAuthenticator(sasl_oauth_token_provider=Tokens())
    await login.step(None)
    assert await login.step(b"") is None


@pytest.fixture
async def connection(unused_tcp_port: int) -> AsyncIterator[AIOKafkaConnection]:
    """Return a connection that has logged in to a broker with sessions of 10 s."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = int.from_bytes(await reader.readexactly(4), "big")
        request = await reader.readexactly(size)
        response = request[4:8] + SESSION
        writer.write(len(response).to_bytes(4, "big") + response)
        await reader.read()
        writer.close()
        ended.set()

    ended = asyncio.Event()
    server = await asyncio.start_server(answer, "127.0.0.1", unused_tcp_port)
    connection = AIOKafkaConnection("127.0.0.1", unused_tcp_port)
    connection._closed_fut = asyncio.get_running_loop().create_future()
    reader, writer = await asyncio.open_connection("127.0.0.1", unused_tcp_port)
    connection._reader, connection._writer = reader, writer
    connection._read_task = connection._create_reader_task()
    connection._versions = {SASL_AUTHENTICATE: (0, 1)}
    await connection.send(SaslAuthenticateRequest(b"token"))
    yield connection
    connection.close()
    await writer.wait_closed()
    await ended.wait()
    server.close()
    await server.wait_closed()


@pytest.fixture
def get(
    connection: AIOKafkaConnection, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[float], Awaitable[bool]]]:
    """Return a function that asks a client for its connection, some seconds after the login."""
    client = AIOKafkaClient.__new__(AIOKafkaClient)
    client._conns = {(1, ConnectionGroup.DEFAULT): connection}
    client._closing = None
    asked: list[bool] = []
    monkeypatch.setattr(
        AIOKafkaClient, "_get_conn", logins._replacing(lambda *_, **kw: found(asked))
    )

    async def found(asked: list[bool]) -> AIOKafkaConnection:
        asked.append(connection.connected())
        return connection

    async def get(seconds: float) -> bool:
        now = logins.time.monotonic()  # type: ignore[attr-defined]  # the module's own ``time``
        monkeypatch.setattr(logins, "time", SimpleNamespace(monotonic=lambda: now + seconds))
        await client._get_conn(1)
        return asked[-1]

    yield get
    client._conns = {}


async def test_a_connection_is_used_while_its_session_lasts(
    get: Callable[[float], Awaitable[bool]],
) -> None:
    assert await get(6.5)


async def test_a_connection_whose_session_is_nearly_over_is_replaced(
    get: Callable[[float], Awaitable[bool]],
) -> None:
    assert not await get(7.1)


async def test_a_request_that_is_under_way_is_not_given_up(
    get: Callable[[float], Awaitable[bool]], connection: AIOKafkaConnection
) -> None:
    connection._requests.append((1, None, asyncio.get_running_loop().create_future()))
    assert await get(7.1)
