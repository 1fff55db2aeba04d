"""Promises about the fast paths: if they give an answer, it equals that of the general path."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import example as for_example
from hypothesis import given
from hypothesis import strategies as st

from models.direct import usual_event, usual_fields, usual_moment
from models.event import Event, decode
from models.lenient import known_fields
from models.timestamps import parse_rfc3339
from tests.models.corpus import EXAMPLE, NASTY, TIMES, example
from tests.models.strategies import JSON, VALUES

TIME = "2025-01-15T14:30:45.123Z"
ODD_TEXT = st.sampled_from(["", "\ud800", "ä", "x" * 129, "x" * 128, b"x"])
ODD = JSON | ODD_TEXT | st.sampled_from([True, -1, 2**63, 2**63 - 1, 0.5, 1.5, object()])


def test_the_example_goes_the_short_way() -> None:
    text = json.dumps(EXAMPLE)
    fields = usual_fields(text)
    assert fields == EXAMPLE == usual_fields(text.encode())
    assert fields is not None
    known = known_fields(text.encode())
    assert known is not None
    assert list(fields) == list(known)
    assert usual_event(fields) == decode(text.encode())


@given(VALUES)
def test_known_fields_are_the_same_in_the_same_order(value: bytes) -> None:
    fields = usual_fields(value)
    if fields is not None:
        assert repr(fields) == repr(known_fields(value))


@pytest.mark.parametrize("value", NASTY)
def test_known_fields_of_odd_values_are_the_same(value: bytes) -> None:
    fields = usual_fields(value or b"")
    assert fields is None or repr(fields) == repr(known_fields(value))


@given(
    st.dictionaries(st.sampled_from([*EXAMPLE, "extra"]), ODD | st.just(...), max_size=3),
    st.dictionaries(st.sampled_from([*EXAMPLE["metadata"], "more"]), ODD | st.just(...)),
)
@for_example({}, {"video_position": float("nan")})
def test_an_event_in_a_dict_is_the_one_in_its_json(
    changes: dict[str, Any], of_metadata: dict[str, Any]
) -> None:
    metadata = EXAMPLE["metadata"] | of_metadata
    given_dict = example(
        **{"metadata": {name: x for name, x in metadata.items() if x is not ...}} | changes
    )
    found = usual_event(given_dict)
    if found is not None:
        assert found == decode(msgspec.json.encode(given_dict))


def test_what_is_no_event_has_no_short_way() -> None:
    assert not any(map(usual_event, [None, 5, [], {}, Event, "{}"]))


@given(st.text(alphabet="0123456789-:.TZW ", min_size=24, max_size=24) | st.sampled_from(TIMES))
@for_example("2025-W03-3T14:30:45.1234Z")
@for_example("2025-02-29T14:30:45.123Z")
@for_example("2025-01-15T24:00:00.000Z")
def test_a_usual_moment_is_the_one_that_rfc_3339_names(text: str) -> None:
    moment = usual_moment(text)
    assert moment is None or moment == parse_rfc3339(text)


@given(st.integers(0, 23), st.data())
def test_no_digit_of_a_time_may_be_anything_else(at: int, data: st.DataObject) -> None:
    text = TIME[:at] + data.draw(st.characters()) + TIME[at + 1 :]
    moment = usual_moment(text)
    assert moment is None or moment == parse_rfc3339(text)
