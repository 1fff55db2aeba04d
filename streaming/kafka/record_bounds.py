"""Records fitted to what their topic takes, before they are sent.

Anybody may write to the input, and what is compressed there is larger when it is sent on. Headers
that come with an event are bounded, a dead letter is cut to what its topic takes, and a time that
the topic refuses gives way to the time of sending. Headers of the record say what it was before:

* ``original.size`` and ``original.sha256``, of a value that was cut; ``original.key.size`` and
  ``original.key.sha256``, of a key; without the hash of what was cut when it was read
* ``original.headers.omitted``, how many headers were left out
* ``original.timestamp``, in ms since 1970
"""

from __future__ import annotations

from hashlib import sha256
from time import time
from typing import TYPE_CHECKING

from models.cut import CutBytes
from monitoring import metrics

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streaming.kafka.records import OutRecord
    from streaming.kafka.topic_limits import TopicLimits

    Header = tuple[str, bytes | None]

#: Bytes of a record's headers, with what each of them takes besides its name and its value.
HEADER_BYTES = 64 << 10

#: What a batch of one record takes besides key, value and headers, and a header besides its name
#: and its value, at most.
_RECORD_OVERHEAD, _HEADER_OVERHEAD = 100, 10

#: Room for the headers that say what a record was before.
_NOTES = 400

#: A time as close to a topic's limit as that counts as beyond: it takes a while to be sent, and the
#: broker has another clock.
MARGIN_MS = 60_000

#: What goes before the names of the headers that a rejected record had.
ORIGINAL_HEADER = "original.header."

#: Headers that say that a dead letter is not all of what was rejected.
CUT = frozenset({"original.size", "original.key.size"})


def size_of(record: OutRecord) -> int:
    """Return the bytes that ``record`` takes as a batch of its own, at most."""
    headers = sum(map(_header_size, record.headers))
    return _RECORD_OVERHEAD + len(record.key or b"") + len(record.value or b"") + headers


def _header_size(header: Header) -> int:
    name, value = header
    # A character takes four bytes at most; most headers are not counted that exactly.
    length = len(name) if name.isascii() else len(name.encode())
    return length + len(value or b"") + _HEADER_OVERHEAD


def is_small(record: OutRecord, size: int, limits: TopicLimits) -> bool:
    """Whether a topic surely takes ``record``, of so many bytes, as it is: nearly all are so."""
    return (
        size <= min(HEADER_BYTES, limits.batch_bytes // 2)
        and record.timestamp is None
        and not record.omitted
        and type(record.value) is not CutBytes
        and type(record.key) is not CutBytes
    )


def fit(record: OutRecord, limits: TopicLimits) -> OutRecord:
    """Return ``record`` as a topic with these limits takes it, or as near to that as can be.

    Only of a record that is not ``whole`` key and value are cut.
    """
    notes: list[Header] = []
    if isinstance(record.key, CutBytes):
        notes.append(_note("key", "original.key.size", record.key.full_size))
    if isinstance(record.value, CutBytes):
        notes.append(_note("value", "original.size", record.value.full_size))
    if record.timestamp is not None and not _is_taken(record.timestamp, limits):
        if record.timestamp >= 0:  # else it had none
            notes.append(_note("timestamp", "original.timestamp", record.timestamp))
        record = record._replace(timestamp=None)
    if record.headers or record.omitted:
        record = _with_headers_bounded(record, min(HEADER_BYTES, limits.batch_bytes // 2), notes)
    room = limits.batch_bytes - sum(map(_header_size, notes))
    if not record.whole and size_of(record) > room:
        record = _cut(record, room - _NOTES, notes)
    return record._replace(headers=(*record.headers, *notes)) if notes else record


def _note(part: str, name: str, number: int) -> Header:
    metrics.records_altered.labels(part).inc()
    return name, b"%d" % number


def _is_taken(timestamp_ms: int, limits: TopicLimits) -> bool:
    ahead_ms = timestamp_ms - int(time() * 1000)
    earliest_ms, latest_ms = MARGIN_MS - limits.before_ms, limits.after_ms - MARGIN_MS
    return timestamp_ms >= 0 and earliest_ms < ahead_ms < latest_ms


def _with_headers_bounded(record: OutRecord, room: int, notes: list[Header]) -> OutRecord:
    kept = record.headers
    if sum(map(_header_size, kept)) > room:
        kept = tuple(_as_many_as_fit(record, room))
    omitted = record.omitted + len(record.headers) - len(kept)
    if not omitted:
        return record
    notes.append(_note("headers", "original.headers.omitted", omitted))
    return record._replace(headers=kept)


def _as_many_as_fit(record: OutRecord, room: int) -> Iterator[Header]:
    """Yield all headers of the program's own, and as many as fit of those that came along."""
    for header in record.headers:
        size = _header_size(header)
        is_own = not record.whole and not header[0].startswith(ORIGINAL_HEADER)
        if is_own or size <= room:
            room -= size
            yield header


def _cut(record: OutRecord, room: int, notes: list[Header]) -> OutRecord:
    """Cut the key to a quarter of the room, if it is longer, and the value to the rest."""
    key = record.key
    if key is not None and len(key) > room // 4:
        # Of a part that was cut as it was read, the size is noted already.
        if not isinstance(key, CutBytes):
            notes.append(_note("key", "original.key.size", len(key)))
            notes.append(("original.key.sha256", sha256(key).hexdigest().encode()))
        record = record._replace(key=key[: max(0, room // 4)])
    value, excess = record.value or b"", size_of(record) - room
    if excess > 0 and value:
        if not isinstance(value, CutBytes):
            notes.append(_note("value", "original.size", len(value)))
            notes.append(("original.sha256", sha256(value).hexdigest().encode()))
        record = record._replace(value=value[: max(0, len(value) - excess)])
    return record
