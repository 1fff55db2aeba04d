"""Passed-on events are deleted from the repartition topic some time after they were counted.

Not by retention: events keep their record timestamps, so what comes from an old backlog would be
deleted at once, counted or not. Kafka Streams does the same with its repartition topics.
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

#: Seconds between two looks, and how many looks ago a record was counted when it is deleted. Until
#: then an audit knows from it in which order all was counted.
PURGE_INTERVAL, KEPT_LOOKS = 600.0, 6


class Purge:
    """Deletes what was counted, as a worker's tasks commit it."""

    def __init__(self, client_settings: Mapping[str, Any]) -> None:
        """Connect with ``client_settings``, when there is something to delete."""
        self._client_settings = client_settings
        self._looks: deque[Mapping[TP, int]] = deque(maxlen=KEPT_LOOKS)
        self._deleted: dict[TP, int] = {}
        self._has_warned = False

    async def look(self, committed: Mapping[TP, int]) -> None:
        """Delete what was committed :data:`KEPT_LOOKS` ago, of the partitions in ``committed``."""
        then = self._looks[0] if len(self._looks) == KEPT_LOOKS else {}
        self._looks.append(dict(committed))
        due = {
            tp: at
            for tp, at in then.items()
            # Who has the partition back may have committed less: nothing of that is deleted.
            if self._deleted.get(tp, 0) < at <= committed.get(tp, 0)
        }
        if not due:
            return
        try:
            await self._delete(due)
        except (KafkaError, OSError) as exc:
            log.log(
                logging.DEBUG if self._has_warned else logging.WARNING,
                "counted events stay in the repartition topic, which grows: %r; does the worker "
                "have the right Delete on it (docs/security.md)?",
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
