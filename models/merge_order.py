"""The order in which a partition counted the events of its two topics: input and repartition.

Each topic has its own order. The worker chooses how to merge them, and the outcomes late and
duplicate depend on it. So each commit with passed-on events sends one record to the order topic, a
JSON text of pairs::

    [[input, passed_on], ...]

A pair covers the records of the repartition topic before ``passed_on`` that no earlier pair covers.
They were counted after the records of the input before ``input``, and before the rest. All numbers
are offsets of the order record's own partition number.
"""

from collections.abc import Iterable

import msgspec

from models.errors import CodecError

#: An offset of the input, and one of the repartition topic.
Pair = tuple[int, int]

_decoder = msgspec.json.Decoder(list[Pair])


class MergeOrder:
    """The pairs of a partition since its last commit."""

    __slots__ = ("_pairs",)

    def __init__(self) -> None:
        """Start empty."""
        self._pairs: list[Pair] = []

    def __bool__(self) -> bool:
        """Whether any passed-on event was counted."""
        return bool(self._pairs)

    def note(self, at: int, end: int) -> None:
        """Add a pair: passed-on records before ``end`` were counted at the input offset ``at``."""
        if self._pairs and self._pairs[-1][0] == at:
            self._pairs.pop()
        self._pairs.append((at, end))

    def take(self) -> bytes:
        """Return the pairs as a record's value, and start over."""
        pairs, self._pairs = self._pairs, []
        return msgspec.json.encode(pairs)


def unpack_order(values: Iterable[bytes | None]) -> list[Pair]:
    """Return the pairs of a partition's order records; CodecError if one is not such a record."""
    try:
        return [pair for value in values for pair in _decoder.decode(value or b"")]
    except msgspec.DecodeError as error:
        raise CodecError(f"not an order record: {error}") from error
