"""Requests of operator tools that no Python client sends: reassign, elect, set features.

As ``kafka-reassign-partitions.sh``, ``kafka-leader-election.sh`` and ``kafka-features.sh`` do.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int8,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

TIMEOUT_MS = 30_000
UPGRADE = 1
PREFERRED = 0
ELECTION_NOT_NEEDED = 84

_ERROR = (("error_code", Int16), ("error_message", CompactString("utf-8")))
_TAGS = ("tags", TaggedFields)


class ReassignmentAnswer(Response):
    API_KEY = 45
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        *_ERROR,
        (
            "topics",
            CompactArray(
                ("name", CompactString("utf-8")),
                ("partitions", CompactArray(("partition", Int32), *_ERROR, _TAGS)),
                _TAGS,
            ),
        ),
        _TAGS,
    )


class ReassignmentStruct(RequestStruct):
    API_KEY = 45
    API_VERSION = 0
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = ReassignmentAnswer
    SCHEMA = Schema(
        ("timeout_ms", Int32),
        (
            "topics",
            CompactArray(
                ("name", CompactString("utf-8")),
                (
                    "partitions",
                    CompactArray(("partition", Int32), ("replicas", CompactArray(Int32)), _TAGS),
                ),
                _TAGS,
            ),
        ),
        _TAGS,
    )


class Reassignment(Request[ReassignmentStruct]):
    """Moves partitions to other brokers, or changes the order of their replicas."""

    API_KEY = 45

    def __init__(self, replicas: Mapping[str, Mapping[int, Sequence[int]]]) -> None:
        self._topics: list[tuple[Any, ...]] = [
            (name, [(number, list(brokers), {}) for number, brokers in partitions.items()], {})
            for name, partitions in replicas.items()
        ]

    def build(self, request_struct_class: type[ReassignmentStruct]) -> ReassignmentStruct:
        return request_struct_class(TIMEOUT_MS, self._topics, {})


class ElectionAnswer(Response):
    API_KEY = 43
    API_VERSION = 2
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        (
            "topics",
            CompactArray(
                ("name", CompactString("utf-8")),
                ("partitions", CompactArray(("partition", Int32), *_ERROR, _TAGS)),
                _TAGS,
            ),
        ),
        _TAGS,
    )


class ElectionStruct(RequestStruct):
    API_KEY = 43
    API_VERSION = 2
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = ElectionAnswer
    SCHEMA = Schema(
        ("election_type", Int8),
        (
            "topics",
            CompactArray(
                ("name", CompactString("utf-8")), ("partitions", CompactArray(Int32)), _TAGS
            ),
        ),
        ("timeout_ms", Int32),
        _TAGS,
    )


class PreferredElection(Request[ElectionStruct]):
    """Elects the first replica of each partition as its leader."""

    API_KEY = 43

    def __init__(self, partitions: Mapping[str, Iterable[int]]) -> None:
        self._topics: list[tuple[Any, ...]] = [
            (name, list(numbers), {}) for name, numbers in partitions.items()
        ]

    def build(self, request_struct_class: type[ElectionStruct]) -> ElectionStruct:
        return request_struct_class(PREFERRED, self._topics, TIMEOUT_MS, {})


class FeaturesAnswer(Response):
    API_KEY = 57
    API_VERSION = 1
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        *_ERROR,
        ("features", CompactArray(("name", CompactString("utf-8")), *_ERROR, _TAGS)),
        _TAGS,
    )


class FeaturesStruct(RequestStruct):
    API_KEY = 57
    API_VERSION = 1
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = FeaturesAnswer
    SCHEMA = Schema(
        ("timeout_ms", Int32),
        (
            "features",
            CompactArray(
                ("name", CompactString("utf-8")), ("level", Int16), ("upgrade_type", Int8), _TAGS
            ),
        ),
        ("validate_only", Boolean),
        _TAGS,
    )


class FeatureUpgrade(Request[FeaturesStruct]):
    """Finalizes feature levels; brokers of an older release cannot join afterwards."""

    API_KEY = 57

    def __init__(self, levels: Mapping[str, int]) -> None:
        self._features: list[tuple[Any, ...]] = [
            (name, level, UPGRADE, {}) for name, level in levels.items()
        ]

    def build(self, request_struct_class: type[FeaturesStruct]) -> FeaturesStruct:
        return request_struct_class(TIMEOUT_MS, self._features, False, {})


def ask(bootstrap: str, request: Request[Any]) -> None:
    """Send a request to a broker, and check that the answer reports success."""
    answer = asyncio.run(_send(bootstrap, request))
    results = [("", answer.error_code, getattr(answer, "error_message", None))]
    for name, *result in getattr(answer, "features", None) or ():
        results.append((name, *result[:2]))
    for name, partitions, _ in getattr(answer, "topics", None) or ():
        results += [(f"{name}-{number}", *result[:2]) for number, *result in partitions]
    assert [result for result in results if result[1] not in {0, ELECTION_NOT_NEEDED}] == []


async def _send(bootstrap: str, request: Request[Any]) -> Any:
    client = AIOKafkaClient(bootstrap_servers=bootstrap, request_timeout_ms=TIMEOUT_MS)
    await client.bootstrap()
    try:
        return await client.send(client.get_random_node(), request)
    finally:
        await client.close()
