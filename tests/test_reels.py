"""Promises of the Python API, which needs no Kafka."""

from __future__ import annotations

import json
from collections import ChainMap, Counter, UserDict
from datetime import UTC, datetime, timedelta, timezone
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.event import Event, decode
from models.timestamps import from_iso, to_iso
from reels import UserMetricsTracker, detect_viral_videos, parse_event
from tests.models.corpus import EXAMPLE, NASTY, example, raw_metadata, value_of
from tests.models.plain_user import PlainUser
from tests.models.strategies import JSON, VALUES

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
NOON = from_iso("2025-01-15T12:00:00Z")


def event(event_id: Any, t: int = NOON, **changes: Any) -> dict[str, Any]:
    return example(event_id=str(event_id), timestamp=to_iso(t), user_id=1, **changes)


def track(*events: dict[str, Any], **settings: str) -> UserMetricsTracker:
    tracker = UserMetricsTracker(**settings)
    for one in events:
        tracker.update_user_metrics(1, one)
    return tracker


def views_of(tracker: UserMetricsTracker, user_id: int = 1) -> int:
    views: int = tracker.get_user_metrics(user_id)["total_videos_watched"]
    return views


class TestParseEvent:
    def test_the_example_of_the_contract_comes_back_as_it_is(self) -> None:
        assert parse_event(json.dumps(EXAMPLE)) == EXAMPLE

    def test_bytes_are_as_good_as_text(self) -> None:
        assert parse_event(value_of()) == parse_event(value_of().decode()) == EXAMPLE
        changeable: Any = bytearray(value_of())
        assert parse_event(changeable) == EXAMPLE

        class Text(str):
            __slots__ = ()

        assert parse_event(Text(value_of().decode())) == EXAMPLE

    def test_the_time_stays_the_text_that_it_was(self) -> None:
        for text in ("2025-01-15t14:30:45.1234567+05:30", "2016-12-31T23:59:60Z"):
            parsed = parse_event(json.dumps(example(timestamp=text)))
            assert parsed is not None
            assert parsed["timestamp"] == text

    def test_unknown_fields_and_wrong_or_null_optional_values_are_left_out(self) -> None:
        metadata = {"view_duration_ms": -1, "video_position": 0.5, "device_type": None, "x": 1}
        text = json.dumps(example(extra=1, creator_id="x", session_id=None, metadata=metadata))
        assert parse_event(text) == example(
            creator_id=..., session_id=..., metadata={"video_position": 0.5}
        )

    @pytest.mark.parametrize("metadata", [..., None, 7, []])
    def test_metadata_that_is_absent_or_no_object_is_left_out(self, metadata: Any) -> None:
        assert parse_event(json.dumps(example(metadata=metadata))) == example(metadata=...)

    def test_empty_metadata_is_metadata(self) -> None:
        assert parse_event(json.dumps(example(metadata={}))) == example(metadata={})

    @pytest.mark.parametrize(
        "field", ["event_id", "event_type", "user_id", "video_id", "timestamp"]
    )
    def test_an_event_without_a_required_field_is_none(self, field: str) -> None:
        assert parse_event(value_of(**{field: ...})) is None
        assert parse_event(value_of(**{field: None})) is None

    @pytest.mark.parametrize(
        "wrong", [None, 5, 1.5, True, [], {}, object(), "\ud800", b"", "", EXAMPLE]
    )
    def test_what_is_no_text_at_all_is_none(self, wrong: Any) -> None:
        assert parse_event(wrong) is None

    def test_nothing_in_the_corpus_makes_it_raise(self) -> None:
        for value in NASTY:
            assert (parse_event(value) is None) == (not isinstance(decode(value), Event)), value[
                :400
            ]

    @given(VALUES)
    @settings(max_examples=100, deadline=None)
    def test_it_finds_an_event_where_the_agents_do(self, value: bytes) -> None:
        parsed = parse_event(value)
        verdict = decode(value)
        assert (parsed is None) == (not isinstance(verdict, Event))
        if parsed is not None:
            assert isinstance(verdict, Event)
            assert parsed["event_id"] == verdict.event_id
            assert parsed.get("metadata", {}).get("view_duration_ms", 0) == (
                verdict.metadata.view_duration_ms
            )

    @given(st.text(max_size=100))
    def test_no_text_makes_it_raise(self, text: str) -> None:
        assert parse_event(text) is None

    @given(VALUES)
    @settings(max_examples=100, deadline=None)
    def test_what_it_returns_is_the_same_event_again(self, value: bytes) -> None:
        parsed = parse_event(value)
        if parsed is not None:
            assert parse_event(json.dumps(parsed)) == parsed


class TestUserMetrics:
    def test_have_exactly_the_fields_of_the_contract(self) -> None:
        tracker = UserMetricsTracker()
        start = from_iso("2025-01-15T14:30:45.123Z") - 14 * MINUTE
        for i in range(12):
            watched = {"view_duration_ms": 16_250}
            tracker.update_user_metrics(1, event(i, start + i * MINUTE, metadata=watched))
        for i in range(3):
            tracker.update_user_metrics(1, event(f"l{i}", start + 14 * MINUTE, event_type="like"))
        assert tracker.get_user_metrics(1) == {
            "user_id": 1,
            "as_of": "2025-01-15T14:30:45.123Z",
            "window": {
                "start": "2025-01-14T14:45:00Z",
                "end": "2025-01-15T14:45:00Z",
                "size_s": 86400,
                "step_s": 900,
            },
            "total_videos_watched": 12,
            "total_engagement_minutes": 3.25,
            "likes": 3,
            "engagement_rate": 0.25,
            "average_completion": None,
        }

    def test_of_an_unknown_user_are_zeros_at_the_latest_time(self) -> None:
        metrics = track(event(1)).get_user_metrics(404)
        assert metrics["user_id"] == 404
        assert metrics["as_of"] == "2025-01-15T12:00:00Z"
        assert metrics["total_videos_watched"] == metrics["likes"] == 0
        assert metrics["total_engagement_minutes"] == metrics["engagement_rate"] == 0.0

    def test_before_any_event_are_zeros_now(self) -> None:
        metrics = UserMetricsTracker().get_user_metrics(1)
        assert abs(from_iso(metrics["as_of"]) - datetime.now(UTC).timestamp() * 1000) < MINUTE
        assert metrics["total_videos_watched"] == 0

    def test_parsed_and_raw_events_count_alike(self) -> None:
        raw = event(1)
        parsed = parse_event(json.dumps(event(2)))
        assert parsed is not None
        assert views_of(track(raw, parsed)) == 2

    def test_a_time_may_be_a_datetime_with_a_zone(self) -> None:
        moment = datetime(2025, 1, 15, 17, 30, tzinfo=timezone(timedelta(hours=5, minutes=30)))
        tracker = track(event(1) | {"timestamp": moment})
        assert tracker.get_user_metrics(1)["as_of"] == "2025-01-15T12:00:00Z"
        assert views_of(track(event(1) | {"timestamp": moment.replace(tzinfo=None)})) == 0

    def test_a_duplicate_is_counted_once(self) -> None:
        assert views_of(track(event(1), event(1), event(1, NOON + HOUR))) == 1
        assert views_of(track(event(1), event(1, NOON + HOUR + 1))) == 2

    def test_the_same_id_of_two_users_is_no_duplicate(self) -> None:
        tracker = track(event(1))
        tracker.update_user_metrics(2, event(1) | {"user_id": 2})
        assert views_of(tracker, 1) == views_of(tracker, 2) == 1

    def test_an_event_in_disorder_counts_and_a_late_one_does_not(self) -> None:
        """At 12:00 the window of 24 h by 15 min begins at 12:15 of the day before."""
        tracker = track(event(1), event(2, NOON - DAY + 15 * MINUTE), event(3, NOON - DAY))
        assert views_of(tracker) == 2
        assert tracker.get_user_metrics(1)["as_of"] == "2025-01-15T12:00:00Z"

    def test_an_event_leaves_the_window_as_others_come(self) -> None:
        tracker = track(event(1), event(2, NOON + DAY - 15 * MINUTE))
        assert views_of(tracker) == 2
        tracker.update_user_metrics(2, event(3, NOON + DAY) | {"user_id": 2})
        assert views_of(tracker) == 1

    @pytest.mark.parametrize(
        "wrong", [None, 5, [], {}, object(), {"event_id": object()}, event(1) | {"timestamp": "x"}]
    )
    def test_what_is_no_event_is_ignored(self, wrong: Any) -> None:
        assert views_of(track(event(1), wrong)) == 1

    def test_a_structure_that_contains_itself_is_ignored(self) -> None:
        knot = event(2)
        knot["metadata"] = knot
        assert views_of(track(event(1), knot)) == 1

    def test_a_wrong_optional_value_does_not_lose_the_event(self) -> None:
        tracker = track(event(1, metadata={"view_duration_ms": float("nan")}))
        assert views_of(tracker) == 1

    def test_another_users_event_is_refused(self) -> None:
        with pytest.raises(ValueError, match="to user 1, not to user 2"):
            UserMetricsTracker().update_user_metrics(2, event(1))
        with pytest.raises(ValueError, match="to user 1, not to user '1'"):
            UserMetricsTracker().update_user_metrics("1", event(1))  # type: ignore[arg-type]

    def test_a_user_id_is_an_integer_of_any_kind(self) -> None:
        tracker = track(event(1))
        assert tracker.get_user_metrics(np.int64(1)) == tracker.get_user_metrics(1)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="integer"):
            tracker.get_user_metrics("1")  # type: ignore[arg-type]

    def test_events_may_be_mappings_with_numbers_and_texts_of_other_types(self) -> None:
        class Text(str):
            __slots__ = ()

        usual = event(1, metadata={"view_duration_ms": 60_000, "video_position": 0.5})
        expected = track(usual).get_user_metrics(1)
        numbers = usual | {"user_id": np.int64(1), "video_id": np.uint32(usual["video_id"])}
        metadata = {"view_duration_ms": np.int64(60_000), "video_position": np.float32(0.5)}
        mappings: list[Any] = [
            UserDict(usual),
            ChainMap({}, usual),
            MappingProxyType(usual | {"metadata": MappingProxyType(usual["metadata"])}),
            numbers | {"metadata": metadata},
            {
                Text(name): Text(value) if isinstance(value, str) else value
                for name, value in usual.items()
            },
            usual | {"extra": object(), "creator_id": object()},
        ]
        for mapping in mappings:
            tracker = UserMetricsTracker()
            tracker.update_user_metrics(1, mapping)
            assert tracker.get_user_metrics(1) == expected, mapping

    def test_windows_are_given_as_durations(self) -> None:
        tracker = track(
            event(1), event(2, NOON + HOUR), window="1h", step="5m", dedup_horizon="10m"
        )
        metrics = tracker.get_user_metrics(1)
        assert metrics["window"]["size_s"] == 3600
        assert metrics["total_videos_watched"] == 1
        with pytest.raises(ValueError, match="24 hours"):
            UserMetricsTracker(window="24 hours")

    @pytest.mark.parametrize("step", ["100ms", "1500ms"])
    def test_steps_are_whole_seconds(self, step: str) -> None:
        with pytest.raises(ValueError, match=f"a multiple of 1s, not {step}"):
            UserMetricsTracker(window="9m", step=step)
        with pytest.raises(ValueError, match=f"a multiple of 1s, not {step}"):
            detect_viral_videos([], window="9m", step=step)

    def test_users_who_left_take_no_memory(self) -> None:
        tracker = UserMetricsTracker(window="1h", step="15m")
        for user_id in range(2000):
            one = event(user_id, NOON + user_id * MINUTE) | {"user_id": user_id}
            tracker.update_user_metrics(user_id, one)
        # An hour's window, an hour's horizon, and as much again until the next sweep.
        assert len(tracker._partition.rows) <= 4 * 60 + 15

    def test_a_time_too_far_away_to_be_stored_is_ignored(self) -> None:
        far = example(event_id="far", user_id=1, timestamp="9999-12-31T23:59:59Z")
        assert views_of(track(event(1), far, window="1s", step="1s")) == 1
        assert views_of(track(far)) == 1

    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["video_view", "like", "save"]),
                st.integers(-30 * HOUR, 30 * HOUR),
                st.integers(0, 60_000),
                st.integers(0, 9),
            ),
            max_size=40,
        )
    )
    @settings(max_examples=60, deadline=None)
    def test_are_those_of_all_accepted_events_added_up(
        self, events: list[tuple[str, int, int, int]]
    ) -> None:
        tracker = UserMetricsTracker()
        plain = PlainUser(DAY, 15 * MINUTE, HOUR)
        now = None
        for kind, delay, watched, event_id in events:
            t = NOON + delay
            metadata = {"view_duration_ms": watched}
            tracker.update_user_metrics(1, event(event_id, t, event_type=kind, metadata=metadata))
            step = 15 * MINUTE
            if now is None or t >= now // step * step + step - DAY:
                then = t if now is None else max(now, t)
                if plain.apply(kind, t, watched, event_id, then):
                    now = then
        metrics = tracker.get_user_metrics(1)
        if now is not None:
            views, likes, watched = plain.metrics(now)
            assert metrics["as_of"] == to_iso(now)
            assert metrics["total_videos_watched"] == views
            assert metrics["likes"] == likes
            assert metrics["total_engagement_minutes"] == watched / MINUTE


class TestViralVideos:
    def events(
        self, video_id: int, *, views: int, shares: int, t: int = NOON
    ) -> list[dict[str, Any]]:
        kinds = ["video_view"] * views + ["share"] * shares
        return [
            event(f"{video_id}-{t}-{i}", t, video_id=video_id, event_type=kind)
            for i, kind in enumerate(kinds)
        ]

    def test_need_1000_views_and_more_than_one_and_a_half_shares_and_comments_a_view(self) -> None:
        assert detect_viral_videos(self.events(7, views=1000, shares=1501)) == [7]
        assert detect_viral_videos(self.events(7, views=1000, shares=1500)) == []
        assert detect_viral_videos(self.events(7, views=999, shares=1501)) == []

    def test_come_with_the_highest_coefficient_first_and_the_smaller_id_of_equal_ones(self) -> None:
        events = (
            self.events(1, views=2, shares=4)
            + self.events(9, views=2, shares=10)
            + self.events(5, views=1, shares=5)
            + self.events(3, views=1, shares=1)
        )
        assert detect_viral_videos(events, min_views=1) == [5, 9, 1]

    def test_comments_count_as_shares_do_and_likes_saves_and_follows_do_not(self) -> None:
        for kind, viral in (("comment", [7]), ("like", []), ("save", []), ("follow", [])):
            events = [event(1, video_id=7)]
            events += [event(kind + str(i), video_id=7, event_type=kind) for i in range(2)]
            assert detect_viral_videos(events, min_views=1) == viral

    def test_are_judged_by_the_two_hours_up_to_the_latest_time(self) -> None:
        """At 14:00 the window of 2 h by 5 min begins at 12:05.

        ::

            12:00   12:05                   14:00
              | 7 7   |                     8 | 8
                      [-----------------------)
        """
        old = self.events(7, views=1, shares=2)
        kept = self.events(9, views=1, shares=2, t=NOON + 5 * MINUTE)
        new = self.events(8, views=1, shares=2, t=NOON + 2 * HOUR)
        assert detect_viral_videos(old + kept, min_views=1) == [7, 9]
        assert detect_viral_videos(old + kept + new, min_views=1) == [8, 9]
        assert detect_viral_videos(new + kept + old, min_views=1) == [8, 9]

    def test_take_parsed_events_and_raw_ones(self) -> None:
        events = self.events(7, views=1, shares=2)
        parsed: list[Any] = [parse_event(json.dumps(one)) for one in events]
        assert detect_viral_videos(parsed, min_views=1) == [7]
        assert detect_viral_videos([parsed[0], *events[1:]], min_views=1) == [7]

    def test_what_is_no_event_is_ignored(self) -> None:
        events = self.events(7, views=1, shares=2)
        wrong: list[Any] = [
            None,
            {},
            [],
            5,
            event(1) | {"video_id": "7"},
            example(timestamp="later"),
        ]
        assert detect_viral_videos([*wrong, *events, *wrong], min_views=1) == [7]

    def test_duplicates_are_counted_once(self) -> None:
        events = self.events(7, views=2, shares=3)
        assert detect_viral_videos(events * 3 + [events[-1]] * 5, min_views=1) == []

    def test_of_no_events_are_none(self) -> None:
        assert detect_viral_videos([]) == []
        none: list[Any] = [None, {}]
        assert detect_viral_videos(none) == []

    def test_rules_and_windows_may_be_others(self) -> None:
        events = self.events(7, views=4, shares=2)
        assert detect_viral_videos(events, min_views=4, coefficient=0.4) == [7]
        later = [event("x", NOON + 3 * HOUR)]
        assert detect_viral_videos(events + later, min_views=4, coefficient=0.4) == []
        days = {"window": "48h", "step": "1h"}
        later = [event("x", NOON + 40 * HOUR), *events]
        assert detect_viral_videos(later, min_views=4, coefficient=0.4, **days) == [7]

    @given(st.lists(JSON, max_size=5))
    @settings(deadline=None)
    def test_no_list_makes_it_raise(self, anything: list[Any]) -> None:
        assert detect_viral_videos(anything) == []

    @given(
        st.lists(
            st.tuples(
                st.integers(1, 4),
                st.sampled_from(["video_view", "share", "comment", "like"]),
                st.integers(0, 4 * HOUR),
            ),
            max_size=60,
        )
    )
    @settings(max_examples=60, deadline=None)
    def test_are_those_that_a_recount_finds(self, drawn: list[tuple[int, str, int]]) -> None:
        events = [
            event(i, NOON + delay, video_id=video_id, event_type=kind)
            for i, (video_id, kind, delay) in enumerate(drawn)
        ]
        end = (
            max((delay for *_, delay in drawn), default=0) // (5 * MINUTE) * 5 * MINUTE + 5 * MINUTE
        )
        counted = Counter(
            (video_id, kind) for video_id, kind, delay in drawn if end - 2 * HOUR <= delay < end
        )
        expected = {}
        for video_id in range(1, 5):
            views = counted[video_id, "video_view"]
            spread = counted[video_id, "share"] + counted[video_id, "comment"]
            if views >= 2 and 2 * spread > 3 * views:
                expected[video_id] = spread / views
        ordered = sorted(expected, key=lambda video_id: (-expected[video_id], video_id))
        assert detect_viral_videos(events, min_views=2) == ordered


def test_durations_that_wrong_metadata_holds_do_not_count() -> None:
    wrong = json.loads(raw_metadata("view_duration_ms", "-5"))
    tracker = UserMetricsTracker()
    tracker.update_user_metrics(wrong["user_id"], wrong)
    assert tracker.get_user_metrics(wrong["user_id"])["total_engagement_minutes"] == 0.0
