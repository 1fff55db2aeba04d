"""The worker's group membership: refusals by brokers are reported, then retried or final.

aiokafka's coordinator stops at the first refusal until a caller requests records from its consumer,
which this program does in its own way. It also knows only some errors: not that another member has
taken this one's ``CONSUMER_GROUP_INSTANCE_ID``.

Depends on the internals of aiokafka 0.14 (``GroupCoordinator``: ``_send_req``,
``ensure_active_group``, ``_on_join_complete``, ``_push_error_to_user``, ``_coordination_task``, and
its name in the consumer's module); ``tests/streaming/test_insides.py`` fails when they change.
"""

from __future__ import annotations

import asyncio
import logging
import re
from typing import TYPE_CHECKING, Any, Final

from aiokafka.consumer import consumer
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import BrokerResponseError, KafkaError
from aiokafka.protocol.admin import DescribeGroupsRequest
from aiokafka.protocol.group import HeartbeatRequest, JoinGroupRequest, SyncGroupRequest

from streaming.errors import StaleAssignmentError
from streaming.kafka.group_refusals import (
    FENCED_INSTANCE,
    UNKNOWN,
    UNREADABLE_ASSIGNMENT,
    GroupRefusedError,
    is_refusal,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiokafka.consumer.subscription_state import Assignment, Subscription

    from streaming.kafka.group_refusals import Refusals

log = logging.getLogger(__name__)

#: Seconds before the worker joins again: after the first refusal, and at most.
FIRST_PAUSE_S: Final = 1.0
MAX_PAUSE_S: Final = 30.0


class Coordinator(GroupCoordinator):
    """aiokafka's coordinator that neither logs a traceback nor stops silently when refused."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Accept the arguments of aiokafka's coordinator."""
        self._refusals: Refusals | None = None
        self._on_end: Callable[[BaseException], object] = log.error
        self._refused_times = 0
        self._has_joined = False
        #: Whether the last assignment was for another worker.
        self._was_stale = False
        #: The member id of a lost membership, until :meth:`_check_instance` has checked it.
        self._former_id: str | None = None
        super().__init__(*args, **kwargs)
        self._coordination_task.add_done_callback(self._ended)

    def hears(self, refusals: Refusals, on_end: Callable[[BaseException], object]) -> None:
        """Report each refusal to ``refusals``, and call ``on_end`` if coordination itself fails.

        Call this before the subscription; there are no refusals until then.
        """
        self._refusals = refusals
        self._on_end = on_end

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (exc := task.exception()) is not None:
            self._on_end(exc)

    async def _send_req(self, request: Any) -> Any:
        """Send a request; raise GroupRefusedError if the answer refuses the member."""
        response = await super()._send_req(request)
        if isinstance(request, JoinGroupRequest | SyncGroupRequest | HeartbeatRequest) and (
            is_refusal(response.error_code)
        ):
            raise GroupRefusedError(response.error_code)
        return response

    async def ensure_active_group(
        self, subscription: Subscription, prev_assignment: Assignment | None
    ) -> Assignment | None:
        """Join the group if necessary; return None if the caller must try again."""
        try:
            await self._check_instance()
            assignment = await super().ensure_active_group(subscription, prev_assignment)
        except GroupRefusedError as exc:
            is_stale = isinstance(exc.__cause__, StaleAssignmentError)
            if is_stale and not self._was_stale:
                # A returning static member gets its old assignment, unless it joins once more.
                self._was_stale = True
                self.request_rejoin()
                return None
            if exc.code == UNREADABLE_ASSIGNMENT and not is_stale:
                # The other members take over its partitions meanwhile.
                await self._maybe_leave_group()
            await self._push_error_to_user(exc)
            return None
        if assignment is not None:
            self._refused_times, self._has_joined, self._was_stale = 0, True, False
            if self._refusals is not None:
                self._refusals.joined()
        return assignment

    def reset_generation(self) -> None:
        """Forget the membership."""
        if self._has_joined and self.member_id:
            self._former_id = self.member_id
        super().reset_generation()

    async def _check_instance(self) -> None:
        """Refuse to join if another worker has taken this instance id.

        A member that becomes unknown was replaced, or was away for longer than its session.
        aiokafka joins again in both cases: two workers would replace each other forever.

        Raises:
            GroupRefusedError: another worker has the instance id.
        """
        name, former_id = self._group_instance_id, self._former_id
        # Check once: a later member of that name may be this worker, if its answer was lost.
        self._former_id = None
        if name is None or not former_id:
            return
        try:
            response = await super()._send_req(DescribeGroupsRequest([self.group_id]))
        except KafkaError as exc:
            log.debug("the members of group %s are unknown: %r", self.group_id, exc)
            return
        # The id of a static member is its instance id and a UUID. The client id and host do not
        # tell members apart: brokers keep those of the first one.
        its_id = re.compile(rf"{re.escape(name)}-[0-9A-Za-z_-]{{22,36}}")
        for _error, _group, _state, _type, _protocol, members, *_rest in response.groups:
            found = {member_id for member_id, *_ in members if its_id.fullmatch(member_id)}
            if found - {former_id}:
                raise GroupRefusedError(FENCED_INSTANCE)

    async def _on_join_complete(
        self, generation: int, member_id: str, protocol: str, member_assignment_bytes: bytes
    ) -> None:
        """Accept the assignment; raise GroupRefusedError if another program made it."""
        try:
            await super()._on_join_complete(
                generation, member_id, protocol, member_assignment_bytes
            )
        except Exception as exc:
            # Its partitions must not be fetched.
            self._subscription.begin_reassignment()
            raise GroupRefusedError(UNREADABLE_ASSIGNMENT, repr(exc)) from exc

    async def _push_error_to_user(self, exc: BaseException) -> None:
        """Pause, longer each time, then request a rejoin; called for every error."""
        if not isinstance(exc, GroupRefusedError):
            code = exc.errno if isinstance(exc, BrokerResponseError) else UNKNOWN
            exc = GroupRefusedError(code, str(exc))
        pause = min(FIRST_PAUSE_S * 2**self._refused_times, MAX_PAUSE_S)
        self._refused_times += 1
        if self._refusals is not None and not self._refusals.refused(
            exc, pause, has_joined=self._has_joined
        ):
            await self._closing
        await asyncio.wait([self._closing], timeout=pause)
        self.request_rejoin()


def install() -> None:
    """Make all consumers with a group in this process use this coordinator."""
    consumer.GroupCoordinator = Coordinator
