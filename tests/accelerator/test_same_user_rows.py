"""Events from dicts and rows of users in memory: both forms are equal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import example as for_example
from hypothesis import given, settings
from hypothesis import strategies as st

import accelerator
from models.event import decode
from models.schema import EVENT_TYPES, Event, Metadata
from models.user import UserWindows
from models.windows import Slices
from tests.models.corpus import EXAMPLE, TIMES, example
from tests.models.strategies import JSON

if TYPE_CHECKING:
    from models._protocols import Engagement
    from models.schema import EventType


pytestmark = pytest.mark.skipif(not accelerator.IS_BUILT, reason=accelerator.REASON)

MINUTE = 60_000
START = 1_736_951_445_123
USERS = 0, 7, 2**63 - 1

COMPILED = accelerator.DirectBackend.of()
PLAIN = accelerator.DirectBackend.of(accelerated=False)


def moment_of(t_ms: int) -> datetime:
    return datetime.fromtimestamp(t_ms // 1000, UTC) + timedelta(milliseconds=t_ms % 1000)


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(USERS),
        st.sampled_from(EVENT_TYPES),
        st.integers(0, 2**53),
        st.integers(0, 60),
        # At or after the latest time, or a while before it.
        st.integers(-20 * MINUTE, 2 * MINUTE) | st.sampled_from([0, 70 * MINUTE, 60 * 24 * MINUTE]),
    ),
    max_size=150,
)


@given(EVENTS, st.integers(0, 5))
@settings(max_examples=200)
def test_of_any_history_with_blocks_of_sealed_ids(
    events: list[tuple[int, EventType, int, int, int]], ids_before: int
) -> None:
    windows = UserWindows(Slices(60 * MINUTE, 15 * MINUTE), 30 * MINUTE)
    compiled, plain = COMPILED.rows(windows), PLAIN.rows(windows)
    now = START
    # Many ids within a short time, so that they are sealed in blocks.
    many: list[tuple[int, EventType, int, int, int]] = [
        (7, "like", 0, 1000 + number, 1) for number in range(16 * ids_before)
    ]
    for user, kind, watched, number, delay in [*many, *events]:
        t_ms = now + delay
        if windows.is_late(t_ms, now):
            continue
        now = max(now, t_ms)
        event = Event(str(number), kind, user, 1, moment_of(t_ms), metadata=Metadata(watched))
        assert compiled.apply(COMPILED.engagement(event), now) is plain.apply(
            PLAIN.engagement(event), now
        )
        assert compiled.get(b"%d" % user) == plain.get(b"%d" % user)
        assert compiled.metrics(user, now) == plain.metrics(user, now)
    assert compiled.get(b"5") is plain.get(b"5") is None
    for other in (5, -5, 2**64):
        assert compiled.metrics(other, now) == plain.metrics(other, now)
    assert len(compiled) == len(plain)
    for rows in (compiled, plain):
        rows.sweep(now)
    assert len(compiled) == len(plain)
    assert all(compiled.get(b"%d" % user) == plain.get(b"%d" % user) for user in USERS)


def fields_of(engagement: Engagement | None) -> list[Any]:
    assert engagement is not None
    names = "user_id", "video_id", "t_ms", "id_hash"
    return [*(getattr(engagement, name) for name in names), engagement.of_video()]


ODD = (
    JSON
    | st.sampled_from(["", "\ud800", "ä", "x" * 129, "x" * 128, b"x", *EVENT_TYPES])
    | st.sampled_from([True, -1, 2**63, 2**63 - 1, 0.5, 1.5, 0.1234567895, object()])
)


@given(
    st.dictionaries(st.sampled_from([*EXAMPLE, "extra"]), ODD | st.just(...), max_size=3),
    st.dictionaries(st.sampled_from([*EXAMPLE["metadata"], "more"]), ODD | st.just(...)),
    st.sampled_from([EXAMPLE["timestamp"], *TIMES]),
)
@for_example({}, {"video_position": float("nan")}, EXAMPLE["timestamp"])
@for_example({}, {"view_duration_ms": 2**53 + 1}, EXAMPLE["timestamp"])
@settings(max_examples=600)
def test_an_event_in_a_dict_is_the_one_in_its_json(
    changes: dict[str, Any], of_metadata: dict[str, Any], time: str
) -> None:
    metadata = {n: x for n, x in (EXAMPLE["metadata"] | of_metadata).items() if x is not ...}
    event = example(**{"timestamp": time, "metadata": metadata} | changes)
    found = COMPILED.usual(event)
    if found is not None:
        decoded = decode(msgspec.json.encode(event))
        assert isinstance(decoded, Event)
        expected = fields_of(PLAIN.engagement(decoded))
        assert fields_of(found) == fields_of(COMPILED.engagement(decoded)) == expected
    elif (usual := PLAIN.usual(event)) is not None:
        # Only times before 1970 and at the end of the year range take the general path.
        assert not 0 <= usual.t_ms < 253_370_764_800_000


def test_the_example_goes_the_short_way() -> None:
    assert fields_of(COMPILED.usual(EXAMPLE)) == fields_of(PLAIN.usual(EXAMPLE))
    assert not any(map(COMPILED.usual, [None, 5, [], {}, Event, "{}"]))
