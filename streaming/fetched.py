"""What a fetch brought, unpacked: whole record batches at a time.

Leans on the insides of aiokafka 0.14 (``PartitionRecords``), whose own generator copies every
record field by field; ``tests/streaming/test_insides.py`` fails when they move.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiokafka.consumer.fetcher import READ_COMMITTED
from aiokafka.errors import CorruptRecordException

if TYPE_CHECKING:
    from aiokafka.consumer.fetcher import PartitionRecords

    from .batch import Record


def unpack(fetched: PartitionRecords) -> list[Record]:
    """Return the records that a reader may see, as they were parsed; control records are none.

    Afterwards ``fetched.next_fetch_offset`` is behind all of them, and behind what was left out.

    Raises:
        CorruptRecordException: a batch is not what its checksum says.
    """
    found: list[Record] = []
    batches, reads_committed = fetched._records, fetched._isolation_level == READ_COMMITTED
    while batches.has_next():
        batch = batches.next_batch()
        if fetched._check_crcs and not batch.validate_crc():
            raise CorruptRecordException(f"Invalid CRC - {fetched._tp}")
        if reads_committed and batch.producer_id is not None:
            fetched._consume_aborted_up_to(batch.base_offset)
        if batch.is_control_batch:
            if reads_committed and fetched._contains_abort_marker(batch):
                fetched._aborted_producers.discard(batch.producer_id)
        elif not (
            reads_committed
            and batch.is_transactional
            and batch.producer_id in fetched._aborted_producers
        ):
            records: list[Record] = list(batch)
            # A fetch from the middle of a batch brings all of it.
            if records and records[0].offset < fetched.next_fetch_offset:
                records = [each for each in records if each.offset >= fetched.next_fetch_offset]
            found += records
        fetched.next_fetch_offset = batch.next_offset
    # A generator that refers to what it is kept in: with it, all that was fetched would stay until
    # the garbage collector comes by, which is seldom. A restore of 1 GB took 1 GB of memory so.
    fetched._records_iterator = None
    return found
