"""The time that a connection waits for a response, in a rebalance and otherwise."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest
from aiokafka.conn import AIOKafkaConnection
from aiokafka.protocol.group import HeartbeatRequest, JoinGroupRequest

from streaming.kafka.patches import rebalance_timeout

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


JOIN_GROUP, HEARTBEAT = 11, 12
JOIN = JoinGroupRequest("group", 10_000, 60_000, "", None, "consumer", [])
BEAT = HeartbeatRequest("group", 1, "member")


@pytest.fixture
async def connection() -> AsyncIterator[AIOKafkaConnection]:
    """Return a connection to a broker that never answers, with a timeout of 50 ms."""

    with socket.create_server(("127.0.0.1", 0)) as server:
        host, port = server.getsockname()
        connection = AIOKafkaConnection(host, port, client_id="a client", request_timeout_ms=50)
        _, connection._writer = await asyncio.open_connection(host, port)
        connection._versions = {JOIN_GROUP: (0, 5), HEARTBEAT: (0, 1)}
        yield connection
        connection._writer.close()
        await connection._writer.wait_closed()


async def test_a_silent_broker_is_given_up_after_the_timeout_of_requests(
    connection: AIOKafkaConnection,
) -> None:
    with pytest.raises(TimeoutError):
        await connection.send(BEAT)


@pytest.mark.parametrize("behind", [False, True], ids=["joining", "behind one that joins"])
async def test_a_rebalance_is_waited_for_longer(
    connection: AIOKafkaConnection, monkeypatch: pytest.MonkeyPatch, behind: bool
) -> None:
    monkeypatch.setattr(rebalance_timeout, "REBALANCE_TIMEOUT_S", 0.5)
    joining = asyncio.ensure_future(connection.send(JOIN))
    waiting = asyncio.ensure_future(connection.send(BEAT)) if behind else joining
    sent = {joining, waiting}
    assert not (await asyncio.wait(sent, timeout=0.2))[0]
    await asyncio.wait(sent)
    assert {type(each.exception()) for each in sent} == {TimeoutError}
