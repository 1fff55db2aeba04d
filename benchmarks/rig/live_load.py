"""Renders a load and sends it in time: ``python -m benchmarks.rig.live_load LOAD``.

For loads that are too long for a spool on disk. Batches are compressed, as those of most producers
are. Ends with a line of JSON: ``events`` that Kafka acknowledged, and the ``seconds`` that took.
"""

from __future__ import annotations

import json
import math
import sys
from dataclasses import asdict, dataclass

import uvloop

import settings
from benchmarks.rig.loads import VIDEOS
from commands.generate import Run, SendPace
from commands.progress import ProgressDisplay
from commands.sending import EventSender
from loadgen import Workload


@dataclass(frozen=True)
class LiveLoad:
    """Users in sessions as long as in real life; as JSON, the process's argument."""

    rate: int
    """Events per second, also of event time."""
    seconds: float
    users: int
    start_ms: int
    """Event time of the first event, milliseconds since the epoch."""
    invalid: float = 0.0
    """Fraction of all records, as of ``duplicates`` and ``late``."""
    duplicates: float = 0.0
    late: float = 0.0

    def argument(self) -> str:
        """Return the process's argument."""
        return json.dumps(asdict(self))

    def workload(self) -> Workload:
        """Return the stream of its records."""
        return Workload(
            *(1, self.users, VIDEOS),
            invalid=self.invalid,
            duplicates=self.duplicates,
            late=self.late,
            start_ms=self.start_ms,
            ms_per_event=1000 / self.rate,
            max_events_per_ms=math.inf,
        )


async def send(load: LiveLoad) -> dict[str, float]:
    """Send ``load`` by the settings of the environment; return the fields of the line of JSON."""
    async with EventSender(settings.load(), compression="lz4") as sender:
        run = Run(load.workload(), SendPace(load.rate, None, load.seconds), sender)
        with ProgressDisplay(None, None, quiet=True) as progress:
            await run.make(progress)
    return {"events": sender.sent_events, "seconds": run.elapsed_s}


if __name__ == "__main__":
    print(json.dumps(uvloop.run(send(LiveLoad(**json.loads(sys.argv[1]))))))
