"""The outbox: a transaction's records other than changelog records."""

from __future__ import annotations

from streaming.kafka.records import OutRecord
from streaming.tasks.outbox import Outbox


def test_it_hands_over_what_has_gathered_in_order_and_begins_anew() -> None:
    outbox = Outbox()
    first, second = OutRecord(b"1", b"a"), OutRecord(None, None)
    outbox.add("out", 0, first)
    outbox.add("out", 1, second)
    outbox.add("out", 0, second)
    assert outbox
    assert outbox.take() == {("out", 0): [first, second], ("out", 1): [second]}
    assert not outbox
    assert outbox.take() == {}


def test_it_knows_how_much_has_gathered() -> None:
    outbox = Outbox()
    assert outbox.size == 0
    for _ in range(10):
        outbox.add("out", 0, OutRecord(b"1", bytes(1000)))
    assert 10_000 < outbox.size < 20_000
    outbox.take()
    assert outbox.size == 0
