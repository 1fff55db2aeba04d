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
    from views.query_context import QueryContext


class MetricsViews:
    """Answers with all metrics of the registry."""

    def __init__(
        self, status: WorkerStatus, query_context: QueryContext, readiness: Readiness
    ) -> None:
        """Read ``status`` and the number of viral videos in ``query_context`` at each scrape."""
        self._viral = query_context.viral
        self._registry = CollectorRegistry()
        self._registry.register(metrics.registry)
        self._registry.register(WorkerCollector(status, query_context, readiness.obstacle))

    async def get(self, request: web.Request) -> web.Response:
        """Answer in Prometheus' text format, or in OpenMetrics if requested."""
        metrics.viral_videos.set(len(self._viral))
        try:
            encode, content_type = choose_encoder(request.headers.get(hdrs.ACCEPT, ""))
        except (TypeError, ValueError):
            # It fails at a version that is not a number.
            encode, content_type = choose_encoder("")
        return web.Response(body=encode(self._registry), headers={hdrs.CONTENT_TYPE: content_type})
