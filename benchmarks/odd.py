"""Odd: how fast a worker processes a backlog of one kind of odd events.

Each kind has its own empty topics and tables on the same Kafka; its ratio is to plain traffic of
the same run. Only ``odd_micro`` measures too large events: a backlog of them takes gigabytes.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from benchmarks.backlog import send, work_off
from benchmarks.rig.figures import Row
from benchmarks.rig.odd_kinds import PARTITIONS, PLAIN, kinds_of
from benchmarks.rig.offsets import delete_topics

if TYPE_CHECKING:
    from benchmarks.rig.bench import Bench
    from benchmarks.rig.cluster import Rig
    from benchmarks.rig.odd_kinds import OddKind


def run(bench: Bench) -> list[Row]:
    """Measure the kinds in turn."""
    kinds = [kind for kind in kinds_of(bench.size) if kind.share == 1]
    rows = {kind.name: Row({"kind": kind.name}) for kind in kinds}
    for number in range(bench.size.runs):
        with bench.rig() as rig:
            plain: dict[str, float] = {}
            for kind in kinds:
                figures = _measure(bench, rig, kind, number)
                if kind.name == PLAIN:
                    plain = figures
                ratio = figures["worker us/event"] / plain["worker us/event"]
                rows[kind.name].add({**figures, "times plain": ratio})
    return list(rows.values())


def _measure(bench: Bench, rig: Rig, kind: OddKind, number: int) -> dict[str, float]:
    what = f"{kind.name}, run {number + 1}"
    with rig.beside(TOPIC_PARTITIONS=str(PARTITIONS)) as own:
        asyncio.run(own.make_topics())
        send(bench, own, kind.load(), bench.size.events, what)
        figures = work_off(bench, own, what)
        asyncio.run(delete_topics(own.settings))
    return figures
