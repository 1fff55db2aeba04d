"""The group's membership that a killed worker has left behind: ended before it starts again.

The group waits for a dead member until its session is over, ten seconds by default, and so does
whoever joins meanwhile. But a worker that holds the lock of its data directory knows that the one
before it is gone. It finds that one by the client id, which is the directory's own.

A worker with ``CONSUMER_GROUP_INSTANCE_ID`` needs none of this: it takes its own place again.
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

#: Seconds that this may take: without it, the group notices by itself.
PATIENCE: Final = 2.0


async def end_former_membership(
    client_settings: Mapping[str, Any], group: str, client_id: str
) -> int:
    """Have every member of ``group`` with this client id leave it.

    Returns:
        The number of members that have left.
    """
    admin = AIOKafkaAdminClient(**client_settings)
    try:
        async with asyncio.timeout(PATIENCE):
            await admin.start()
            return await _leave(admin, group, client_id)
    except (KafkaError, OSError, TimeoutError) as exc:
        # A new group has no coordinator yet, and nobody to wait for.
        log.debug("former members of group %s are not known: %r", group, exc)
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
        log.info("the worker that had this data directory before has left the group: %s", member_id)
    return len(members)
