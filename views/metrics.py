"""``GET /metrics``: the worker's metrics, for Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import hdrs, web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from monitoring import metrics
from views.worker_metrics import WorkerCollector

if TYPE_CHECKING:
    from streaming.ports import WorkerStatus
    from views.health import Readiness
    from views.sources import Sources


class MetricsViews:
    """Answers with all metrics of the registry."""

    def __init__(self, status: WorkerStatus, sources: Sources, readiness: Readiness) -> None:
        """Count the viral videos in ``sources``, and look at ``status``, at each scrape."""
        self._viral = sources.viral
        self._registry = CollectorRegistry()
        self._registry.register(metrics.registry)
        self._registry.register(WorkerCollector(status, sources, readiness.obstacle))

    async def get(self, request: web.Request) -> web.Response:
        """Answer in Prometheus' text format, or in OpenMetrics when that is asked for."""
        metrics.viral_videos.set(len(self._viral))
        try:
            encode, content_type = choose_encoder(request.headers.get(hdrs.ACCEPT, ""))
        except (TypeError, ValueError):
            # A version that is no number is more than it can take.
            encode, content_type = choose_encoder("")
        return web.Response(body=encode(self._registry), headers={hdrs.CONTENT_TYPE: content_type})
