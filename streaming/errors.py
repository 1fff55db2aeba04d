"""What can go wrong in a way that a caller can act on."""

from __future__ import annotations


class StartError(Exception):
    """The worker cannot start as things are; the text is one line that says what to do."""


class TransactionFailedError(Exception):
    """A transaction did not commit, or it is not known whether it did. Open the task again."""


class FencedError(TransactionFailedError):
    """Another worker has taken the partition over; what this one has folded is void."""
