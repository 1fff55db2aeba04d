"""``GET /openapi.json``: the routes, described for programs in OpenAPI 3.1.

``docs/openapi.json`` is the same, written by ``make docs``; tests hold it against the routes and
against real answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec.json import schema_components

from models.counters import SUMMED, USER, VIDEO
from models.entity import schemas
from models.schema import MAX_ID
from views import openapi_batch
from views.answers import json_response
from views.figures import Figures
from views.parameters import DEFAULT_LIMIT, MAX_LIMIT

if TYPE_CHECKING:
    from aiohttp import web

    from models.entity import Entity

Json = dict[str, Any]

_TIME: Final[Json] = {"type": "string", "format": "date-time"}
_COUNT: Final[Json] = {"type": "integer", "minimum": 0}
_ID: Final[Json] = {"type": "integer", "minimum": 0, "maximum": MAX_ID}
_COEFFICIENT: Final[Json] = {"type": "number", "minimum": 0}
_BOUNDS: Final[Json] = {"start": _TIME, "end": _TIME}
_SECONDS: Final[Json] = {"type": "integer", "minimum": 1}

_AT: Final[Json] = {
    "name": "at",
    "in": "query",
    "description": (
        "The time of the window, RFC 3339 with a zone. Without it, the partition's stream time. "
        "A window ends with the step that the time lies in, and all that was accepted in that "
        "step counts, later than `at` too: `window` in the answer says what is covered. "
        "The whole window asked for has to be kept still: else `window_not_kept`, and where a "
        "smaller `window` may be asked for the message offers the largest that is."
    ),
    "schema": _TIME,
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
        "While the owner of the key cannot answer, a copy that may be behind does; "
        "its answer carries `stale`."
    ),
    "schema": {"const": "ok"},
}


def _record(**fields: Json) -> Json:
    return {"type": "object", "properties": fields, "required": list(fields)}


def _answer(**fields: Json) -> Json:
    """Describe what an owner answers, and a copy, which says that it is one."""
    answer = _record(**fields)
    answer["properties"]["stale"] = {"const": True}
    return answer


def _list(item: Json) -> Json:
    return {"type": "array", "items": item}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _id_parameter(name: str) -> Json:
    return {"name": name, "in": "path", "required": True, "schema": _ID}


def _status() -> Json:
    """Describe what a health route answers with 200."""
    status = _record(status={"enum": ["ok", "ready"]})
    status["properties"]["obstacle"] = {"type": "string"}
    return status


_VIRAL: Final = _record(
    video_id=_ID,
    viral_coefficient=_COEFFICIENT,
    views=_COUNT,
    shares=_COUNT,
    comments=_COUNT,
    detected_at=_TIME,
)
_VIRAL_VIDEOS: Final = _record(videos=_list(_VIRAL))
_VIRAL_VIDEOS["properties"]["complete"] = {
    "const": False,
    "description": "Only there when it is not known of every video whether it is viral.",
}
_VIDEO_WINDOW: Final = _record(**_BOUNDS, **schemas(VIDEO.answer))
_USER_WINDOW: Final = _record(**_BOUNDS, size_s=_SECONDS, step_s=_SECONDS)

_COMPLETE_SINCE: Final[Json] = {
    "type": ["string", "null"],
    "format": "date-time",
    "description": "From when on all of the window is counted; null: all of it.",
}

_SCHEMAS: Final[Json] = {
    "Error": _record(error=_record(code={"type": "string"}, message={"type": "string"})),
    "Status": _status(),
    "User": _answer(
        user_id=_ID,
        as_of=_TIME,
        window=_USER_WINDOW,
        **schemas(USER.answer),
    ),
    "UserSeries": _answer(
        user_id=_ID,
        as_of=_TIME,
        window=_USER_WINDOW,
        panes=_list(_record(start=_TIME, **schemas(USER.steps))),
    ),
    "Video": _answer(
        video_id=_ID,
        as_of=_TIME,
        rolling=_VIDEO_WINDOW,
        tumbling=_VIDEO_WINDOW,
        viral={"type": "boolean"},
    ),
    "VideoSeries": _answer(
        video_id=_ID,
        as_of=_TIME,
        step_s=_SECONDS,
        rolling=_record(**_BOUNDS),
        tumbling=_record(**_BOUNDS),
        panes=_list(_record(start=_TIME, **schemas(VIDEO.steps))),
    ),
    "ViralVideos": _VIRAL_VIDEOS,
    "Users": openapi_batch.schema("users", "User", _ID),
    "Videos": openapi_batch.schema("videos", "Video", _ID),
}


def _summed_schemas(of: Entity[Any]) -> Json:
    """Describe the answers of a table of sums with one window, such as creators."""
    name = of.name.title()
    head = {of.key: _ID, "as_of": _TIME, "window": _USER_WINDOW}
    panes = _list(_record(start=_TIME, **schemas(of.steps)))
    return {
        f"{name}s": openapi_batch.schema(of.plural, name, _ID),
        name: _answer(**head, **schemas(of.answer), complete_since=_COMPLETE_SINCE),
        f"{name}Series": _answer(**head, panes=panes, complete_since=_COMPLETE_SINCE),
    }


_ERRORS: Final = {
    "400": "A wrong id, window, time or limit; or a window that is kept no more; or two logins.",
    "401": "No token or a wrong one, where the worker has one.",
    "403": "The header Host names somebody else; only as long as the worker has no token.",
    "404": "Nothing is known of that id.",
    "503": "The partition is moving or recovering, or the worker has no room: ask again.",
}


def _responses(ok: Json, *errors: str, media: str = "application/json") -> Json:
    answers: Json = {"200": {"description": "The answer.", "content": {media: {"schema": ok}}}}
    for status in errors:
        content = {"application/json": {"schema": _ref("Error")}}
        answers[status] = {"description": _ERRORS[status], "content": content}
    if "503" in errors:
        retry = {"description": "Seconds.", "required": True, "schema": _COUNT}
        answers["503"]["headers"] = {"Retry-After": retry}
    return answers


def _data(summary: str, responses: Json, *parameters: Json) -> Json:
    """Describe a route that asks for the token, once there is one."""
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
        **openapi_batch.paths(of.plural, f"{name}s", _ID, parameters),
        f"/{of.plural}/{{{of.key}}}": _data(
            f"What is counted of a {of.name}.",
            _responses(_ref(name), *_KEY_ERRORS),
            *(key, *parameters),
        ),
        f"/{of.plural}/{{{of.key}}}/series": _data(
            f"The steps that a {of.name}'s metrics are the sums of.",
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
            "What a user watched and liked.",
            _responses(_ref("User"), *_KEY_ERRORS),
            *(user, _WINDOW, _AT, _STALE),
        ),
        "/users/{user_id}/series": _data(
            "The steps that a user's metrics are the sums of.",
            _responses(_ref("UserSeries"), *_KEY_ERRORS),
            *(user, _WINDOW, _AT, _STALE),
        ),
        "/videos/viral": _data(
            "The videos that are viral now, the highest coefficient first.",
            _responses(_ref("ViralVideos"), "400", "401", "403", "503"),
            limit,
        ),
        "/videos/{video_id}": _data(
            "What happened to a video, in the rolling and in the tumbling window.",
            _responses(_ref("Video"), *_KEY_ERRORS),
            *(video, _AT, _STALE),
        ),
        "/videos/{video_id}/series": _data(
            "The steps that a video's counters are the sums of.",
            _responses(_ref("VideoSeries"), *_KEY_ERRORS),
            *(video, _AT, _STALE),
        ),
        **openapi_batch.paths("users", "Users", _ID, [_WINDOW, _AT, _STALE]),
        **openapi_batch.paths("videos", "Videos", _ID, [_AT, _STALE]),
        **{path: said for of in SUMMED for path, said in _summed_paths(of).items()},
        "/overview": _data(
            "This worker's figures.", _responses(_ref("Figures"), "401", "403", "503")
        ),
        "/overview/stream": _data(
            "All workers' figures once a second, as server-sent events.",
            _responses(_TEXT, "401", "403", "503", media="text/event-stream"),
        ),
        "/metrics": _data(
            "Metrics for Prometheus.", _responses(_TEXT, "401", "403", "503", media="text/plain")
        ),
        "/healthz": _open("Whether the worker works.", _responses(_ref("Status"), "403", "503")),
        "/readyz": _open(
            "Whether it can answer for its partitions.", _responses(_ref("Status"), "403", "503")
        ),
        "/openapi.json": _open("This description.", _responses({"type": "object"}, "403", "503")),
        "/": _open("The dashboard.", _responses(_TEXT, "403", "503", media="text/html")),
    }


def describe() -> Json:
    """Return the whole description."""
    summed = {name: said for of in SUMMED for name, said in _summed_schemas(of).items()}
    _, figures = schema_components([Figures], ref_template="#/components/schemas/{name}")
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Reels Analytics",
            "version": "1",
            "description": "Every worker answers for every key.",
        },
        "paths": _paths(),
        "components": {
            "schemas": _SCHEMAS | summed | figures,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


class DescriptionViews:
    """Answers with the description; it holds no data."""

    def __init__(self) -> None:
        """Make it once."""
        self._description = describe()

    async def get(self, _: web.Request) -> web.Response:
        """Answer with the routes."""
        return json_response(self._description)
