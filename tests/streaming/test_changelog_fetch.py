"""A fetch of changelogs returns the last value of each key, and an error loses nothing."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka.consumer.fetcher import FetchResult
from aiokafka.errors import KafkaConnectionError
from aiokafka.structs import TopicPartition
from faust.types import TP

from streaming.restore.changelog_fetch import fetch_changes
from tests.streaming.fakes import record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiokafka.structs import ConsumerRecord


USERS, VIDEOS = TopicPartition("users-changelog", 0), TopicPartition("videos-changelog", 0)


class Fetched(FetchResult):
    """The fetched records of a partition, in pieces."""

    pieces: list[list[ConsumerRecord[Any, Any]]]

    def __init__(
        self, tp: TopicPartition, *pieces: list[ConsumerRecord[Any, Any]], is_wanted: bool = True
    ) -> None:
        self._topic_partition = tp
        self._partition_records = self
        self._records = SimpleNamespace(has_next=lambda: bool(self.pieces))
        self.pieces = list(pieces)
        self.is_wanted = is_wanted
        self.moved = 0

    def check_assignment(self, tp: TopicPartition) -> bool:
        return self.is_wanted

    def has_more(self) -> bool:
        return bool(self.pieces)

    def _update_position(self) -> None:
        self.moved += 1


class Refused:
    """An error in a fetch response."""

    def check_raise(self) -> None:
        raise KafkaConnectionError("not the leader")


class Fetcher:
    """aiokafka's fetcher, with fetched records."""

    _wait_consume_future = None

    def __init__(self, results: Mapping[TopicPartition, Fetched | Refused]) -> None:
        self._records = dict(results)
        self.notified = 0
        self.waiters: list[asyncio.Future[None]] = []

    def _create_fetch_waiter(self) -> asyncio.Future[None]:
        self.waiters.append(asyncio.get_running_loop().create_future())
        return self.waiters[-1]

    def _notify(self, _future: object) -> None:
        self.notified += 1


@pytest.fixture(autouse=True)
def unpack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "streaming.restore.changelog_fetch.unpack", lambda fetched: fetched.pieces.pop(0)
    )


def consumer_with(results: Mapping[TopicPartition, Fetched | Refused]) -> SimpleNamespace:
    return SimpleNamespace(_fetcher=Fetcher(results))


async def test_the_last_value_of_each_key_is_taken_with_its_place() -> None:
    """A restore writes each key once per fetch."""
    fetched = Fetched(USERS, [record(4, b"1", b"a"), record(5, b"2", None), record(6, b"1", b"b")])
    consumer = consumer_with({USERS: fetched})
    chunk = (await fetch_changes(consumer, 1.0))[TP(*USERS)]
    assert chunk.changes == {b"1": b"b", b"2": None}
    assert chunk.offset == 6
    assert chunk.offsets() == {b"1": 6, b"2": 5}
    assert chunk.records == 3
    assert fetched.moved == consumer._fetcher.notified == 1


async def test_a_silent_broker_keeps_nobody_waiting_for_longer_than_asked() -> None:
    """The end of a changelog may be a control record, for which no waiter is notified."""
    consumer = consumer_with({})
    assert await fetch_changes(consumer, 0.01) == {}
    assert consumer._fetcher.waiters[0].cancelled()


async def test_a_large_fetch_comes_in_parts() -> None:
    """Memory is bounded, however much was fetched."""
    consumer = consumer_with({USERS: Fetched(USERS, [record(4)], [record(5)])})
    assert (await fetch_changes(consumer, 1.0))[TP(*USERS)].offset == 4
    assert consumer._fetcher.notified == 0
    assert (await fetch_changes(consumer, 1.0))[TP(*USERS)].offset == 5
    assert consumer._fetcher.notified == 1


async def test_what_was_fetched_before_a_seek_is_dropped() -> None:
    """It would be applied twice, or out of order."""
    consumer = consumer_with({USERS: Fetched(USERS, [record(4)], is_wanted=False)})
    assert await fetch_changes(consumer, 1.0) == {}
    assert consumer._fetcher._records == {}


async def test_an_error_of_one_changelog_loses_nothing_of_another() -> None:
    """The call returns the rows of the other; the next call raises the error."""
    consumer = consumer_with({VIDEOS: Fetched(VIDEOS, [record(4)]), USERS: Refused()})
    assert set(await fetch_changes(consumer, 1.0)) == {TP(*VIDEOS)}
    with pytest.raises(KafkaConnectionError, match="not the leader"):
        await fetch_changes(consumer, 1.0)
