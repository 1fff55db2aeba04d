"""Changelogs in memory, and a consumer that replaces aiokafka's."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from aiokafka.structs import TopicPartition
from faust.types import TP

from streaming.restore.changelog_fetch import ChangelogChunk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable


#: Records per fetch.
FETCHED = 2


class Changelogs:
    """A broker's changelogs. A control record takes an offset, but is no record."""

    def __init__(self) -> None:
        self.begins: dict[TP, int] = {}
        self.ends: dict[TP, int] = {}
        self.records: dict[TP, list[Any]] = {}
        self.ids: dict[str, str] = {}
        #: Errors that the next fetches raise, in this order.
        self.faults: list[Exception] = []
        self.connections = 0
        self.is_connected = False

    def add(
        self, tp: TP, *rows: tuple[bytes, bytes | None], begin: int = 0, is_committed: bool = True
    ) -> None:
        """Append ``rows`` to a changelog, then the control record of their transaction."""
        at = self.ends.get(tp, begin)
        self.begins.setdefault(tp, begin)
        records = self.records.setdefault(tp, [])
        for number, (key, value) in enumerate(rows):
            records.append(SimpleNamespace(offset=at + number, key=key, value=value))
        self.ends[tp] = at + len(rows) + is_committed

    @asynccontextmanager
    async def consumer(self, _settings: object) -> AsyncIterator[Consumer]:
        """Connect."""
        self.connections += 1
        self.is_connected = True
        try:
            yield Consumer(self)
        finally:
            self.is_connected = False

    async def topic_ids(self, _client: object, topics: Iterable[str]) -> dict[str, str]:
        return {topic: self.ids.get(topic, "an-id") for topic in topics}

    async def fetch(self, consumer: Consumer, _seconds: float) -> dict[TP, ChangelogChunk]:
        """Return the next rows of each changelog."""
        await asyncio.sleep(0)
        if self.faults:
            raise self.faults.pop(0)
        chunks = {}
        for tp, at in consumer.positions.items():
            read = [each for each in self.records.get(tp, ()) if each.offset >= at][:FETCHED]
            if read:
                chunks[TP(*tp)] = ChangelogChunk({each.key: each.value for each in read}, read)
            is_all = not read or read[-1] is self.records[tp][-1]
            consumer.positions[tp] = self.ends[tp] if is_all else read[-1].offset + 1
        return chunks


class Consumer:
    """The methods of aiokafka's consumer that changelogs use."""

    _client = None

    def __init__(self, changelogs: Changelogs) -> None:
        self._changelogs = changelogs
        self.positions: dict[TopicPartition, int] = {}

    def assign(self, tps: Iterable[TopicPartition]) -> None:
        self.positions = dict.fromkeys(tps, 0)

    def seek(self, tp: TopicPartition, offset: int) -> None:
        assert isinstance(tp, TopicPartition)
        self.positions[tp] = offset

    async def seek_to_beginning(self, tp: TopicPartition) -> None:
        self.positions[tp] = self._changelogs.begins[tp]

    async def position(self, tp: TopicPartition) -> int:
        return self.positions[tp]

    async def beginning_offsets(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return {tp: self._changelogs.begins[tp] for tp in tps}

    async def end_offsets(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return {tp: self._changelogs.ends[tp] for tp in tps}
