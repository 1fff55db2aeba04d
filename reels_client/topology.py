"""Owners of keys, from a worker's overview and Kafka's default partitioner."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

_SEED = 0x9747B28C
_M = 0x5BD1E995
_U32 = 0xFFFFFFFF


def partition_of(key: int, partitions: int) -> int:
    """Return the partition of a key: murmur2 of its decimal text, as in Kafka's Java client."""
    data = b"%d" % key
    size = len(data)
    h = _SEED ^ size
    blocks = size & ~3
    for at in range(0, blocks, 4):
        k = int.from_bytes(data[at : at + 4], "little") * _M & _U32
        h = h * _M & _U32 ^ (k ^ k >> 24) * _M & _U32
    if size > blocks:
        h = (h ^ int.from_bytes(data[blocks:], "little")) * _M & _U32
    h = (h ^ h >> 13) * _M & _U32
    return ((h ^ h >> 15) & 0x7FFFFFFF) % partitions


class Topology(NamedTuple):
    """The number of partitions, and their owners' addresses where known."""

    partitions: int
    owners: dict[int, str]

    @classmethod
    def of(cls, overview: dict[str, Any]) -> Self:
        """Parse an answer of ``GET /overview``; an invalid one raises KeyError or TypeError."""
        found = overview["partitions"]
        shared = set(found.get("shared_addresses", ()))
        owners = {
            number: url.rstrip("/")
            for url, numbers in found["by_worker"].items()
            if url not in shared
            for number in numbers
        }
        return cls(int(found["total"]), owners)

    def owner(self, key: int) -> str | None:
        """Return the address of a key's owner, None without one."""
        return self.owners.get(partition_of(key, self.partitions))
