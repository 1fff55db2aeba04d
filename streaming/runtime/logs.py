"""Logs as JSON, one object per line, if ``REELS_LOG_FORMAT`` is ``json``."""

from __future__ import annotations

import json
import logging
from typing import Any

import orjson

from models.windows import to_iso


class JsonFormatter(logging.Formatter):
    """Writes time, level, logger, message and, if present, the traceback."""

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
        try:
            return orjson.dumps(fields).decode()
        except TypeError:
            # A lone surrogate, as in some file names, has no UTF-8 form.
            return json.dumps(fields)


def json_logging() -> dict[str, Any]:
    """Return Faust's ``logging_config`` with JSON lines.

    Replaces both of Faust's formatters, for a terminal and for a file (``--logfile``).
    """
    return {
        "merge": True,
        "formatters": {name: {"()": JsonFormatter} for name in ("default", "colored")},
    }
