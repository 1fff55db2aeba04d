"""Periodic checks: expired keys, damage, lag, and impossible positions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest
from aiokafka.errors import KafkaConnectionError
from faust.types import TP

from models.errors import CodecError
from monitoring import metrics
from streaming.errors import PositionError
from streaming.runtime.housekeeping import Housekeeping
from streaming.tasks.lag import LagMeter
from streaming.tasks.task import Task
from tests.streaming.fakes import TOPIC
from tests.streaming.faulty import START, DamagedStore, Databases, events
from tests.streaming.rig import Worker
from views.worker_stats import by_label

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from streaming.commit.purge import Purge


NOW = 1000


class Purger:
    """Records what it was asked to purge."""

    def __init__(self) -> None:
        self.looks: list[dict[TP, int]] = []

    async def look(self, committed: Mapping[TP, int]) -> None:
        self.looks.append(dict(committed))


class Rig(Worker):
    """A worker with two tasks and their housekeeping."""

    def __init__(self) -> None:
        super().__init__()
        self.databases = Databases(is_expired=self._is_expired)
        self.ends: dict[TP, int] = {}
        self.lag, self.purger = LagMeter(), Purger()
        self.housekeeping = Housekeeping(
            self.tasks,
            self.positions,
            self.lag,
            self.ends.get,
            [TOPIC],
            cast("Purge", self.purger),
            {TOPIC},
        )

    @staticmethod
    def _is_expired(value: bytes, stream_time: int) -> bool:
        if value == b"no number":
            raise CodecError("no number")
        return int(value) < stream_time

    def put(self, partition: int, **rows: bytes) -> Any:
        """Put rows on the disk of a partition whose stream time is ``NOW``."""
        state = self.databases.partitions[partition]
        state.stream_time = NOW
        state.store.rows |= {key.encode(): value for key, value in rows.items()}
        return state


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    rig = Rig()
    await rig.open(0, 1)
    yield rig
    await rig.stop()
    metrics.keep_partitions(())


class TestSweeping:
    async def test_keys_that_have_expired_leave_with_the_next_commit(self, rig: Rig) -> None:
        """Nobody reads them any more, but they use memory and disk."""
        state = rig.put(0, old=b"1", new=b"2000")
        await rig.housekeeping.sweep()
        await rig.committer.commit(rig.tasks.values())
        await rig.tasks[0].flush()
        assert b"old" not in state.store.rows
        assert state.get(b"new") == b"2000"

    async def test_a_suspended_task_is_left_alone(self, rig: Rig) -> None:
        """Its partition may belong to another worker."""
        state = rig.put(0, old=b"1")
        await rig.tasks[0].suspend()
        await rig.housekeeping.sweep()
        assert not state.sweeper

    async def test_a_damaged_database_fails_its_own_task(self, rig: Rig) -> None:
        """Its database is rebuilt, while the other task continues."""
        state = rig.put(0, old=b"1")
        state.store = DamagedStore()
        await rig.housekeeping.sweep()
        assert rig.tasks[0].failed
        assert rig.failures == [state.store.damage]
        assert rig.tasks[1].accepting

    async def test_a_value_that_nobody_can_read_fails_its_own_task(self, rig: Rig) -> None:
        """Readers would otherwise get it."""
        rig.put(0, bad=b"no number")
        await rig.housekeeping.sweep()
        assert [str(exc) for exc in rig.failures] == ["no number"]
        assert rig.tasks[1].accepting


class TestLag:
    async def test_it_is_how_far_the_topics_end_is_ahead(self, rig: Rig) -> None:
        """The end is the one in the last fetch response."""
        rig.ends |= {events(0): START + 5, events(1): START}
        await rig.housekeeping.measure_lag()
        assert metrics.lag_records.labels("0")._value.get() == 5
        assert rig.lag.seconds[1] == 0

    async def test_nothing_is_said_before_the_first_fetch(self, rig: Rig) -> None:
        """A lag of zero would look as if the worker had caught up."""
        await rig.housekeeping.measure_lag()
        assert rig.lag.seconds == {}

    @pytest.mark.parametrize("stop", [Task.mark_failed, Task.suspend])
    async def test_of_a_partition_that_is_not_processed_nothing_is_said(
        self, rig: Rig, stop: Callable[[Task], Awaitable[None] | None]
    ) -> None:
        """The last value would hide that events wait, for as long as the brokers are away."""
        rig.ends |= {events(0): START, events(1): START}
        await rig.housekeeping.measure_lag()
        stopping = stop(rig.tasks[0])
        if stopping is not None:
            await stopping
        await rig.housekeeping.measure_lag()
        for gauge in (metrics.lag_records, metrics.lag_seconds):
            assert by_label(gauge) == {"1": 0}

    async def test_a_task_that_is_ahead_of_its_topic_fails(self, rig: Rig) -> None:
        """The topic was recreated, or has lost acknowledged records."""
        rig.ends |= {events(0): START - 1, events(1): START}
        rig.positions.refusal = PositionError("beyond the end")
        await rig.housekeeping.measure_lag()
        assert rig.failures == [rig.positions.refusal]
        assert rig.tasks[1].accepting

    async def test_an_end_that_was_told_before_the_last_seek_fails_nobody(self, rig: Rig) -> None:
        """The brokers are asked again before the task fails."""
        rig.ends |= {events(0): START - 1, events(1): START}
        await rig.housekeeping.measure_lag()
        assert rig.failures == []

    async def test_brokers_that_do_not_answer_fail_nobody(self, rig: Rig) -> None:
        """The next check follows a second later."""
        rig.ends |= {events(0): START - 1, events(1): START}
        rig.positions.refusal = KafkaConnectionError("away")
        await rig.housekeeping.measure_lag()
        assert rig.failures == []
        assert rig.tasks[0].accepting


class TestPurging:
    async def test_what_running_tasks_have_committed_may_be_purged(self, rig: Rig) -> None:
        """Nothing is purged of a partition that may belong to another worker."""
        await rig.tasks[1].suspend()
        await rig.housekeeping.purge()
        assert rig.purger.looks == [{TP(TOPIC, 0): START}]
