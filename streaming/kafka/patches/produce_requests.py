"""Produce requests that copy their records once.

aiokafka 0.14 copies all records of a request eight times: once per level of the encoding, and when
it prepends header and size. For a commit each copy allocates some megabytes.

Depends on the internals of aiokafka 0.14 (``ProduceRequest``, ``ProduceRequest_v7``, the name under
which the producer's sender imports the former, and how ``AIOKafkaConnection.send`` prepends header
and size to an encoded request); ``tests/streaming/test_produce_requests.py`` fails when they
change.
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
    """A request with its header, in parts; ``size + message`` joins them to bytes."""

    def __init__(self, parts: list[bytes]) -> None:
        self._parts = parts

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def __radd__(self, size: bytes) -> bytes:
        return b"".join((size, *self._parts))


class Body:
    """An encoded request in parts; only the last step of ``size + (header + body)`` copies them."""

    def __init__(self, parts: list[bytes]) -> None:
        """Begin with ``parts``, which follow the header."""
        self._parts = parts

    def __radd__(self, header: bytes) -> _Message:
        """Return the request with its ``header``, without its size."""
        return _Message([header, *self._parts])


class FlatRequest(ProduceRequest_v7):
    """A produce request of version 7 whose records are copied once, when it is sent."""

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
    """aiokafka's ``ProduceRequest``, as a :class:`FlatRequest` if the broker knows version 7."""

    def build(self, request_struct_class: type[ProduceRequestStruct]) -> ProduceRequestStruct:
        """Return the request in the version that both sides know."""
        current = request_struct_class is ProduceRequest_v7
        return super().build(FlatRequest if current else request_struct_class)


def install() -> None:
    """Make all producers of this process send such requests."""
    sender.ProduceRequest = FlatProduceRequest
