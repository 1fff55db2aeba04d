"""Writes to connections that the broker has closed raise Kafka's errors."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
import uvloop
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.metadata import MetadataRequest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


METADATA = 3


async def write_when_closed(write: Callable[[AIOKafkaConnection], Awaitable[object]]) -> None:
    """Call ``write`` with a connection whose other end is closed."""
    server = await asyncio.start_server(lambda _, writer: writer.transport.abort(), "127.0.0.1")
    host, port = server.sockets[0].getsockname()
    connection = AIOKafkaConnection(host, port, client_id="a client")
    _, connection._writer = await asyncio.open_connection(host, port)
    connection._versions = {METADATA: (0, 5)}
    connection._writer.transport.abort()
    await asyncio.sleep(0.05)
    try:
        await write(connection)
    finally:
        assert not connection.connected()
        server.close()


@pytest.mark.parametrize(
    "write",
    [
        lambda connection: connection.send(MetadataRequest(None)),
        lambda connection: connection._send_sasl_token(b"token"),
    ],
    ids=["a request", "a token"],
)
def test_uvloops_closed_connections_are_kafkas_errors(
    write: Callable[[AIOKafkaConnection], Awaitable[object]],
) -> None:
    with pytest.raises(KafkaConnectionError, match="is closed"):
        uvloop.run(write_when_closed(write))
