"""Produce requests, written out at once.

aiokafka's own copy all records once for each level of the request, and for what goes before it:
eight times. Each copy of a commit is some megabytes of memory that the process did not have. Leans
on the insides of aiokafka 0.14 (``ProduceRequest``, ``ProduceRequest_v7``, the name by which the
producer's sender knows the former, and how ``AIOKafkaConnection.send`` puts header and size before
what a request is encoded to); ``tests/streaming/test_produce_requests.py`` fails when they move.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from aiokafka.producer import sender
from aiokafka.protocol.produce import ProduceRequest, ProduceRequest_v7

if TYPE_CHECKING:
    from aiokafka.protocol.produce import ProduceRequestStruct

_LENGTH = struct.Struct(">h")
#: Acknowledgements, timeout, number of topics.
_HEAD = struct.Struct(">hii")
_COUNT = struct.Struct(">i")
#: Partition, size of its records.
_PARTITION = struct.Struct(">ii")


def _text(text: str | None) -> bytes:
    if text is None:
        return _LENGTH.pack(-1)
    encoded = text.encode()
    return _LENGTH.pack(len(encoded)) + encoded


class _Message:
    """A request with its header, in pieces: ``size + message`` has it as bytes."""

    def __init__(self, parts: list[bytes]) -> None:
        self._parts = parts

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def __radd__(self, size: bytes) -> bytes:
        return b"".join((size, *self._parts))


class Body:
    """An encoded request in pieces: what is put before it copies none of them, but the last."""

    def __init__(self, parts: list[bytes]) -> None:
        """Put ``parts`` together as ``size + (header + body)``."""
        self._parts = parts

    def __radd__(self, header: bytes) -> _Message:
        """Return the request with its ``header``, to be put behind its size."""
        return _Message([header, *self._parts])


class FlatRequest(ProduceRequest_v7):
    """A request whose records are copied once as it is sent."""

    def encode(self) -> Body:
        """Return the request as it is sent, without its header."""
        parts: list[bytes] = [
            _text(self.transactional_id),
            _HEAD.pack(self.required_acks, self.timeout, len(self.topics)),
        ]
        for topic, partitions in self.topics:
            parts += _text(topic), _COUNT.pack(len(partitions))
            for partition, records in partitions:
                parts += _PARTITION.pack(partition, len(records)), records
        return Body(parts)


class FlatProduceRequest(ProduceRequest):
    """aiokafka's ``ProduceRequest``, flat where the broker knows that version."""

    def build(self, request_struct_class: type[ProduceRequestStruct]) -> ProduceRequestStruct:
        """Return the request in the version that both sides know."""
        current = request_struct_class is ProduceRequest_v7
        return super().build(FlatRequest if current else request_struct_class)


def install() -> None:
    """Have all producers of this process send such requests."""
    sender.ProduceRequest = FlatProduceRequest
