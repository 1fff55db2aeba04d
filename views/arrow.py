"""Answers as Arrow IPC streams, where pyarrow is installed (the extra ``arrow``).

A row for each known id, in the order asked; the other ids are JSON lists in the schema's metadata.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from importlib import import_module
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import orjson
from aiohttp import hdrs, web

from models.columns import Kind, arrow_types
from views.answers import HttpError
from views.batch_answers import UNAVAILABLE, UNKNOWN, AnswerError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from views.batch_rows import Columns, Summed
    from views.entities import Entity

MEDIA: Final = "application/vnd.apache.arrow.stream"

#: Where copies may answer: whether one did.
STALE_COLUMN: Final = "stale"


def is_asked_for(request: web.Request) -> bool:
    """Whether a request accepts an Arrow stream, and does not say that it would rather not."""
    for each in request.headers.get(hdrs.ACCEPT, "").split(","):
        media, *parameters = [part.strip().lower() for part in each.split(";")]
        if media == MEDIA:
            return not any(part.replace(" ", "") in {"q=0", "q=0.0"} for part in parameters)
    return False


async def load() -> Any:
    """Return pyarrow, in a thread: it takes a while.

    Raises:
        HttpError: it is not installed.
    """
    try:
        return await asyncio.to_thread(import_module, "pyarrow")
    except ImportError as exc:
        raise HttpError(
            HTTPStatus.NOT_ACCEPTABLE,
            "not_acceptable",
            "this worker answers in JSON only: for Arrow, pip install 'reels-analytics[arrow]'",
        ) from exc


class ArrowAnswer:
    """A table."""

    media = MEDIA

    def __init__(self, pyarrow: Any, entity: Entity, *, stale_is_ok: bool) -> None:
        """Begin without a row."""
        self._pa = pyarrow
        self._key = entity.key
        self._columns = entity.columns
        types = arrow_types(pyarrow)
        fields = [(column.name, types[column.kind]) for column in entity.schema]
        if stale_is_ok:
            fields.append((STALE_COLUMN, types[Kind.FLAG]))
        self._schema = pyarrow.schema(fields)
        # Of the rows that were read here, part by part: arrays are made of all of them at once.
        self._rows: dict[str, list[Any]] = {name: [] for name, _ in fields}
        self._positions: list[int] = []
        self._tables: list[Any] = []
        self._their_positions: list[int] = []

    def add(self, positions: Sequence[int], batch: Summed, *, is_stale: bool) -> None:
        """See :class:`BatchAnswer`."""
        count = len(positions)
        columns: Columns = {**self._columns(batch), STALE_COLUMN: is_stale}
        for name, rows in self._rows.items():
            column = columns[name]
            rows.append(column if isinstance(column, list) else np.full(count, column))
        self._positions += positions

    def _array(self, parts: list[Any], kind: Any) -> Any:
        """Return one array of the parts of a column."""
        if parts and isinstance(parts[0], np.ndarray):
            whole = np.concatenate(parts)
            if self._pa.types.is_timestamp(kind):
                whole = whole.view("datetime64[ms]")
            return self._pa.array(whole, kind)
        return self._pa.array(list(chain.from_iterable(parts)), kind)

    def add_answer(
        self, position_of: Mapping[int, int], body: bytes
    ) -> tuple[list[int], list[int]]:
        """See :class:`BatchAnswer`."""
        pa = self._pa
        try:
            with pa.ipc.open_stream(body) as stream:
                table = stream.read_all()
            metadata = table.schema.metadata or {}
            unknown, unavailable = (
                list(orjson.loads(metadata[name.encode()])) for name in (UNKNOWN, UNAVAILABLE)
            )
            table = table.replace_schema_metadata(None).cast(self._schema)
            positions = [position_of[key] for key in table.column(self._key).to_pylist()]
        except (pa.ArrowException, KeyError, ValueError, TypeError) as exc:
            raise AnswerError(f"an answer to a batch is none: {exc!r}") from exc
        if len(positions) + len(unknown) + len(unavailable) != len(position_of):
            raise AnswerError("an answer to a batch has other ids than the request")
        self._tables.append(table)
        self._their_positions += positions
        return unknown, unavailable

    async def response(
        self, left: Mapping[str, list[int]], headers: Mapping[str, str]
    ) -> web.Response:
        """See :class:`BatchAnswer`."""
        pa = self._pa
        arrays = [self._array(self._rows[field.name], field.type) for field in self._schema]
        table = pa.Table.from_arrays(arrays, schema=self._schema)
        if self._tables:
            table = pa.concat_tables([table, *self._tables]).combine_chunks()
        positions = self._positions + self._their_positions
        order = sorted(range(len(positions)), key=positions.__getitem__)
        table = table.take(pa.array(order, pa.int64()))
        metadata = {name: orjson.dumps(ids) for name, ids in left.items()}
        table = table.replace_schema_metadata(metadata)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
        body = sink.getvalue().to_pybytes()
        return web.Response(body=body, headers={**headers, hdrs.CONTENT_TYPE: MEDIA})
