"""Filter for log lines of libraries that are meaningless to operators.

aiokafka and mode log each step of each client and service at level info, about two hundred lines
per start. ``-l debug`` shows all of them. Warnings and errors are omitted only if they are known to
be harmless: a new cluster has no coordinator while it creates its internal topics;
``reels_event_loop_delay_seconds`` already shows late timers; and a failed heartbeat is how members
learn of a rebalance.
"""

from __future__ import annotations

import logging
import re
from time import monotonic
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

#: Libraries whose info lines describe internal steps.
_LIBRARIES: Final = frozenset({"aiohttp", "aiokafka", "asyncio", "faust", "kafka", "mode"})

#: Messages of mode and Faust, which also appear in the loggers of our services.
_STEPS: Final = re.compile(
    r"(?:\[.*\]: )?(?:(?:Starting|Stopping|Restarting|Shutting down|Flush producer buffer"
    r"|Wait for streams|Gathering service tasks|Gathering all futures)\.\.\."
    r"|Closing event loop|Restore complete!|Worker ready|Ready"
    r"|Seek stream partitions to committed offsets\.) ?"
)

#: Such messages about the worker itself, which stay.
_OF_THE_WORKER: Final = re.compile(r"\[\^Worker\]: (?:Starting|Stopping)\.\.\.")

#: Seconds that a new cluster may take to create its topics for groups' offsets and transactions.
COORDINATOR_TIMEOUT_S: Final = 60.0

_NO_COORDINATOR: Final = re.compile(
    r"(?:CoordinatorNotAvailable|GroupCoordinatorNotAvailable|NotCoordinator"
    r"|CoordinatorLoadInProgress|GroupLoadInProgress|Marking the coordinator dead)"
)

_LATE_TIMER: Final = re.compile(r"Timer .* (?:is overlapping|woke up too (?:late|early))")


_REBALANCE: Final = re.compile(r"Heartbeat failed for group .* because it is rebalancing")


class QuietFilter(logging.Filter):
    """Omits meaningless lines of libraries."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        """Start the timer of the worker's start; ``clock`` returns seconds."""
        super().__init__()
        self._clock = clock
        self._began = clock()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to write ``record``."""
        is_library = record.name.partition(".")[0] in _LIBRARIES
        text = record.getMessage()
        if record.levelno <= logging.INFO:
            if _OF_THE_WORKER.match(text):
                return True
            return not (is_library or _STEPS.fullmatch(text))
        if _LATE_TIMER.search(text) or _REBALANCE.match(text):
            return False
        if is_library and _NO_COORDINATOR.search(text):
            return self._clock() - self._began > COORDINATOR_TIMEOUT_S
        return True
