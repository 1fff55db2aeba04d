"""AsyncAPI 3 description of the topics, made from the code that reads and writes them.

It covers the topics that other programs may use, and the internal ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_type_hints

from msgspec.json import schema_components

from models.schema import REASONS, Event
from streaming.kafka.topic_specs import Role
from tables.records import ViralVideo

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from settings import Settings
    from streaming.kafka.topic_specs import TopicSpec

Json = dict[str, Any]

_TEXT: Json = {"type": "string"}
_HEADERS: Json = {
    "type": "object",
    "properties": {
        "reason": {"enum": list(REASONS)},
        **{f"source.{name}": _TEXT for name in ("topic", "partition", "offset", "app")},
        "detail": _TEXT,
        **{
            f"original.{name}": _TEXT
            for name in ("size", "sha256", "key.size", "key.sha256", "headers.omitted")
        },
    },
    "patternProperties": {
        r"^original\.header\.": {"description": "A header of the rejected record."}
    },
    "required": [
        *("reason", "detail", "source.topic", "source.partition", "source.offset", "source.app")
    ],
}
_WRITER: Json = {
    "type": "object",
    "properties": {
        "source.app": {"type": "string", "description": "The app that wrote the record."}
    },
}
_BINARY: Json = {"description": "Internal format, which may change with each version."}
_OFFSET: Json = {"type": "integer"}
_PAIR: Json = {"type": "array", "items": _OFFSET, "minItems": 2, "maxItems": 2}
_ORDER: Json = {"type": "array", "items": _PAIR}


def _message(summary: str, payload: Json, key: str, headers: Json | None = None) -> Json:
    key_of = {"kafka": {"key": {"type": "string", "description": key}}}
    message: Json = {"summary": summary, "payload": payload, "bindings": key_of}
    return {**message, "headers": headers} if headers else message


def _viral() -> Json:
    kinds = {int: "integer", float: "number", str: "string"}
    fields = get_type_hints(ViralVideo)
    own = {name: {"type": kinds[kind]} for name, kind in fields.items() if kind in kinds}
    return {"type": ["object", "null"], "properties": own, "required": list(own)}


def describe_topics(
    settings: Settings, topics: Sequence[TopicSpec], deltas: Collection[str]
) -> Json:
    """Return the description of ``topics``; those in ``deltas`` contain sums for tables."""
    (event,), schemas = schema_components([Event], ref_template="#/components/schemas/{name}")
    described = {
        settings.events_topic: (
            "receive",
            _message("An engagement.", event, "The decimal user_id; other keys are corrected."),
        ),
        settings.dead_letter_topic: (
            "send",
            _message(
                "A rejected value, cut if it is too large.", {}, "The original key.", _HEADERS
            ),
        ),
        settings.viral_topic: (
            "send",
            _message(
                "A viral video; a tombstone ends it.", _viral(), "The decimal video_id.", _WRITER
            ),
        ),
        **{
            name: ("send", _message("Internal: sums for a table.", _BINARY, "None."))
            for name in deltas
        },
        settings.repartition_topic: (
            "send",
            _message(
                "Internal: an engagement from another partition than its user's.",
                event,
                "The decimal user_id.",
            ),
        ),
        settings.order_topic: (
            "send",
            _message(
                "Internal: the order in which passed-on events were counted.", _ORDER, "None."
            ),
        ),
        **{
            spec.name: ("send", _message("Internal: a table's changes.", _BINARY, "A decimal id."))
            for spec in topics
            if spec.role is Role.CHANGELOG
        },
    }
    specs = {spec.name: spec for spec in topics}
    channels = {
        name: {
            "address": name,
            "messages": {"record": message},
            "bindings": {
                "kafka": {
                    "partitions": specs[name].partitions,
                    "topicConfiguration": {
                        key: text.split(",") if key == "cleanup.policy" else int(text)
                        for key, text in specs[name].config.items()
                        if key in {"cleanup.policy", "retention.ms", "max.message.bytes"}
                    },
                }
            },
        }
        for name, (_, message) in described.items()
    }
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Reels Analytics", "version": "1"},
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": {
            f"{action} {name}": {"action": action, "channel": {"$ref": f"#/channels/{name}"}}
            for name, (action, _) in described.items()
        },
        "components": {"schemas": schemas},
    }
