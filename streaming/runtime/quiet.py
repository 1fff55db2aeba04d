"""Lines of libraries that say nothing to an operator are left out of the log.

aiokafka and mode tell each step of each client and service at level info: some two hundred lines a
start. ``-l debug`` shows all of them. Warnings and errors are left out only where they are known to
mean nothing: while a new cluster makes its internal topics, it has no coordinator yet; a timer
that comes late under load is told by ``reels_event_loop_delay_seconds``; and by a heartbeat each
member learns that another one joins or leaves.
"""

from __future__ import annotations

import logging
import re
from time import monotonic
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

#: Libraries whose info lines are steps of their own.
_LIBRARIES: Final = frozenset({"aiohttp", "aiokafka", "asyncio", "faust", "kafka", "mode"})

#: What mode and Faust say through the loggers of our services, too.
_STEPS: Final = re.compile(
    r"(?:\[.*\]: )?(?:(?:Starting|Stopping|Restarting|Shutting down|Flush producer buffer"
    r"|Wait for streams|Gathering service tasks|Gathering all futures)\.\.\."
    r"|Closing event loop|Restore complete!|Worker ready|Ready"
    r"|Seek stream partitions to committed offsets\.) ?"
)

#: Those of them that are the worker's own, and stay.
_OF_THE_WORKER: Final = re.compile(r"\[\^Worker\]: (?:Starting|Stopping)\.\.\.")

#: Seconds that a new cluster may take to make the topics in which it keeps groups' offsets and
#: transactions.
COORDINATOR_PATIENCE: Final = 60.0

_NO_COORDINATOR: Final = re.compile(
    r"(?:CoordinatorNotAvailable|GroupCoordinatorNotAvailable|NotCoordinator"
    r"|CoordinatorLoadInProgress|GroupLoadInProgress)"
)

_LATE_TIMER: Final = re.compile(r"Timer .* (?:is overlapping|woke up too (?:late|early))")


_REBALANCE: Final = re.compile(r"Heartbeat failed for group .* because it is rebalancing")


class QuietFilter(logging.Filter):
    """Leaves out the lines of libraries that mean nothing."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        """Begin to count the seconds of the start; ``clock`` tells seconds."""
        super().__init__()
        self._clock = clock
        self._began = clock()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether ``record`` means something."""
        is_library = record.name.partition(".")[0] in _LIBRARIES
        text = record.getMessage()
        if record.levelno <= logging.INFO:
            if _OF_THE_WORKER.match(text):
                return True
            return not (is_library or _STEPS.fullmatch(text))
        if _LATE_TIMER.search(text) or _REBALANCE.match(text):
            return False
        if is_library and _NO_COORDINATOR.search(text):
            return self._clock() - self._began > COORDINATOR_PATIENCE
        return True
