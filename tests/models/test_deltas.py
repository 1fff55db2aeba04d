"""Promises about the records that carry a commit's counts to the partitions of videos."""

from __future__ import annotations

from contextlib import suppress
from struct import calcsize
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.counters import VIDEO
from models.cut import CUT_BYTES, CutBytes
from models.deltas import MAX_TIME_MS, ROW_SIZE, pack_deltas, unpack_deltas
from models.errors import CodecError

if TYPE_CHECKING:
    from models.deltas import DeltaRow


U32 = st.integers(0, 2**32 - 1)
CODES = VIDEO.codes(VIDEO.version)
NUMBERS = {"I": U32, "Q": st.integers(0, 2**64 - 1)}
ROWS = st.lists(
    st.tuples(st.integers(0, 2**63 - 1), U32, *(NUMBERS[code] for code in CODES)), max_size=20
)
ROW = 1, 2, *range(3, 3 + len(CODES))


def unpacked(value: bytes) -> tuple[int, int, list[DeltaRow]]:
    source, stream_time, rows = unpack_deltas(value)
    return source, stream_time, list(rows)


@given(st.integers(0, 65_535), st.integers(0, MAX_TIME_MS), ROWS)
def test_what_is_packed_is_unpacked_as_it_was(
    source: int, stream_time: int, rows: list[DeltaRow]
) -> None:
    assert unpacked(pack_deltas(source, stream_time, rows)) == (source, stream_time, rows)


@pytest.mark.parametrize("stream_time", [-(2**63), -1, MAX_TIME_MS + 1, 2**63 - 1])
def test_a_time_that_no_event_has_is_refused(stream_time: int) -> None:
    with pytest.raises(CodecError, match="time"):
        unpacked(pack_deltas(3, stream_time, []))


def test_what_was_cut_is_no_delta_record_whatever_it_begins_with() -> None:
    rows = [ROW] * ((CUT_BYTES - 16) // ROW_SIZE)
    with pytest.raises(CodecError, match="too large"):
        unpacked(CutBytes.of(pack_deltas(0, 0, rows), 1 << 30))


def test_a_record_without_rows_is_a_tick() -> None:
    assert unpacked(pack_deltas(3, 1_736_951_445_123, [])) == (3, 1_736_951_445_123, [])


def test_a_record_costs_16_bytes_and_a_row_those_of_its_counters() -> None:
    assert len(pack_deltas(0, 0, [])) == 16
    assert len(pack_deltas(0, 0, [ROW] * 2)) == 16 + 2 * (12 + calcsize("<" + CODES))


@given(ROWS, st.data())
def test_a_record_that_was_cut_or_grew_is_refused_before_any_row_is_read(
    rows: list[DeltaRow], data: st.DataObject
) -> None:
    value = pack_deltas(1, 2, rows)
    cut = data.draw(st.integers(0, len(value) - 1))
    with pytest.raises(CodecError):
        unpack_deltas(value[:cut])
    with pytest.raises(CodecError):
        unpack_deltas(value + data.draw(st.binary(min_size=1, max_size=60)))


def test_an_unknown_version_is_named() -> None:
    value = b"\x07" + pack_deltas(1, 2, [])[1:]
    with pytest.raises(CodecError, match="version 7"):
        unpack_deltas(value)


@given(st.binary(max_size=100))
def test_any_other_bytes_are_refused(value: bytes) -> None:
    with suppress(CodecError):
        unpacked(value)


@pytest.mark.parametrize(
    "row", [(-1, 0, *VIDEO.nothing), (0, 2**32, *VIDEO.nothing), (2**64, 0, *VIDEO.nothing)]
)
def test_a_number_that_does_not_fit_is_not_packed(row: DeltaRow) -> None:
    with pytest.raises(ValueError, match="not a delta record"):
        pack_deltas(0, 0, [row])
