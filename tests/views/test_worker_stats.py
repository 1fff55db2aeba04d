"""Health, readiness, metrics and the overview: what a worker reports about itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families

from models.schema import OUTCOMES, REASONS
from monitoring import metrics
from tests.monitoring.queries import TYPES
from views.health import STUCK_AFTER_S

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

    from tests.views.conftest import MakeWorker, Worker


@pytest_asyncio.fixture
async def worker(make_worker: MakeWorker) -> Worker:
    """A worker without open partitions: these tests do not reach the tables."""
    return await make_worker()


class TestHealth:
    async def test_a_worker_that_has_not_begun_is_healthy(self, make_worker: MakeWorker) -> None:
        worker = await make_worker()
        answer = await worker.ask("/healthz")
        assert (answer.status, answer.body) == (200, b'{"status":"ok"}')

    async def test_a_fetch_that_never_ends_makes_it_unhealthy(self, worker: Worker) -> None:
        await worker.become_ready()
        assert (await worker.ask("/healthz")).status == 200
        worker.status.fetched_ago_s = STUCK_AFTER_S + 1
        answer = await worker.ask("/healthz")
        assert (answer.status, answer.json["error"]["message"]) == (
            503,
            "fetching has stopped",
        )


class TestReadiness:
    async def reason(self, worker: Worker) -> str:
        answer = await worker.ask("/readyz")
        assert (answer.status, answer.code, answer.headers["Retry-After"]) == (
            503,
            "unavailable",
            "1",
        )
        message: str = answer.json["error"]["message"]
        return message

    async def test_before_the_consumer_has_started_it_is_not_ready(
        self, make_worker: MakeWorker
    ) -> None:
        worker = await make_worker()
        assert await self.reason(worker) == "the worker has not joined its group yet"

    async def test_with_all_its_partitions_open_it_is_ready(self, worker: Worker) -> None:
        await worker.become_ready()
        assert (await worker.ask("/readyz")).status == 200

    async def test_more_workers_than_partitions_are_ready_with_none(self, worker: Worker) -> None:
        await worker.become_ready()
        worker.assign([], accepting=[])
        assert (await worker.ask("/readyz")).status == 200

    async def test_while_the_group_rebalances_it_is_not_ready(self, worker: Worker) -> None:
        await worker.become_ready()
        worker.status.rebalancing = True
        assert await self.reason(worker) == "the group is rebalancing"

    async def test_while_a_partition_recovers_it_is_not_ready(self, worker: Worker) -> None:
        await worker.become_ready()
        worker.assign([0, 1, 3], accepting=[0])
        assert await self.reason(worker) == "recovering partitions: 1, 3"

    async def test_a_partition_that_has_no_task_yet_recovers(self, worker: Worker) -> None:
        await worker.become_ready()
        worker.status.open_now = set()
        assert await self.reason(worker) == "recovering partitions: 0, 1"

    async def test_while_the_viral_list_is_read_it_is_not_ready(self, worker: Worker) -> None:
        worker.status.joined = True
        worker.assign([0], accepting=[0])
        assert await self.reason(worker) == "the list of viral videos is being read"

    async def test_when_it_stops_it_is_not_ready(self, worker: Worker) -> None:
        await worker.become_ready()
        worker.status.stops_for = "the worker is stopping"
        assert await self.reason(worker) == "the worker is stopping"

    async def test_further_behind_than_is_allowed_it_is_not_ready(self, worker: Worker) -> None:
        await worker.become_ready()
        worker.status.lag = {0: 599.0, 1: 601.0}
        reason = await self.reason(worker)
        assert reason == "lag above 10m (REELS_READY_LAG): partitions 1"


class TestMetrics:
    async def families(self, worker: Worker, **kwargs: Any) -> dict[str, Metric]:
        answer = await worker.ask("/metrics", **kwargs)
        assert answer.status == 200
        return {f.name: f for f in text_string_to_metric_families(answer.body.decode())}

    async def test_names_and_types_are_those_of_the_contract(self, worker: Worker) -> None:
        families = await self.families(worker)
        types = TYPES | {
            "reels_http_requests": "counter",
            "reels_http_request_seconds": "histogram",
            "reels_build_info": "gauge",
            "process_cpu_seconds": "counter",
            "process_resident_memory_bytes": "gauge",
        }
        assert {name: families[name].type for name in types} == types

    async def test_counters_end_in_total_and_are_there_from_the_start(self, worker: Worker) -> None:
        text = (await worker.ask("/metrics")).body.decode()
        for outcome in OUTCOMES:
            assert f'\nreels_events_total{{outcome="{outcome}"}} ' in text
        for outcome in ("committed", "aborted", "fenced"):
            assert f'\nreels_transactions_total{{outcome="{outcome}"}} ' in text
        for reason in REASONS:
            assert f'\nreels_events_rejected_total{{reason="{reason}"}} ' in text
        for name in ("creator_id", "metadata", "metadata.view_duration_ms"):
            assert f'\nreels_optional_values_dropped_total{{field="{name}"}} ' in text
        for step in metrics.COMMIT_STEPS:
            assert f'\nreels_commit_seconds_count{{step="{step}"}} ' in text

    async def test_no_series_says_when_another_one_began(self, worker: Worker) -> None:
        assert not [name for name in await self.families(worker) if name.endswith("_created")]

    async def test_the_viral_videos_are_counted_at_the_scrape(self, worker: Worker) -> None:
        await worker.flag_viral(7, 2.0)
        sample = (await self.families(worker))["reels_viral_videos"].samples[0]
        assert sample.value == 1
        await worker.viral.feeds[worker.users.partition(7)].apply({b"7": None}, 1)
        sample = (await self.families(worker))["reels_viral_videos"].samples[0]
        assert sample.value == 0

    async def test_partitions_of_the_group_are_told_beside_those_that_are_here(
        self, worker: Worker
    ) -> None:
        """The alert ReelsPartitionsUnowned finds the partitions that no worker has."""
        await worker.become_ready()
        worker.assign([1], accepting=[])
        families = await self.families(worker)
        names = ("partitions", "partitions_assigned", "partitions_open")
        told = [families[f"reels_{name}"].samples[0].value for name in names]
        assert told == [2, 1, 0]

    async def test_it_is_prometheus_text_unless_openmetrics_is_asked_for(
        self, worker: Worker
    ) -> None:
        answer = await worker.ask("/metrics")
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        accept = "application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1"
        answer = await worker.ask("/metrics", headers={"Accept": accept})
        assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
        assert answer.body.endswith(b"# EOF\n")

    @pytest.mark.parametrize(
        "accept", ["text/plain;version=x", "application/openmetrics-text;version=", ",;=", "ü"]
    )
    async def test_any_accept_header_gets_an_answer(self, worker: Worker, accept: str) -> None:
        assert (await worker.ask("/metrics", headers={"Accept": accept})).status == 200


class TestOverview:
    async def test_it_tells_what_the_dashboard_shows(self, worker: Worker) -> None:
        await worker.become_ready()
        await worker.flag_viral(7, 2.0)
        for partition, (records, seconds) in enumerate(((3, 0.5), (4, 2.5))):
            metrics.lag_records.labels(str(partition)).set(records)
            metrics.lag_seconds.labels(str(partition)).set(seconds)
        metrics.ingest_latency.observe(np.array([0.001] * 1000))
        answer = (await worker.ask("/overview")).json
        assert answer["worker"] == str(worker.url)
        assert answer["ready"] is True
        assert answer["obstacle"] is None
        assert set(answer["events"]["outcomes"]) == set(OUTCOMES)
        assert answer["events"]["read"] == sum(answer["events"]["outcomes"].values())
        assert answer["lag"] == {"records": 7, "seconds": 2.5}
        assert answer["latency_s"]["p50"] == 0.005
        assert answer["partitions"] == {
            "total": 2,
            "owned": [0, 1],
            "recovering": [],
            "by_worker": {str(worker.url): [0, 1]},
            "shared_addresses": [],
        }
        assert answer["viral"]["count"] == 1
        assert answer["viral"]["videos"][0]["video_id"] == 7
        metrics.keep_partitions(())

    async def test_the_lag_is_unknown_while_that_of_a_partition_is(self, worker: Worker) -> None:
        """The sum of the others would look as if the worker had caught up."""
        await worker.become_ready()
        metrics.lag_records.labels("0").set(0)
        metrics.lag_seconds.labels("0").set(0)
        answer = (await worker.ask("/overview")).json
        assert answer["lag"] is None
        assert answer["lag_by_partition"] == {"0": {"records": 0, "seconds": 0.0}}
        metrics.keep_partitions(())

    async def test_it_answers_before_the_worker_has_joined(self, make_worker: MakeWorker) -> None:
        worker = await make_worker()
        worker.owns({})
        answer = (await worker.ask("/overview")).json
        assert answer["ready"] is False
        assert answer["obstacle"] == "the worker has not joined its group yet"
        assert answer["partitions"]["by_worker"] == {}


async def test_reads_are_requests_and_the_keys_that_they_ask_for(worker: Worker) -> None:
    async def reads() -> tuple[int, int]:
        found = (await worker.ask("/overview")).json["reads"]
        return found["requests"], found["keys"]

    requests, keys = await reads()
    await worker.ask("/users/1")
    await worker.ask("/videos/1/series")
    await worker.ask("/users?ids=1,2,3")
    await worker.ask("/videos/query", "POST", json={"ids": list(range(40))})
    assert await reads() == (requests + 4, keys + 45)
