"""Promise: ids go to the partitions that Kafka's own producers choose."""

from __future__ import annotations

import numpy as np
import pytest
from aiokafka.partitioner import murmur2
from hypothesis import given
from hypothesis import strategies as st

from models.partitioner import murmur2_partitions, partition_of

IDS = st.integers(0, 2**63 - 1) | st.integers(0, 19).flatmap(
    lambda digits: st.integers(0, min(10**digits, 2**63 - 1))
)
EDGES = sorted({min(10**n + d, 2**63 - 1) for n in range(20) for d in (-1, 0, 1)} | {2, 2**63 - 1})


def kafkas(key: int, n: int) -> int:
    hashed: int = murmur2(b"%d" % key)
    return (hashed & 0x7FFFFFFF) % n


@given(IDS, st.integers(1, 1000))
def test_one_id_goes_where_kafka_sends_it(key: int, n: int) -> None:
    assert partition_of(key, n) == kafkas(key, n)


@given(st.lists(IDS, max_size=80), st.integers(1, 1000))
def test_each_id_of_a_batch_goes_where_kafka_sends_it(keys: list[int], n: int) -> None:
    assert murmur2_partitions(keys, n).tolist() == [kafkas(key, n) for key in keys]


@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
def test_arrays_are_taken_as_lists_are_whatever_the_lengths_of_their_ids(
    dtype: type[np.generic],
) -> None:
    keys = EDGES * 20
    expected = [kafkas(key, 8) for key in keys]
    assert murmur2_partitions(np.array(keys, dtype=dtype), 8).tolist() == expected
    assert murmur2_partitions(keys, 8).tolist() == expected


def test_ids_above_63_bits_are_hashed_by_their_digits_too() -> None:
    keys = [2**63, 10**19 - 1, 10**19, 2**64 - 1] * 20
    assert murmur2_partitions(keys, 31).tolist() == [kafkas(key, 31) for key in keys]
    assert [partition_of(key, 31) for key in keys] == [kafkas(key, 31) for key in keys]


def test_no_ids_go_nowhere() -> None:
    assert murmur2_partitions([], 8).tolist() == []


def test_the_order_of_a_batch_is_kept() -> None:
    keys = [7, 10**18, 42, 7, 10**9, 0]
    assert murmur2_partitions(keys, 64).tolist() == [partition_of(key, 64) for key in keys]
