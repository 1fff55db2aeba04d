"""Moves: the time to export all users to files, and to move them to more partitions.

Kafka runs on the same machine, and its processor time does not count. No worker runs.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from benchmarks.rig.figures import Row
from benchmarks.rig.filling import FILLED_UNTIL_MS, Filling, write_changelog
from benchmarks.rig.worker import BenchError
from streaming.kafka.clients import client_settings
from streaming.kafka.producer import TransactionalProducer
from tables import creators, videos
from tables.layers import PLAIN_LAYERS
from tables.layout import LAYOUT_KEY, Position, StoreFormat
from tables.summed import summed_layout

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.rig.bench import Bench
    from benchmarks.rig.cluster import Rig

OLD, NEW = 8, 32


def run(bench: Bench) -> list[Row]:
    """Export and move the tables of each number of users."""
    rows: list[Row] = []
    for users in bench.size.users:
        exports = Row({"command": "export users", "users": users})
        moves = Row({"command": f"rescale {OLD} to {NEW}", "users": users})
        with bench.rig(TOPIC_PARTITIONS=str(OLD)) as rig:
            asyncio.run(fill(bench, rig, users))
            for number in range(bench.size.runs):
                out = rig.folder / f"export-{number}"
                export = "export", "users", "--format", "parquet", "--out", str(out)
                add(bench, exports, users, measure(rig, *export))
                app_id = f"{rig.settings.app_id}-{number}"
                move = "rescale", "--partitions", str(NEW), "--to-app-id", app_id
                add(bench, moves, users, measure(rig, *move))
        rows += [exports, moves]
    return rows


def add(bench: Bench, row: Row, users: int, figures: dict[str, float]) -> None:
    """Add the figures of a run, and print them."""
    figures["users/s"] = users / figures["s"]
    row.add(figures)
    shown = ", ".join(f"{name} {figure:,.1f}" for name, figure in figures.items())
    bench.tell(f"{row.setting['command']}, {users:,} users: {shown}")


def measure(rig: Rig, *words: str) -> dict[str, float]:
    """Run a command of the program; return its seconds, processor time and peak memory."""
    begun = time.monotonic()
    log = rig.folder / "command.log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - the program itself
            [sys.executable, "-m", "faust", "-A", "app", "--quiet", *words],
            env=rig.env,
            stdout=output,
            stderr=output,
        )
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise BenchError(f"{words[0]} has failed: {last_line(log)}")
    return {
        "s": time.monotonic() - begun,
        "CPU s": used.ru_utime + used.ru_stime,
        "peak RSS MiB": used.ru_maxrss / 1024,
    }


def last_line(log: Path) -> str:
    """Return the last line of a command's log."""
    lines = log.read_text(errors="replace").splitlines()
    return lines[-1] if lines else "nothing"


async def fill(bench: Bench, rig: Rig, users: int) -> None:
    """Write the changelog of users, and the layout records of the other tables."""
    filling = Filling(users)
    await write_changelog(rig, filling, lambda part: bench.tell(f"filling {users:,} users", part))
    settings = rig.settings
    producer = TransactionalProducer("bench-fill", "bench", client_settings(settings))
    await producer.start()
    try:
        async with producer.transaction() as transaction:
            for name, windows, topic in (
                (videos.NAME, videos.video_windows(settings), settings.deltas_topic),
                (
                    creators.NAME,
                    creators.creator_windows(settings),
                    settings.creator_deltas_topic,
                ),
            ):
                layout = summed_layout(windows, partitions=OLD)
                table_id = StoreFormat.new_id()
                for number in range(OLD):
                    positions = {topic: Position(0, "")}
                    values = PLAIN_LAYERS.layer()
                    values[LAYOUT_KEY] = layout.encode(FILLED_UNTIL_MS, table_id, positions)
                    await transaction.send_values(rig.changelog(name), number, values)
    finally:
        await producer.stop()
