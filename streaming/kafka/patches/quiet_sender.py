"""aiokafka's sender raises its errors, and no longer logs them with a traceback as well."""

from __future__ import annotations

import logging

from aiokafka.producer import sender


def install() -> None:
    """Silence the sender's log; whoever waits for the transaction logs its error."""
    logging.getLogger(sender.__name__).addFilter(lambda record: record.levelno < logging.ERROR)
