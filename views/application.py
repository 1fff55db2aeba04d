"""All routes of a worker, as one aiohttp application."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from aiohttp import web

from tables.batch_read import BatchReader
from views import access, middlewares
from views.batch import BatchViews
from views.batch_limits import MAX_BODIES_BYTES, MAX_KEYS, Budget
from views.batch_parameters import MAX_BATCH_BODY_BYTES
from views.brokers_view import BrokersView
from views.collector import Collector
from views.health import HealthViews, Readiness
from views.metrics import MetricsViews
from views.neighbours import Neighbours
from views.openapi import DescriptionViews
from views.overview import OverviewViews
from views.pages import PageViews
from views.peers import Peers
from views.proof import Prover
from views.query_context import ViewContext
from views.routing import Routing
from views.worker_stats import WorkerStatsReader

if TYPE_CHECKING:
    from collections.abc import Callable

    import aiohttp

    from settings import Settings
    from streaming.ports import WorkerStatus
    from views.query_context import QueryContext

#: Routes without data; all others require the token if one is set.
OPEN_ROUTES: Final = frozenset({"/", "/static/{name}", "/healthz", "/readyz", "/openapi.json"})

#: Routes that are answered even if all connections are in use.
HEALTH_ROUTES: Final = frozenset({"/healthz", "/readyz"})

COLLECTOR: Final = web.AppKey("COLLECTOR", Collector)
NEIGHBOURS: Final = web.AppKey("NEIGHBOURS", Neighbours)


def make_application(
    status: WorkerStatus,
    settings: Settings,
    query_context: QueryContext,
    client: Callable[[], aiohttp.ClientSession],
) -> web.Application:
    """Create the application. It does not read the tables before the first request.

    ``client`` returns the session for requests to other workers.
    """
    token = settings.http_token
    prover = None if token is None else Prover(token)
    if token is None or prover is None:
        let_in = access.require_local_host(status)
    else:
        let_in = access.require_token(status, token, prover, OPEN_ROUTES)
    batches = [make(query_context.tables[name]) for name, make in query_context.batches.items()]
    bodies = {f"/{entity.name}/query": MAX_BATCH_BODY_BYTES for entity in batches}
    application = web.Application(
        middlewares=[
            middlewares.observe,
            middlewares.admit_guests(HEALTH_ROUTES),
            access.refuse_two_logins,
            let_in,
            middlewares.limit_body(bodies, Budget(MAX_BODIES_BYTES, "bytes of requests")),
        ],
        client_max_size=middlewares.MAX_BODY_BYTES,
    )
    application.on_response_prepare.append(middlewares.add_headers)
    if prover is not None:
        application.on_response_prepare.append(access.prove_answers(prover))

    peers = Peers(client, token)
    routing = Routing(status, peers, has_standbys=settings.standby_replicas > 0)
    readiness = Readiness(status, routing.addresses, settings.ready_lag)
    health, pages = HealthViews(status, readiness), PageViews()
    neighbours = Neighbours(status, settings, peers, routing.addresses)
    figures = WorkerStatsReader(status, query_context, routing, readiness, neighbours)
    brokers = BrokersView(status)
    collector = Collector(
        peers, query_context, readiness, figures, routing.addresses, neighbours, brokers
    )
    overview = OverviewViews(figures, collector, neighbours.roster)
    for name, table in query_context.tables.items():
        context = ViewContext(table, query_context.viral, routing, readiness)
        application.add_routes(query_context.views[name](context))
    application.add_routes(
        [
            web.get("/healthz", health.get_health),
            web.get("/readyz", health.get_readiness),
            web.get("/metrics", MetricsViews(status, query_context, readiness).get),
            web.get("/overview", overview.get),
            web.get("/overview/stream", overview.get_stream),
            web.get("/openapi.json", DescriptionViews().get),
            web.get("/", pages.get_page),
            web.get("/static/{name:.+}", pages.get_file),
        ]
    )
    budget, turn = Budget(MAX_KEYS, "keys"), asyncio.Semaphore(1)
    for entity in batches:
        reader = BatchReader(entity.table.executor, turn)
        application.add_routes(BatchViews(entity, reader, budget, routing).routes())
    application[COLLECTOR] = collector
    application[NEIGHBOURS] = neighbours
    application.on_startup.append(_start_looking)
    application.on_shutdown.append(_stop_looking)
    return application


async def _start_looking(application: web.Application) -> None:
    await application[NEIGHBOURS].start()


async def _stop_looking(application: web.Application) -> None:
    await application[NEIGHBOURS].stop()
    await application[COLLECTOR].stop()
