"""Valid and invalid parameters: ids, windows, times and limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from models.windows import Slices, from_iso
from views.answers import HttpError
from views.parameters import parse_at, parse_id, parse_limit, parse_window

if TYPE_CHECKING:
    from collections.abc import Callable


DAY = Slices(86_400_000, 900_000)


def code_of(function: Callable[..., object], *args: object) -> str:
    with pytest.raises(HttpError) as caught:
        function(*args)
    assert caught.value.status == 400
    return caught.value.code


class TestIds:
    @pytest.mark.parametrize("number", [0, 1, 10, 987654321, 2**63 - 1])
    def test_a_decimal_number_up_to_63_bits_is_an_id(self, number: int) -> None:
        assert parse_id(str(number)) == number

    @pytest.mark.parametrize(
        "text",
        [
            *("", "01", "00", "-1", "+1", "1.0", "1e3", "0x1", " 1", "1 ", "1\n", "abc", "1_0"),
            *("\u0661", str(2**63), "9" * 19, "9" * 5000),
        ],
    )
    def test_anything_else_is_refused(self, text: str) -> None:
        assert code_of(parse_id, text) == "invalid_id"

    def test_a_refusal_is_short_however_long_the_id(self) -> None:
        with pytest.raises(HttpError) as caught:
            parse_id("9" * 5000)
        assert len(caught.value.message) < 200


class TestWindows:
    def test_no_window_is_the_whole_one(self) -> None:
        assert parse_window(None, DAY) is None

    @pytest.mark.parametrize(
        ("text", "ms"),
        [
            *(("15m", 900_000), ("1h", 3_600_000), ("900s", 900_000), ("24h", 86_400_000)),
            *(("1d", 86_400_000), ("900000ms", 900_000)),
        ],
    )
    def test_any_multiple_of_the_step_up_to_the_size(self, text: str, ms: int) -> None:
        assert parse_window(text, DAY) == ms

    @pytest.mark.parametrize(
        "text", ["", "0m", "1m", "20m", "25h", "2d", "-1h", "1.5h", "1", "h", "1 h", "9" * 400]
    )
    def test_anything_else_is_refused(self, text: str) -> None:
        assert code_of(parse_window, text, DAY) == "invalid_window"


class TestTimes:
    def test_no_time_is_the_stream_time(self) -> None:
        assert parse_at(None) is None

    @pytest.mark.parametrize(
        "text",
        ["2025-01-15T14:30:45.123Z", "2025-01-15T16:30:45.123+02:00", "2025-01-15t14:30:45.123z"],
    )
    def test_rfc_3339_with_a_zone(self, text: str) -> None:
        assert parse_at(text) == from_iso("2025-01-15T14:30:45.123Z")

    def test_a_plus_sign_may_have_become_a_space(self) -> None:
        assert parse_at("2025-01-15T16:30:45 02:00") == from_iso("2025-01-15T14:30:45Z")

    @pytest.mark.parametrize(
        "text",
        [
            *("", "now", "1736951445", "2025-01-15", "2025-01-15T14:30:45", "1" * 4000),
            *("2025-13-15T14:30:45Z", "2025-01-15 14:30", "2025-01-15 14:30:45"),
        ],
    )
    def test_anything_else_is_refused(self, text: str) -> None:
        assert code_of(parse_at, text) == "invalid_time"


class TestLimits:
    def test_there_are_50_without_one(self) -> None:
        assert parse_limit(None) == 50

    @pytest.mark.parametrize("number", [1, 50, 1000])
    def test_from_1_to_1000(self, number: int) -> None:
        assert parse_limit(str(number)) == number

    @pytest.mark.parametrize("text", ["", "0", "1001", "-1", "050", "ten", "1.5", "9" * 400])
    def test_anything_else_is_refused(self, text: str) -> None:
        assert code_of(parse_limit, text) == "invalid_limit"
