"""Takeover: how long partitions do not answer when workers start, stop, die or restart.

Two workers share the partitions. One stays while the other starts or ends. It is queried all the
time for one user of each partition, and events of these users are sent all the time. The figures
are the longest outages of partitions that stay with it and of partitions that move: until they
answer again, and until they count again. About 20 ms of each are the time between two queries.
"""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING

from benchmarks.recovery import end
from benchmarks.rig.figures import Row
from benchmarks.rig.outages import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from benchmarks.rig.bench import Bench
    from benchmarks.rig.cluster import Rig
    from benchmarks.rig.outages import Outage
    from benchmarks.rig.worker import Worker

STANDBYS = (0, 1)

#: Seconds that the group gets to rebalance once more.
CALM_S = 1.0

#: A standby gets 10 s, and 1 s per this many users, to copy the other worker's partitions.
_COPIED_USERS_PER_S = 20_000


def run(bench: Bench) -> list[Row]:
    """Measure each size of state."""
    rows: list[Row] = []
    for users in bench.size.users:
        with bench.filled_rig(users) as rig:
            pairs = Pairs(bench, rig, users)
            for _ in range(bench.size.runs):
                pairs.come_and_go()
                for standbys in () if bench.size.brief else STANDBYS:
                    pairs.take_over(standbys)
            # Last, because the group keeps waiting for named members that have left.
            for _ in range(bench.size.runs):
                pairs.restart_named()
            rows += pairs.rows.values()
    return rows


class Pairs:
    """Pairs of workers on one state, which ``a`` has on its disk."""

    def __init__(self, bench: Bench, rig: Rig, users: int) -> None:
        """Begin without figures; ``rig`` has a state of ``users`` users."""
        self._bench = bench
        self._rig = rig
        self._users = users
        self._workers: dict[str, Worker] = {}
        self._watches = 0
        self.rows: dict[tuple[str, int], Row] = {}

    def come_and_go(self) -> None:
        """Start ``b`` with an empty disk, and stop it."""
        self._come("a", {})
        self._measure("comes, empty disk", 0, "a", lambda: self._come("b", {}))
        self._measure("is stopped", 0, "a", lambda: self._go("b", "SIGTERM"))
        self._go("a", "SIGTERM")
        shutil.rmtree(self._rig.folder / "worker-b")

    def take_over(self, standbys: int) -> None:
        """Kill ``a``, and start it again.

        So ``b`` takes over partitions that it never had, or has as a standby only.
        """
        variables = {"TABLE_STANDBY_REPLICAS": str(standbys)}
        self._come("a", variables)
        self._come("b", variables)
        if standbys:
            self._workers["b"].wait_idle(10 + self._users / _COPIED_USERS_PER_S)
        self._measure("is killed", standbys, "b", lambda: self._go("a", "SIGKILL"))
        self._measure("comes, disk kept", standbys, "b", lambda: self._come("a", variables))
        for name in "ab":
            self._go(name, "SIGTERM")
        shutil.rmtree(self._rig.folder / "worker-b")

    def restart_named(self) -> None:
        """Stop and start one of two named workers within the session timeout."""
        self._come("b", {"CONSUMER_GROUP_INSTANCE_ID": "b"})
        self._come("a", {"CONSUMER_GROUP_INSTANCE_ID": "a"})

        def restart() -> float:
            return self._go("a", "SIGTERM") + self._come("a", {"CONSUMER_GROUP_INSTANCE_ID": "a"})

        self._measure("with a name restarts", 0, "b", restart)
        # The group keeps their places, no matter how they end.
        for name in "ab":
            self._go(name, "SIGKILL")

    def _come(self, name: str, variables: dict[str, str]) -> float:
        """Start a worker; return the seconds until it is ready."""
        worker = self._workers[name] = self._rig.worker(name, variables)
        return worker.wait_ready()

    def _go(self, name: str, how: str) -> float:
        """Send a worker a signal; return the seconds until it has ended."""
        return end(self._workers.pop(name), how)

    def _measure(self, what: str, standbys: int, stays: str, act: Callable[[], float]) -> None:
        """Watch the partitions through worker ``stays`` while ``act`` makes another do ``what``."""
        row = self.rows.setdefault(
            (what, standbys),
            Row(
                {
                    "a worker": what,
                    "standbys": standbys,
                    "users": self._users,
                    "session timeout s": self._rig.settings.session_timeout,
                }
            ),
        )
        figures = asyncio.run(self._watch(self._workers[stays], act))
        row.add(figures)
        self._bench.tell(
            f"a worker {what}, {standbys} standbys, {self._users:,} users: "
            f"{figures['moved unanswered s']:.1f} s without answers, "
            f"{figures['kept unanswered s']:.1f} s of partitions that stay"
        )

    async def _watch(self, worker: Worker, act: Callable[[], float]) -> dict[str, float]:
        number, self._watches = self._watches, self._watches + 1
        async with Watch(self._rig.settings, worker.url, self._users, number) as watch:
            before = await asyncio.to_thread(worker.partitions)
            rebalances = await asyncio.to_thread(worker.metric, "reels_rebalances_total")
            watch.begin()
            took_s = await asyncio.to_thread(act)
            await watch.until_up()
            await asyncio.to_thread(worker.wait_ready)
            await asyncio.sleep(CALM_S)
            await watch.until_up()
            outages = watch.outages()
            kept = before & await asyncio.to_thread(worker.partitions)
            rebalances = (
                await asyncio.to_thread(worker.metric, "reels_rebalances_total") - rebalances
            )
        return {
            "ready or ended after s": took_s,
            **_longest("moved", (outages[each] for each in outages.keys() - kept)),
            **_longest("kept", (outages[each] for each in kept)),
            "rebalances": rebalances,
        }


def _longest(name: str, outages: Iterable[Outage]) -> dict[str, float]:
    found = list(outages)
    return {
        f"{name} unanswered s": max((outage.unanswered_s for outage in found), default=0.0),
        f"{name} uncounted s": max((outage.uncounted_s for outage in found), default=0.0),
    }
