"""``GET /openapi.json``: the OpenAPI 3.1 description of the routes.

``make docs`` writes it to ``docs/openapi.json``. Tests compare it with the routes and with real
answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from models.counters import SUMMED
from views import openapi_batch
from views.answers import json_response
from views.openapi_schemas import COUNT, ID, TIME, schemas
from views.parameters import DEFAULT_LIMIT, MAX_LIMIT

if TYPE_CHECKING:
    from aiohttp import web

    from models.entity import Entity

Json = dict[str, Any]

_AT: Final[Json] = {
    "name": "at",
    "in": "query",
    "description": (
        "Time of the window, RFC 3339 with a zone; default: the partition's stream time. A window "
        "ends with the step that contains this time, and all events of that step count, including "
        "those later than `at`: `window` in the answer gives the exact bounds. The tables must "
        "still hold the whole window; else the answer is `window_not_kept`, and its message names "
        "the largest possible `window` where the route has one."
    ),
    "schema": TIME,
    "example": "2025-01-15T14:30:45.123Z",
}
_WINDOW: Final[Json] = {
    "name": "window",
    "in": "query",
    "description": "A multiple of the step, up to the users' window: `1h`, `90m`, `22h45m`.",
    "schema": {"type": "string", "pattern": "^([0-9]{1,15}(ms|s|m|h|d)){1,5}$"},
    "example": "1h",
}

_STALE: Final[Json] = {
    "name": "stale",
    "in": "query",
    "description": (
        "If the owner of the key cannot answer, a copy answers that may be behind; "
        "its answer has `stale`."
    ),
    "schema": {"const": "ok"},
}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _id_parameter(name: str) -> Json:
    return {"name": name, "in": "path", "required": True, "schema": ID}


_ERRORS: Final = {
    "400": "Invalid id, window, time or limit; a window that is no longer kept; or two logins.",
    "401": "No token or a wrong one, if the worker requires one.",
    "403": "The header Host names another host; only if the worker has no token.",
    "404": "Nothing is known of that id.",
    "503": "The partition is moving or recovering, or the worker is overloaded: retry.",
}


def _responses(ok: Json, *errors: str, media: str = "application/json") -> Json:
    answers: Json = {"200": {"description": "The answer.", "content": {media: {"schema": ok}}}}
    for status in errors:
        content = {"application/json": {"schema": _ref("Error")}}
        answers[status] = {"description": _ERRORS[status], "content": content}
    if "503" in errors:
        retry = {"description": "Seconds.", "required": True, "schema": COUNT}
        answers["503"]["headers"] = {"Retry-After": retry}
    return answers


def _data(summary: str, responses: Json, *parameters: Json) -> Json:
    """Describe a route that requires the token if one is set."""
    operation = _open(summary, responses)
    operation["get"]["security"] = [{"token": []}, {}]
    if parameters:
        operation["get"]["parameters"] = list(parameters)
    return operation


def _open(summary: str, responses: Json) -> Json:
    return {"get": {"summary": summary, "responses": responses, "security": []}}


_KEY_ERRORS: Final = ("400", "401", "403", "404", "503")
_TEXT: Final[Json] = {"type": "string"}


def _summed_paths(of: Entity[Any]) -> Json:
    name, parameters = of.name.title(), [_WINDOW, _AT, _STALE]
    key = _id_parameter(of.key)
    return {
        **openapi_batch.paths(of.plural, f"{name}s", ID, parameters),
        f"/{of.plural}/{{{of.key}}}": _data(
            f"Metrics of a {of.name}.",
            _responses(_ref(name), *_KEY_ERRORS),
            *(key, *parameters),
        ),
        f"/{of.plural}/{{{of.key}}}/series": _data(
            f"Counts of a {of.name} per step.",
            _responses(_ref(f"{name}Series"), *_KEY_ERRORS),
            *(key, *parameters),
        ),
    }


def _paths() -> Json:
    user, video = _id_parameter("user_id"), _id_parameter("video_id")
    limit = {
        "name": "limit",
        "in": "query",
        "schema": {
            "type": "integer",
            "minimum": 1,
            "maximum": MAX_LIMIT,
            "default": DEFAULT_LIMIT,
        },
    }
    return {
        "/users/{user_id}": _data(
            "Metrics of a user.",
            _responses(_ref("User"), *_KEY_ERRORS),
            *(user, _WINDOW, _AT, _STALE),
        ),
        "/users/{user_id}/series": _data(
            "Counts of a user per step.",
            _responses(_ref("UserSeries"), *_KEY_ERRORS),
            *(user, _WINDOW, _AT, _STALE),
        ),
        "/videos/viral": _data(
            "Videos that are viral now, highest coefficient first.",
            _responses(_ref("ViralVideos"), "400", "401", "403", "503"),
            limit,
        ),
        "/videos/{video_id}": _data(
            "Metrics of a video in the rolling and in the tumbling window.",
            _responses(_ref("Video"), *_KEY_ERRORS),
            *(video, _AT, _STALE),
        ),
        "/videos/{video_id}/series": _data(
            "Counts of a video per step.",
            _responses(_ref("VideoSeries"), *_KEY_ERRORS),
            *(video, _AT, _STALE),
        ),
        **openapi_batch.paths("users", "Users", ID, [_WINDOW, _AT, _STALE]),
        **openapi_batch.paths("videos", "Videos", ID, [_AT, _STALE]),
        **{path: said for of in SUMMED for path, said in _summed_paths(of).items()},
        "/overview": _data(
            "Figures of this worker.", _responses(_ref("WorkerStats"), "401", "403", "503")
        ),
        "/overview/stream": _data(
            "Figures of all workers once per second, as server-sent events.",
            _responses(_TEXT, "401", "403", "503", media="text/event-stream"),
        ),
        "/metrics": _data(
            "Metrics for Prometheus.", _responses(_TEXT, "401", "403", "503", media="text/plain")
        ),
        "/healthz": _open("Whether the worker works.", _responses(_ref("Status"), "403", "503")),
        "/readyz": _open(
            "Whether the worker can answer for its partitions.",
            _responses(_ref("Status"), "403", "503"),
        ),
        "/openapi.json": _open("This description.", _responses({"type": "object"}, "403", "503")),
        "/": _open("The dashboard.", _responses(_TEXT, "403", "503", media="text/html")),
    }


def describe_routes() -> Json:
    """Return the whole description."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Reels Analytics",
            "version": "1",
            "description": "Every worker answers for every key.",
        },
        "paths": _paths(),
        "components": {
            "schemas": schemas(),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


class DescriptionViews:
    """Answers with the description, which contains no data."""

    def __init__(self) -> None:
        """Build the description once."""
        self._description = describe_routes()

    async def get(self, _: web.Request) -> web.Response:
        """Answer with the description."""
        return json_response(self._description)
