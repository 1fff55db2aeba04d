"""Errors of the engine that a caller can handle; each text is one line."""

from __future__ import annotations

from typing import NamedTuple

from aiokafka.errors import (
    InvalidTimestampError,
    KafkaConnectionError,
    KafkaError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
)

#: Errors with which a topic refuses a record: for its size, and for its timestamp.
FOR_SIZE = (MessageSizeTooLargeError, RecordListTooLargeError)
FOR_TIME = (InvalidTimestampError,)


class StartError(Exception):
    """The worker cannot start; the text names the remedy."""


class NoBrokerError(KafkaConnectionError):
    """No broker answers at the moment; the text gives the reason."""

    def __str__(self) -> str:
        """Return the text alone."""
        return str(self.args[0])


class NoTokenError(KafkaError):
    """No token for a login is issued at the moment; the text gives the reason."""

    def __str__(self) -> str:
        """Return the text alone."""
        return str(self.args[0])


class TokenRefusedError(NoTokenError):
    """The issuer refuses a token with these settings; the text names the settings to check."""


class TransactionFailedError(Exception):
    """A transaction failed, or its outcome is unknown: the tasks must be opened again."""


class Refusal(NamedTuple):
    """The refusal of a batch by a topic."""

    topic: str
    partition: int
    record: str
    """The record that probably caused the refusal, as text for a message."""
    size: int
    """Bytes of the largest refused record, as a batch of its own."""
    batch_size: int
    """Bytes of the batch that was refused, at most."""
    has_no_key: bool
    """Whether a record without a key is among those refused."""
    reason: BaseException

    @property
    def is_for_size(self) -> bool:
        """Whether the batch or a record is too large."""
        return isinstance(self.reason, FOR_SIZE)

    @property
    def is_for_time(self) -> bool:
        """Whether a timestamp is too far from the broker's clock."""
        return isinstance(self.reason, FOR_TIME)

    def __str__(self) -> str:
        """Describe the refusal and its likely remedy in one line."""
        where = f"topic {self.topic}, partition {self.partition}, refuses {self.record}"
        if self.is_for_size:
            return (
                f"{where} of {self.size:,} bytes, in a batch of {self.batch_size:,}: its "
                "max.message.bytes allows less"
            )
        if self.is_for_time:
            return (
                f"{where} for its timestamp: check the topic's message.timestamp settings, and the "
                "clocks of this machine and of the brokers"
            )
        return f"{where}: {type(self.reason).__name__}"


class RefusedError(TransactionFailedError):
    """A topic refuses a record in this form; sent again unchanged, it is refused again."""

    def __init__(self, refusal: Refusal) -> None:
        """Use the text of ``refusal``."""
        super().__init__(str(refusal))
        self.refusal = refusal


class ConfigurationError(Exception):
    """The brokers refuse a request until an operator changes a setting or a right.

    The text names the setting or the right.
    """


class FencedError(TransactionFailedError):
    """Another worker has taken the partition over; uncommitted changes of this one are void."""


class PositionError(Exception):
    """It is unknown which records the tables contain; the text gives the reason and the remedy."""


class ChangelogError(Exception):
    """A changelog does not belong to the table; the text gives the reason and the remedy."""


class RecordsLostError(ChangelogError):
    """A partition became shorter while it was read, so the expected end cannot be reached."""

    def __init__(self, topic: str, partition: int, end: int, found: int) -> None:
        """Name the partition, the offset to read to, and its end now."""
        super().__init__(
            f"{topic}-{partition} ends at offset {found}, but had records up to {end}: it was "
            "recreated, or has lost records"
        )


class TopicLostError(Exception):
    """An essential topic was deleted; the text names the remedy."""


class StaleAssignmentError(Exception):
    """A returning static member got an assignment that was made for another worker."""


class ForeignChangelogError(ChangelogError):
    """A changelog has rows that this program did not write; the text names the first one."""

    def __init__(self, topic: str, partition: int, offset: int, key: bytes | None) -> None:
        """Name the row by its key and its place."""
        super().__init__(
            f"{topic}-{partition} has a row at offset {offset} that this program did not write "
            f"(key {key!r:.80}): find out who else writes to that topic, and start over with "
            "another REELS_APP_ID"
        )
        self.topic, self.partition = topic, partition
