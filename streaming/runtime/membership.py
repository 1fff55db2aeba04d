"""End of the membership that a killed worker left behind, before the worker joins again.

The group and its new members wait for a dead member until its session times out, after ten seconds
by default. A worker that holds the lock of its data directory knows that the directory's previous
worker is dead. It finds that member by the client id, which contains the directory's id.

A worker with ``CONSUMER_GROUP_INSTANCE_ID`` replaces its own membership and needs none of this.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.protocol.group import LeaveGroupRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

log = logging.getLogger(__name__)

#: Maximum seconds for this; without it, the session times out.
LEAVE_TIMEOUT_S: Final = 2.0


async def end_former_membership(
    client_settings: Mapping[str, Any], group: str, client_id: str
) -> int:
    """Remove every member of ``group`` with this client id.

    Returns:
        The number of removed members.
    """
    admin = AIOKafkaAdminClient(**client_settings)
    try:
        async with asyncio.timeout(LEAVE_TIMEOUT_S):
            await admin.start()
            return await _leave(admin, group, client_id)
    except (KafkaError, OSError, TimeoutError) as exc:
        # A new group has no coordinator and no former members.
        log.debug("former members of group %s are unknown: %r", group, exc)
        return 0
    finally:
        await admin.close()


async def _leave(admin: AIOKafkaAdminClient, group: str, client_id: str) -> int:
    coordinator = await admin.find_coordinator(group)
    (response,) = await admin.describe_consumer_groups([group], coordinator)
    members = [
        member_id
        for _error, _group, _state, _type, _protocol, members, *_ in response.groups
        for member_id, found, *_ in members
        if found == client_id
    ]
    for member_id in members:
        await admin._send_request_to_node(coordinator, LeaveGroupRequest(group, member_id))
        log.info("the previous worker of this data directory has left the group: %s", member_id)
    return len(members)
