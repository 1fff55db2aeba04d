"""Batches as Arrow IPC streams: columns named as the JSON fields, in the order asked."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from models.schema import Metadata
from models.windows import from_iso
from tests.worker import ROOT
from views.arrow import MEDIA

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.views.conftest import MakeWorker, Worker


AT = "2025-01-15T14:30:45.123Z"
VIEWS = [("video_view", AT, 45_000)] * 3
LIKE = ("like", AT, 0)
ACCEPT = {"Accept": MEDIA}


async def table_of(
    worker: Worker, ids: Iterable[int], table: str = "users", **fields: str | bool
) -> pa.Table:
    answer = await worker.ask(
        f"/{table}/query", "POST", json={"ids": list(ids), **fields}, headers=ACCEPT
    )
    assert answer.status == 200
    assert answer.headers["Content-Type"] == MEDIA
    return pa.ipc.open_stream(answer.body).read_all()


def left(table: pa.Table) -> tuple[list[int], list[int]]:
    metadata = table.schema.metadata
    return json.loads(metadata[b"unknown"]), json.loads(metadata[b"unavailable"])


def flat(row: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a JSON row with the column names of its fields."""
    found: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{name}_")
        else:
            found[prefix + name] = value
    return found


def columns_of(table: pa.Table) -> list[dict[str, Any]]:
    """Return the rows, with times in ms since the epoch."""
    times = [field.name for field in table.schema if pa.types.is_timestamp(field.type)]
    for name in times:
        at = table.schema.get_field_index(name)
        table = table.set_column(at, name, table.column(name).cast(pa.int64()))
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


@pytest.mark.parametrize("table", ["users", "videos", "creators"])
async def test_columns_hold_what_json_rows_do(worker: Worker, table: str) -> None:
    ids = [3, 99, 1, 2, 2**63 - 1]
    for key in (1, 2, 3, 2**63 - 1):
        worker.put_user(key, *VIEWS[: key % 4], LIKE)
        worker.put_video(key, (AT, 1000 * (key % 3), 7, 900, 800))
        views = [("video_view", AT, Metadata(45_000, 0.25))] * (key % 3)
        worker.put_creator(key, *views, ("follow", AT, Metadata()))
    # One partition has counted from the beginning, the other one has not.
    worker.creators.data.partitions[1].complete_from = from_iso("2025-01-15T12:00:00Z")
    rows = (await worker.ask(f"/{table}/query", "POST", json={"ids": ids})).json[table]
    arrow = await table_of(worker, ids, table)
    names = arrow.schema.names
    expected = [
        {
            name: from_iso(value) if value is not None and is_time(name) else value
            for name, value in flat(row).items()
        }
        for row in rows
    ]
    assert columns_of(arrow) == expected
    assert names == list(flat(rows[0]))
    assert left(arrow) == ([99], [])


def is_time(name: str) -> bool:
    return name in ("as_of", "complete_since") or name.endswith(("start", "end"))


async def test_columns_have_types(worker: Worker) -> None:
    worker.put_user(1, LIKE)
    worker.put_video(1, (AT, 1, 0, 0, 0))
    time = pa.timestamp("ms", "UTC")
    worker.put_creator(1, ("follow", AT, Metadata()))
    users, videos = await table_of(worker, [1]), await table_of(worker, [1], "videos")
    creators = await table_of(worker, [1], "creators")
    assert creators.schema.field("follows").type == pa.int64()
    assert creators.schema.field("complete_since").type == time
    assert {name: users.schema.field(name).type for name in users.schema.names} == {
        "user_id": pa.int64(),
        "as_of": time,
        "window_start": time,
        "window_end": time,
        "window_size_s": pa.int64(),
        "window_step_s": pa.int64(),
        "total_videos_watched": pa.int64(),
        "total_engagement_minutes": pa.float64(),
        "likes": pa.int64(),
        "engagement_rate": pa.float64(),
        "average_completion": pa.float64(),
    }
    assert videos.schema.field("rolling_views").type == pa.int64()
    assert videos.schema.field("rolling_start").type == time
    assert videos.schema.field("tumbling_viral_coefficient").type == pa.float64()
    assert videos.schema.field("viral").type == pa.bool_()


async def test_nothing_known_is_a_table_without_rows(worker: Worker) -> None:
    table = await table_of(worker, [5, 4])
    assert table.num_rows == 0
    assert left(table) == ([5, 4], [])


async def test_rows_of_several_workers_are_in_the_order_asked(make_worker: MakeWorker) -> None:
    first, second = await make_worker(), await make_worker()
    await first.open(0)
    await second.open(1)
    for worker in (first, second):
        worker.owns({first.url: [0], second.url: [1]})
    ids = list(range(40))[::-1]
    for key in ids[5:]:
        (first, second)[first.users.partition(key)].put_user(key, LIKE)
    table = await table_of(first, ids)
    assert table.column("user_id").to_pylist() == ids[5:]
    assert left(table) == (ids[:5], [])
    await second.listener.stop()
    table = await table_of(first, ids)
    there = [key for key in ids if first.users.partition(key) == 1]
    assert left(table) == ([key for key in ids[:5] if key not in there], there)


async def test_rows_of_copies_say_that_they_are(worker: Worker) -> None:
    for key in range(20):
        worker.put_user(key, LIKE)
    worker.users.data.partitions[1].readable = False
    table = await table_of(worker, range(20), stale=True)
    stale = [worker.users.partition(key) == 1 for key in range(20)]
    assert table.column("stale").to_pylist() == stale


async def test_a_worker_without_pyarrow_says_what_to_install(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker.put_user(1, LIKE)
    # Like the import of a package that is not installed.
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    answer = await worker.ask("/users?ids=1", headers=ACCEPT)
    assert (answer.status, answer.code) == (406, "not_acceptable")
    assert "pip install pyarrow" in answer.json["error"]["message"]
    assert (await worker.ask("/users?ids=1")).status == 200


@pytest.mark.parametrize(
    ("accept", "is_arrow"),
    [
        ("", False),
        ("*/*", False),
        ("application/json", False),
        (f"{MEDIA};q=0, application/json", False),
        (f"application/json;q=0.5, {MEDIA.upper()} ; q=0.9", True),
    ],
)
async def test_an_arrow_stream_comes_when_it_is_accepted(
    worker: Worker, accept: str, is_arrow: bool
) -> None:
    answer = await worker.ask("/users?ids=1", headers={"Accept": accept})
    assert (answer.headers["Content-Type"] == MEDIA) == is_arrow


def test_an_answer_waits_for_no_import_of_pandas() -> None:
    """The import takes a second, during which the worker would be blocked."""
    code = """
        import asyncio, sys
        import numpy as np
        from models.windows import Slices
        from views import arrow, entities
        from views.batch_rows import Summed

        async def answer():
            users = entities.users(None, Slices(4000, 1000), None, None)
            answer = arrow.ArrowAnswer(await arrow.load(), users, stale_is_ok=True)
            before = set(sys.modules)
            sums = np.array([[3, 1, 60_000, 0, 0]], np.uint64)
            answer.add([0], Summed([7], sums, 3500, ((0, 4),), 1000))
            await answer.response({"unknown": [], "unavailable": []}, {})
            return set(sys.modules) - before

        print(asyncio.run(answer()))
    """
    said = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
    ).stdout
    assert said == "set()\n"
