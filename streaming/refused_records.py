"""Why a transaction failed: it may pass, it is about one record, or somebody has to set it right.

* what passes by waiting (brokers away, a time-out) is a ``TransactionFailedError``
* a record that a topic does not take is a ``RefusedError``: it is sent in another form then
* settings and rights that only an operator can change are a ``ConfigurationError``
"""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING, NamedTuple

from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    CorruptRecordException,
    GroupAuthorizationFailedError,
    InvalidTimestampError,
    InvalidTopicError,
    InvalidTransactionTimeout,
    MessageSizeTooLargeError,
    PolicyViolationError,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    UnknownError,
    UnsupportedForMessageFormatError,
)

from .bounds import size_of
from .outbox import OutRecord
from .packing import BATCH_BYTES

if TYPE_CHECKING:
    from tables.layers import Layer

_FOR_SIZE = (MessageSizeTooLargeError, RecordListTooLargeError)
_FOR_TIME = (InvalidTimestampError,)

#: What a topic answers to a record that it does not take. Error 87, an invalid record, is unknown
#: to aiokafka 0.14, and the brokers tell older clients that the record is corrupt.
REFUSALS = (*_FOR_SIZE, *_FOR_TIME, CorruptRecordException, UnknownError)

#: What no waiting changes, and what to do.
_ADVICE = {
    TopicAuthorizationFailedError: "grant the operation Write on the topic",
    GroupAuthorizationFailedError: "grant the operation Read on the group",
    TransactionalIdAuthorizationFailed: (
        "grant the operations Write and Describe on the transactional ids that begin with "
        "REELS_APP_ID and a dash"
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


class Refusal(NamedTuple):
    """What a topic has refused."""

    topic: str
    partition: int
    record: str
    """The record that is the likely reason, as a message names it."""
    size: int
    """Bytes of the largest record refused, as a batch of its own."""
    batch_size: int
    """Bytes of the batch that was refused, at most."""
    has_no_key: bool
    """Whether a record without a key is among those refused."""
    reason: BaseException

    @property
    def is_for_size(self) -> bool:
        """Whether it is too large."""
        return isinstance(self.reason, _FOR_SIZE)

    @property
    def is_for_time(self) -> bool:
        """Whether its time is too far from the broker's."""
        return isinstance(self.reason, _FOR_TIME)

    def __str__(self) -> str:
        """Say it in one line."""
        where = f"topic {self.topic}, partition {self.partition}, refuses {self.record}"
        if self.is_for_size:
            return (
                f"{where} of {self.size:,} bytes, in a batch of {self.batch_size:,}: its "
                "max.message.bytes allows less"
            )
        if self.is_for_time:
            return (
                f"{where} for its time: look at the topic's message.timestamp settings, and at the "
                "clocks of this machine and of the brokers"
            )
        return f"{where}: {type(self.reason).__name__}"


def refusal(
    topic: str, partition: int, sent: Layer | list[OutRecord], reason: BaseException
) -> Refusal:
    """Return what is known of a refused batch, in which were some of the records ``sent``."""
    records = sent if isinstance(sent, list) else [OutRecord(*each) for each in sent.items()]
    largest = max(records, key=size_of)
    size = size_of(largest)
    batch_size = min(sum(map(size_of, records)), max(size, BATCH_BYTES))
    named = largest
    if isinstance(reason, _FOR_TIME):
        now_ms = int(time() * 1000)
        named = max(records, key=lambda each: abs(now_ms - (each.timestamp or now_ms)))
    elif not isinstance(reason, _FOR_SIZE):
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
