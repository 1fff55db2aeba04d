"""``GET /overview``: what the dashboard shows of this worker, in one small answer."""

from __future__ import annotations

from math import isfinite
from time import monotonic, time
from typing import TYPE_CHECKING, Any, Final

from models.windows import to_iso
from monitoring import metrics

from .answers import json_response
from .videos import describe_viral

if TYPE_CHECKING:
    from aiohttp import web
    from prometheus_client.metrics import MetricWrapperBase

    from streaming.app import App

    from .health import Readiness
    from .routing import Routing
    from .sources import Sources

#: How many of the viral videos are shown.
VIRAL_SHOWN: Final = 10


class OverviewViews:
    """Answers for the dashboard."""

    def __init__(self, app: App, sources: Sources, routing: Routing, readiness: Readiness) -> None:
        """Tell of ``app``."""
        self._app = app
        self._sources = sources
        self._routing = routing
        self._readiness = readiness
        self._started = monotonic()

    async def get(self, _: web.Request) -> web.Response:
        """Answer with the figures as they are now; counters count from the worker's start."""
        obstacle = self._readiness.obstacle()
        outcomes = by_label(metrics.events)
        lag_seconds = by_label(metrics.lag_seconds)
        answer = {
            "worker": str(self._app.conf.canonical_url),
            "time": to_iso(int(time() * 1000)),
            "uptime_s": monotonic() - self._started,
            "ready": obstacle is None,
            "obstacle": obstacle,
            "events": {
                "read": int(sum(outcomes.values())),
                "outcomes": {outcome: int(number) for outcome, number in outcomes.items()},
            },
            "lag": {
                "records": int(sum(by_label(metrics.lag_records).values())),
                "seconds": max(lag_seconds.values(), default=0.0),
            },
            "latency_s": {"p50": _latency(0.5), "p99": _latency(0.99)},
            "partitions": self._partitions(),
            "viral": {
                "count": len(self._sources.viral),
                "videos": [describe_viral(v) for v in self._sources.viral.top(VIRAL_SHOWN)],
            },
        }
        return json_response(answer)

    def _partitions(self) -> dict[str, Any]:
        workers = self._routing.workers(self._sources.users)
        return {
            "total": self._app.conf.topic_partitions,
            "owned": sorted(self._app.tasks.assigned),
            "recovering": self._readiness.recovering(),
            "by_worker": {str(url): owned for url, owned in workers.items()},
        }


def by_label(metric: MetricWrapperBase) -> dict[str, float]:
    """Return the values of a counter or gauge with one label, by the label's value."""
    return {
        next(iter(sample.labels.values())): sample.value
        for family in metric.collect()
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def _latency(fraction: float) -> float | None:
    """Return a quantile in seconds; None without events, and above the last bucket."""
    seconds = metrics.ingest_latency.quantile(fraction)
    return seconds if seconds is not None and isfinite(seconds) else None
