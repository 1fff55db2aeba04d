"""File formats of exports. Each writer writes one file, batch by batch."""

from __future__ import annotations

import csv
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import orjson

from exporting.errors import ExportError
from models.columns import ColumnKind, arrow_types
from models.timestamps import to_iso

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from exporting.columns import Values
    from models.columns import Column

#: Rows per row group (Parquet) or record batch (Arrow), at least; the last one may have fewer.
GROUP_ROWS = 128_000


class Format(StrEnum):
    """File formats; the values are file extensions."""

    PARQUET = "parquet"
    ARROW = "arrow"
    CSV = "csv"
    JSONL = "jsonl"


class Writer(Protocol):
    """Writes one file."""

    def write(self, values: Values) -> None:
        """Append rows, given as columns."""

    def close(self) -> None:
        """Write the remaining rows, and close the file."""


def open_writer(
    kind: Format, path: Path, columns: Sequence[Column], metadata: Mapping[str, str]
) -> Writer:
    """Open a file; ``metadata`` is written if the format supports it.

    Raises:
        ExportError: the format needs pyarrow, which is not installed.
    """
    if kind is Format.CSV:
        return _CsvWriter(path, columns)
    if kind is Format.JSONL:
        return _JsonWriter(path, columns)
    return _ArrowWriter(kind, path, columns, metadata)


def check_format(kind: Format) -> None:
    """Raise ExportError if this format cannot be written here."""
    if kind in {Format.PARQUET, Format.ARROW}:
        _pyarrow()


def _pyarrow() -> Any:
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra: most workers run without it
        import pyarrow.parquet  # noqa: PLC0415
    except ImportError as exc:
        raise ExportError(
            "the formats parquet and arrow need pyarrow: run pip install pyarrow (the extra "
            "`arrow`), or choose --format csv or jsonl"
        ) from exc
    return pa


class _ArrowWriter:
    """Parquet and Arrow files: typed columns."""

    def __init__(
        self, kind: Format, path: Path, columns: Sequence[Column], metadata: Mapping[str, str]
    ) -> None:
        pa = _pyarrow()
        types = arrow_types(pa)
        fields = [pa.field(each.name, types[each.kind], each.nullable) for each in columns]
        self._pa = pa
        self._schema = pa.schema(fields, metadata=dict(metadata))
        self._batches: list[Any] = []
        self._rows = 0
        if kind is Format.PARQUET:
            self._writer = pa.parquet.ParquetWriter(str(path), self._schema, compression="zstd")
        else:
            self._writer = pa.ipc.new_file(str(path), self._schema)

    def write(self, values: Values) -> None:
        """See :class:`Writer`."""
        pa = self._pa
        arrays = [
            pa.array(column).cast(field.type)
            if isinstance(column, np.ndarray) and column.dtype != object
            else pa.array(column, field.type)
            for column, field in zip(values, self._schema, strict=True)
        ]
        self._batches.append(pa.record_batch(arrays, schema=self._schema))
        self._rows += len(values[0])
        if self._rows >= GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._batches:
            table = self._pa.Table.from_batches(self._batches, self._schema).combine_chunks()
            self._writer.write_table(table)
            self._batches, self._rows = [], 0

    def close(self) -> None:
        """See :class:`Writer`."""
        self._flush()
        self._writer.close()


def _as_texts(values: Values, columns: Sequence[Column]) -> Iterable[tuple[Any, ...]]:
    """Yield rows with times as text."""
    plain = [each.tolist() if isinstance(each, np.ndarray) else each for each in values]
    shown = [
        _times(column) if each.kind is ColumnKind.TIME else column
        for each, column in zip(columns, plain, strict=True)
    ]
    return zip(*shown, strict=True)


def _times(column: list[int | None]) -> list[str | None]:
    # A column of times has few distinct values.
    texts = {time: None if time is None else to_iso(time) for time in set(column)}
    return [texts[time] for time in column]


class _CsvWriter:
    """Comma-separated values with a header line; missing values are empty."""

    def __init__(self, path: Path, columns: Sequence[Column]) -> None:
        self._columns = columns
        self._file = path.open("w", encoding="utf-8", newline="")
        self._csv = csv.writer(self._file, lineterminator="\n")
        self._csv.writerow([each.name for each in columns])
        self._flags = [n for n, each in enumerate(columns) if each.kind is ColumnKind.FLAG]

    def write(self, values: Values) -> None:
        """See :class:`Writer`."""
        shown = list(values)
        for number in self._flags:
            shown[number] = ["true" if flag else "false" for flag in shown[number]]
        self._csv.writerows(_as_texts(shown, self._columns))

    def close(self) -> None:
        """See :class:`Writer`."""
        self._file.close()


class _JsonWriter:
    """One JSON object per line."""

    def __init__(self, path: Path, columns: Sequence[Column]) -> None:
        self._columns = columns
        self._names = [each.name for each in columns]
        self._file = path.open("wb")
        self._dumps: Callable[[Any], bytes] = orjson.dumps

    def write(self, values: Values) -> None:
        """See :class:`Writer`."""
        names, dumps = self._names, self._dumps
        rows = _as_texts(values, self._columns)
        self._file.write(
            b"".join(dumps(dict(zip(names, row, strict=True))) + b"\n" for row in rows)
        )

    def close(self) -> None:
        """See :class:`Writer`."""
        self._file.close()
