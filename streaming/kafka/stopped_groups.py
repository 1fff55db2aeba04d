"""Check that no worker of a group runs, for commands that need it stopped."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from aiokafka.errors import (
    GroupAuthorizationFailedError,
    GroupCoordinatorNotAvailableError,
    for_code,
)

from streaming.errors import StartError
from streaming.kafka.rights import needed

if TYPE_CHECKING:
    from aiokafka.admin import AIOKafkaAdminClient

#: Seconds to wait for a group's coordinator, and between two attempts.
COORDINATOR_TIMEOUT_S: Final = 20.0
COORDINATOR_PAUSE_S: Final = 0.5


async def require_stopped(admin: AIOKafkaAdminClient, *groups: str) -> None:
    """Refuse to continue while a group has members.

    Raises:
        StartError: workers of one of ``groups`` are running, or it may not be described.
        KafkaError: the brokers do not answer.
    """
    for group in groups:
        try:
            (response,) = await _described(admin, group)
        except GroupAuthorizationFailedError as exc:
            raise StartError(needed([f"Describe on group {group}"])) from exc
        for code, _group, state, *_ in response.groups:
            if state in {"Empty", "Dead"}:
                continue
            if code:
                raise for_code(code)(f"group {group}")
            raise StartError(f"workers of group {group} are running ({state}): stop them first")


async def _described(admin: AIOKafkaAdminClient, group: str) -> Any:
    """Describe a group; a new cluster elects its coordinator at the first request."""
    deadline = monotonic() + COORDINATOR_TIMEOUT_S
    while True:
        try:
            return await admin.describe_consumer_groups([group])
        except GroupCoordinatorNotAvailableError:
            if monotonic() > deadline:
                raise
        await asyncio.sleep(COORDINATOR_PAUSE_S)
