"""Why a transaction failed: it may pass, it is about one record, or somebody has to set it right.

* what passes by waiting (brokers away, a time-out) is a ``TransactionFailedError``
* a record that a topic does not take is a ``RefusedError``: it is sent in another form then
* settings and rights that only an operator can change are a ``ConfigurationError``
"""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING

from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    CorruptRecordException,
    GroupAuthorizationFailedError,
    InvalidTopicError,
    InvalidTransactionTimeout,
    PolicyViolationError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    UnknownError,
    UnsupportedForMessageFormatError,
)

from streaming.errors import FOR_SIZE, FOR_TIME, Refusal
from streaming.kafka.batch_writer import BATCH_BYTES
from streaming.kafka.record_bounds import size_of
from streaming.kafka.records import OutRecord

if TYPE_CHECKING:
    from tables.layers import Layer

#: What a topic answers to a record that it does not take. Error 87, an invalid record, is unknown
#: to aiokafka 0.14, and the brokers tell older clients that the record is corrupt.
REFUSALS = (*FOR_SIZE, *FOR_TIME, CorruptRecordException, UnknownError)

#: What no waiting changes, and what to do.
_ADVICE = {
    TopicAuthorizationFailedError: "grant the operation Write on the topic (docs/security.md)",
    GroupAuthorizationFailedError: "grant the operation Read on the group (docs/security.md)",
    TransactionalIdAuthorizationFailed: (
        "grant the operation Write on the transactional ids that begin with REELS_APP_ID and a "
        "dash (docs/security.md)"
    ),
    ClusterAuthorizationFailedError: "grant the operation IdempotentWrite on the cluster",
    InvalidTransactionTimeout: "the brokers' transaction.max.timeout.ms has to be 15000 at least",
    PolicyViolationError: "a policy of the brokers forbids it",
    InvalidTopicError: "the topic cannot be written to",
    UnsupportedForMessageFormatError: "the topic's message.format.version has to be 0.11 at least",
}
CONFIGURATION = tuple(_ADVICE)


def advice(exc: BaseException) -> str:
    """Return in one line what an operator has to change, for one of :data:`CONFIGURATION`."""
    about = " ".join(map(str, exc.args))
    name = type(exc).__name__.removesuffix("Error")
    text = next(text for kind, text in _ADVICE.items() if isinstance(exc, kind))
    return f"the brokers refuse a transaction ({' '.join(filter(None, (name, about)))}): {text}"


def refusal(
    topic: str, partition: int, sent: Layer | list[OutRecord], reason: BaseException
) -> Refusal:
    """Return what is known of a refused batch, in which were some of the records ``sent``."""
    records = sent if isinstance(sent, list) else [OutRecord(*each) for each in sent.items()]
    largest = max(records, key=size_of)
    size = size_of(largest)
    batch_size = min(sum(map(size_of, records)), max(size, BATCH_BYTES))
    named = largest
    if isinstance(reason, FOR_TIME):
        now_ms = int(time() * 1000)
        named = max(records, key=lambda each: abs(now_ms - (each.timestamp or now_ms)))
    elif not isinstance(reason, FOR_SIZE):
        named = next((each for each in records if each.key is None), records[0])
    has_no_key = any(each.key is None for each in records)
    return Refusal(topic, partition, _name(named), size, batch_size, has_no_key, reason)


def _name(record: OutRecord) -> str:
    headers = dict(record.headers)
    place = [
        (headers.get(f"source.{part}") or b"").decode(errors="replace")
        for part in ("topic", "partition", "offset")
    ]
    if all(place):
        name = "the dead letter of topic {}, partition {}, offset {},".format(*place)
    elif record.key is None:
        name = "a record without a key"
    else:
        name = f"the record with key {record.key[:40]!r}"
    return name if record.timestamp is None else f"{name} with timestamp {record.timestamp}"
