"""Promises about produce requests: the bytes that aiokafka would send."""

from __future__ import annotations

import pytest
from aiokafka.producer import sender
from aiokafka.protocol.produce import ProduceRequest, ProduceRequest_v7
from hypothesis import given
from hypothesis import strategies as st

import streaming.transaction  # noqa: F401 - has producers send them
from streaming.produce import FlatProduceRequest, FlatRequest

PRODUCE = 0

NUMBERS = st.integers(-(1 << 31), (1 << 31) - 1)
TEXTS = st.text(max_size=20)
RECORDS = st.binary(max_size=40) | st.binary(max_size=40).map(bytearray)
PARTITIONS = st.lists(st.tuples(NUMBERS, RECORDS), max_size=4)
REQUESTS = st.tuples(
    st.none() | TEXTS,
    st.sampled_from([-1, 0, 1]),
    NUMBERS,
    st.lists(st.tuples(TEXTS, PARTITIONS), max_size=4),
)


@given(REQUESTS)
def test_a_request_is_sent_as_aiokafka_encodes_it(request):
    assert FlatRequest(*request).encode() == ProduceRequest_v7(*request).encode()


@pytest.mark.parametrize("newest", [3, 6, 7, 12])
def test_the_version_is_the_newest_that_both_sides_know(newest):
    arguments = (None, -1, 1000, [("topic", [(0, b"records")])])
    versions = {PRODUCE: (3, newest)}
    ours = FlatProduceRequest(*arguments).prepare(versions)
    its = ProduceRequest(*arguments).prepare(versions)
    assert (ours.API_KEY, ours.API_VERSION) == (its.API_KEY, its.API_VERSION)
    assert ours.RESPONSE_TYPE is its.RESPONSE_TYPE
    assert ours.encode() == its.encode()


def test_producers_send_them():
    assert sender.ProduceRequest is FlatProduceRequest
    assert isinstance(FlatProduceRequest(None, -1, 1000, []), ProduceRequest)
