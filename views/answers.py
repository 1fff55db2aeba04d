"""Answers in JSON, including errors."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import orjson
from aiohttp import hdrs, web
from multidict import CIMultiDict

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Error codes for statuses that aiohttp itself sends.
_CODES: Final = {
    HTTPStatus.NOT_FOUND: "not_found",
    HTTPStatus.METHOD_NOT_ALLOWED: "method_not_allowed",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "payload_too_large",
    HTTPStatus.REQUEST_TIMEOUT: "request_timeout",
}

#: Headers of every answer, unless a view sets them.
_HEADERS: Final = {
    hdrs.CACHE_CONTROL: "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Hides the versions of software.
    hdrs.SERVER: "reels",
}

_SERVER: Final = _HEADERS[hdrs.SERVER]
#: With all headers from the start, an answer takes a third of the time.
_OF_JSON: Final = CIMultiDict({hdrs.CONTENT_TYPE: "application/json", **_HEADERS})

#: Seconds after which a client may retry while a partition is moving or recovering.
RETRY_AFTER: Final = "1"


class HttpError(Exception):
    """An error answer to a request."""

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
        """The answer to the client."""
        error = {"code": self.code, "message": self.message}
        return json_response({"error": error}, self.status, self.headers)


def bad_request(code: str, message: str) -> HttpError:
    """Return the error for an invalid request."""
    return HttpError(HTTPStatus.BAD_REQUEST, code, message)


def not_found(message: str) -> HttpError:
    """Return the error for an unknown key or file."""
    return HttpError(HTTPStatus.NOT_FOUND, "not_found", message)


def unavailable(message: str) -> HttpError:
    """Return the error for a request that can soon be answered, here or elsewhere."""
    headers = {"Retry-After": RETRY_AFTER}
    return HttpError(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", message, headers)


def internal_error() -> HttpError:
    """Return the error for a fault of the worker; details are only in the log."""
    message = "the worker failed; its log has the reason"
    return HttpError(HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", message)


def of_aiohttp(exc: web.HTTPException) -> HttpError:
    """Convert one of aiohttp's own errors (unknown route, method not allowed)."""
    status = HTTPStatus(exc.status)
    headers = {name: exc.headers[name] for name in ("Allow",) if name in exc.headers}
    code = _CODES.get(status, "bad_request")
    return HttpError(status, code, status.description or status.phrase, headers)


def secure(response: web.StreamResponse) -> None:
    """Add the headers of every answer, unless they are set."""
    headers = response.headers
    if headers.get(hdrs.SERVER) == _SERVER:
        return
    # aiohttp has set a Server header of its own.
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
    """Answer with encoded JSON."""
    all_headers = _OF_JSON
    if headers:
        all_headers = CIMultiDict(_OF_JSON)
        all_headers.update(headers)
    return web.Response(body=body, status=status, headers=all_headers)
