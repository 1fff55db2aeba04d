"""Fitting of records to their topic's limits before they are sent.

Any program may write to the input, and compressed records grow when they are sent on. An event's
headers are bounded, a dead letter is cut to its topic's limit, and a timestamp that the topic
refuses is replaced by the time of sending. Headers of the record describe the original:

* ``original.size`` and ``original.sha256`` of a cut value, ``original.key.size`` and
  ``original.key.sha256`` of a cut key; no hash if it was cut while it was read
* ``original.headers.omitted``, the number of omitted headers
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

#: Maximum bytes of a record's headers, including the overhead of each.
HEADER_BYTES = 64 << 10

#: Maximum overhead in bytes of a batch with one record, besides key, value and headers, and of a
#: header, besides name and value.
_RECORD_OVERHEAD, _HEADER_OVERHEAD = 100, 10

#: Bytes reserved for the headers that describe the original.
_NOTES = 400

#: A timestamp this close to a topic's limit counts as beyond it: sending takes time, and the
#: broker's clock may differ.
MARGIN_MS = 60_000

#: Prefix for the names of a rejected record's own headers.
ORIGINAL_HEADER = "original.header."

#: Headers which show that a dead letter is not complete.
CUT = frozenset({"original.size", "original.key.size"})


def size_of(record: OutRecord) -> int:
    """Return the maximum bytes of a batch that contains only ``record``."""
    size = _RECORD_OVERHEAD + len(record.key or b"") + len(record.value or b"")
    for name, value in record.headers:
        size += len(name if name.isascii() else name.encode()) + len(value or b"")
    return size + _HEADER_OVERHEAD * len(record.headers)


def _header_size(header: Header) -> int:
    name, value = header
    return len(name.encode()) + len(value or b"") + _HEADER_OVERHEAD


def is_small(record: OutRecord, size: int, limits: TopicLimits) -> bool:
    """Whether ``record``, of ``size`` bytes, certainly needs no fitting, like nearly all."""
    return (
        size <= min(HEADER_BYTES, limits.batch_bytes // 2)
        and record.timestamp is None
        and not record.omitted
        and type(record.value) is not CutBytes
        and type(record.key) is not CutBytes
    )


def fit(record: OutRecord, limits: TopicLimits) -> OutRecord:
    """Return ``record`` within the limits of its topic, or as close to them as possible.

    Key and value are cut only if the record is not ``whole``.
    """
    notes: list[Header] = []
    if isinstance(record.key, CutBytes):
        notes.append(_note("key", "original.key.size", record.key.full_size))
    if isinstance(record.value, CutBytes):
        notes.append(_note("value", "original.size", record.value.full_size))
    if record.timestamp is not None and not _is_taken(record.timestamp, limits):
        if record.timestamp >= 0:  # negative: it had none
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
    """Yield all headers of this program, and as many of the record's own headers as fit."""
    for header in record.headers:
        size = _header_size(header)
        is_own = not record.whole and not header[0].startswith(ORIGINAL_HEADER)
        if is_own or size <= room:
            room -= size
            yield header


def _cut(record: OutRecord, room: int, notes: list[Header]) -> OutRecord:
    """Cut the key to a quarter of ``room``, if it is longer, and the value to the rest."""
    key = record.key
    if key is not None and len(key) > room // 4:
        # The size of a part that was cut while it was read is noted already.
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
