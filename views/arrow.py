"""Answers as Arrow IPC streams, if pyarrow is installed (the extra ``arrow``).

Known ids have a row each, in the order asked; others are JSON lists in the schema's metadata.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import orjson
from aiohttp import hdrs, web

from models.columns import NO_TIME, Column, ColumnKind, arrow_types
from views.answers import HttpError
from views.batch_answers import UNAVAILABLE, UNKNOWN, AnswerError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from views.batch_rows import Summed
    from views.entities import BatchTable

MEDIA: Final = "application/vnd.apache.arrow.stream"

#: Added if copies may answer: whether one did.
_STALE: Final = Column("stale", ColumnKind.FLAG)

_ORDER: Final = Column("order", ColumnKind.INTEGER)


def is_asked_for(request: web.Request) -> bool:
    """Whether a request accepts an Arrow stream with a quality above 0."""
    for each in request.headers.get(hdrs.ACCEPT, "").split(","):
        media, *parameters = [part.strip().lower() for part in each.split(";")]
        if media == MEDIA:
            return not any(part.replace(" ", "") in {"q=0", "q=0.0"} for part in parameters)
    return False


async def load() -> Any:
    """Import pyarrow, in a thread because it takes a while.

    Raises:
        HttpError: it is not installed.
    """
    try:
        # Includes the module that pyarrow itself would import at the first sort of a table.
        await asyncio.to_thread(import_module, "pyarrow.compute")
        return import_module("pyarrow")
    except ImportError as exc:
        raise HttpError(
            HTTPStatus.NOT_ACCEPTABLE,
            "not_acceptable",
            "this worker answers in JSON only: for Arrow, pip install pyarrow (the extra `arrow`)",
        ) from exc


class ArrowAnswer:
    """An answer as an Arrow table."""

    media = MEDIA

    def __init__(self, pyarrow: Any, entity: BatchTable, *, stale_is_ok: bool) -> None:
        """Begin without rows."""
        self._pa = pyarrow
        self._key = entity.key
        self._columns = entity.columns
        self._types = arrow_types(pyarrow)
        self._schema_here = (*entity.schema, *([_STALE] if stale_is_ok else []))
        self._schema = pyarrow.schema(
            [(column.name, self._types[column.kind]) for column in self._schema_here]
        )
        # Rows read here, in parts: arrays are built from all of them at once.
        self._parts: list[Summed] = []
        self._positions: list[int] = []
        self._tables: list[Any] = []
        self._their_positions: list[int] = []

    def add(self, positions: Sequence[int], batch: Summed) -> None:
        """See :class:`BatchAnswer`."""
        self._parts.append(batch)
        self._positions += positions

    def _table(self) -> Any:
        """Return the rows read here, in the order of their positions."""
        parts = self._parts
        columns = self._columns(parts) if parts else {}
        columns[_STALE.name] = np.repeat(
            [part.is_stale for part in parts], [len(part.ids) for part in parts]
        )
        order = np.argsort(np.array(self._positions, np.int64))
        self._positions.sort()
        empty = np.empty(0, np.int64)
        arrays = [
            self._array(column, columns.get(column.name, empty)[order])
            for column in self._schema_here
        ]
        return self._pa.Table.from_arrays(arrays, schema=self._schema)

    def _array(self, column: Column, values: Any) -> Any:
        """Return an Arrow array that shares numpy's memory.

        ``pyarrow.array`` would first import pandas if installed, which takes up to a second.
        """
        pa, there = self._pa, None
        if column.kind is ColumnKind.FLAG:
            data = np.packbits(values.astype(np.bool_), bitorder="little")
        else:
            data = values.astype(np.float64 if column.kind is ColumnKind.FLOAT else np.int64)
            if column.nullable:
                there = ~np.isnan(data) if column.kind is ColumnKind.FLOAT else data != NO_TIME
        bits = None if there is None else pa.py_buffer(np.packbits(there, bitorder="little"))
        return pa.Array.from_buffers(
            self._types[column.kind], len(values), [bits, pa.py_buffer(data)]
        )

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
            raise AnswerError(f"a batch answer is invalid: {exc!r}") from exc
        if len(positions) + len(unknown) + len(unavailable) != len(position_of):
            raise AnswerError("a batch answer has other ids than the request")
        self._tables.append(table)
        self._their_positions += positions
        return unknown, unavailable

    async def response(
        self, left: Mapping[str, list[int]], headers: Mapping[str, str]
    ) -> web.Response:
        """See :class:`BatchAnswer`."""
        pa, table = self._pa, self._table()
        if self._tables:
            table = pa.concat_tables([table, *self._tables]).combine_chunks()
            order = np.argsort(np.array(self._positions + self._their_positions, np.int64))
            table = table.take(self._array(_ORDER, order))
        metadata = {name: orjson.dumps(ids) for name, ids in left.items()}
        table = table.replace_schema_metadata(metadata)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
        body = sink.getvalue().to_pybytes()
        return web.Response(body=body, headers={**headers, hdrs.CONTENT_TYPE: MEDIA})
