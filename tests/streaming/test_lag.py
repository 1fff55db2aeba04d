"""The lag in seconds is the age of the oldest unprocessed event."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest

from monitoring import metrics
from streaming.tasks.lag import LagMeter
from tests.streaming.bench import DELTAS, EVENTS, until
from tests.streaming.fakes import SENT_MS, batch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.streaming.bench import Bench


SENT = SENT_MS / 1000


@pytest.fixture
def meter() -> Iterator[LagMeter]:
    yield LagMeter()
    metrics.keep_partitions(())


def lag(meter: LagMeter, bench: Bench, end: int, now: float) -> float:
    meter.measure(bench.task, {EVENTS: end}, now)
    return meter.seconds[0]


async def test_with_all_applied_it_is_zero_however_long_ago_that_was(
    bench: Bench, meter: LagMeter
) -> None:
    bench.submit(batch(0, 3))
    await bench.processed(3)
    assert lag(meter, bench, 3, now=SENT + 9000.0) == 0


async def test_of_a_backlog_it_is_the_age_of_what_is_being_processed(
    bench: Bench, meter: LagMeter
) -> None:
    bench.counter.may_process.clear()
    bench.submit(batch(0, 3))
    await until(lambda: bench.task.pending_timestamps)
    assert lag(meter, bench, 3, now=SENT + 9000.0) == 9000.0
    bench.counter.may_process.set()


async def test_of_what_is_not_fetched_yet_it_goes_by_the_last_one_applied(
    bench: Bench, meter: LagMeter
) -> None:
    lag(meter, bench, 6, now=SENT + 8000.0)
    bench.submit(batch(0, 3))
    await bench.processed(3)
    await bench.idle()
    assert lag(meter, bench, 6, now=SENT + 9000.0) == pytest.approx(9000.0, abs=0.01)


async def test_after_a_quiet_hour_the_next_event_is_not_an_hour_late(
    bench: Bench, meter: LagMeter
) -> None:
    bench.submit(batch(0, 3))
    await bench.processed(3)
    await bench.idle()
    lag(meter, bench, 3, now=SENT + 9000.0)
    assert lag(meter, bench, 4, now=SENT + 9001.0) == 1.0


async def test_before_anything_is_fetched_it_counts_from_the_opening(
    bench: Bench, meter: LagMeter
) -> None:
    lag(meter, bench, 6, now=SENT + 9000.0)
    assert lag(meter, bench, 6, now=SENT + 9020.0) == 20.0


async def test_it_is_that_of_both_topics_with_events(bench: Bench, meter: LagMeter) -> None:
    """Events to be passed on and passed-on events both count as lag."""
    other = DELTAS
    ends = {EVENTS: 3, other: 2}
    meter.measure(bench.task, ends, SENT + 9000.0)
    assert metrics.lag_records.labels("0")._value.get() == 5
    bench.submit(batch(0, 3))
    await bench.processed(3)
    await bench.idle()
    meter.measure(bench.task, ends, SENT + 9020.0)
    assert metrics.lag_records.labels("0")._value.get() == 2
    assert meter.seconds == {0: 20.0}
    bench.submit(batch(0, 2), tp=other)
    await bench.idle()
    meter.measure(bench.task, ends, SENT + 9030.0)
    assert meter.seconds == {0: 0.0}


async def test_of_a_lost_partition_nothing_is_left(bench: Bench, meter: LagMeter) -> None:
    lag(meter, bench, 6, now=SENT + 9000.0)
    meter.keep([1])
    metrics.keep_partitions([1])
    assert meter.seconds == {}
    assert not [s for family in metrics.lag_seconds.collect() for s in family.samples]


@pytest.mark.parametrize("timestamp", [-1, 0, SENT_MS // 1000])
async def test_a_record_without_a_time_is_as_old_as_what_is_known_of_the_others(
    bench: Bench, meter: LagMeter, timestamp: int
) -> None:
    lag(meter, bench, 3, now=SENT)
    bench.counter.may_process.clear()
    sent = batch(0, 3)
    bench.submit(
        sent._replace(
            records=[replace(r, timestamp=timestamp) for r in cast("list[Any]", sent.records)]
        )
    )
    await until(lambda: bench.task.pending_timestamps)
    assert lag(meter, bench, 3, now=SENT + 20.0) == 20.0
    bench.counter.may_process.set()
    await bench.processed(3)
    await bench.idle()
    assert lag(meter, bench, 4, now=SENT + 30.0) == 30.0
