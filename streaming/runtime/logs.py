"""Logs for programs: one JSON object a line, when ``REELS_LOG_FORMAT`` says so."""

from __future__ import annotations

import json
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
        try:
            return orjson.dumps(fields).decode()
        except TypeError:
            # Half a pair of surrogates, as a file's name may have one, is no UTF-8.
            return json.dumps(fields)


def json_logging() -> dict[str, Any]:
    """Return Faust's ``logging_config``: its own, but for the format of the lines.

    Faust has one for a terminal and one for a file (``--logfile``).
    """
    return {
        "merge": True,
        "formatters": {name: {"()": JsonFormatter} for name in ("default", "colored")},
    }
