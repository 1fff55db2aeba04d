"""The load resembles human behaviour: sessions, a few busy users, a few popular videos."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any, ClassVar

import numpy as np
import orjson
import pytest

from loadgen import EventKind, Workload
from loadgen.population import HeavyTail, Population

START_MS = 1_763_000_000_000
VIRAL_VIEWS = 1000
VIRAL_COEFFICIENT = 1.5


def events_of(count: int, **options: Any) -> list[dict[str, Any]]:
    chunk = Workload(start_ms=START_MS, **options).chunk(count)
    pairs = zip(chunk.kinds, chunk.values, strict=True)
    return [orjson.loads(value) for kind, value in pairs if kind <= EventKind.FOLLOW]


@pytest.fixture(scope="module")
def events() -> list[dict[str, Any]]:
    """Return a quarter of an hour of events, in which most sessions end."""
    return events_of(80_000, ms_per_event=11.0)


@pytest.fixture(scope="module")
def sessions(events: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Return the events of each session, in the order of the sessions' first events."""
    by_id = defaultdict(list)
    for event in events:
        by_id[event["session_id"]].append(event)
    return list(by_id.values())


class TestUsers:
    def test_a_few_users_are_busy_and_many_are_not(self, events: list[dict[str, Any]]) -> None:
        per_user = sorted(Counter(event["user_id"] for event in events).values(), reverse=True)
        busiest_percent = sum(per_user[: len(per_user) // 100]) / len(events)
        assert 0.05 < busiest_percent < 0.5
        assert per_user[0] < len(events) / 300
        assert len(per_user) > 8_000

    def test_ids_go_from_1_to_the_number_of_users(self) -> None:
        ids = {event["user_id"] for event in events_of(5_000, users=50)}
        assert ids == set(range(1, 51))

    def test_ten_million_users_take_no_longer_than_ten(self) -> None:
        ids = {event["user_id"] for event in events_of(10_000, users=10_000_000)}
        assert max(ids) > 5_000_000
        assert max(ids) <= 10_000_000

    def test_a_single_user_is_possible(self) -> None:
        assert {event["user_id"] for event in events_of(1_000, users=1, videos=1)} == {1}


class TestSessions:
    def test_a_session_is_of_one_user_and_one_device(
        self, sessions: list[list[dict[str, Any]]]
    ) -> None:
        for session in sessions:
            assert len({event["user_id"] for event in session}) == 1
            assert len({event["metadata"]["device_type"] for event in session}) == 1

    def test_a_session_has_several_views_within_minutes(
        self, sessions: list[list[dict[str, Any]]]
    ) -> None:
        whole = sessions[len(sessions) // 3 : len(sessions) // 3 + 400]
        assert 4 < np.mean([len(session) for session in whole]) < 10
        spans_s = [
            np.ptp([np.datetime64(event["timestamp"][:-1]).astype(int) for event in session]) / 1e3
            for session in whole
        ]
        assert 10 < np.median(spans_s) < 300

    @pytest.mark.parametrize(("most", "seconds"), [(1.0, (6, 12)), (0.1, (0.6, 1.2))])
    def test_views_come_as_in_life_up_to_a_rate_and_closer_together_beyond(
        self, most: float, seconds: tuple[float, float]
    ) -> None:
        events = events_of(80_000, ms_per_event=1.0, max_events_per_ms=most)
        times_ms = defaultdict(list)
        for event in events:
            if event["event_type"] != "video_view":
                continue
            at = np.datetime64(event["timestamp"][:-1]).astype(int)
            times_ms[event["session_id"]].append(at)
        gaps_s = np.concatenate([np.diff(sorted(times)) for times in times_ms.values()]) / 1e3
        assert seconds[0] < np.median(gaps_s) < seconds[1]

    def test_reactions_follow_a_view_of_the_same_video(
        self, sessions: list[list[dict[str, Any]]]
    ) -> None:
        reactions = followed = 0
        for session in sessions[len(sessions) // 3 :]:
            seen = set()
            for event in session:
                if event["event_type"] == "video_view":
                    seen.add(event["video_id"])
                else:
                    reactions += 1
                    followed += event["video_id"] in seen
        assert followed / reactions > 0.95

    def test_reactions_are_as_frequent_as_in_life(self, events: list[dict[str, Any]]) -> None:
        types = Counter(event["event_type"] for event in events)
        per_view = {name: count / types["video_view"] for name, count in types.items()}
        assert per_view["like"] == pytest.approx(0.10, rel=0.1)
        for name in ("comment", "share", "save", "follow"):
            assert 0.005 < per_view[name] < 0.05

    def test_watch_times_spread_as_a_lognormal_does(self, events: list[dict[str, Any]]) -> None:
        durations = [
            event["metadata"]["view_duration_ms"]
            for event in events
            if event["event_type"] == "video_view"
        ]
        assert np.median(durations) == pytest.approx(8_000, rel=0.1)
        assert np.std(np.log(durations)) == pytest.approx(0.9, rel=0.1)
        assert min(durations) >= 300
        assert max(durations) <= 600_000


class TestVideos:
    def test_the_traffic_of_videos_follows_zipf(self, events: list[dict[str, Any]]) -> None:
        ranked = Counter(event["video_id"] for event in events).most_common(300)
        ranks = np.log(np.arange(10, 301))
        slope = np.polyfit(ranks, np.log([count for _, count in ranked[9:]]), 1)[0]
        assert slope == pytest.approx(-1.0, abs=0.15)
        assert ranked[0][0] == 1

    def test_a_video_has_one_creator(self, events: list[dict[str, Any]]) -> None:
        creators = defaultdict(set)
        for event in events:
            creators[event["video_id"]].add(event["creator_id"])
        assert {len(each) for each in creators.values()} == {1}
        assert len(set.union(*creators.values())) > 1_000

    @pytest.mark.parametrize("exponent", [0.8, 1.0, 1.2])
    def test_ranks_have_the_probabilities_of_their_law(self, exponent: float) -> None:
        drawn = HeavyTail(1000, exponent, 1.0).draw(np.random.default_rng(1), 500_000)
        assert drawn.min() == 0
        assert drawn.max() == 999
        shares = np.bincount(drawn) / len(drawn)
        # From rank 10 on, the continuous law and the law of ranks are nearly equal.
        law = (np.arange(1000) + 1.5) ** -exponent
        assert shares[10:100].sum() == pytest.approx(
            law[10:100].sum() / law[10:].sum() * shares[10:].sum(), rel=0.03
        )

    def test_videos_set_aside_get_no_traffic_and_all_others_do(self) -> None:
        population = Population.of(1, 12, np.array([12, 1, 5, 6]))
        drawn = population.videos(np.random.default_rng(1), 10_000)
        assert set(drawn.tolist()) == {2, 3, 4, 7, 8, 9, 10, 11}


def turned_viral(events: list[dict[str, Any]]) -> dict[int, int]:
    """Return the number of the event with which each video turned viral, in order of turning.

    Evaluates the definition per event; all events lie within the rolling two hours.
    """
    turned: dict[int, int] = {}
    views, spread = Counter[int](), Counter[int]()
    for number, event in enumerate(events):
        video = event["video_id"]
        views[video] += event["event_type"] == "video_view"
        spread[video] += event["event_type"] in ("share", "comment")
        is_viral = views[video] >= VIRAL_VIEWS
        if is_viral and spread[video] / views[video] > VIRAL_COEFFICIENT:
            turned.setdefault(video, number)
    return turned


class TestViral:
    """Five videos must turn viral, one after the other.

    event    0 .... 8,500 ......... 17,000 ...... 42,500 .......... 60,000
             |  1st turns viral  |  2nd turns viral  ...  |  a few events each
    """

    OPTIONS: ClassVar = {"viral": 5, "videos": 500, "duplicates": 0.05, "invalid": 0.02}

    @pytest.fixture(scope="module")
    @classmethod
    def half_a_minute(cls) -> list[dict[str, Any]]:
        """Return the events of 30 s at 2,000 events/s."""
        return events_of(60_000, **cls.OPTIONS)

    def test_just_the_videos_asked_for_turn_viral(
        self, half_a_minute: list[dict[str, Any]]
    ) -> None:
        chosen = Workload(viral=5, videos=500).viral_videos
        assert list(turned_viral(half_a_minute)) == chosen

    def test_the_first_one_does_so_within_seconds(
        self, half_a_minute: list[dict[str, Any]]
    ) -> None:
        assert min(turned_viral(half_a_minute).values()) < 6 * 2000

    @pytest.mark.parametrize(
        ("records", "options"),
        [
            (5_000, {"viral": 1}),
            (20_000, {"viral": 4, "invalid": 0.1}),
            (5_000, {"viral": 1, "ms_per_event": 1_000}),
        ],
    )
    def test_all_do_so_in_as_few_records_as_there_are(
        self, records: int, options: dict[str, Any]
    ) -> None:
        options = {"videos": 500, "viral_within": records, **options}
        assert Workload(**options).can_turn_viral
        assert sorted(turned_viral(events_of(records, **options))) == sorted(
            Workload(**options).viral_videos
        )

    @pytest.mark.parametrize(
        "options", [{"viral_within": 4_000}, {"ms_per_event": 1_800}, {"viral_within": 10}]
    )
    def test_it_is_known_when_they_cannot(self, options: dict[str, Any]) -> None:
        assert not Workload(viral=1, videos=500, **options).can_turn_viral

    def test_they_are_clearly_above_the_limit_and_stay_there(
        self, half_a_minute: list[dict[str, Any]]
    ) -> None:
        for video in Workload(viral=5, videos=500).viral_videos:
            for part in (half_a_minute, half_a_minute[50_000:]):
                types = Counter(event["event_type"] for event in part if event["video_id"] == video)
                spread = types["share"] + types["comment"]
                assert spread / types["video_view"] == pytest.approx(7 / 3, rel=0.1)

    def test_the_same_seed_chooses_the_same_videos(self) -> None:
        one, other = (
            Workload(3, viral=10, invalid=invalid, ms_per_event=pace).viral_videos
            for invalid, pace in ((0.0, 0.5), (0.2, 1.0))
        )
        assert one == other
        assert len(set(one)) == 10
        assert one != Workload(4, viral=10).viral_videos

    def test_none_turns_viral_unless_asked_for(self) -> None:
        assert turned_viral(events_of(30_000, videos=20)) == {}

    def test_hardly_any_video_may_be_left_for_the_rest(self) -> None:
        ids = {event["video_id"] for event in events_of(15_000, viral=1, videos=2)}
        assert ids == {1, 2}
