"""The load: synthetic, reproducible events of a video platform's users, made fast.

It uses neither Kafka nor a clock. Tests, benchmarks and the load generator use the same
stream::

    workload = Workload(seed=7, users=1000, duplicates=0.05)
    chunk = workload.chunk(10_000)  # keys, values and kinds of records
"""

from loadgen.kinds import EventKind
from loadgen.workload import EventChunk, Workload, crc32_partitions

__all__ = ["EventChunk", "EventKind", "Workload", "crc32_partitions"]
