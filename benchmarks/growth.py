"""Growth: what an event costs with more users, more panes, more partitions and more workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from benchmarks.backlog import send, work_off
from benchmarks.rig.figures import Row
from benchmarks.rig.filling import FILLED_UNTIL_MS
from benchmarks.rig.loads import make_load

if TYPE_CHECKING:
    from benchmarks.rig.bench import Bench


#: There are many situations: each gets fewer runs than the other cases.
SKIPPED_RUNS = 2


class Situation(NamedTuple):
    """What one measurement is of."""

    users: int
    panes: int = 1
    partitions: int = 8
    workers: int = 1


def situations(users: int) -> list[Situation]:
    """Return all of them, up to ``users`` users; each differs in one thing from the first."""
    few = max(1000, users // 10)
    return [
        Situation(few),
        Situation(users),
        *(Situation(few, panes=panes) for panes in (24, 96)),
        *(Situation(few, partitions=partitions) for partitions in (32, 64)),
        Situation(few, workers=2),
    ]


def run(bench: Bench) -> list[Row]:
    """Work off a backlog of users drawn uniformly in each situation."""
    rows = []
    for situation in situations(max(bench.size.users)):
        row = Row(situation._asdict())
        partitions = {"TOPIC_PARTITIONS": str(situation.partitions)}
        names = "ab"[: situation.workers]
        with bench.filled_rig(situation.users, situation.panes, **partitions) as rig:
            load = make_load("uniform", 3, situation.users, FILLED_UNTIL_MS)
            for number in range(max(1, bench.size.runs - SKIPPED_RUNS)):
                what = f"{situation}, run {number + 1}"
                send(bench, rig, load, bench.size.events, what)
                row.add(work_off(bench, rig, what, names))
        rows.append(row)
    first = rows[0].median("worker us/event")
    for row in rows:
        row.add({"cost over the first": row.median("worker us/event") / first})
    return rows
