"""Growth: the cost of an event with more users, panes, partitions and workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from benchmarks.backlog import LOADS, send, work_off
from benchmarks.rig.figures import Row
from benchmarks.rig.filling import FILLED_UNTIL_MS
from benchmarks.rig.loads import make_load

if TYPE_CHECKING:
    from benchmarks.rig.bench import Bench


#: Users in the first situation, unless fewer are measured.
FEW = 100_000


class Situation(NamedTuple):
    """The situation of one measurement."""

    users: int
    load: str = "uniform"
    panes: int = 1
    partitions: int = 8
    workers: int = 1


def situations(users: int) -> list[Situation]:
    """Return all situations, up to ``users`` users."""
    few = min(FEW, max(1000, users // 10))
    sizes = [few]
    while sizes[-1] * 10 <= users:
        sizes.append(sizes[-1] * 10)
    return [
        *(Situation(size, load) for load in LOADS for size in sizes),
        *(Situation(few, panes=panes) for panes in (24, 96)),
        *(Situation(few, partitions=partitions) for partitions in (32, 64)),
        Situation(few, workers=2),
    ]


def run(bench: Bench) -> list[Row]:
    """Process backlogs in each situation; costs are also relative to the load's first situation."""
    rows = []
    for situation in situations(max(bench.size.users)):
        row = Row(situation._asdict())
        partitions = {"TOPIC_PARTITIONS": str(situation.partitions)}
        names = "ab"[: situation.workers]
        with bench.filled_rig(situation.users, situation.panes, **partitions) as rig:
            load = make_load(situation.load, 3, situation.users, FILLED_UNTIL_MS)
            for number in range(bench.size.runs):
                what = f"{situation}, run {number + 1}"
                send(bench, rig, load, bench.size.events, what)
                row.add(work_off(bench, rig, what, names))
        rows.append(row)
    for row in rows:
        first = next(each for each in rows if each.setting["load"] == row.setting["load"])
        cost = row.median("worker us/event") / first.median("worker us/event")
        row.add({"cost over the first": cost})
    return rows
