"""Hypothesis strategies: events, nearly events, and histories of a user."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from tests.models.corpus import EXAMPLE, ODD, RAW_TEXTS, TIMES, example, raw_metadata, raw_value

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)

FIELDS = (*EXAMPLE, "extra")


@st.composite
def spoiled_bytes(draw: st.DrawFn) -> bytes:
    """Draw an event's value with some bytes removed, inserted or replaced."""
    value = bytearray(json.dumps(example()).encode())
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(value)))
        cut = draw(st.integers(0, 8))
        value[at : at + cut] = draw(
            st.binary(max_size=6)
            | st.sampled_from([b'"', b"\\", b"{", b"}", b",", b":", b"9", b"null"])
        )
    return bytes(value)


@st.composite
def nearly_events(draw: st.DrawFn) -> bytes:
    """Draw the JSON of an event in which some fields have any value or are missing."""
    changes: dict[str, Any] = draw(
        st.dictionaries(st.sampled_from(FIELDS), JSON | st.just(...), max_size=4)
    )
    if draw(st.booleans()):
        changes["timestamp"] = draw(st.sampled_from(TIMES))
    if draw(st.booleans()):
        changes["metadata"] = draw(
            st.fixed_dictionaries({}, optional=dict.fromkeys(EXAMPLE["metadata"], JSON))
        )
    fields = draw(st.permutations(list(example(**changes).items())))
    return json.dumps(
        dict(fields), ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, 1]))
    ).encode(errors="surrogatepass")


VALUES = (
    st.binary(max_size=200)
    | st.text(max_size=200).map(lambda text: text.encode(errors="surrogatepass"))
    | JSON.map(lambda document: json.dumps(document).encode())
    | spoiled_bytes()
    | nearly_events()
    | st.sampled_from(ODD)
    | st.builds(raw_value, st.sampled_from(FIELDS), st.sampled_from(RAW_TEXTS))
    | st.builds(raw_metadata, st.sampled_from([*EXAMPLE["metadata"]]), st.sampled_from(RAW_TEXTS))
)
