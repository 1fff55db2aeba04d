"""More workers: processor time of one, two and four workers that share a steady load.

Commits are a second apart, as ``faust -A app size`` chooses for many workers.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from benchmarks.rig.figures import Row
from benchmarks.rig.filling import FILLED_UNTIL_MS
from benchmarks.rig.steady_load import SteadyLoad
from benchmarks.rig.worker import Worker, wait_shared
from benchmarks.steady import BETWEEN_S, COOL_DOWN_S, measure

if TYPE_CHECKING:
    from benchmarks.rig.bench import Bench

COUNTS = (1, 2, 4)

#: Events per second, but no more than the highest measured rate.
RATE = 50_000


def run(bench: Bench) -> list[Row]:
    """Measure the largest state, with one worker more after the other."""
    users, rate = max(bench.size.users), min(RATE, max(bench.size.rates))
    length_s = bench.size.warm_up_s + bench.size.seconds + COOL_DOWN_S
    start_ms, rows, workers = FILLED_UNTIL_MS, list[Row](), list[Worker]()
    with bench.filled_rig(users, BROKER_COMMIT_INTERVAL="1") as rig:
        for count in COUNTS:
            workers += [rig.worker("abcd"[number]) for number in range(len(workers), count)]
            wait_shared(workers)
            row = Row({"workers": count, "events/s": rate, "users": users})
            for number in range(bench.size.runs):
                name = f"{count} workers, run {number + 1}"
                load = SteadyLoad(
                    *(f"{count}-{number}", 10 * count + number, rate, users, start_ms, length_s),
                    max_events_per_ms=math.inf,
                )
                figures = measure(bench, rig, workers, load, name)
                # Of each of them, on average.
                figures["worker % of a core"] /= count
                row.add(figures)
                start_ms += round(1000 * (length_s + BETWEEN_S))
            rows.append(row)
    return rows
