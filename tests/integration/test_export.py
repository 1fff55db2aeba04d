"""Exports equal the answers of the routes, key by key, in files that analysts' tools read."""

from __future__ import annotations

import csv
import json
import re
from functools import cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import duckdb
import polars as pl
import pyarrow.parquet
import pytest

from commands.progress import ProgressBar
from exporting.errors import ExportError
from exporting.export import Exporter
from exporting.writers import Format
from models.windows import from_iso, to_iso
from settings import load
from streaming.kafka.clients import client_settings
from tables.summed import summed_layout
from tables.videos import video_windows
from tests.faults.aftermath import rules_of
from tests.integration import checks
from tests.integration.stream import send_stream, untidy_stream
from tests.worker import ROOT
from topology import topology

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from tests.cluster import Cluster


@pytest.fixture(scope="module")
def cluster(make_shared_cluster: Callable[..., Cluster]) -> Cluster:
    """One worker that keeps running while all tests here export its committed rows."""
    cluster = make_shared_cluster(REELS_VIRAL_MIN_VIEWS=20)
    cluster.create_topic(cluster.events)
    cluster.worker().start()
    send_stream(cluster, untidy_stream(3000, seed=29))
    cluster.wait_until_applied()
    return cluster


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("exports")


@pytest.fixture(scope="module")
def export(cluster: Cluster, folder: Path) -> Callable[..., Path]:
    """Return a function that exports once per set of options and returns the folder."""

    @cache
    def run(*words: str) -> Path:
        out = folder / "-".join(words)
        done = cluster.command("export", *words, "--out", str(out))
        assert done.returncode == 0, done.stderr
        return out

    return run


async def exported_videos(cluster: Cluster, out: Path, kind: str) -> None:
    """Export as the command does, without another process."""
    settings = load(cluster.environment)
    layout = summed_layout(video_windows(settings))
    table: Any = SimpleNamespace(changelog_topic_name=cluster.video_changelog, layout=layout)
    exported = {entry.entity.plural: entry.exported for entry in topology(settings)}
    source = exported["videos"].source(settings, "videos", table, None)
    with ProgressBar(quiet=True) as progress:
        await Exporter(source, client_settings(settings), progress).run(out, Format(kind), None)


def flat(fields: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in fields.items():
        inner = (
            flat(value, f"{prefix}{name}_") if isinstance(value, dict) else {prefix + name: value}
        )
        found |= inner
    return found


def answers(cluster: Cluster, path: str, ids: Iterable[int], query: str) -> list[dict[str, Any]]:
    """Return the worker's answer for each id, fields flattened, times in ms."""
    (worker,) = cluster.workers
    found = worker.get_all([f"/{path}/{each}?{query}" for each in ids])
    assert {status for status, _ in found} == {200}
    rows = [flat(answer) for _, answer in found]
    return [{name: _plain(value) for name, value in row.items()} for row in rows]


def _plain(value: Any) -> Any:
    return from_iso(value) if isinstance(value, str) else value


def time_of(out: Path, table: str) -> tuple[str, dict[str, Any]]:
    summary = json.loads((out / f"_{table}.json").read_text())
    return summary["at"], summary


@pytest.mark.parametrize(
    ("table", "key", "window"),
    [
        ("users", "user_id", None),
        ("users", "user_id", "2h"),
        ("videos", "video_id", None),
        ("creators", "creator_id", None),
        ("creators", "creator_id", "2h"),
    ],
)
def test_every_row_is_what_the_route_answers_at_the_same_time(
    cluster: Cluster, export: Callable[..., Path], table: str, key: str, window: str | None
) -> None:
    """Read with DuckDB, value by value; no row is missing."""
    out = export(table, *(["--window", window] if window else []))
    at, summary = time_of(out, table)
    query = f"at={at}" + (f"&window={window}" if window else "")
    relation = duckdb.sql(f"SELECT * FROM '{out}/{table}-*.parquet' ORDER BY {key}")
    assert relation is not None
    rows = [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]
    times = {
        name
        for name, kind in zip(relation.columns, relation.types, strict=True)
        if "TIME" in str(kind)
    }
    for row in rows:
        # None in ``complete_since``: nothing of the window is missing.
        moments = {name: row[name] for name in times if row[name] is not None}
        row.update({name: round(moment.timestamp() * 1000) for name, moment in moments.items()})
    assert len(rows) == summary["rows"] > (30 if table == "creators" else 100)
    assert rows == answers(cluster, table, [row[key] for row in rows], query)
    oracle = checks.ask_oracle(cluster, rules_of(cluster))
    known = sorted(getattr(oracle, f"of_{table[:-1]}"))
    asked = cluster.workers[0].get_all([f"/{table}/{each}" for each in known])
    assert sum(status == 200 for status, _ in asked) == len(rows)


def test_a_parquet_file_has_types_and_says_what_it_stands_for(
    cluster: Cluster, export: Callable[..., Path]
) -> None:
    """Types as DuckDB, pandas, polars and Spark know them; positions per partition."""
    out = export("videos")
    at, summary = time_of(out, "videos")
    files = sorted(out.glob("*.parquet"))
    assert len(files) == cluster.partitions
    for number, path in enumerate(files):
        schema = pyarrow.parquet.read_schema(path)
        assert {str(each) for each in schema.types} == {
            *("int64", "double", "bool", "timestamp[ms, tz=UTC]")
        }
        metadata = {name.decode(): value.decode() for name, value in schema.metadata.items()}
        assert metadata["reels.app_id"] == cluster.app_id
        assert (metadata["reels.at"], metadata["reels.partition"]) == (at, str(number))
        assert metadata["reels.as_of"] == summary["partitions"][number]["as_of"]
        positions = json.loads(metadata["reels.positions"])
        assert positions == summary["partitions"][number]["positions"]
        # The only worker hands sums over instead of sending them.
        assert positions.keys() == {cluster.deltas}
        assert positions[cluster.deltas]["topic_id"]


@pytest.mark.parametrize("kind", ["arrow", "csv", "jsonl"])
async def test_all_formats_hold_the_same_rows(
    cluster: Cluster, export: Callable[..., Path], tmp_path: Path, kind: str
) -> None:
    """Polars reads the Parquet files; the other formats are compared with them."""
    expected = pl.read_parquet(export("videos") / "*.parquet")
    await exported_videos(cluster, tmp_path, kind)
    check_files(tmp_path, "videos", "video_id", kind, expected)


def check_files(
    folder: Path, table: str, key: str, kind: str, expected: pl.DataFrame
) -> list[dict[str, Any]]:
    """Compare the files of a format with a frame; return the rows of a text format."""
    files = sorted(folder.glob(f"{table}-*.{kind}"))
    expected = expected.sort(key)
    if kind == "arrow":
        assert pl.concat([pl.read_ipc(path) for path in files]).sort(key).equals(expected)
        return []
    rows: list[dict[str, Any]] = []
    for path in files:
        with path.open(newline="") as lines:
            rows += map(json.loads, lines) if kind == "jsonl" else csv.DictReader(lines)
    texts = [
        {name: _text(value, kind) for name, value in row.items()}
        for row in expected.iter_rows(named=True)
    ]
    assert sorted(rows, key=lambda row: int(row[key])) == texts
    return rows


def _text(value: Any, kind: str) -> Any:
    if hasattr(value, "timestamp"):
        return to_iso(round(value.timestamp() * 1000))
    if kind == "jsonl":
        return value
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


@pytest.mark.parametrize("kind", ["arrow", "csv", "jsonl"])
def test_creators_of_all_formats_are_the_same(export: Callable[..., Path], kind: str) -> None:
    """A null, such as ``complete_since`` of complete counts, is missing in each format."""
    expected = pl.read_parquet(export("creators") / "*.parquet")
    folder = export("creators", "--format", kind)
    rows = check_files(folder, "creators", "creator_id", kind, expected)
    if kind != "arrow":
        assert {row["complete_since"] for row in rows} == {"" if kind == "csv" else None}


def test_a_table_that_is_left_out_cannot_be_exported(cluster: Cluster, tmp_path: Path) -> None:
    """The error names the setting."""
    done = cluster.command("export", "creators", "--out", str(tmp_path), REELS_CREATORS="off")
    assert (done.returncode, list(tmp_path.iterdir())) == (1, [])
    assert done.stderr == "error: this app keeps no table of creators: REELS_CREATORS is off\n"


def test_what_cannot_be_exported_is_refused_in_one_line_and_leaves_no_file(
    cluster: Cluster, tmp_path: Path
) -> None:
    """For example a time whose window is no longer complete."""
    words = "export", "users", "--at", "2025-01-01T00:00:00Z", "--out", str(tmp_path)
    done = cluster.command(*words)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: --at 2025-01-01T00:00:00Z is too early: the window begins at")
    assert list(tmp_path.iterdir()) == []


async def test_an_export_is_never_written_over(
    cluster: Cluster, export: Callable[..., Path]
) -> None:
    with pytest.raises(ExportError, match="already has an export of videos"):
        await exported_videos(cluster, export("videos"), "parquet")


def test_the_questions_of_the_how_to_are_answered(
    cluster: Cluster, export: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each query of the page runs unchanged, and finds rows."""
    for link, out in (("users", export("users")), ("videos", export("videos"))):
        for path in out.glob(f"{link}-*.parquet"):
            for folder in ("export", "earlier"):
                (tmp_path / folder).mkdir(exist_ok=True)
                (tmp_path / folder / path.name).symlink_to(path)
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs/how-to/analyse-an-export.md").read_text()
    queries = re.findall(r"```sql\n(.*?)```", page, re.DOTALL)
    assert len(queries) == 3
    for query in queries:
        found = duckdb.sql(query)
        assert found is not None
        assert found.fetchall()
