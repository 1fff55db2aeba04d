"""Reasons why a transaction failed.

* ``TransactionFailedError``: a temporary fault (no broker, a time-out)
* ``RefusedError``: a topic refuses a record, which is then sent in another form
* ``ConfigurationError``: a setting or a right that only an operator can change
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

#: Errors for a record that a topic refuses. aiokafka 0.14 does not know error 87, an invalid
#: record, and brokers report it to older clients as a corrupt record.
REFUSALS = (*FOR_SIZE, *FOR_TIME, CorruptRecordException, UnknownError)

#: Errors that a retry cannot resolve, and the remedy.
_ADVICE = {
    TopicAuthorizationFailedError: "grant the operation Write on the topic (docs/security.md)",
    GroupAuthorizationFailedError: "grant the operation Read on the group (docs/security.md)",
    TransactionalIdAuthorizationFailed: (
        "grant the operation Write on the transactional ids that begin with REELS_APP_ID and a "
        "dash (docs/security.md)"
    ),
    ClusterAuthorizationFailedError: "grant the operation IdempotentWrite on the cluster",
    InvalidTransactionTimeout: "the brokers' transaction.max.timeout.ms must be at least 15000",
    PolicyViolationError: "a policy of the brokers forbids it",
    InvalidTopicError: "the topic cannot be written to",
    UnsupportedForMessageFormatError: "the topic's message.format.version must be at least 0.11",
}
CONFIGURATION = tuple(_ADVICE)


def advice(exc: BaseException) -> str:
    """Return in one line what an operator must change, for one of :data:`CONFIGURATION`."""
    about = " ".join(map(str, exc.args))
    name = type(exc).__name__.removesuffix("Error")
    text = next(text for kind, text in _ADVICE.items() if isinstance(exc, kind))
    return f"the brokers refuse a transaction ({' '.join(filter(None, (name, about)))}): {text}"


def refusal(
    topic: str, partition: int, sent: Layer | list[OutRecord], reason: BaseException
) -> Refusal:
    """Describe the refusal of a batch that contained some of the records ``sent``."""
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
