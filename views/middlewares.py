"""What happens to every request: counted, limited, let in by its token; and to every answer."""

from __future__ import annotations

import asyncio
import hmac
import logging
from functools import lru_cache
from http import HTTPStatus
from time import perf_counter
from typing import TYPE_CHECKING, Final

from aiohttp import hdrs, web
from yarl import URL

from monitoring import metrics
from settings import is_loopback

from .answers import HttpError, bad_request, internal_error, of_aiohttp, secure

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler, Middleware

    from streaming.app import App

log = logging.getLogger(__name__)

#: Bytes of a request's body, which nobody needs, and seconds that it may take to arrive.
MAX_BODY: Final = 1024
BODY_TIMEOUT: Final = 5.0


async def add_headers(_: web.Request, response: web.StreamResponse) -> None:
    """Tell browsers to keep, frame and guess nothing, unless the view said otherwise."""
    secure(response)


def route_of(request: web.Request) -> str | None:
    """Return the template of the route that a request goes to, None when there is none."""
    resource = request.match_info.route.resource
    return None if resource is None else resource.canonical


@web.middleware
async def observe(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Count the request, and make of every error an answer in JSON."""
    began = perf_counter()
    try:
        response = await handler(request)
    except HttpError as exc:
        response = exc.response
    except web.HTTPException as exc:
        response = of_aiohttp(exc).response
    except Exception:
        log.exception("%s %s failed", request.method, request.path)
        response = internal_error().response
    route = route_of(request) or "unmatched"
    metrics.http_requests.labels(route, str(response.status)).inc()
    # How long a stream lasts says nothing of the worker.
    if isinstance(response, web.Response):
        metrics.http_request_seconds.labels(route).observe(perf_counter() - began)
    return response


@web.middleware
async def limit_body(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse a body above the limit before, and one without a length when it has come so far."""
    if (request.content_length or 0) > MAX_BODY:
        raise web.HTTPRequestEntityTooLarge(MAX_BODY, request.content_length or 0)
    if request.body_exists:
        try:
            async with asyncio.timeout(BODY_TIMEOUT):
                await request.read()
        except TimeoutError:
            raise web.HTTPRequestTimeout from None
        except (ConnectionError, web.RequestPayloadError) as exc:
            raise bad_request("bad_request", "the body is not well-formed") from exc
    return await handler(request)


def require_token(token: str, open_routes: frozenset[str]) -> Middleware:
    """Return what lets only those in who know ``token``; ``open_routes`` are for all."""
    expected = token.encode()

    @web.middleware
    async def authorize(request: web.Request, handler: Handler) -> web.StreamResponse:
        route = route_of(request)
        if route is not None and route not in open_routes:
            scheme, _, given = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
            known = hmac.compare_digest(given.strip().encode(errors="replace"), expected)
            if scheme.lower() != "bearer" or not known:
                raise HttpError(
                    HTTPStatus.UNAUTHORIZED,
                    "unauthorized",
                    "this needs the header Authorization: Bearer and the worker's token",
                    {hdrs.WWW_AUTHENTICATE: 'Bearer realm="reels"'},
                )
        return await handler(request)

    return authorize


@lru_cache(maxsize=256)
def _host_of(authority: str) -> tuple[str, bool]:
    """Return the host that a request names, and whether that is this machine.

    Clients name the same one each time, and to take it apart cost as much as the answer itself.
    Raises ValueError.
    """
    if authority.count(":") > 1 and "[" not in authority:
        # An IPv6 address out of the request line, from which aiohttp has taken the brackets.
        authority = f"[{authority}]"
    host = URL.build(scheme="http", authority=authority).host or ""
    return host, is_loopback(host)


def require_local_host(app: App) -> Middleware:
    """Return what refuses host names of others, for as long as no token is asked for.

    A page from elsewhere could have its own name point to 127.0.0.1 (DNS rebinding); to the
    browser the answers would be that page's to read.
    """

    @web.middleware
    async def check_host(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            host, is_local = _host_of(request.host)
        except ValueError:
            raise bad_request("bad_request", "the header Host is wrong") from None
        if hdrs.HOST in request.headers and not (is_local or host == app.conf.canonical_url.host):
            message = "as long as REELS_HTTP_TOKEN is not set, ask for localhost or 127.0.0.1"
            raise HttpError(HTTPStatus.FORBIDDEN, "forbidden_host", message)
        return await handler(request)

    return check_host
