"""The description of the topics matches the topics and the events that the program accepts."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from models.schema import MAX_VALUE_BYTES
from reels import parse_event
from settings import load
from tests.models.corpus import EXAMPLE, example
from tests.models.strategies import nearly_events
from topology import all_topics, topology
from views.asyncapi import describe_topics

TABLES = topology(load({}))
TOPICS = all_topics(load({}), TABLES)
DESCRIPTION = describe_topics(load({}), TOPICS, [each.deltas for each in TABLES if each.deltas])
COMPONENTS = DESCRIPTION["components"]
EVENT = Draft202012Validator({"$ref": "#/components/schemas/Event", "components": COMPONENTS})
#: A valid time: the program checks the text more closely than the schema does.
TIME = "2025-01-15T14:30:45.123Z"


def test_every_topic_is_described_with_its_partitions() -> None:
    assert set(DESCRIPTION["channels"]) == {spec.name for spec in TOPICS}
    assert {"reels-user_metrics-changelog", "reels-video-deltas"} < set(DESCRIPTION["channels"])
    for operation in DESCRIPTION["operations"].values():
        assert operation["channel"]["$ref"].rpartition("/")[2] in DESCRIPTION["channels"]


def test_the_example_is_an_event() -> None:
    assert EVENT.is_valid(EXAMPLE)


@given(nearly_events())
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_the_schema_takes_the_program_takes(value: bytes) -> None:
    document = json.loads(value.decode(errors="surrogatepass"))
    if "timestamp" in document:
        document["timestamp"] = TIME
    try:
        text = json.dumps(document, allow_nan=False).encode()
    except ValueError:
        return
    if EVENT.is_valid(json.loads(text)) and len(text) < MAX_VALUE_BYTES and is_exact(document):
        assert parse_event(text) is not None


def is_exact(document: dict[str, Any]) -> bool:
    """Return whether ids are integers: JSON Schema accepts 1.0 as one, the program does not."""
    return all(isinstance(document[name], int) for name in ("user_id", "video_id"))


@given(st.sampled_from(["event_id", "event_type", "user_id", "video_id", "timestamp"]))
def test_what_is_missing_is_missed_by_both(name: str) -> None:
    document = {key: value for key, value in example().items() if key != name}
    assert not EVENT.is_valid(document)
    assert parse_event(json.dumps(document)) is None
