"""Packed batches have the bytes that aiokafka would write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given
from hypothesis import strategies as st

from accelerator import WireBackend, layer_backend
from streaming.kafka.batch_writer import pack, packer
from tests.layers import layer_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiokafka.producer.message_accumulator import BatchBuilder

    from streaming.kafka.batch_writer import Pack
    from tables.layers import Layer


NOW_S = 1_736_951_445.123


def compiled(values: Layer, limit: int) -> Iterator[BatchBuilder]:
    """Pack values as a worker packs those of a compiled layer."""
    layer = layer_of(layer_backend(accelerated=True), values.items())
    return packer(WireBackend.of(accelerated=True).pack)(layer, limit)


FORMS: dict[str, Pack] = {"one by one": pack, "compiled": compiled}
each_form = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)


def sent(form: Pack, values: Layer, limit: int) -> list[tuple[bytes, int]]:
    """Return the batches as aiokafka sends them, with sequences that begin at 7."""
    found: list[tuple[bytes, int]] = []
    sequence = 7
    with patch("streaming.kafka.batch_writer.time", lambda: NOW_S):
        for batch in form(values, limit):
            assert batch.closed()
            assert batch.append(timestamp=None, key=b"k", value=b"v") is None
            size = batch.size()
            batch._set_producer_state(4_000_000_000, 3, sequence)
            data = bytes(batch._build())
            assert len(data) == batch.size() == size
            found.append((data, batch.record_count()))
            sequence += batch.record_count()
    return found


TEXTS = st.binary(max_size=40) | st.integers(0, 300).map(lambda size: b"x" * size)


@given(st.dictionaries(TEXTS, st.none() | TEXTS, min_size=1, max_size=60), st.integers(62, 900))
def test_the_compiled_form_makes_the_same_bytes(
    values: dict[bytes, bytes | None], limit: int
) -> None:
    assert sent(FORMS["compiled"], values, limit) == sent(pack, values, limit)


@pytest.mark.parametrize("size", [63, 64, 8191, 8192, 70_000, 2_000_000])
@pytest.mark.parametrize("count", [1, 65, 130])
def test_also_where_a_number_takes_a_byte_more(size: int, count: int) -> None:
    values: dict[bytes, bytes | None] = {b"%d" % number: b"x" * size for number in range(count)}
    assert sent(FORMS["compiled"], values, 1 << 17) == sent(pack, values, 1 << 17)


@each_form
def test_a_batch_is_read_as_what_was_packed(form: Pack) -> None:
    values = {b"%d" % number: None if number % 7 == 0 else b"v" * number for number in range(500)}
    found: list[Any] = []
    for data, count in sent(form, values, 4096):
        assert len(data) < 4096
        batch = MemoryRecords(data).next_batch()
        assert batch.validate_crc()
        assert batch.is_transactional
        assert (batch.producer_id, batch.producer_epoch) == (4_000_000_000, 3)
        assert batch.base_sequence == 7 + len(found)
        records = list(batch)
        assert len(records) == count
        assert {record.timestamp for record in records} == {int(NOW_S * 1000)}
        found += records
    assert {record.key: record.value for record in found} == values
    assert [record.key for record in found] == list(values)


@each_form
@pytest.mark.parametrize("values", [{"text": b""}, {b"key": 1}])
def test_what_is_no_bytes_is_refused(form: Pack, values: Any) -> None:
    with pytest.raises(TypeError):
        list(form(values, 1 << 17))
