"""Deletion of passed-on events and deltas from their topics, some time after they were counted.

Retention by time would delete some before they are counted: events keep their record timestamps,
which are old in an old backlog, and deltas wait while all workers are stopped. Kafka Streams purges
its repartition topics, too.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Any

from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

if TYPE_CHECKING:
    from collections.abc import Mapping

    from faust.types import TP

log = logging.getLogger(__name__)

#: Seconds between two rounds, and the rounds for which a counted record is kept. Audits use these
#: records to find the order in which events were counted.
PURGE_INTERVAL_S, ROUNDS_KEPT = 600.0, 6


class Purge:
    """Deletes records that a worker's tasks have counted and committed."""

    def __init__(self, client_settings: Mapping[str, Any]) -> None:
        """Connect with ``client_settings`` once there is something to delete."""
        self._client_settings = client_settings
        self._looks: deque[Mapping[TP, int]] = deque(maxlen=ROUNDS_KEPT)
        self._deleted: dict[TP, int] = {}
        self._has_warned = False

    async def look(self, committed: Mapping[TP, int]) -> None:
        """Delete records committed :data:`ROUNDS_KEPT` rounds ago in ``committed``."""
        then = self._looks[0] if len(self._looks) == ROUNDS_KEPT else {}
        self._looks.append(dict(committed))
        due = {
            tp: at
            for tp, at in then.items()
            # A worker that got the partition back may be at an earlier position: delete nothing.
            if self._deleted.get(tp, 0) < at <= committed.get(tp, 0)
        }
        if not due:
            return
        try:
            await self._delete(due)
        except (KafkaError, OSError) as exc:
            log.log(
                logging.DEBUG if self._has_warned else logging.WARNING,
                "counted records stay in the topics %s, so these grow: %r; check the right Delete "
                "on them (docs/security.md)",
                ", ".join(sorted({tp.topic for tp in due})),
                exc,
            )
            self._has_warned = True
        else:
            self._deleted.update(due)

    async def _delete(self, offsets: Mapping[TP, int]) -> None:
        admin = AIOKafkaAdminClient(**self._client_settings)
        try:
            await admin.start()
            await admin.delete_records(
                {TopicPartition(*tp): RecordsToDelete(at) for tp, at in offsets.items()}
            )
        finally:
            await admin.close()
