"""Export files of all formats hold what the routes answer; null becomes a missing value."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow.parquet
import pytest

from exporting.columns import SummedMetrics
from exporting.writers import Format, open_writer
from models.schema import Metadata
from models.windows import from_iso, to_iso

if TYPE_CHECKING:
    from pathlib import Path

    from tests.views.conftest import Worker


AT = "2025-01-15T14:30:45.123Z"
SINCE = "2025-01-15T12:15:00Z"


def rows_of(path: Path, kind: Format) -> list[dict[str, Any]]:
    """Read a file as its users do."""
    if kind in {"parquet", "arrow"}:
        read = pl.read_parquet if kind == "parquet" else pl.read_ipc
        return [
            {name: _plain(value) for name, value in row.items()}
            for row in read(path).iter_rows(named=True)
        ]
    with path.open(newline="") as lines:
        return list(map(json.loads, lines) if kind == "jsonl" else csv.DictReader(lines))


def _plain(value: Any) -> Any:
    return to_iso(round(value.timestamp() * 1000)) if hasattr(value, "timestamp") else value


def _flat(answer: dict[str, Any], kind: Format) -> dict[str, Any]:
    window = {f"window_{name}": value for name, value in answer["window"].items()}
    head = {name: answer[name] for name in ("creator_id", "as_of")}
    rest = {n: v for n, v in answer.items() if n not in (*head, "window")}
    row = head | window | rest
    return {n: "" if v is None else str(v) for n, v in row.items()} if kind == "csv" else row


@pytest.mark.parametrize("kind", list(Format))
async def test_creators_are_in_files_as_the_route_answers_them(
    worker: Worker, tmp_path: Path, kind: Format
) -> None:
    """One partition has counted from the beginning, the other has not; one has no position."""
    worker.put_creator(1, ("video_view", AT, Metadata(45_000, 0.5)), ("follow", AT, Metadata()))
    worker.put_creator(2, ("like", AT, Metadata()))
    ids = [1, 2]
    assert len({worker.creators.partition(each) for each in ids}) == len(ids)
    worker.creators.state(2).complete_from = from_iso(SINCE)
    metrics, path = SummedMetrics(worker.creator_windows, None), tmp_path / f"creators.{kind}"
    writer = open_writer(kind, path, metrics.columns, {"reels.table": "creators"})
    for each in ids:
        state = worker.creators.state(each)
        value = state.get(b"%d" % each)
        writer.write(metrics.values([each], [value], from_iso(AT), state.complete_from))
    writer.close()
    answers = [(await worker.ask(f"/creators/{each}?at={AT}")).json for each in ids]
    assert [answer["complete_since"] for answer in answers] == [None, SINCE]
    assert rows_of(path, kind) == [_flat(answer, kind) for answer in answers]
    if kind is Format.PARQUET:
        schema = pyarrow.parquet.read_schema(path)
        assert schema.metadata[b"reels.table"] == b"creators"
        assert str(schema.field("complete_since").type) == "timestamp[ms, tz=UTC]"
