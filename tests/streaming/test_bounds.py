"""Outgoing records are fitted to their topic's limits, and headers describe the original."""

from __future__ import annotations

from hashlib import sha256
from time import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.cut import CutBytes
from monitoring import metrics
from streaming.kafka.batch_writer import record_batches
from streaming.kafka.record_bounds import HEADER_BYTES, MARGIN_MS, ORIGINAL_HEADER, fit, size_of
from streaming.kafka.records import OutRecord
from streaming.kafka.topic_limits import TopicLimits

SMALL = TopicLimits(batch_bytes=10_000)
OWN = (("reason", b"too_large"), ("source.offset", b"17"))


def altered(part: str) -> float:
    count: float = metrics.records_altered.labels(part)._value.get()
    return count


def test_what_fits_is_sent_as_it_is() -> None:
    record = OutRecord(b"7", b"x" * 9000, OWN, int(time() * 1000), whole=False)
    assert fit(record, SMALL) is record


def test_a_value_is_cut_to_what_the_topic_takes_and_can_be_told_by_size_and_hash() -> None:
    before, value = altered("value"), bytes(range(256)) * 100
    cut = fit(OutRecord(b"7", value, OWN, whole=False), SMALL)
    assert cut.key == b"7"
    assert cut.value is not None
    assert value.startswith(cut.value)
    assert 9000 < size_of(cut) <= 10_000
    assert cut.headers == (
        *OWN,
        ("original.size", b"25600"),
        ("original.sha256", sha256(value).hexdigest().encode()),
    )
    assert altered("value") == before + 1


@pytest.mark.parametrize("kept", [5000, 50_000])
def test_a_value_that_was_cut_as_it_was_read_has_its_first_size(kept: int) -> None:
    cut = fit(OutRecord(b"7", CutBytes.of(b"v" * kept, 3_000_000), OWN, whole=False), SMALL)
    assert cut.headers == (*OWN, ("original.size", b"3000000"))
    assert size_of(cut) <= 10_000


def test_a_large_key_leaves_room_for_the_value() -> None:
    key, value = b"k" * 50_000, b"v" * 50_000
    cut = fit(OutRecord(key, value, OWN, whole=False), SMALL)
    assert cut.key is not None
    assert cut.value is not None
    assert key.startswith(cut.key)
    assert 2000 < len(cut.key) <= 2500
    assert value.startswith(cut.value)
    assert len(cut.value) > 6000
    assert dict(cut.headers)["original.key.size"] == b"50000"
    assert dict(cut.headers)["original.key.sha256"] == sha256(key).hexdigest().encode()


@pytest.mark.parametrize("kept", [100, 65_536])
def test_a_key_that_was_cut_as_it_was_read_has_its_first_size(kept: int) -> None:
    cut = fit(OutRecord(CutBytes.of(b"k" * kept, 3_000_000), b"v", OWN, whole=False), SMALL)
    assert cut.headers == (*OWN, ("original.key.size", b"3000000"))
    assert size_of(cut) <= 10_000


@pytest.mark.parametrize("whole", [True, False])
def test_headers_that_were_left_out_as_it_was_read_are_counted(whole: bool) -> None:
    some = tuple((f"{ORIGINAL_HEADER}{n}", b"x" * 2000) for n in range(4))
    record = OutRecord(b"7", b"v", some, whole=whole, omitted=5)
    assert dict(fit(record, SMALL).headers)["original.headers.omitted"] == b"7"
    alone = fit(record._replace(headers=()), SMALL)
    assert alone.headers == (("original.headers.omitted", b"5"),)


def test_a_key_that_is_all_there_is_too_much_of_is_cut_alone() -> None:
    cut = fit(OutRecord(b"k" * 50_000, None, OWN, whole=False), SMALL)
    assert cut.value is None
    assert "original.size" not in dict(cut.headers)
    assert size_of(cut) <= 10_000


def test_headers_are_kept_as_far_as_they_fit_and_the_rest_is_counted() -> None:
    large = ("large", b"x" * HEADER_BYTES)
    record = OutRecord(b"7", b"{}", (large, ("trace", None), ("", b"17"), large))
    kept = fit(record, TopicLimits())
    assert kept.headers == (("trace", None), ("", b"17"), ("original.headers.omitted", b"2"))
    assert (kept.key, kept.value) == (b"7", b"{}")


def test_a_dead_letter_keeps_its_own_headers_whatever_else_has_to_go() -> None:
    headers = (*OWN, (f"{ORIGINAL_HEADER}trace", b"17"), *OWN)
    kept = fit(OutRecord(None, b"{}", headers, whole=False), TopicLimits(batch_bytes=100))
    assert kept.headers[:5] == (*OWN, *OWN, ("original.headers.omitted", b"1"))


def test_many_small_headers_are_bounded_too() -> None:
    kept = fit(OutRecord(b"7", b"{}", (("", b""),) * 100_000), TopicLimits())
    assert size_of(kept) < HEADER_BYTES + 1000
    omitted = dict(kept.headers)["original.headers.omitted"]
    assert omitted is not None
    assert int(omitted) == 100_000 - (len(kept.headers) - 1)


def test_key_and_value_of_an_event_that_counts_are_never_cut() -> None:
    record = OutRecord(b"7", b"x" * 20_000, (("trace", b"17"),))
    assert fit(record, SMALL) == record


@pytest.mark.parametrize("off_ms", [-100_000_000, 100_000_000])
def test_a_time_that_the_topic_refuses_becomes_a_header(off_ms: int) -> None:
    then = int(time() * 1000) + off_ms
    limits = TopicLimits(before_ms=3_600_000, after_ms=3_600_000)
    fitting = fit(OutRecord(b"7", b"{}", (("trace", b"17"),), then), limits)
    assert fitting.timestamp is None
    assert fitting.headers == (("trace", b"17"), ("original.timestamp", b"%d" % then))
    assert fit(OutRecord(b"7", b"{}", (), then), TopicLimits()).timestamp == then


def test_a_time_close_to_the_limit_is_not_relied_on() -> None:
    limits = TopicLimits(before_ms=3_600_000)
    then = int(time() * 1000) - 3_600_000 + MARGIN_MS // 2
    assert fit(OutRecord(b"7", b"{}", (), then), limits).timestamp is None


def test_a_record_without_a_time_gets_that_of_its_sending() -> None:
    assert fit(OutRecord(b"7", b"{}", (), -1), TopicLimits()) == OutRecord(b"7", b"{}")


_NAMES = st.text(max_size=300).map(lambda name: f"{ORIGINAL_HEADER}{name}")
_HEADERS = st.lists(st.tuples(_NAMES, st.none() | st.binary(max_size=3000)))


@given(
    key=st.none() | st.binary(max_size=5000),
    value=st.none() | st.integers(0, 20_000).map(bytes),
    headers=_HEADERS,
    limit=st.integers(2_000, 20_000),
)
def test_whatever_is_rejected_becomes_a_batch_that_the_topic_takes(
    key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes | None]], limit: int
) -> None:
    record = OutRecord(key, value, (*OWN, *headers), whole=False)
    fitting = fit(record, TopicLimits(batch_bytes=limit))
    ((batch, inside),) = record_batches([fitting], limit)
    assert inside == [fitting]
    assert batch.size() <= size_of(fitting) <= limit
    assert fitting.headers[:2] == OWN
