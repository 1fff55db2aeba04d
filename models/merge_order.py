"""In which order a partition counted the events of two topics: the input, and what was passed on.

Each topic has its order. How the two were merged is the worker's choice, and late and duplicate
depend on it. So each commit with passed-on events sends one record to the order topic, a JSON text
of pairs::

    [[input, passed_on], ...]

The records of the repartition topic before ``passed_on`` that no pair before named were counted
after all records of the input before ``input``, and before all others. All numbers are offsets of
the partition that the order record itself lies in.
"""

from collections.abc import Iterable

import msgspec

from models.errors import CodecError

Pair = tuple[int, int]
"""An offset of the input, and one of the repartition topic."""

_decoder = msgspec.json.Decoder(list[Pair])


class MergeOrder:
    """What a partition has counted since its last commit, as the pairs above."""

    __slots__ = ("_pairs",)

    def __init__(self) -> None:
        """Start with nothing."""
        self._pairs: list[Pair] = []

    def __bool__(self) -> bool:
        """Whether anything that was passed on was counted."""
        return bool(self._pairs)

    def note(self, at: int, end: int) -> None:
        """Note that passed-on records before ``end`` came when the input stood at ``at``."""
        if self._pairs and self._pairs[-1][0] == at:
            self._pairs.pop()
        self._pairs.append((at, end))

    def take(self) -> bytes:
        """Return all this as a record's value, and start with nothing."""
        pairs, self._pairs = self._pairs, []
        return msgspec.json.encode(pairs)


def unpack_order(values: Iterable[bytes | None]) -> list[Pair]:
    """Return the pairs of a partition's order records; CodecError when one is no such record."""
    try:
        return [pair for value in values for pair in _decoder.decode(value or b"")]
    except msgspec.DecodeError as error:
        raise CodecError(f"not an order record: {error}") from error
