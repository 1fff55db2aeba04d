"""Middlewares for all requests: metrics, limits, JSON errors and headers."""

from __future__ import annotations

import asyncio
import logging
from functools import lru_cache
from http import HTTPStatus
from time import perf_counter
from typing import TYPE_CHECKING, Final

from aiohttp import HttpVersion11, hdrs, web

from monitoring import metrics
from views.access import PROOF, route_of, unauthorized
from views.answers import RETRY_AFTER, HttpError, bad_request, internal_error, of_aiohttp, secure
from views.connection import EXPECTATION, Connection
from views.proof import hash_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp.typedefs import Handler, Middleware
    from prometheus_client import Counter, Histogram

    from views.batch_limits import Budget

log = logging.getLogger(__name__)

#: Maximum bytes of a body on routes that need none, and seconds for a body to arrive.
MAX_BODY_BYTES: Final = 1024
BODY_TIMEOUT_S: Final = 5.0

#: The body of a request, on routes that need one.
BODY: Final = web.RequestKey("BODY", bytes)


async def add_headers(_: web.Request, response: web.StreamResponse) -> None:
    """Add the headers of every answer, unless the view has set them."""
    secure(response)


@web.middleware
async def observe(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Count the request, and convert every error to a JSON answer."""
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
    answered, seconds = _series(route, response.status)
    answered.inc()
    # The duration of a stream says nothing about the worker.
    if isinstance(response, web.Response):
        seconds.observe(perf_counter() - began)
    return response


@lru_cache(maxsize=256)
def _series(route: str, status: int) -> tuple[Counter, Histogram]:
    """Return the series of a route and a status; cached, as a lookup costs as much as counting."""
    answered = metrics.http_requests.labels(route, str(status))
    return answered, metrics.http_request_seconds.labels(route)


def admit_guests(open_to_guests: frozenset[str]) -> Middleware:
    """Return a middleware that refuses guests (without a place), except on ``open_to_guests``."""

    @web.middleware
    async def admit(request: web.Request, handler: Handler) -> web.StreamResponse:
        is_guest = isinstance(request.protocol, Connection) and request.protocol.is_guest
        if is_guest and route_of(request) not in open_to_guests:
            message = "all connections of this worker are in use; try again, or ask another worker"
            raise HttpError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "too_many_connections",
                message,
                {hdrs.RETRY_AFTER: RETRY_AFTER},
            )
        return await handler(request)

    return admit


def limit_body(large: Mapping[str, int], budget: Budget) -> Middleware:
    """Return a middleware that refuses bodies above the limit of their route or of ``budget``.

    A body without a length is refused once it exceeds the limit. A client that waits for
    "100 Continue" gets it here, after access control.

    Arguments:
        large: maximum bytes of a body, by route that needs one.
        budget: bytes of such bodies at a time.
    """

    @web.middleware
    async def limit(request: web.Request, handler: Handler) -> web.StreamResponse:
        most = large.get(route_of(request) or "") if request.method == hdrs.METH_POST else None
        size = request.content_length
        if (size or 0) > (most or MAX_BODY_BYTES):
            raise web.HTTPRequestEntityTooLarge(most or MAX_BODY_BYTES, size or 0)
        if most is None:
            await _read_body(request, MAX_BODY_BYTES)
            return await handler(request)
        with budget.take(most if size is None else size):
            request[BODY] = await _read_body(request, most)
            return await handler(request)

    return limit


async def _read_body(request: web.Request, most: int) -> bytes:
    expectation = request.get(EXPECTATION, "100-continue")
    if expectation.lower() != "100-continue" and request.version >= HttpVersion11:
        raise web.HTTPExpectationFailed
    body = bytearray()
    if request.body_exists:
        try:
            if request.content.is_eof() and EXPECTATION not in request:
                # It came with the head, as most do.
                body += request.content.read_nowait()
            else:
                async with asyncio.timeout(BODY_TIMEOUT_S):
                    await _receive(request, body, most)
        except TimeoutError:
            raise web.HTTPRequestTimeout from None
        except (ConnectionError, web.RequestPayloadError) as exc:
            raise bad_request("bad_request", "the body is not well-formed") from exc
        if len(body) > most:
            raise web.HTTPRequestEntityTooLarge(most, len(body))
    if PROOF in request and hash_of(bytes(body)) != request[PROOF].body_hash:
        raise unauthorized("the proof belongs to another body")
    return bytes(body)


async def _receive(request: web.Request, body: bytearray, most: int) -> None:
    """Append received bytes to ``body``, until it has more than ``most``."""
    if EXPECTATION in request and request.version >= HttpVersion11:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # This is not part of the answer, which is still unsent.
        request.writer.output_size = 0
    while len(body) <= most and (chunk := await request.content.readany()):
        body += chunk
