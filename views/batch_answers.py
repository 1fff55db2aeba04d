"""How a batch's answer is put together: rows as they come, from here and from other workers."""

from __future__ import annotations

import asyncio
from itertools import chain
from typing import TYPE_CHECKING, Final, Protocol

import msgspec
import orjson

from views.answers import json_text_response

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from aiohttp import web

    from views.batch_rows import Summed
    from views.entities import Entity

#: Rows that are rendered before others get their turn: less than five milliseconds.
AT_ONCE: Final = 1000

#: What is said of ids without a row.
UNKNOWN: Final = "unknown"
UNAVAILABLE: Final = "unavailable"

_decode: Final = msgspec.json.Decoder(dict[str, list[msgspec.Raw]]).decode


class AnswerError(ValueError):
    """Another worker's answer is none to what it was asked."""


class BatchAnswer(Protocol):
    """Rows by the positions of their ids in the request."""

    @property
    def media(self) -> str:
        """The media type."""

    def add(self, positions: Sequence[int], batch: Summed) -> None:
        """Take the sums of the ids at ``positions``."""

    def add_answer(
        self, position_of: Mapping[int, int], body: bytes
    ) -> tuple[list[int], list[int]]:
        """Take another worker's answer to the ids in ``position_of``.

        Returns:
            The ids that it does not know, and those that it cannot answer for.

        Raises:
            AnswerError: it is an answer to something else.
        """

    async def response(
        self, left: Mapping[str, list[int]], headers: Mapping[str, str]
    ) -> web.Response:
        """Return the answer; ``left`` has the ids that are unknown and unavailable."""


class JsonAnswer:
    """An object with a list of rows."""

    media = "application/json"

    def __init__(self, entity: Entity, count: int) -> None:
        """Begin with no row for ``count`` ids."""
        self._entity = entity
        self._rows: list[bytes | None] = [None] * count
        # Of rows that are to be made.
        self._parts: list[Summed] = []
        self._positions: list[Sequence[int]] = []

    def add(self, positions: Sequence[int], batch: Summed) -> None:
        """See :class:`BatchAnswer`."""
        self._parts.append(batch)
        self._positions.append(positions)

    def add_answer(
        self, position_of: Mapping[int, int], body: bytes
    ) -> tuple[list[int], list[int]]:
        """See :class:`BatchAnswer`. Rows stay the text that they are."""
        try:
            answer = _decode(body)
            rows = answer[self._entity.name]
            unknown, unavailable = (
                [int(bytes(each)) for each in answer[name]] for name in (UNKNOWN, UNAVAILABLE)
            )
        except (msgspec.DecodeError, KeyError, ValueError) as exc:
            raise AnswerError(f"an answer to a batch is none: {exc!r}") from exc
        without = {*unknown, *unavailable}
        ids = [key for key in position_of if key not in without]
        if len(rows) != len(ids) or not without <= position_of.keys():
            raise AnswerError("an answer to a batch has other ids than the request")
        for key, row in zip(ids, rows, strict=True):
            self._rows[position_of[key]] = bytes(row)
        return unknown, unavailable

    async def response(
        self, left: Mapping[str, list[int]], headers: Mapping[str, str]
    ) -> web.Response:
        """See :class:`BatchAnswer`."""
        rows = self._rows
        for number, (first, end) in enumerate(_runs([len(part.ids) for part in self._parts])):
            if number:
                await asyncio.sleep(0)
            made = self._entity.rows(self._parts[first:end])
            positions = chain.from_iterable(self._positions[first:end])
            for position, row in zip(positions, made, strict=True):
                rows[position] = row
        text = b",".join([row for row in rows if row is not None])
        ends = b",".join(b'"%b":%b' % (k.encode(), orjson.dumps(ids)) for k, ids in left.items())
        body = b'{"%b":[%b],%b}' % (self._entity.name.encode(), text, ends)
        return json_text_response(body, headers=headers)


def _runs(sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield runs of parts of these sizes that have :data:`AT_ONCE` rows, or a part more."""
    first = rows = 0
    for number, size in enumerate(sizes):
        rows += size
        if rows >= AT_ONCE or number == len(sizes) - 1:
            yield first, number + 1
            first, rows = number + 1, 0
