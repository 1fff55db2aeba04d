"""All routes of a worker, as one aiohttp application."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiohttp import web

from views import access, middlewares
from views.collector import Collector
from views.figures import FiguresReader
from views.health import HealthViews, Readiness
from views.metrics import MetricsViews
from views.openapi import DescriptionViews
from views.overview import OverviewViews
from views.pages import PageViews
from views.peers import Peers
from views.proof import Prover
from views.routing import Routing
from views.users import UserViews
from views.videos import VideoViews

if TYPE_CHECKING:
    from settings import Settings
    from streaming.runtime.app import App
    from views.sources import Sources

#: What hold no data; every other route asks for the token, once there is one.
OPEN_ROUTES: Final = frozenset({"/", "/static/{name}", "/healthz", "/readyz", "/openapi.json"})

#: What is answered however many connections there are.
HEALTH_ROUTES: Final = frozenset({"/healthz", "/readyz"})

COLLECTOR: Final = web.AppKey("COLLECTOR", Collector)


def make_application(app: App, settings: Settings, sources: Sources) -> web.Application:
    """Put the routes together. Asking for the tables begins with the first request."""
    token = settings.http_token
    prover = None if token is None else Prover(token)
    if token is None or prover is None:
        let_in = access.require_local_host(app)
    else:
        let_in = access.require_token(app, token, prover, OPEN_ROUTES)
    application = web.Application(
        middlewares=[
            middlewares.observe,
            middlewares.admit_guests(HEALTH_ROUTES),
            access.refuse_two_logins,
            let_in,
            middlewares.limit_body,
        ],
        client_max_size=middlewares.MAX_BODY,
    )
    application.on_response_prepare.append(middlewares.add_headers)
    if prover is not None:
        application.on_response_prepare.append(access.prove_answers(prover))

    peers = Peers(app, token)
    routing = Routing(app, peers)
    readiness = Readiness(app, routing.addresses)
    users = UserViews(sources, routing)
    videos = VideoViews(sources, routing, readiness)
    health, pages = HealthViews(app, readiness), PageViews()
    figures = FiguresReader(app, sources, routing, readiness)
    collector = Collector(peers, sources, readiness, figures, routing.addresses)
    overview = OverviewViews(figures, collector)
    application.add_routes(
        [
            web.get("/users/{user_id}", users.get),
            web.get("/users/{user_id}/series", users.get_series),
            # Before the next one, which would take it for an id.
            web.get("/videos/viral", videos.list_viral),
            web.get("/videos/{video_id}", videos.get),
            web.get("/videos/{video_id}/series", videos.get_series),
            web.get("/healthz", health.get_health),
            web.get("/readyz", health.get_readiness),
            web.get("/metrics", MetricsViews(app, sources, readiness).get),
            web.get("/overview", overview.get),
            web.get("/overview/stream", overview.get_stream),
            web.get("/openapi.json", DescriptionViews().get),
            web.get("/", pages.get_page),
            web.get("/static/{name:.+}", pages.get_file),
        ]
    )
    application[COLLECTOR] = collector
    application.on_shutdown.append(_stop_collecting)
    return application


async def _stop_collecting(application: web.Application) -> None:
    await application[COLLECTOR].stop()
