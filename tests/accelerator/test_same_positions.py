"""Promises that both forms parse and sum positions alike."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelerator import IS_BUILT
from tests.accelerator.test_same_answers import both

#: As producers write them, and decimals as close to a rounding boundary as text allows.
TEXTS = st.one_of(
    st.floats(0, 1).map(repr),
    st.decimals(0, 1, places=18).map(str),
    st.builds(
        lambda units, digits: f"0.{units:09d}{digits}",
        st.integers(0, 10**9 - 1),
        st.sampled_from(["5", "50", "49999999", "50000001", "500000000", "499999999", "4", "6"]),
    ),
    st.sampled_from(["0", "1", "1.0", "0.0", "1.000000000000000000", "1.00001", "0.", "1.5"]),
)


@pytest.mark.skipif(not IS_BUILT, reason="the accelerator is not built")
@given(st.lists(TEXTS, min_size=1, max_size=8))
def test_every_position_is_read_the_same_compiled(texts: list[str]) -> None:
    """The compiled form parses digits, the plain one a float: both sum the same billionths."""
    base = {"event_type": "video_view", "user_id": 1, "video_id": 2}
    base |= {"timestamp": "2025-01-15T12:00:00Z"}
    both(
        [
            json.dumps(base | {"event_id": str(n), "metadata": {"video_position": 77}})
            .replace("77", text)
            .encode()
            for n, text in enumerate(texts)
        ]
    )
