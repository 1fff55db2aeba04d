"""A group's offsets, once no open transaction can change them (KIP-447).

aiokafka uses versions of the request that return the old offsets meanwhile. This module depends on
aiokafka 0.14's internals (the declaration of requests, and how the admin client sends them);
``tests/auditing/test_topics.py`` fails when they change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiokafka.errors import NoError, for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    TaggedFields,
)

if TYPE_CHECKING:
    from collections.abc import Collection

    from aiokafka.admin import AIOKafkaAdminClient

UNSTABLE_OFFSET_COMMIT = 88

_TEXT = CompactString("utf-8")
_TAGS = ("tags", TaggedFields)


class _OffsetFetchResponse(Response):
    API_KEY = 9
    API_VERSION = 7
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "topics",
            CompactArray(
                ("name", _TEXT),
                (
                    "partitions",
                    CompactArray(
                        ("partition", Int32),
                        ("offset", Int64),
                        ("leader_epoch", Int32),
                        ("metadata", _TEXT),
                        ("error_code", Int16),
                        _TAGS,
                    ),
                ),
                _TAGS,
            ),
        ),
        ("error_code", Int16),
        _TAGS,
    )


class _OffsetFetch(RequestStruct):
    FLEXIBLE_VERSION = True
    API_KEY = 9
    API_VERSION = 7
    RESPONSE_TYPE = _OffsetFetchResponse
    SCHEMA = Schema(
        ("group", _TEXT),
        (
            "topics",
            CompactArray(("name", _TEXT), ("partitions", CompactArray(Int32)), _TAGS),
        ),
        ("require_stable", Boolean),
        _TAGS,
    )


class _OffsetFetchRequest(Request[_OffsetFetch]):
    API_KEY = 9

    def __init__(self, group: str, topic: str, partitions: Collection[int]) -> None:
        self._group = group
        self._topic = topic
        self._partitions = sorted(partitions)

    def build(self, request_struct_class: type[_OffsetFetch]) -> _OffsetFetch:
        topics: list[Any] = [(self._topic, self._partitions, {})]
        return request_struct_class(group=self._group, topics=topics, require_stable=True, tags={})


async def stable_offsets(
    admin: AIOKafkaAdminClient, group: str, topic: str, partitions: Collection[int]
) -> dict[int, tuple[int, str]]:
    """Return the offsets of ``group`` for partitions with stable offsets, 0 without an offset.

    Each has its metadata, empty if the group writes none.

    Raises:
        KafkaError: the brokers refuse.
    """
    coordinator = await admin.find_coordinator(group)
    response = await admin._send_request(_OffsetFetchRequest(group, topic, partitions), coordinator)
    rows = [row for _, rows, _ in response.topics for row in rows]
    errors = {response.error_code, *(row[4] for row in rows)} - {UNSTABLE_OFFSET_COMMIT}
    for code in errors - {NoError.errno}:
        raise for_code(code)(f"the offsets of {group} for {topic}")
    return {
        partition: (max(0, offset), metadata or "")
        for partition, offset, _, metadata, error, _ in rows
        if error != UNSTABLE_OFFSET_COMMIT
    }
