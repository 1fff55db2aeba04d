"""Topic ids: a topic that was deleted and created again has a new one (KIP-516).

aiokafka requests metadata in versions without ids. Depends on the internals of aiokafka 0.14 (how
requests are declared, and how its client sends them); ``tests/streaming/test_topic_ids.py`` fails
when they change.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING, Any, Final

from aiokafka.errors import for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from io import BytesIO

    from aiokafka.client import AIOKafkaClient

#: Error codes of a missing topic: unknown topic, unknown topic id.
_UNKNOWN: Final = {3, 100}

_ID_BYTES: Final = 16
_TEXT = CompactString("utf-8")
_TAGS = ("tags", TaggedFields)


class _Uuid:
    """A topic id, as text in the form of Kafka's own tools."""

    @staticmethod
    def encode(_: None) -> bytes:
        """Return a null id, because topics are requested by name."""
        return bytes(_ID_BYTES)

    @staticmethod
    def decode(data: BytesIO) -> str:
        """Return the id as text, empty if the broker has none for the topic."""
        raw = data.read(_ID_BYTES)
        return urlsafe_b64encode(raw).rstrip(b"=").decode() if any(raw) else ""

    @staticmethod
    def repr(value: str) -> str:
        """Return the id as text."""
        return value


class _MetadataResponse(Response):
    API_KEY = 3
    API_VERSION = 12
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32), ("host", _TEXT), ("port", Int32), ("rack", _TEXT), _TAGS
            ),
        ),
        ("cluster_id", _TEXT),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", _TEXT),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        _TAGS,
                    ),
                ),
                ("authorized_operations", Int32),
                _TAGS,
            ),
        ),
        _TAGS,
    )


class _Metadata(RequestStruct):
    FLEXIBLE_VERSION = True
    API_KEY = 3
    API_VERSION = 12
    RESPONSE_TYPE = _MetadataResponse
    SCHEMA = Schema(
        ("topics", CompactArray(("topic_id", _Uuid), ("name", _TEXT), _TAGS)),
        ("allow_auto_topic_creation", Boolean),
        ("include_topic_authorized_operations", Boolean),
        _TAGS,
    )


class _MetadataRequest(Request[_Metadata]):
    API_KEY = 3

    def __init__(self, topics: Iterable[str]) -> None:
        self._topics = sorted(topics)

    def build(self, request_struct_class: type[_Metadata]) -> _Metadata:
        topics: list[Any] = [(None, name, {}) for name in self._topics]
        return request_struct_class(
            topics=topics,
            allow_auto_topic_creation=False,
            include_topic_authorized_operations=True,
            tags={},
        )


async def ask_for_topics(client: AIOKafkaClient, topics: Iterable[str]) -> Any:
    """Return a broker's metadata of ``topics``, including the rights of this program.

    Raises:
        NotImplementedError: the brokers are older than Kafka 3.1.
        KafkaError: no broker answers.
    """
    return await client.send(client.get_random_node(), _MetadataRequest(topics))


async def topic_ids(client: AIOKafkaClient, topics: Iterable[str]) -> dict[str, str]:
    """Return the ids of existing ``topics``, as text.

    An id is empty if the brokers have none, as after an upgrade from before Kafka 2.8.

    Raises:
        KafkaError: no broker answers, or a broker reports an error for a topic.
    """
    response = await ask_for_topics(client, topics)
    ids: dict[str, str] = {}
    for code, name, topic_id, *_ in response.topics:
        if code in _UNKNOWN:
            continue
        # A partition without a leader is an error of that partition, not of its topic.
        if code:
            raise for_code(code)(f"the id of topic {name}")
        ids[name] = topic_id
    return ids
