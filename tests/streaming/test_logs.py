"""JSON logs: each line is a JSON object, whatever is logged."""

from __future__ import annotations

import json
import logging
import sys
from typing import TYPE_CHECKING

import pytest

from streaming.runtime.logs import JsonFormatter

if TYPE_CHECKING:
    from _typeshed import OptExcInfo


def line_of(message: object, *args: object, exc_info: OptExcInfo | None = None) -> str:
    record = logging.LogRecord("a.b", logging.WARNING, __file__, 1, message, args, exc_info)
    record.created = 1_736_951_445.1235
    return JsonFormatter().format(record)


def test_a_line_tells_time_level_logger_and_message() -> None:
    assert json.loads(line_of("partition %s, offset %s", 3, 7)) == {
        "time": "2025-01-15T14:30:45.123Z",
        "level": "warning",
        "logger": "a.b",
        "message": "partition 3, offset 7",
    }


@pytest.mark.parametrize("text", ["two\nlines", 'a "quote"', "\x00\x1b[31m", "\udcff", "ü 日本"])
def test_any_message_is_one_line_of_json(text: str) -> None:
    line = line_of("%s", text)
    assert "\n" not in line
    assert json.loads(line)["message"] == text


def test_a_traceback_stays_in_its_line() -> None:
    try:
        1 / 0  # noqa: B018
    except ZeroDivisionError:
        line = line_of("failed", exc_info=sys.exc_info())
    assert "\n" not in line
    assert "ZeroDivisionError" in json.loads(line)["traceback"]
