"""The combined figures of several workers, tested without any worker."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from models.schema import OUTCOMES
from views.cluster import MAX_POINTS, Cluster
from views.roster import Departed
from views.worker_stats import (
    Events,
    Lag,
    LatencyBuckets,
    Partitions,
    Reads,
    Steps,
    Viral,
    ViralList,
    WorkerStats,
)

A, B = "http://a:6066", "http://b:6066"
NOW = 1_736_951_445.0


def figures(
    url: str = A,
    uptime: float = 100.0,
    *,
    read: int = 0,
    counts: tuple[int, ...] = (0, 0),
    owners: dict[str, list[int]] | None = None,
    recovery: dict[int, int] | None = None,
    videos: list[Viral] | None = None,
    departed: tuple[Departed, ...] = (),
    rules: dict[str, str] | None = None,
) -> WorkerStats:
    owners = {A: [0, 1]} if owners is None else owners
    recovery = recovery or {}
    owned = owners.get(url, [])
    return WorkerStats(
        worker=url,
        time="2025-01-15T14:30:45Z",
        uptime_s=uptime,
        ready=not recovery,
        obstacle="recovering" if recovery else None,
        events=Events(read, {**dict.fromkeys(OUTCOMES, 0), "applied": read}, {"too_large": 1}),
        lag=Lag(3 * len(owned), 0.5),
        lag_by_partition={str(number): Lag(3, 0.5) for number in owned if number not in recovery},
        latency_s={},
        latency=LatencyBuckets([0.1], list(counts)),
        partitions=Partitions(2, owned, sorted(recovery), owners),
        recovery={str(number): left for number, left in recovery.items()},
        viral=ViralList(len(videos or []), videos or []),
        departed=list(departed),
        rules=rules or {},
    )


def viral_table(**videos: float) -> Any:
    rows = [SimpleNamespace(video_id=int(n[1:]), viral_coefficient=c) for n, c in videos.items()]
    return type("Table", (), {"top": lambda _, n: rows[:n], "__len__": lambda _: len(rows)})()


def viral(video_id: int, steps: Steps | None) -> Viral:
    return Viral(video_id, 2.0, 1000, 1500, 500, "2025-01-15T14:30:00Z", steps)


def worker(shown: dict[str, Any], url: str) -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in shown["workers"] if each["url"] == url)
    return found


class TestSums:
    def test_are_over_all_workers_that_answer(self) -> None:
        owners = {A: [0], B: [1]}
        shown = Cluster().update(
            figures(A, read=10, owners=owners), {B: figures(B, read=5, owners=owners)}, None, NOW
        )
        assert shown["events"]["read"] == 15
        assert shown["events"]["outcomes"]["applied"] == 15
        assert shown["events"]["rejected"] == {"too_large": 2}
        assert shown["lag"] == {"records": 6, "seconds": 0.5, "at_least": 6, "unanswered": []}
        assert [p["worker"] for p in shown["partitions"]] == [A, B]
        assert [p["lag"] for p in shown["partitions"]] == [{"records": 3, "seconds": 0.5}] * 2

    def test_a_worker_that_does_not_answer_adds_nothing(self) -> None:
        owners = {A: [0], B: [1]}
        shown = Cluster().update(figures(A, read=10, owners=owners), {B: None}, None, NOW)
        assert shown["events"]["read"] == 10
        assert shown["partitions"][1]["state"] == "silent"


class TestLag:
    """A partition's lag comes from its owner, else from the brokers, else it is unknown."""

    OWNERS = {A: [0], B: [1]}  # noqa: RUF012 - read only

    def lag(
        self, behind: dict[int, int], cluster: Cluster | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        cluster = cluster or Cluster()
        own = figures(A, owners=self.OWNERS)
        shown = cluster.update(own, {B: None}, None, NOW, behind=behind)
        return shown["lag"], shown["partitions"][1]["lag"]

    def test_of_a_partition_that_nobody_answers_for_is_unknown_and_so_is_the_sum(self) -> None:
        cluster = Cluster()
        total, partition = self.lag({}, cluster)
        assert partition == {"records": None, "seconds": None}
        assert total == {"records": None, "seconds": None, "at_least": 3, "unanswered": [1]}
        assert cluster.unmeasured == {1}
        assert cluster.history()["lag_records"] == [None]

    def test_is_what_the_brokers_know_when_the_owner_is_gone(self) -> None:
        total, partition = self.lag({1: 40})
        assert partition == {"records": 40, "seconds": None}
        assert total == {"records": 43, "seconds": None, "at_least": 43, "unanswered": [1]}

    def test_of_an_unanswered_partition_where_nothing_waits_is_0_but_it_is_named(self) -> None:
        total, partition = self.lag({1: 0})
        assert partition == {"records": 0, "seconds": 0.0}
        assert total == {"records": 3, "seconds": 0.5, "at_least": 3, "unanswered": [1]}

    def test_of_a_partition_just_opened_is_unknown_until_it_is_measured(self) -> None:
        own = replace(figures(), lag_by_partition={"0": Lag(3, 0.5)})
        cluster = Cluster()
        shown = cluster.update(own, {}, None, NOW)
        assert shown["lag"]["records"] is None
        assert shown["lag"]["unanswered"] == []
        assert cluster.unmeasured == {1}


class TestRules:
    def test_that_differ_are_named_with_who_goes_by_which(self) -> None:
        own = figures(A, owners={A: [0], B: [1]}, rules={"X": "1", "Y": "2", "Z": "3"})
        other = figures(B, owners={A: [0], B: [1]}, rules={"X": "1", "Y": "5"})
        shown = Cluster().update(own, {B: other}, None, NOW)
        assert shown["rules"] == [{"variable": "Y", "values": {"2": [A], "5": [B]}}]


class TestRates:
    def run(self, cluster: Cluster, *looks: tuple[float, int]) -> dict[str, Any]:
        shown: dict[str, Any] = {}
        for uptime, read in looks:
            shown = cluster.update(figures(uptime=uptime, read=read), {}, None, NOW + uptime)
        return shown

    def test_reads_a_second_are_those_of_all_workers(self) -> None:
        owners, cluster, shown = {A: [0], B: [1]}, Cluster(), {}
        for second in range(3):
            a, b = (
                replace(
                    figures(url, second + 1, owners=owners), reads=Reads(n * second, 9 * second)
                )
                for url, n in ((A, 2), (B, 5))
            )
            shown = cluster.update(a, {B: b}, None, NOW + second)
        assert shown["reads"] == {"requests": 7, "keys": 18}

    def test_there_is_none_before_the_second_look(self) -> None:
        assert self.run(Cluster(), (1, 100))["rate"] is None

    def test_events_a_second_are_those_of_the_last_seconds_not_since_the_start(self) -> None:
        looks = [(second, 1_000_000) for second in range(20)]
        looks += [(20 + second, 1_000_000 + 100 * second) for second in range(10)]
        assert self.run(Cluster(), *looks)["rate"] == pytest.approx(100)

    def test_after_a_restart_counting_begins_anew(self) -> None:
        shown = self.run(Cluster(), (50, 5000), (51, 6000), (0.5, 10))
        assert shown["rate"] is None
        cluster = Cluster()
        shown = self.run(cluster, (50, 5000), (51, 6000), (0.5, 10), (1.5, 30))
        assert shown["rate"] == pytest.approx(20)

    def test_latencies_are_those_of_the_last_seconds_of_all_workers_together(self) -> None:
        cluster, owners = Cluster(), {A: [0], B: [1]}
        for second in range(30):
            slow = 1_000 if second < 15 else 1_000 + (second - 15) * 10
            cluster.update(
                figures(A, second, counts=(0, 1_000_000), owners=owners),
                {B: figures(B, second, counts=(slow, 0), owners=owners)},
                None,
                NOW + second,
            )
        latency = cluster.update(figures(A, 30, counts=(0, 1_000_000)), {}, None, NOW)["latency_s"]
        # All recent values are in the bucket up to 0.1 s.
        assert latency["p50"] == pytest.approx(0.05)
        assert latency["p99"] == pytest.approx(0.099)

    def test_the_history_is_bounded_and_its_columns_are_equally_long(self) -> None:
        cluster = Cluster()
        assert set(map(len, cluster.history().values())) == {0}
        self.run(cluster, *((second, second) for second in range(MAX_POINTS + 10)))
        history = cluster.history()
        assert set(map(len, history.values())) == {MAX_POINTS}
        assert history["time"][-1] == (NOW + MAX_POINTS + 9) * 1000
        assert set(history) == {
            *("time", "rate", "p50", "p95", "p99", "lag_records", "lag_seconds")
        }


class TestWorkersThatGo:
    def test_one_in_the_group_that_does_not_answer_is_silent(self) -> None:
        cluster, both = Cluster(), {A: [0], B: [1]}
        cluster.update(figures(A, 1, owners=both), {B: figures(B, 1, owners=both)}, None, NOW)
        shown = cluster.update(figures(A, 2, owners=both), {B: None}, None, NOW + 1)
        assert worker(shown, B) == {
            "url": B,
            "partitions": [1],
            "state": "silent",
            "since": "2025-01-15T14:30:46Z",
        }

    def test_one_in_the_group_without_partitions_is_silent_too(self) -> None:
        shown = Cluster().update(figures(A), {B: None}, None, NOW, group=[A, B])
        assert worker(shown, B)["state"] == "silent"

    @pytest.mark.parametrize("how", ["left", "lost"])
    def test_one_that_is_gone_has_left_or_is_lost_even_when_nobody_watched(self, how: str) -> None:
        gone = Departed(B, "b", how, NOW - 5)
        shown = Cluster().update(figures(A, 9, departed=(gone,)), {}, None, NOW, group=[A])
        assert worker(shown, B) == {
            "url": B,
            "partitions": [],
            "state": how,
            "since": "2025-01-15T14:30:40Z",
        }

    def test_a_farewell_that_one_worker_has_heard_is_true_for_all(self) -> None:
        both = {A: [0], B: [1]}
        lost, left = Departed("http://c", "c", "lost", NOW), Departed("http://c", "c", "left", NOW)
        for mine, theirs in ((lost, left), (left, lost)):
            shown = Cluster().update(
                figures(A, owners=both, departed=(mine,)),
                {B: figures(B, owners=both, departed=(theirs,))},
                None,
                NOW,
            )
            assert worker(shown, "http://c")["state"] == "left"

    def test_one_at_whose_address_another_answers_is_silent_and_says_why(self) -> None:
        owners = {A: [0], B: [1]}
        shown = Cluster().update(
            figures(A, owners=owners), {B: None}, None, NOW, misled={B: "leads elsewhere"}
        )
        assert worker(shown, B)["state"] == "silent"
        assert worker(shown, B)["obstacle"] == "leads elsewhere"
        assert worker(shown, A)["obstacle"] is None

    def test_a_partition_of_whoever_shares_an_address_is_silent(self) -> None:
        own = figures(A, owners={A: [0, 1]})
        own = replace(own, partitions=replace(own.partitions, owned=[0], shared_addresses=[A]))
        shown = Cluster().update(own, {}, None, NOW)
        assert [each["state"] for each in shown["partitions"]] == ["ready", "silent"]

    def test_one_whose_answers_are_old_is_silent(self) -> None:
        cluster, both = Cluster(), {A: [0], B: [1]}
        stuck = figures(B, 1, owners=both)
        for second in range(6):
            shown = cluster.update(figures(A, second, owners=both), {B: stuck}, None, NOW + second)
        assert worker(shown, B)["state"] == "silent"

    def test_one_that_comes_back_is_there_again(self) -> None:
        cluster, both = Cluster(), {A: [0], B: [1]}
        cluster.update(figures(A, 1, owners=both), {B: figures(B, 50, owners=both)}, None, NOW)
        cluster.update(figures(A, 2), {B: None}, None, NOW + 1)
        shown = cluster.update(
            figures(A, 3, owners=both), {B: figures(B, 0.5, owners=both)}, None, NOW + 2
        )
        assert worker(shown, B)["state"] == "ready"

    def test_one_that_is_remembered_no_more_is_shown_no_more(self) -> None:
        cluster, both = Cluster(), {A: [0], B: [1]}
        cluster.update(figures(A, 1, owners=both), {B: figures(B, 1, owners=both)}, None, NOW)
        shown = cluster.update(figures(A, 2), {B: None}, None, NOW + 1)
        assert [each["url"] for each in shown["workers"]] == [A]
        assert set(cluster.workers) == {A}


class TestRecovery:
    def test_progress_is_told_from_the_most_that_was_left(self) -> None:
        cluster = Cluster()
        told = []
        for uptime, left in enumerate((1000, 400, 100)):
            shown = cluster.update(figures(uptime=uptime, recovery={1: left}), {}, None, NOW)
            told.append((shown["partitions"][1]["remaining"], shown["partitions"][1]["recovered"]))
        assert told == [(1000, 0.0), (400, 0.6), (100, 0.9)]
        assert worker(shown, A)["state"] == "not_ready"
        assert worker(shown, A)["obstacle"] == "recovering"
        shown = cluster.update(figures(uptime=4), {}, None, NOW)
        assert shown["partitions"][1]["state"] == "ready"
        shown = cluster.update(figures(uptime=5, recovery={1: 50}), {}, None, NOW)
        assert shown["partitions"][1]["recovered"] == 0.0

    def test_progress_begins_anew_when_another_worker_takes_over(self) -> None:
        cluster = Cluster()
        cluster.update(figures(B, owners={B: [0, 1]}, recovery={1: 1_000_000}), {}, None, NOW)
        own = figures(A, owners={A: [0, 1]}, recovery={1: 50_000})
        shown = cluster.update(own, {B: None}, None, NOW + 1)
        assert shown["partitions"][1]["recovered"] == 0.0

    @pytest.mark.parametrize(
        ("owners", "state"), [({A: [0], B: [1]}, "silent"), ({A: [0]}, "unowned")]
    )
    def test_progress_begins_anew_when_the_recovery_was_broken_off(
        self, owners: dict[str, list[int]], state: str
    ) -> None:
        cluster, both = Cluster(), {A: [0], B: [1]}
        told = []
        for uptime, left in ((1, 1_000_000), (2, None), (3, 50_000)):
            theirs = figures(B, uptime, owners=both, recovery={1: left}) if left else None
            own = figures(A, uptime, owners=both if left else owners)
            shown = cluster.update(own, {B: theirs}, None, NOW + uptime)
            told.append((shown["partitions"][1]["state"], shown["partitions"][1].get("recovered")))
        assert told == [("recovering", 0.0), (state, None), ("recovering", 0.0)]

    def test_before_anything_is_known_there_is_no_progress(self) -> None:
        shown = Cluster().update(figures(recovery={1: 0}), {}, None, NOW)
        assert shown["partitions"][1]["recovered"] is None

    def test_a_partition_without_an_owner_says_so(self) -> None:
        shown = Cluster().update(figures(owners={A: [0]}), {}, None, NOW)
        assert shown["partitions"][1]["worker"] is None
        assert shown["partitions"][1]["state"] == "unowned"


class TestViral:
    def changes(self, shown: dict[str, Any]) -> list[tuple[str, int]]:
        return [(c["change"], c["video_id"]) for c in shown["viral"]["changes"]]

    def test_those_that_enter_and_leave_are_told_the_latest_first(self) -> None:
        cluster = Cluster()
        shown = cluster.update(figures(), {}, viral_table(v1=2.0, v2=1.75), NOW)
        assert self.changes(shown) == []
        shown = cluster.update(figures(), {}, viral_table(v2=1.75, v3=3.0), NOW + 1)
        assert self.changes(shown) == [("left", 1), ("entered", 3)]
        assert shown["viral"]["changes"][0] == {
            "change": "left",
            "video_id": 1,
            "viral_coefficient": 2.0,
            "time": "2025-01-15T14:30:46Z",
        }

    def test_while_the_list_is_read_nothing_enters_or_leaves(self) -> None:
        cluster = Cluster()
        cluster.update(figures(), {}, viral_table(v1=2.0), NOW)
        shown = cluster.update(figures(), {}, None, NOW)
        assert shown["viral"]["complete"] is False
        shown = cluster.update(figures(), {}, viral_table(v1=2.0), NOW)
        assert self.changes(shown) == []

    def test_steps_are_taken_from_the_worker_that_has_them(self) -> None:
        steps = Steps("2025-01-15T12:35:00Z", 300, [1, 2, 3])
        owners = {A: [0], B: [1]}
        shown = Cluster().update(
            figures(A, owners=owners, videos=[viral(7, None), viral(8, steps)]),
            {B: figures(B, owners=owners, videos=[viral(7, steps), viral(8, None)])},
            None,
            NOW,
        )
        told = [(v["video_id"], v["steps"]["views"]) for v in shown["viral"]["videos"]]
        assert told == [(7, [1, 2, 3]), (8, [1, 2, 3])]
