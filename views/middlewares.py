"""What happens to every request, counted and limited, and to every answer."""

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

#: Bytes of a request's body where nobody needs one, and seconds that a body may take to arrive.
MAX_BODY: Final = 1024
BODY_TIMEOUT: Final = 5.0

#: The body, of routes that have one.
BODY: Final = web.RequestKey("BODY", bytes)


async def add_headers(_: web.Request, response: web.StreamResponse) -> None:
    """Tell browsers to keep, frame and guess nothing, unless the view said otherwise."""
    secure(response)


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
    answered, seconds = _series(route, response.status)
    answered.inc()
    # How long a stream lasts says nothing of the worker.
    if isinstance(response, web.Response):
        seconds.observe(perf_counter() - began)
    return response


@lru_cache(maxsize=256)
def _series(route: str, status: int) -> tuple[Counter, Histogram]:
    """Return the series of a route and a status: to find them costs as much as to count."""
    answered = metrics.http_requests.labels(route, str(status))
    return answered, metrics.http_request_seconds.labels(route)


def admit_guests(open_to_guests: frozenset[str]) -> Middleware:
    """Return what answers guests, for whom there is no place, on ``open_to_guests`` only."""

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
    """Return what refuses a body above the limit of its route, and one more than ``budget`` has.

    A body without a length is refused when it has come so far. A client that waits for
    "100 Continue" gets it here: whoever may not ask need not send.

    Arguments:
        large: the most bytes of a body, by the routes that need one.
        budget: bytes of such bodies that may be here at a time.
    """

    @web.middleware
    async def limit(request: web.Request, handler: Handler) -> web.StreamResponse:
        most = large.get(route_of(request) or "") if request.method == hdrs.METH_POST else None
        size = request.content_length
        if (size or 0) > (most or MAX_BODY):
            raise web.HTTPRequestEntityTooLarge(most or MAX_BODY, size or 0)
        if most is None:
            await _read_body(request, MAX_BODY)
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
                # It came with the head, as most do: there is nothing to wait for.
                body += request.content.read_nowait()
            else:
                async with asyncio.timeout(BODY_TIMEOUT):
                    await _receive(request, body, most)
        except TimeoutError:
            raise web.HTTPRequestTimeout from None
        except (ConnectionError, web.RequestPayloadError) as exc:
            raise bad_request("bad_request", "the body is not well-formed") from exc
        if len(body) > most:
            raise web.HTTPRequestEntityTooLarge(most, len(body))
    if PROOF in request and hash_of(bytes(body)) != request[PROOF].body_hash:
        raise unauthorized("the proof is for another body")
    return bytes(body)


async def _receive(request: web.Request, body: bytearray, most: int) -> None:
    """Append what comes to ``body``, until that is more than ``most`` bytes."""
    if EXPECTATION in request and request.version >= HttpVersion11:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # It is no part of the answer, of which nothing is sent yet.
        request.writer.output_size = 0
    while len(body) <= most and (chunk := await request.content.readany()):
        body += chunk
