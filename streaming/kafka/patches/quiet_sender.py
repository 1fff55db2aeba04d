"""Errors of aiokafka's sender, which it both logs, with a traceback at its end, and raises."""

from __future__ import annotations

import logging

from aiokafka.producer import sender


def install() -> None:
    """Leave the errors to those who wait for the transaction, and log them once."""
    logging.getLogger(sender.__name__).addFilter(lambda record: record.levelno < logging.ERROR)
