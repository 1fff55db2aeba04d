"""Produce requests have the bytes that aiokafka would send."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka.conn import AIOKafkaConnection
from aiokafka.producer import sender
from aiokafka.protocol.produce import ProduceRequest
from hypothesis import given
from hypothesis import strategies as st

from streaming.kafka.patches.produce_requests import FlatProduceRequest, FlatRequest

if TYPE_CHECKING:
    from streaming.kafka.patches.produce_requests import Body


PRODUCE = 0

NUMBERS = st.integers(-(1 << 31), (1 << 31) - 1)
TEXTS = st.text(max_size=20)
RECORDS = st.binary(max_size=40) | st.binary(max_size=40).map(bytearray)
PARTITIONS = st.lists(st.tuples(NUMBERS, RECORDS), max_size=4)
REQUESTS = st.tuples(
    st.none() | TEXTS,
    st.sampled_from([-1, 0, 1]),
    NUMBERS,
    st.lists(st.tuples(TEXTS, PARTITIONS), max_size=4),
)


class Recorder:
    """Replaces a connection's writer."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)


async def sent(request: ProduceRequest) -> bytes:
    """Return the bytes that aiokafka's connection writes for a request."""
    connection = AIOKafkaConnection("localhost", 9092, client_id="a client")
    connection._writer = writer = Recorder()
    connection._versions = {PRODUCE: (3, 7)}
    with suppress(TimeoutError):
        await asyncio.wait_for(connection.send(request), 0)
    (data,) = writer.written
    assert type(data) is bytes
    return data


@given(REQUESTS)
async def test_a_request_is_sent_as_aiokafka_sends_it(request: tuple[Any, ...]) -> None:
    assert await sent(FlatProduceRequest(*request)) == await sent(ProduceRequest(*request))


@pytest.mark.parametrize("newest", [3, 6, 7, 12])
def test_the_version_is_the_newest_that_both_sides_know(newest: int) -> None:
    arguments = (None, -1, 1000, [("topic", [(0, b"records")])])
    versions = {PRODUCE: (3, newest)}
    ours = FlatProduceRequest(*arguments).prepare(versions)
    its = ProduceRequest(*arguments).prepare(versions)
    assert (ours.API_KEY, ours.API_VERSION) == (its.API_KEY, its.API_VERSION)
    assert ours.RESPONSE_TYPE is its.RESPONSE_TYPE
    assert plain(ours.encode()) == its.encode()


def plain(encoded: bytes | Body) -> bytes:
    return encoded if isinstance(encoded, bytes) else b"" + (b"" + encoded)


def test_what_is_copied_is_told_by_its_length() -> None:
    message = b"header" + FlatRequest(None, -1, 1000, [("topic", [(0, b"records")])]).encode()
    assert len(message) == len(b"" + message)


def test_producers_send_them() -> None:
    assert sender.ProduceRequest is FlatProduceRequest
    assert isinstance(FlatProduceRequest(None, -1, 1000, []), ProduceRequest)
