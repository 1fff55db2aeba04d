"""Assembly of a batch's answer from the rows of this worker and of others."""

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
    from views.entities import BatchTable

#: Rows read or rendered before the event loop may run other tasks: less than 5 ms.
ROWS_PER_SLICE: Final = 1000

#: Names of the answer's lists of ids without a row.
UNKNOWN: Final = "unknown"
UNAVAILABLE: Final = "unavailable"

_decode: Final = msgspec.json.Decoder(dict[str, list[msgspec.Raw]]).decode


class AnswerError(ValueError):
    """Another worker's answer does not match the request."""


class BatchAnswer(Protocol):
    """Collects rows by the positions of their ids in the request."""

    @property
    def media(self) -> str:
        """The media type."""

    def add(self, positions: Sequence[int], batch: Summed) -> None:
        """Add the sums of the ids at ``positions``."""

    def add_answer(
        self, position_of: Mapping[int, int], body: bytes
    ) -> tuple[list[int], list[int]]:
        """Add another worker's answer for the ids in ``position_of``.

        Returns:
            The unknown ids, and the unavailable ones.

        Raises:
            AnswerError: the answer does not match the request.
        """

    async def response(
        self, left: Mapping[str, list[int]], headers: Mapping[str, str]
    ) -> web.Response:
        """Return the answer; ``left`` has the ids that are unknown and unavailable."""


class JsonAnswer:
    """An answer as a JSON object with a list of rows."""

    media = "application/json"

    def __init__(self, entity: BatchTable, count: int) -> None:
        """Begin without rows for ``count`` ids."""
        self._entity = entity
        self._rows: list[bytes | None] = [None] * count
        # Sums and positions of rows to render.
        self._parts: list[Summed] = []
        self._positions: list[Sequence[int]] = []

    def add(self, positions: Sequence[int], batch: Summed) -> None:
        """See :class:`BatchAnswer`."""
        self._parts.append(batch)
        self._positions.append(positions)

    def add_answer(
        self, position_of: Mapping[int, int], body: bytes
    ) -> tuple[list[int], list[int]]:
        """See :class:`BatchAnswer`. Rows are copied as text."""
        try:
            answer = _decode(body)
            rows = answer[self._entity.name]
            unknown, unavailable = (
                [int(bytes(each)) for each in answer[name]] for name in (UNKNOWN, UNAVAILABLE)
            )
        except (msgspec.DecodeError, KeyError, ValueError) as exc:
            raise AnswerError(f"a batch answer is invalid: {exc!r}") from exc
        without = {*unknown, *unavailable}
        ids = [key for key in position_of if key not in without]
        if len(rows) != len(ids) or not without <= position_of.keys():
            raise AnswerError("a batch answer has other ids than the request")
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
    """Yield runs of parts of these sizes; each run ends at the part that reaches ROWS_PER_SLICE."""
    first = rows = 0
    for number, size in enumerate(sizes):
        rows += size
        if rows >= ROWS_PER_SLICE or number == len(sizes) - 1:
            yield first, number + 1
            first, rows = number + 1, 0
