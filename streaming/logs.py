"""Logs for programs: one JSON object a line, when ``REELS_LOG_FORMAT`` says so."""

from __future__ import annotations

import logging
from typing import Any

import orjson

from models.windows import to_iso


class JsonFormatter(logging.Formatter):
    """Writes time, level, logger and message, and the traceback when there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        fields = {
            "time": to_iso(int(record.created * 1000)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return orjson.dumps(fields).decode()


def json_logging() -> dict[str, Any]:
    """Return Faust's ``logging_config``: its own, but for the format of the lines."""
    return {
        "merge": True,
        "formatters": {"json": {"()": JsonFormatter}},
        "handlers": {"default": {"class": "logging.StreamHandler", "formatter": "json"}},
    }
