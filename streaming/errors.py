"""What can go wrong in a way that a caller can act on."""

from __future__ import annotations

from typing import NamedTuple

from aiokafka.errors import (
    InvalidTimestampError,
    KafkaConnectionError,
    KafkaError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
)

#: How a topic refuses a record for its size, and for its timestamp.
FOR_SIZE = (MessageSizeTooLargeError, RecordListTooLargeError)
FOR_TIME = (InvalidTimestampError,)


class StartError(Exception):
    """The worker cannot start as things are; the text is one line that says what to do."""


class NoBrokerError(KafkaConnectionError):
    """No broker answers, maybe not yet; the text is why, in one line."""

    def __str__(self) -> str:
        """Return the text alone."""
        return str(self.args[0])


class NoTokenError(KafkaError):
    """Nobody issues a token to log in with, maybe not yet; the text is why, in one line."""

    def __str__(self) -> str:
        """Return the text alone."""
        return str(self.args[0])


class TokenRefusedError(NoTokenError):
    """A token is refused as the settings are; the text is one line that says what to do."""


class TransactionFailedError(Exception):
    """A transaction did not commit, or it is not known whether it did. Open the tasks again."""


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
        return isinstance(self.reason, FOR_SIZE)

    @property
    def is_for_time(self) -> bool:
        """Whether its time is too far from the broker's."""
        return isinstance(self.reason, FOR_TIME)

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
                f"{where} for its timestamp: check the topic's message.timestamp settings, and the "
                "clocks of this machine and of the brokers"
            )
        return f"{where}: {type(self.reason).__name__}"


class RefusedError(TransactionFailedError):
    """A broker refuses a record for what it is: sent again like that, it is refused again."""

    def __init__(self, refusal: Refusal) -> None:
        """Say in one line what is refused, and by which topic."""
        super().__init__(str(refusal))
        self.refusal = refusal


class ConfigurationError(Exception):
    """The brokers refuse what the program needs, until somebody changes a setting or a right.

    The text is one line that says which.
    """


class FencedError(TransactionFailedError):
    """Another worker has taken the partition over; what this one has processed is void."""


class PositionError(Exception):
    """Nobody can say which records the tables have: the text says why, and what to do."""


class ChangelogError(Exception):
    """A changelog may not be taken for the table's own: the text says why, and what to do."""


class RecordsLostError(ChangelogError):
    """A partition has become shorter while it was read, so the end will never come."""

    def __init__(self, topic: str, partition: int, end: int, found: int) -> None:
        """Name the partition, the offset to read to, and its end now."""
        super().__init__(
            f"{topic}-{partition} ends at offset {found}, but had records up to {end}: it was "
            "recreated, or has lost records"
        )


class TopicLostError(Exception):
    """A topic that the program cannot do without is gone; the text says what to do, in one line."""


class StaleAssignmentError(Exception):
    """What the brokers give a named member that comes back was assigned at another address."""


class ForeignChangelogError(ChangelogError):
    """A changelog has rows that this program has not written; the text is one line with a place."""

    def __init__(self, topic: str, partition: int, offset: int, key: bytes | None) -> None:
        """Name the row by its key and its place."""
        super().__init__(
            f"{topic}-{partition} has a row at offset {offset} that this program did not write "
            f"(key {key!r:.80}): find out who else writes to that topic, and start over with "
            "another REELS_APP_ID"
        )
        self.topic, self.partition = topic, partition
