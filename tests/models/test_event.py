"""Promises about which values are events, and about the reasons for rejects."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings

from models.event import REASONS, Event, Metadata, Rejected, decode, id_hash, timestamp_ms
from models.lenient import examine
from models.schema import MAX_DEPTH
from tests.models.corpus import (
    EXAMPLE,
    MIB,
    NASTY,
    example,
    raw_metadata,
    raw_value,
    value_of,
)
from tests.models.strategies import VALUES

REQUIRED = ("event_id", "event_type", "user_id", "video_id", "timestamp")


def event_of(value: bytes) -> Event:
    event = decode(value)
    assert isinstance(event, Event), event
    return event


def rejection_of(value: bytes | None) -> Rejected:
    rejected = decode(value)
    assert isinstance(rejected, Rejected), rejected
    return rejected


def dropped_by(value: bytes) -> list[str]:
    dropped: list[str] = []
    assert isinstance(decode(value, dropped), Event)
    return dropped


class TestAnEventIsRead:
    def test_the_example_of_the_contract_is_read_field_by_field(self) -> None:
        assert event_of(value_of()) == Event(
            event_id="evt_123456789",
            event_type="video_view",
            user_id=987654321,
            video_id=567890123,
            creator_id=123456789,
            timestamp=datetime(2025, 1, 15, 14, 30, 45, 123_000, tzinfo=UTC),
            session_id="sess_abcdef123",
            metadata=Metadata(15000, 0.75, "mobile"),
        )

    def test_only_the_required_fields_are_needed(self) -> None:
        value = value_of(creator_id=..., session_id=..., metadata=...)
        event = event_of(value)
        assert event.creator_id is None
        assert event.session_id is None
        assert event.metadata == Metadata(view_duration_ms=0, video_position=None, device_type=None)

    @pytest.mark.parametrize("kind", ["video_view", "like", "comment", "share", "save", "follow"])
    def test_each_of_the_six_types_is_read(self, kind: str) -> None:
        assert event_of(value_of(event_type=kind)).event_type == kind

    @pytest.mark.parametrize("field", ["user_id", "video_id"])
    @pytest.mark.parametrize("number", [0, 2**31, 2**53 + 1, 2**63 - 1])
    def test_ids_keep_every_digit(self, field: str, number: int) -> None:
        assert getattr(event_of(value_of(**{field: number})), field) == number

    def test_an_event_id_may_be_128_characters_of_any_script(self) -> None:
        assert event_of(value_of(event_id="😀" * 128)).event_id == "😀" * 128
        assert event_of(raw_value("event_id", json.dumps("é" * 128, ensure_ascii=False)))

    def test_unknown_fields_are_ignored(self) -> None:
        assert event_of(value_of(extra=[1, {"deep": None}])) == event_of(value_of())
        assert event_of(raw_value("extra", "1e999")) == event_of(value_of())

    def test_of_duplicate_keys_the_last_one_counts(self) -> None:
        assert event_of(value_of()[:-1] + b', "user_id": 5}').user_id == 5
        assert event_of(value_of(user_id="wrong")[:-1] + b', "user_id": 5}').user_id == 5
        assert rejection_of(value_of()[:-1] + b', "user_id": "wrong"}').reason == "invalid_field"

    def test_an_event_of_exactly_one_mebibyte_is_read(self) -> None:
        value = value_of(session_id="x" * (MIB - len(value_of(session_id=""))))
        assert len(value) == MIB
        assert event_of(value).user_id == 987654321

    def test_white_space_around_an_event_does_no_harm(self) -> None:
        assert event_of(b" \n\t" + value_of() + b"\r\n") == event_of(value_of())


class TestAWrongOptionalValueIsDroppedAndNamed:
    @pytest.mark.parametrize("wrong", ["-1", "1.5", "1.0", "true", '"15000"', "[]", "{}", "1e3"])
    def test_a_duration_that_is_no_whole_number_above_or_at_zero(self, wrong: str) -> None:
        value = raw_metadata("view_duration_ms", wrong)
        assert dropped_by(value) == ["metadata.view_duration_ms"]
        assert event_of(value).metadata.view_duration_ms == 0

    @pytest.mark.parametrize("wrong", ["-0.01", "1.01", "true", '"0.5"', "1e999", "-1e999", "[]"])
    def test_a_position_outside_0_to_1(self, wrong: str) -> None:
        value = raw_metadata("video_position", wrong)
        assert dropped_by(value) == ["metadata.video_position"]
        assert event_of(value).metadata.video_position is None

    @pytest.mark.parametrize("position", [0, 1, 0.0, 1.0, 0.5])
    def test_but_not_a_position_at_either_end(self, position: float) -> None:
        assert dropped_by(value_of(metadata={"video_position": position})) == []

    @pytest.mark.parametrize("wrong", ["1", "true", "[]", "{}", "1.5"])
    def test_texts_that_are_none(self, wrong: str) -> None:
        assert dropped_by(raw_metadata("device_type", wrong)) == ["metadata.device_type"]
        assert dropped_by(raw_value("session_id", wrong)) == ["session_id"]

    @pytest.mark.parametrize("wrong", ["-1", "1.0", "true", '"1"', "9223372036854775808", "[]"])
    def test_a_creator_that_is_no_id(self, wrong: str) -> None:
        assert dropped_by(raw_value("creator_id", wrong)) == ["creator_id"]

    @pytest.mark.parametrize("wrong", ["[]", "1", '"x"', "true", '[{"view_duration_ms": 1}]'])
    def test_metadata_that_is_no_object(self, wrong: str) -> None:
        value = raw_value("metadata", wrong)
        assert dropped_by(value) == ["metadata"]
        assert event_of(value).metadata == Metadata()

    def test_the_right_values_beside_it_are_kept(self) -> None:
        value = value_of(
            creator_id="x",
            metadata={"view_duration_ms": 7, "video_position": 2, "device_type": "tv"},
        )
        assert dropped_by(value) == ["creator_id", "metadata.video_position"]
        assert event_of(value).metadata == Metadata(7, None, "tv")
        assert event_of(value).session_id == "sess_abcdef123"

    def test_null_is_as_good_as_absent_and_not_wrong(self) -> None:
        nulls = dict.fromkeys(EXAMPLE["metadata"])
        value = value_of(creator_id=None, session_id=None, metadata=nulls)
        assert dropped_by(value) == []
        assert event_of(value) == event_of(value_of(creator_id=..., session_id=..., metadata={}))
        assert dropped_by(value_of(metadata=None)) == []
        assert event_of(value_of(metadata=None)) == event_of(value_of(metadata=...))

    def test_a_null_beside_a_right_duration_does_not_take_it_away(self) -> None:
        value = value_of(metadata={"view_duration_ms": 7, "device_type": None})
        assert event_of(value).metadata == Metadata(7, None, None)


class TestARejectionNamesItsReason:
    @pytest.mark.parametrize("value", [None, b"", b" ", b"nul", b"{", b'{"a": 1', b"{}{}"])
    def test_what_is_no_json_is_malformed(self, value: bytes | None) -> None:
        assert rejection_of(value).reason == "malformed_json"

    @pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "01", "1.", "+1", "0x1"])
    @pytest.mark.parametrize("field", ["user_id", "metadata", "extra"])
    def test_numbers_that_json_does_not_know_are_malformed(self, field: str, number: str) -> None:
        assert rejection_of(raw_value(field, number)).reason == "malformed_json"

    @pytest.mark.parametrize("field", ["event_id", "session_id", "extra"])
    @pytest.mark.parametrize("text", [b'"\xff"', b'"\xc3("', b'"\xed\xa0\x80"', b'"\xf5"'])
    def test_broken_utf_8_is_malformed_wherever_it_stands(self, field: str, text: bytes) -> None:
        rejected = rejection_of(raw_value(field, text))
        assert rejected.reason == "malformed_json"
        assert "UTF-8" in rejected.detail

    def test_broken_utf_8_is_malformed_in_a_key_and_in_an_array_too(self) -> None:
        assert rejection_of(value_of()[:-1] + b', "\xff": 1}').reason == "malformed_json"
        assert rejection_of(b'["\xff"]').reason == "malformed_json"

    @pytest.mark.parametrize("field", ["extra", "metadata", "user_id"])
    @pytest.mark.parametrize("depth", [MAX_DEPTH, 5000, 300_000])
    def test_a_nesting_bomb_is_malformed(self, field: str, depth: int) -> None:
        value = raw_value(field, "[" * depth + "]" * depth)
        assert rejection_of(value) == Rejected("malformed_json", "nested deeper than 256 levels")

    def test_the_deepest_nesting_that_is_allowed_is_read(self) -> None:
        depth = MAX_DEPTH - 1
        assert event_of(raw_value("extra", "[" * depth + "]" * depth))

    def test_brackets_in_a_string_are_no_nesting(self) -> None:
        assert event_of(value_of(session_id='[{"\\' * 5000))

    def test_the_depth_of_the_caller_does_not_change_the_verdict(self) -> None:
        def at_depth(depth: int) -> object:
            return at_depth(depth - 1) if depth else decode(deep)

        deep = raw_value("extra", "[" * 255 + "]" * 255)
        left = sys.getrecursionlimit() - MAX_DEPTH - 200
        assert at_depth(left) == decode(deep)
        assert isinstance(decode(deep), Event)

    @pytest.mark.parametrize("value", [b"null", b"1", b'"x"', b"[]", b"[" + value_of() + b"]"])
    def test_json_that_is_no_object_is_told_apart_from_what_is_no_json(self, value: bytes) -> None:
        assert rejection_of(value).reason == "not_an_object"
        assert rejection_of(value + b"x").reason == "malformed_json"

    @pytest.mark.parametrize("field", REQUIRED)
    def test_a_missing_field_is_named(self, field: str) -> None:
        rejected = rejection_of(value_of(**{field: ...}))
        assert rejected == Rejected("missing_field", f"{field} is missing")

    def test_missing_is_told_before_invalid_and_in_the_order_of_the_fields(self) -> None:
        assert rejection_of(b"{}").detail == "event_id is missing"
        value = value_of(event_id=5, user_id=..., timestamp=...)
        assert rejection_of(value).detail == "user_id is missing"
        value = value_of(event_id="", event_type="dance", user_id="x")
        assert rejection_of(value).detail.startswith("event_id ")

    @pytest.mark.parametrize(
        ("field", "text"),
        [
            *(("event_id", text) for text in ("1", '""', '"' + "x" * 129 + '"', "[]")),
            *(("event_type", text) for text in ("1", "true", "[]", "{}")),
            *(
                (field, text)
                for field in ("user_id", "video_id")
                for text in ("-1", "1.0", "1e3", "true", '"1"', "9223372036854775808", "1e999")
            ),
            *(("timestamp", text) for text in ("1736951445", '""', '"today"', "[]", "true")),
            *((field, "null") for field in REQUIRED),
        ],
    )
    def test_an_invalid_field_is_named_with_what_is_allowed(self, field: str, text: str) -> None:
        rejected = rejection_of(raw_value(field, text))
        assert rejected.reason == "invalid_field"
        assert rejected.detail.startswith(f"{field} must be ")

    def test_a_time_without_a_zone_is_invalid(self) -> None:
        rejected = rejection_of(value_of(timestamp="2025-01-15T14:30:45.123"))
        assert rejected.reason == "invalid_field"
        assert "with a zone" in rejected.detail

    @pytest.mark.parametrize("kind", ["dance", "", "VIDEO_VIEW", "video_view ", "like\u0000"])
    def test_a_type_of_event_that_is_none_of_the_six_is_unknown(self, kind: str) -> None:
        rejected = rejection_of(value_of(event_type=kind))
        assert rejected.reason == "unknown_event_type"
        assert "video_view, like, comment, share, save, follow" in rejected.detail

    def test_a_value_of_more_than_a_mebibyte_is_too_large_whatever_it_holds(self) -> None:
        assert rejection_of(value_of(session_id="x" * MIB)).reason == "too_large"
        assert rejection_of(b"\xff" * (MIB + 1)).reason == "too_large"
        # Bytes count, not characters.
        assert rejection_of(raw_value("session_id", f'"{"é" * (MIB // 2)}"')).reason == "too_large"
        assert rejection_of(b"\xff" * MIB).reason == "malformed_json"


class TestTimes:
    def test_what_is_below_a_millisecond_is_cut_off_however_many_digits_there_are(self) -> None:
        for digits in ("123", "1239", "123999", "1239999", "1239999999", "12399999999999999999"):
            event = event_of(value_of(timestamp=f"2025-01-15T14:30:45.{digits}Z"))
            assert timestamp_ms(event.timestamp) % 1000 == 123, digits

    def test_the_last_moment_before_midnight_stays_before_midnight(self) -> None:
        event = event_of(value_of(timestamp="2025-12-31T23:59:59.9999999Z"))
        assert event.timestamp < datetime(2026, 1, 1, tzinfo=UTC)

    def test_digits_written_as_escapes_are_cut_off_alike(self) -> None:
        for text in (
            '"2025-01-15T14:30:45.123\\u00399999\\u0039Z"',
            '"2025-01-15T14:30:45.123\\u0039\\u0039\\u0039\\u0039Z"',
            '"2025-01-15T14:30:45\\u002e123999\\u0039Z"',
            '"2025-01-15T14:30:45\\u002e1239999Z"',
        ):
            assert timestamp_ms(event_of(raw_value("timestamp", text)).timestamp) % 1000 == 123

    def test_a_leap_second_is_the_second_that_follows_it(self) -> None:
        event = event_of(value_of(timestamp="2016-12-31T23:59:60.25Z"))
        assert event.timestamp == datetime(2017, 1, 1, 0, 0, 0, 250_000, tzinfo=UTC)

    @pytest.mark.parametrize("text", ["2025-01-15T14:30:60Z", "9999-12-31T23:59:60Z"])
    def test_a_60th_second_at_any_other_time_is_invalid(self, text: str) -> None:
        assert rejection_of(value_of(timestamp=text)).reason == "invalid_field"

    def test_zones_name_the_same_moment(self) -> None:
        texts = ("14:30:45Z", "14:30:45z", "14:30:45-00:00", "20:00:45+05:30", "02:30:45-12:00")
        moments = {event_of(value_of(timestamp=f"2025-01-15T{text}")).timestamp for text in texts}
        assert moments == {datetime(2025, 1, 15, 14, 30, 45, tzinfo=UTC)}

    def test_milliseconds_are_exact_where_floats_are_not(self) -> None:
        start = datetime(2025, 1, 15, 14, 30, 45, tzinfo=UTC)
        for ms in range(1000):
            assert timestamp_ms(start + timedelta(milliseconds=ms)) == 1_736_951_445_000 + ms

    def test_milliseconds_are_floored_before_1970_and_exact_in_9999(self) -> None:
        assert timestamp_ms(datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)) == -1
        last = datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
        assert timestamp_ms(last) == 253_402_300_799_999


class TestNothingEverRaises:
    def test_both_paths_say_the_same_of_every_value_in_the_corpus(self) -> None:
        for value in NASTY:
            dropped: list[str] = []
            verdict = decode(value, dropped)
            assert (verdict, tuple(dropped)) == examine(value), value[:400]
            assert isinstance(verdict, Event) or verdict.reason in REASONS, value[:400]

    @given(VALUES)
    @settings(max_examples=200, deadline=None)
    def test_both_paths_say_the_same_of_any_bytes(self, value: bytes) -> None:
        dropped: list[str] = []
        verdict = decode(value, dropped)
        assert (verdict, tuple(dropped)) == examine(value)
        assert isinstance(verdict, Event) or (verdict.reason in REASONS and verdict.detail)

    def test_a_right_event_counts_nothing_as_dropped(self) -> None:
        assert dropped_by(value_of()) == []
        assert examine(value_of()) == (event_of(json.dumps(example()).encode()), ())


class TestIdHash:
    def test_the_same_id_has_the_same_hash_in_every_process(self) -> None:
        assert id_hash("") == 0x2D06800538D394C2  # as XXH3's authors have it
        command = "from models.event import id_hash; print(id_hash('evt_é'))"
        printed = subprocess.run(
            [sys.executable, "-c", command], capture_output=True, text=True, check=True
        ).stdout
        assert int(printed) == id_hash("evt_é")

    def test_it_has_64_bits_and_takes_any_string(self) -> None:
        for text in ("", "x", "é", "😀" * 128, "\ud800"):
            assert 0 <= id_hash(text) < 2**64
