"""What requests are answered with: JSON, errors too."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import orjson
from aiohttp import hdrs, web
from multidict import CIMultiDict

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Error codes of the statuses that aiohttp itself answers with.
_CODES: Final = {
    HTTPStatus.NOT_FOUND: "not_found",
    HTTPStatus.METHOD_NOT_ALLOWED: "method_not_allowed",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "payload_too_large",
    HTTPStatus.REQUEST_TIMEOUT: "request_timeout",
}

#: What browsers are told with every answer, unless a view says otherwise.
_HEADERS: Final = {
    hdrs.CACHE_CONTROL: "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Versions of what runs are nobody's business.
    hdrs.SERVER: "reels",
}

_SERVER: Final = _HEADERS[hdrs.SERVER]
#: With all of them from the start, an answer takes a third of the time to make.
_OF_JSON: Final = CIMultiDict({hdrs.CONTENT_TYPE: "application/json", **_HEADERS})

#: Seconds after which a client may try again while a partition is moving or recovering.
RETRY_AFTER: Final = "1"


class HttpError(Exception):
    """A request that is answered with an error."""

    def __init__(
        self,
        status: HTTPStatus,
        code: str,
        message: str,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Answer with ``status``, a ``code`` for programs and a ``message`` for people."""
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}

    @property
    def response(self) -> web.Response:
        """What the client gets."""
        error = {"code": self.code, "message": self.message}
        return json_response({"error": error}, self.status, self.headers)


def bad_request(code: str, message: str) -> HttpError:
    """Return the error for a request that is wrong in itself."""
    return HttpError(HTTPStatus.BAD_REQUEST, code, message)


def not_found(message: str) -> HttpError:
    """Return the error for something of which nothing is known."""
    return HttpError(HTTPStatus.NOT_FOUND, "not_found", message)


def unavailable(message: str) -> HttpError:
    """Return the error for what will be answered in a moment, here or elsewhere."""
    headers = {"Retry-After": RETRY_AFTER}
    return HttpError(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", message, headers)


def internal_error() -> HttpError:
    """Return the error for a mistake of ours: what it was is for the log."""
    message = "something went wrong in the worker; its log tells what"
    return HttpError(HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", message)


def of_aiohttp(exc: web.HTTPException) -> HttpError:
    """Return one of aiohttp's own errors (no such route, a method not allowed) as ours."""
    status = HTTPStatus(exc.status)
    headers = {name: exc.headers[name] for name in ("Allow",) if name in exc.headers}
    code = _CODES.get(status, "bad_request")
    return HttpError(status, code, status.description or status.phrase, headers)


def secure(response: web.StreamResponse) -> None:
    """Add the headers that every answer has, if they are not there already."""
    headers = response.headers
    if headers.get(hdrs.SERVER) == _SERVER:
        return
    # aiohttp has set it to its own name.
    headers[hdrs.SERVER] = _SERVER
    for name, value in _HEADERS.items():
        headers.setdefault(name, value)


def json_response(
    data: Any,
    status: int = HTTPStatus.OK,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """Answer with ``data`` as JSON."""
    return json_text_response(orjson.dumps(data), status, headers)


def json_text_response(
    body: bytes, status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Answer with a text in JSON."""
    all_headers = _OF_JSON
    if headers:
        all_headers = CIMultiDict(_OF_JSON)
        all_headers.update(headers)
    return web.Response(body=body, status=status, headers=all_headers)
