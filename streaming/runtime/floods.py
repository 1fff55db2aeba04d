"""Limit of a few log lines per second: repeated messages are counted.

Libraries log every failed attempt. With a missing topic or an empty cluster, they wrote more than a
thousand lines per second.
"""

from __future__ import annotations

import logging
import re
import threading
from collections import OrderedDict
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

#: Loggers, including their children, that repeat messages for each attempt.
LIBRARIES: Final = frozenset({"aiohttp", "aiokafka", "asyncio", "faust", "kafka", "mode"})

#: Lines of one message that may be written at once, for libraries and for our loggers: the start
#: writes one line per setting. Then one line per :data:`INTERVAL_S`.
LIBRARY_BURST, OUR_BURST = 5, 60

#: Seconds between two lines of a message after its burst.
INTERVAL_S: Final = 10.0

#: Lines of all messages together: at once, and then per second.
TOTAL_BURST, TOTAL_RATE = 150, 3.0

#: Number of distinct messages to remember; the least recent one is forgotten.
MAX_MESSAGES: Final = 500

_NUMBERS = re.compile(r"\d+")


class _Budget:
    """A token bucket of lines: up to ``burst`` at once, and ``rate`` per second."""

    def __init__(self, burst: float, rate: float, now: float) -> None:
        self._burst, self._rate = burst, rate
        self._left, self._at = burst, now

    def take(self, now: float) -> bool:
        self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


@dataclass(slots=True)
class _Message:
    """One message: its budget, and its omitted lines since the last written one."""

    budget: _Budget
    left_out: int = 0
    since: float = 0.0
    last: logging.LogRecord | None = None


class FloodFilter(logging.Filter):
    """Limits one handler to a few lines per second; ``N more like this`` replaces the others.

    Logger, level and unformatted text identify a message; numbers in the text are ignored. Debug
    and critical messages always pass.
    """

    def __init__(self, handler: logging.Handler, clock: Callable[[], float] = monotonic) -> None:
        """Limit ``handler``; ``clock`` returns seconds."""
        super().__init__()
        self._handler = handler
        self._clock = clock
        self._lock = threading.Lock()
        self._total = _Budget(TOTAL_BURST, TOTAL_RATE, clock())
        self._messages: OrderedDict[tuple[str, int, str], _Message] = OrderedDict()
        self._looked_at = clock()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to write ``record``, after writing the counts that are due."""
        if record.levelno < logging.INFO or getattr(record, "is_count", False):
            return True
        now = self._clock()
        with self._lock:
            if record.levelno >= logging.CRITICAL:
                counts, passes = self._counts(now, everything=True), True
            else:
                passes = self._passes(record, now)
                counts = self._counts(now, everything=False)
        for count in counts:
            self._handler.handle(count)
        return passes

    def _passes(self, record: logging.LogRecord, now: float) -> bool:
        message = self._message(record, now)
        if message.budget.take(now) and self._total.take(now):
            return True
        if not message.left_out:
            message.since = now
        message.left_out += 1
        message.last = record
        return False

    def _message(self, record: logging.LogRecord, now: float) -> _Message:
        key = record.name, record.levelno, _NUMBERS.sub("0", str(record.msg))
        message = self._messages.get(key)
        if message is None:
            is_library = record.name.partition(".")[0] in LIBRARIES
            burst = LIBRARY_BURST if is_library else OUR_BURST
            message = self._messages[key] = _Message(_Budget(burst, 1 / INTERVAL_S, now))
            while len(self._messages) > MAX_MESSAGES:
                self._messages.popitem(last=False)
        self._messages.move_to_end(key)
        return message

    def _counts(self, now: float, *, everything: bool) -> list[logging.LogRecord]:
        """Return the counts that are due: of messages omitted for :data:`INTERVAL_S`."""
        if not everything and now - self._looked_at < 1.0:
            return []
        self._looked_at = now
        due = []
        for message in self._messages.values():
            if not message.left_out or not (everything or now - message.since >= INTERVAL_S):
                continue
            if not everything and not self._total.take(now):
                break
            due.append(_count(message, now))
            message.left_out = 0
        return due


def _count(message: _Message, now: float) -> logging.LogRecord:
    last = message.last
    assert last is not None, "nothing was left out"  # noqa: S101 - a bug here
    text = " ".join(last.getMessage().split())[:300]
    count = logging.LogRecord(
        last.name,
        last.levelno,
        last.pathname,
        last.lineno,
        "%s more like this in %.0f s: %s",
        (f"{message.left_out:,}", now - message.since, text),
        None,
    )
    count.is_count = True
    return count


def limit_floods(logger: logging.Logger) -> None:
    """Limit each handler of ``logger`` to a few lines per second."""
    for handler in logger.handlers:
        handler.addFilter(FloodFilter(handler))
