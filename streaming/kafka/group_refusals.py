"""Reasons why brokers refuse the worker in its group, and whether each is temporary."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from aiokafka.errors import for_code

from streaming.errors import StartError

if TYPE_CHECKING:
    from collections.abc import Callable

    from settings import Settings

log = logging.getLogger(__name__)

# Kafka's error codes; aiokafka 0.14 does not know GROUP_IS_FULL and FENCED_INSTANCE.
INCONSISTENT_PROTOCOL: Final = 23
INVALID_GROUP_ID: Final = 24
INVALID_SESSION_TIMEOUT: Final = 26
NOT_AUTHORIZED: Final = 30
GROUP_IS_FULL: Final = 81
FENCED_INSTANCE: Final = 82
SERVER_ERROR: Final = -1
# Not Kafka's: an error without a code, and an assignment by another program.
UNKNOWN: Final = -2
UNREADABLE_ASSIGNMENT: Final = -3

#: No error, and the errors of every rebalance and coordinator change: loading, not available, not
#: coordinator, illegal generation, unknown member, rebalancing, id required.
_USUAL: Final = frozenset({0, 14, 15, 16, 22, 25, 27, 79})

#: Errors that a retry cannot resolve.
_FINAL: Final = frozenset({INVALID_GROUP_ID, INVALID_SESSION_TIMEOUT, FENCED_INSTANCE})

_TEXTS: Final = {
    # Kafka 4.3's answer if a member has group.protocol=consumer, which Faust does not use.
    SERVER_ERROR: (
        "the brokers failed to admit this worker to {group}: stop any member that is not a worker "
        "of this program (group.protocol=consumer), choose another REELS_APP_ID, or see their logs"
    ),
    INCONSISTENT_PROTOCOL: (
        "{group} has a member that is not a worker of this program (its protocol differs): stop "
        "that member, or choose another REELS_APP_ID"
    ),
    UNREADABLE_ASSIGNMENT: (
        "another program assigned the partitions of {group} ({detail}): stop the group's other "
        "members, or choose another REELS_APP_ID"
    ),
    INVALID_GROUP_ID: (
        "the brokers do not accept REELS_APP_ID = {app_id} as the name of a consumer group: choose "
        "another"
    ),
    INVALID_SESSION_TIMEOUT: (
        "the brokers refuse BROKER_SESSION_TIMEOUT = {session}: choose a value between their "
        "group.min.session.timeout.ms and group.max.session.timeout.ms"
    ),
    NOT_AUTHORIZED: (
        "{user} may not read {group}: grant READ on it, or choose another REELS_APP_ID"
    ),
    GROUP_IS_FULL: (
        "{group} has as many members as the brokers allow: raise group.max.size, or stop a worker"
    ),
    FENCED_INSTANCE: (
        "another worker has taken the place of CONSUMER_GROUP_INSTANCE_ID = {instance} in {group}"
        ": give each worker its own name"
    ),
}


class GroupRefusedError(Exception):
    """The group's coordinator refused this member.

    Not a subclass of aiokafka's errors, which it would retry at once.
    """

    def __init__(self, code: int, detail: str = "") -> None:
        """Keep Kafka's error code; ``detail`` adds what the code does not express."""
        super().__init__(code, detail)
        self.code = code
        self.detail = detail


def is_refusal(code: int) -> bool:
    """Whether an answer with this error code refuses the member."""
    return code not in _USUAL


class Refusals:
    """Logs refusals, keeps the last for the health routes, and ends the worker if one is final.

    Called in the consumer's thread; :attr:`reason` may be read from any thread.
    """

    def __init__(self, settings: Settings, give_up: Callable[[BaseException], object]) -> None:
        """Explain with ``settings``; ``give_up`` ends the worker, and is called in this thread."""
        self._settings = settings
        self._give_up = give_up
        #: Why the group refuses the worker, None if it does not.
        self.reason: str | None = None

    def refused(self, exc: GroupRefusedError, pause: float, *, has_joined: bool) -> bool:
        """Record a refusal; return whether to retry after ``pause`` seconds.

        A missing right is final at the start. A member that had the right retries, because
        operators may be rewriting the rights.
        """
        self.reason = self._explain(exc)
        if exc.code in _FINAL or (exc.code == NOT_AUTHORIZED and not has_joined):
            self._give_up(StartError(self.reason))
            return False
        log.warning("%s; again in %.0f s", self.reason, pause)
        return True

    def joined(self) -> None:
        """Record that the worker is a member."""
        self.reason = None

    def _explain(self, exc: GroupRefusedError) -> str:
        """Return one line with the fault, the allowed values and the remedy."""
        settings = self._settings
        known = _TEXTS.get(exc.code, "{group} does not admit this worker: {detail}")
        return known.format(
            group=f"consumer group {settings.app_id}",
            app_id=settings.app_id,
            instance=settings.group_instance_id,
            session=f"{settings.session_timeout:g}",
            user=settings.sasl_username or "this client",
            detail=exc.detail or f"{for_code(exc.code).__name__}, error code {exc.code}",
        )
