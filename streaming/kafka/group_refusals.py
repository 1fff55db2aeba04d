"""Why brokers do not let the worker into its group, and whether that can pass."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from aiokafka.errors import for_code

from streaming.errors import StartError

if TYPE_CHECKING:
    from collections.abc import Callable

    from settings import Settings

log = logging.getLogger(__name__)

# Kafka's error codes, of which aiokafka 0.14 does not know the last two.
INCONSISTENT_PROTOCOL: Final = 23
INVALID_GROUP_ID: Final = 24
INVALID_SESSION_TIMEOUT: Final = 26
NOT_AUTHORIZED: Final = 30
GROUP_IS_FULL: Final = 81
FENCED_INSTANCE: Final = 82
SERVER_ERROR: Final = -1
# None of Kafka's: an error without a code, and an assignment that is not one of this program's.
UNKNOWN: Final = -2
UNREADABLE_ASSIGNMENT: Final = -3

#: No error, and those that every rebalance and every move of a coordinator bring along: loading,
#: not available, not coordinator, illegal generation, unknown member, rebalancing, id required.
_USUAL: Final = frozenset({0, 14, 15, 16, 22, 25, 27, 79})

#: What no waiting changes.
_FINAL: Final = frozenset({INVALID_GROUP_ID, INVALID_SESSION_TIMEOUT, FENCED_INSTANCE})

_TEXTS: Final = {
    # What Kafka 4.3 answers who joins, in Faust's way, a member with group.protocol=consumer.
    SERVER_ERROR: (
        "the brokers fail to let this worker into {group}: stop a member that is no worker of this "
        "program (group.protocol=consumer), or choose another REELS_APP_ID; else see their logs"
    ),
    INCONSISTENT_PROTOCOL: (
        "{group} has a member that is no worker of this program (its protocol is another): stop "
        "that member, or choose another REELS_APP_ID"
    ),
    UNREADABLE_ASSIGNMENT: (
        "the partitions of {group} were not assigned by a worker of this program ({detail}): stop "
        "the group's other members, or choose another REELS_APP_ID"
    ),
    INVALID_GROUP_ID: (
        "the brokers do not take REELS_APP_ID = {app_id} for the name of a consumer group: choose "
        "another"
    ),
    INVALID_SESSION_TIMEOUT: (
        "the brokers refuse BROKER_SESSION_TIMEOUT = {session}: allowed is what their "
        "group.min.session.timeout.ms and group.max.session.timeout.ms say"
    ),
    NOT_AUTHORIZED: (
        "{user} may not read {group}: grant READ on it, or choose another REELS_APP_ID"
    ),
    GROUP_IS_FULL: (
        "{group} has as many members as the brokers allow: raise group.max.size, or stop a worker"
    ),
    FENCED_INSTANCE: (
        "another worker has taken the place of CONSUMER_GROUP_INSTANCE_ID = {instance} in {group}"
        ": give each worker a name of its own"
    ),
}


class GroupRefusedError(Exception):
    """The group's coordinator has refused this member. Not aiokafka's: it would try at once."""

    def __init__(self, code: int, detail: str = "") -> None:
        """Take Kafka's error code; ``detail`` says what the code alone does not."""
        super().__init__(code, detail)
        self.code = code
        self.detail = detail


def is_refusal(code: int) -> bool:
    """Whether a member's request with this error code in its answer is to be given up."""
    return code not in _USUAL


class Refusals:
    """Says each refusal in one line, keeps the last for the health routes, ends what is final.

    Called in the thread of the consumer; :attr:`reason` may be read from any.
    """

    def __init__(self, settings: Settings, give_up: Callable[[BaseException], object]) -> None:
        """Explain with ``settings``; ``give_up`` ends the worker, from this thread."""
        self._settings = settings
        self._give_up = give_up
        #: Why the worker is not in its group, None as long as nothing is refused.
        self.reason: str | None = None

    def refused(self, exc: GroupRefusedError, pause: float, *, has_joined: bool) -> bool:
        """Take a refusal; return whether to try again after ``pause`` seconds.

        A right that is missing at the start has not been given; one that a member has had may come
        back, as when rights are written anew.
        """
        self.reason = self._explain(exc)
        if exc.code in _FINAL or (exc.code == NOT_AUTHORIZED and not has_joined):
            self._give_up(StartError(self.reason))
            return False
        log.warning("%s; again in %.0f s", self.reason, pause)
        return True

    def joined(self) -> None:
        """Take that the worker is a member."""
        self.reason = None

    def _explain(self, exc: GroupRefusedError) -> str:
        """Return in one line what is wrong, what is allowed and what to do."""
        settings = self._settings
        known = _TEXTS.get(exc.code, "{group} does not let this worker in: {detail}")
        return known.format(
            group=f"consumer group {settings.app_id}",
            app_id=settings.app_id,
            instance=settings.group_instance_id,
            session=f"{settings.session_timeout:g}",
            user=settings.sasl_username or "this client",
            detail=exc.detail or f"{for_code(exc.code).__name__}, error code {exc.code}",
        )
