"""Figures of the whole cluster: sums, rates, owners of partitions, departed workers.

Pure: time and answers are arguments.
"""

from __future__ import annotations

from collections import Counter, deque
from time import time
from typing import TYPE_CHECKING, Any, Final

import msgspec

from models.windows import to_iso
from views.latency import quantile, sum_of
from views.partition_states import PartitionStates, total_lag
from views.roster import merge
from views.worker_history import WorkerHistory

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from tables.viral import ViralTable
    from views.roster import Departed
    from views.worker_stats import Viral, WorkerStats

#: Seconds over which latencies are measured.
LATENCY_WINDOW_S: Final = 10.0

#: Points per curve, one per second; entries in the list of videos that entered or left.
MAX_POINTS: Final = 300
MAX_CHANGES: Final = 30

#: Seconds without an answer after which a worker of the group is silent.
SILENT_AFTER_S: Final = 3.0

QUANTILES: Final = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


class Cluster:
    """All workers that are in the group, or were recently."""

    def __init__(self) -> None:
        """Begin without workers."""
        self.workers: dict[str, WorkerHistory] = {}
        self._partition_states = PartitionStates()
        self._viral: dict[int, float] | None = None
        self._changes: deque[dict[str, Any]] = deque(maxlen=MAX_CHANGES)
        self._points: deque[tuple[float | None, ...]] = deque(maxlen=MAX_POINTS)

    def update(
        self,
        own: WorkerStats,
        answers: Mapping[str, WorkerStats | None],
        viral: ViralTable | None,
        now: float | None = None,
        *,
        group: Collection[str] = (),
        behind: Mapping[int, int] | None = None,
        misled: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Apply the workers' answers, and return the cluster's figures.

        Arguments:
            own: the figures of this worker, whose view of the owners is used.
            answers: the latest figures of other workers, None without an answer.
            viral: the viral videos, None while they are being read.
            now: seconds since the epoch.
            group: the addresses of all members of the group, with and without partitions.
            behind: records behind by partition, according to the brokers.
            misled: warnings by address at which another worker answers.
        """
        misled = misled or {}
        now = time() if now is None else now
        owners = own.partitions.by_worker
        for url, figures in {**answers, own.worker: own}.items():
            worker = self.workers.setdefault(url, WorkerHistory())
            if figures is not None:
                worker.answered(figures, now)
            if figures is None or now - worker.answered_at > SILENT_AFTER_S:
                worker.silent(now)
        alive = [each.figures for each in self._alive() if each.figures is not None]
        present = {*owners, *group}
        departed = merge([own.departed, *(figures.departed for figures in alive)])
        self._forget(present, departed)
        partitions = self._partition_states.describe(own, self._answer_of, behind or {})
        totals = {
            "rate": self._rate(),
            "latency_s": self._latency(),
            "lag": total_lag(partitions),
        }
        self._points.append(_point(totals, now))
        reads = [worker.read_rates() for worker in self._alive()]
        return {
            "time": to_iso(int(now * 1000)),
            "worker": own.worker,
            **totals,
            "reads": {
                "requests": sum(requests for requests, _ in reads),
                "keys": sum(keys for _, keys in reads),
            },
            "events": {
                "read": sum(figures.events.read for figures in alive),
                "outcomes": _add(figures.events.outcomes for figures in alive),
                "rejected": _add(figures.events.rejected for figures in alive),
            },
            "workers": [
                self._describe(url, owners, present, departed, now)
                | ({"obstacle": misled[url]} if url in misled else {})
                for url in dict.fromkeys([*self.workers, *departed])
            ],
            "rules": _differences({figures.worker: figures.rules for figures in alive}),
            "partitions": partitions,
            "viral": self._describe_viral(own, alive, viral, now),
        }

    def history(self) -> dict[str, list[float | None]]:
        """Return the curves: one column each, times in ms since the epoch."""
        names = ("time", "rate", *QUANTILES, "lag_records", "lag_seconds")
        columns = zip(*self._points, strict=True) if self._points else ([] for _ in names)
        return {name: list(column) for name, column in zip(names, columns, strict=True)}

    # -- workers

    def _alive(self) -> list[WorkerHistory]:
        return [worker for worker in self.workers.values() if worker.gone_since is None]

    @property
    def unmeasured(self) -> set[int]:
        """Partitions whose owner did not report the lag at the last update."""
        return self._partition_states.unmeasured

    def _answer_of(self, url: str) -> WorkerStats | None:
        worker = self.workers.get(url)
        return worker.figures if worker and worker.gone_since is None else None

    def _forget(self, present: Collection[str], departed: Mapping[str, Departed]) -> None:
        for url, worker in list(self.workers.items()):
            if worker.gone_since is not None and url not in present and url not in departed:
                del self.workers[url]

    def _describe(
        self,
        url: str,
        owners: Mapping[str, list[int]],
        present: Collection[str],
        departed: Mapping[str, Departed],
        now: float,
    ) -> dict[str, Any]:
        described: dict[str, Any] = {"url": url, "partitions": owners.get(url, [])}
        worker = self.workers.get(url, WorkerHistory(gone_since=now))
        figures, gone = worker.figures, worker.gone_since
        if gone is not None or figures is None:
            since, state = gone or now, "silent"
            if url not in present and url in departed:
                state, since = departed[url].how, departed[url].since
            return {**described, "state": state, "since": to_iso(int(since * 1000))}
        return {
            **described,
            "state": "ready" if figures.ready else "not_ready",
            "obstacle": figures.obstacle,
            "uptime_s": figures.uptime_s,
            "rate": worker.rate(),
            "read": figures.events.read,
            "lag": msgspec.to_builtins(figures.lag),
        }

    # -- sums

    def _rate(self) -> float | None:
        rates = [rate for worker in self._alive() if (rate := worker.rate()) is not None]
        return sum(rates) if rates else None

    def _latency(self) -> dict[str, float | None]:
        counts: list[int] = []
        bounds: list[float] = []
        for worker in self._alive():
            if (pair := worker.since(LATENCY_WINDOW_S)) is None:
                continue
            first, last = pair
            if bounds and last.latency.bounds_s != bounds:
                continue
            bounds = last.latency.bounds_s
            lately = [b - a for a, b in zip(first.latency.counts, last.latency.counts, strict=True)]
            counts = sum_of(counts, lately)
        return {name: quantile(bounds, counts, part) for name, part in QUANTILES.items()}

    # -- viral videos

    def _describe_viral(
        self, own: WorkerStats, alive: Iterable[WorkerStats], viral: ViralTable | None, now: float
    ) -> dict[str, Any]:
        if viral is not None:
            self._compare({v.video_id: v.viral_coefficient for v in viral.top(len(viral))}, now)
        steps = {v.video_id: v for figures in alive for v in figures.viral.videos if v.steps}
        videos: list[Viral] = [steps.get(v.video_id, v) for v in own.viral.videos]
        return {
            "complete": viral is not None and own.viral.complete,
            "count": own.viral.count,
            "videos": [
                {**msgspec.to_builtins(mine), "steps": msgspec.to_builtins(best.steps)}
                for mine, best in zip(own.viral.videos, videos, strict=True)
            ],
            "changes": list(self._changes),
        }

    def _compare(self, viral: dict[int, float], now: float) -> None:
        before, self._viral = self._viral, viral
        if before is None:
            return
        for video_id, coefficient in viral.items():
            if video_id not in before:
                self._changed("entered", video_id, coefficient, now)
        for video_id, coefficient in before.items():
            if video_id not in viral:
                self._changed("left", video_id, coefficient, now)

    def _changed(self, what: str, video_id: int, coefficient: float, now: float) -> None:
        self._changes.appendleft(
            {
                "change": what,
                "video_id": video_id,
                "viral_coefficient": coefficient,
                "time": to_iso(int(now * 1000)),
            }
        )


def _differences(rules: Mapping[str, Mapping[str, str]]) -> list[dict[str, Any]]:
    """Return the rules that differ among workers: each value, with the workers that use it."""
    values: dict[str, dict[str, list[str]]] = {}
    for url, each in rules.items():
        for name, value in each.items():
            values.setdefault(name, {}).setdefault(value, []).append(url)
    return [{"variable": name, "values": found} for name, found in values.items() if len(found) > 1]


def _add(numbers: Iterable[dict[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for each in numbers:
        total.update(each)
    return dict(total)


def _point(totals: dict[str, Any], now: float) -> tuple[float | None, ...]:
    latency, lag = totals["latency_s"], totals["lag"]
    return (
        round(now * 1000),
        totals["rate"],
        *(latency[name] for name in QUANTILES),
        lag["records"],
        lag["seconds"],
    )
