"""A steady load prepared in advance, so that sending it takes almost no processor time.

Events are rendered into a file of Kafka's record batches before the measurement, one per partition
and tick. :mod:`benchmarks.rig.sender`, a separate process, only reads them, writes the time into
their headers and sends them when they are due. Ids and event times are those of a new stream:
nothing is replayed.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from crc32c import crc32c

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import numpy.typing as npt

    from benchmarks.rig.loads import Load

#: Seconds between two batches of a partition, as with clients that linger for 20 ms.
TICK_S = 0.02

_INDEX = np.dtype([("tick", "<i8"), ("partition", "<i8"), ("at", "<i8"), ("size", "<i8")])
_TICKS_PER_BLOCK = 16
_BATCH_BYTES = 4 << 20
#: Byte offsets in a record batch of version 2, by Kafka's documentation of the message format.
_CRC, _ATTRIBUTES, _TIMESTAMPS = 17, 21, 27


@dataclass(frozen=True, slots=True)
class Spool:
    """A load in the files ``path`` (batches) and ``path``.npy (their positions)."""

    path: Path

    @property
    def _index(self) -> Path:
        return self.path.with_suffix(".npy")

    def write(
        self,
        load: Load,
        rate: int,
        seconds: float,
        partitions: int,
        progress: Callable[[float], None] = lambda _: None,
    ) -> int:
        """Render ``seconds`` of ``load`` at ``rate`` events per second; return their number."""
        ticks = round(seconds / TICK_S)
        ends = (np.arange(1, ticks + 1) * rate * TICK_S).astype(np.int64)
        index: list[tuple[int, int, int, int]] = []
        made = 0
        with self.path.open("wb") as file:
            for first in range(0, ticks, _TICKS_PER_BLOCK):
                last = min(first + _TICKS_PER_BLOCK, ticks)
                chunk = load.chunk(int(ends[last - 1]) - made)
                places = chunk.partitions(partitions)
                begin = 0
                for tick in range(first, last):
                    end = int(ends[tick]) - made
                    for partition, batch in _batches(
                        chunk.keys[begin:end], chunk.values[begin:end], places[begin:end]
                    ):
                        index.append((tick, partition, file.tell(), len(batch)))
                        file.write(batch)
                    begin = end
                made += len(chunk)
                progress(last / ticks)
        np.save(self._index, np.array(index, _INDEX))
        return made

    def ticks(self) -> Iterator[list[tuple[int, bytearray]]]:
        """Yield the partitions and batches of each tick."""
        index = np.load(self._index)
        bounds = np.searchsorted(index["tick"], np.arange(index["tick"][-1] + 2))
        with self.path.open("rb") as file:
            for first, end in pairwise(bounds.tolist()):
                yield [
                    (int(row["partition"]), bytearray(file.read(int(row["size"]))))
                    for row in index[first:end]
                ]

    def delete(self) -> None:
        """Delete the files."""
        self.path.unlink(missing_ok=True)
        self._index.unlink(missing_ok=True)


def _batches(
    keys: list[bytes], values: list[bytes], partitions: npt.NDArray[np.int64]
) -> Iterator[tuple[int, bytes]]:
    """Yield a record batch for each partition that has records."""
    for partition in np.unique(partitions).tolist():
        builder = DefaultRecordBatchBuilder(
            magic=2,
            compression_type=0,
            is_transactional=0,
            producer_id=-1,
            producer_epoch=-1,
            base_sequence=-1,
            batch_size=_BATCH_BYTES,
        )
        for offset, index in enumerate(np.flatnonzero(partitions == partition).tolist()):
            builder.append(offset, 0, keys[index], values[index], [])
        yield partition, bytes(builder.build())


def stamp(batch: bytearray, now_ms: int) -> None:
    """Set the timestamp of all records of ``batch``, which were made with 0, to ``now_ms``."""
    struct.pack_into(">qq", batch, _TIMESTAMPS, now_ms, now_ms)
    struct.pack_into(">I", batch, _CRC, crc32c(memoryview(batch)[_ATTRIBUTES:]))
