"""Sequence numbers of a producer's records continue at 0 after 2**31 - 1, as in Kafka.

aiokafka 0.14 continues at -2**31, and brokers refuse a batch with a negative number. A producer
reaches that after two billion records to one partition, such as a changelog's.

Depends on the internals of aiokafka 0.14 (``TransactionManager``);
``tests/streaming/test_producer.py`` fails when they change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiokafka.producer.transaction_manager import TransactionManager

if TYPE_CHECKING:
    from aiokafka.structs import TopicPartition

_LARGEST = 2**31 - 1


def _increment(manager: TransactionManager, tp: TopicPartition, increment: int) -> None:
    manager._sequence_numbers[tp] = (manager._sequence_numbers[tp] + increment) & _LARGEST


def install() -> None:
    """Change all producers of this process."""
    TransactionManager.increment_sequence_number = _increment
