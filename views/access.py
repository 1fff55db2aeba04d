"""Access control: by token or proof of it; without a token, by local host name."""

from __future__ import annotations

import hmac
from functools import lru_cache
from http import HTTPStatus
from time import time
from typing import TYPE_CHECKING, Final

from aiohttp import hdrs, web
from yarl import URL

from settings import is_loopback
from views.answers import HttpError, bad_request
from views.peers import address_of
from views.proof import SCHEME, Proof, ProofError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp.typedefs import Handler, Middleware

    from streaming.ports import WorkerStatus
    from views.proof import Prover

#: The checked proof of a request that has one.
PROOF: Final = web.RequestKey("PROOF", Proof)


def route_of(request: web.Request) -> str | None:
    """Return the template of a request's route, None without a route."""
    resource = request.match_info.route.resource
    return None if resource is None else resource.canonical


@web.middleware
async def refuse_two_logins(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse a second ``Authorization`` header: a proxy may have checked the other one."""
    if len(request.headers.getall(hdrs.AUTHORIZATION, ())) > 1:
        raise bad_request("bad_request", "a request may have only one header Authorization")
    return await handler(request)


def require_token(
    status: WorkerStatus, token: str, prover: Prover, open_routes: frozenset[str]
) -> Middleware:
    """Return a middleware that requires ``token``, except for ``open_routes``.

    Clients send the token. Workers send a proof of it, which ``prover`` checks.
    """
    expected = token.encode()

    @web.middleware
    async def authorize(request: web.Request, handler: Handler) -> web.StreamResponse:
        route = route_of(request)
        if route is not None and route not in open_routes:
            scheme, _, given = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
            if scheme.lower() == SCHEME.lower():
                names = _names_of(status, request)
                try:
                    request[PROOF] = prover.check(
                        time(), given.strip(), request.method, request.raw_path, names
                    )
                except ProofError as exc:
                    raise unauthorized(str(exc)) from exc
            else:
                known = hmac.compare_digest(given.strip().encode(errors="replace"), expected)
                if scheme.lower() != "bearer" or not known:
                    raise unauthorized(
                        "send the header Authorization: Bearer with the worker's token"
                    )
        return await handler(request)

    return authorize


def unauthorized(message: str) -> HttpError:
    """Return the error for a request without a valid token or proof."""
    return HttpError(
        HTTPStatus.UNAUTHORIZED,
        "unauthorized",
        message,
        {hdrs.WWW_AUTHENTICATE: 'Bearer realm="reels"'},
    )


def _names_of(status: WorkerStatus, request: web.Request) -> set[str]:
    """Return the addresses that a proof for this worker may name.

    Other workers name its advertised address. Clients on this machine may name the socket's
    address, which no other program can use.
    """
    names = {address_of(status.url)}
    socket = None if request.transport is None else request.transport.get_extra_info("sockname")
    if isinstance(socket, tuple) and is_loopback(socket[0]):
        names.add(address_of(URL.build(scheme="http", host=socket[0], port=socket[1])))
    return names


def prove_answers(
    prover: Prover,
) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """Return a hook that adds proofs to answers of requests with a proof, except to streams."""

    async def prove(request: web.Request, response: web.StreamResponse) -> None:
        if PROOF in request and isinstance(response, web.Response):
            body = response.body if isinstance(response.body, bytes) else b""
            response.headers.update(
                prover.answer_headers(request[PROOF].nonce, response.status, body)
            )

    return prove


@lru_cache(maxsize=256)
def _host_of(authority: str) -> tuple[str, bool]:
    """Return the host of ``authority``, and whether it is this machine.

    Cached: clients repeat the same one, and parsing costs as much as the answer. Raises ValueError.
    """
    if authority.count(":") > 1 and "[" not in authority:
        # An IPv6 address from the request line, whose brackets aiohttp has removed.
        authority = f"[{authority}]"
    host = URL.build(scheme="http", authority=authority).host or ""
    return host, is_loopback(host)


def require_local_host(status: WorkerStatus) -> Middleware:
    """Return a middleware that refuses foreign host names, for workers without a token.

    A foreign page could resolve its own name to 127.0.0.1 (DNS rebinding), and the browser would
    let it read the answers.
    """

    @web.middleware
    async def check_host(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            host, is_local = _host_of(request.host)
        except ValueError:
            raise bad_request("bad_request", "the header Host is wrong") from None
        if hdrs.HOST in request.headers and not (is_local or host == status.url.host):
            message = (
                "without REELS_HTTP_TOKEN, the worker answers only for localhost and 127.0.0.1"
            )
            raise HttpError(HTTPStatus.FORBIDDEN, "forbidden_host", message)
        return await handler(request)

    return check_host
