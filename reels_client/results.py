"""Results of several batches as one: rows by id, or an Arrow table."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from reels_client.connection import ARROW, JSON
from reels_client.errors import ReelsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa


class Left(NamedTuple):
    """Ids of one answer without a row."""

    unknown: list[int]
    unavailable: list[int]


class Result(Protocol):
    """Collects the answers of several requests, in any order."""

    accept: str

    def add(self, body: bytes) -> Left:
        """Add an answer. Raises ReelsError if it is invalid."""


class Rows:
    """Rows by id."""

    accept = JSON

    def __init__(self, table: str, key: str) -> None:
        """Expect a list ``table`` of rows with their ids in the field ``key``."""
        self._table = table
        self._key = key
        self._rows: dict[int, dict[str, Any]] = {}

    def add(self, body: bytes) -> Left:
        """See :class:`Result`."""
        try:
            answer = json.loads(body)
            self._rows.update((row[self._key], row) for row in answer[self._table])
            return Left(answer["unknown"], answer["unavailable"])
        except (ValueError, KeyError, TypeError) as exc:
            raise ReelsError(0, "invalid_answer", f"the answer is not a batch: {exc!r}") from exc

    def of(self, ids: Sequence[int]) -> dict[int, dict[str, Any]]:
        """Return the rows in the order of ``ids``."""
        return {key: self._rows[key] for key in ids if key in self._rows}


class Tables:
    """Rows as an Arrow table."""

    accept = ARROW

    def __init__(self, key: str) -> None:
        """Expect tables with ids in the column ``key``. Raises ImportError without pyarrow."""
        try:
            import pyarrow as pa  # noqa: PLC0415 - only this class needs it
        except ImportError as exc:
            raise ImportError("tables need pyarrow: pip install pyarrow") from exc

        self._pa: Any = pa
        self._key = key
        self._tables: list[Any] = []
        self._unknown: list[int] = []

    def add(self, body: bytes) -> Left:
        """See :class:`Result`."""
        try:
            table = self._pa.ipc.open_stream(body).read_all()
            metadata = table.schema.metadata
            unknown, unavailable = (
                json.loads(metadata[name]) for name in (b"unknown", b"unavailable")
            )
        except (self._pa.ArrowException, ValueError, KeyError, TypeError) as exc:
            raise ReelsError(0, "invalid_answer", f"the answer is not a table: {exc!r}") from exc
        self._tables.append(table.replace_schema_metadata(None))
        self._unknown += unknown
        return Left(unknown, unavailable)

    def of(self, ids: Sequence[int]) -> pa.Table:
        """Return one table in the order of ``ids``; its metadata lists the unknown ones."""
        table = self._pa.concat_tables(self._tables)
        row_of = {key: row for row, key in enumerate(table.column(self._key).to_pylist())}
        order = [row_of[key] for key in ids if key in row_of]
        unknown = set(self._unknown)
        metadata = {
            "unknown": json.dumps([key for key in ids if key in unknown]),
            "unavailable": "[]",
        }
        table = table.take(self._pa.array(order, self._pa.int64()))
        return table.combine_chunks().replace_schema_metadata(metadata)
