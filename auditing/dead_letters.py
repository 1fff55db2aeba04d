"""Dead letters of workers. Other programs may write to the same topic."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from models.schema import REASONS
from streaming.kafka.record_bounds import CUT

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from streaming.kafka.records import Record

_NUMBER = re.compile(rb"[0-9]{1,19}")


class _HasId(msgspec.Struct):
    event_id: str


_decode_id = msgspec.json.Decoder(_HasId).decode


class Letter(NamedTuple):
    """A dead letter: reason, source, and the rejected record."""

    partition: int
    offset: int
    timestamp: int
    """When it was written, in ms."""
    reason: str
    detail: str
    source_topic: str
    source_partition: int
    source_offset: int
    key: bytes | None
    value: bytes | None
    whole: bool
    """Whether key and value are complete."""

    @property
    def event_id(self) -> str | None:
        """The event's id, None if the value has no readable id."""
        return event_id_of(self.value)


def event_id_of(value: bytes | None) -> str | None:
    """Return the id of an event, valid or not; None if it has no readable id."""
    try:
        return _decode_id(value or b"").event_id
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None


def number_of(headers: Mapping[str, bytes | None], name: str) -> int | None:
    """Return the number in a header, None without one."""
    text = headers.get(name)
    return None if text is None or _NUMBER.fullmatch(text) is None else int(text)


def letter_of(
    partition: int, record: Record, sources: Collection[str], app_id: str
) -> Letter | None:
    """Read a dead letter of an app that reads ``sources``; None: another program wrote it."""
    headers = dict(record.headers)
    try:
        texts = {
            name: (headers.get(name) or b"").decode()
            for name in ("reason", "detail", "source.topic")
        }
        app = (headers.get("source.app") or app_id.encode()).decode()
    except UnicodeDecodeError:
        return None
    source_partition = number_of(headers, "source.partition")
    source_offset = number_of(headers, "source.offset")
    if source_partition is None or source_offset is None:
        return None
    if texts["reason"] not in REASONS or texts["source.topic"] not in sources or app != app_id:
        return None
    return Letter(
        partition,
        record.offset,
        record.timestamp,
        texts["reason"],
        texts["detail"],
        texts["source.topic"],
        source_partition,
        source_offset,
        record.key,
        record.value,
        not CUT & headers.keys(),
    )
