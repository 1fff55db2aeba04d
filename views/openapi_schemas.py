"""The schemas of answers, for :mod:`views.openapi`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec.json import schema_components

from models.counters import SUMMED, USER, VIDEO
from models.entity import schemas as schemas_of
from models.schema import MAX_ID
from views import openapi_batch
from views.worker_stats import WorkerStats

if TYPE_CHECKING:
    from models.entity import Entity

Json = dict[str, Any]

TIME: Final[Json] = {"type": "string", "format": "date-time"}
COUNT: Final[Json] = {"type": "integer", "minimum": 0}
ID: Final[Json] = {"type": "integer", "minimum": 0, "maximum": MAX_ID}
_COEFFICIENT: Final[Json] = {"type": "number", "minimum": 0}
_BOUNDS: Final[Json] = {"start": TIME, "end": TIME}
_SECONDS: Final[Json] = {"type": "integer", "minimum": 1}


def _record(**fields: Json) -> Json:
    return {"type": "object", "properties": fields, "required": list(fields)}


def _answer(**fields: Json) -> Json:
    """Describe the answer of an owner, or of a copy, which adds ``stale``."""
    answer = _record(**fields)
    answer["properties"]["stale"] = {"const": True}
    return answer


def _list(item: Json) -> Json:
    return {"type": "array", "items": item}


def _status() -> Json:
    """Describe the answer of a health route with status 200."""
    status = _record(status={"enum": ["ok", "ready"]})
    status["properties"]["obstacle"] = {"type": "string"}
    return status


_VIRAL: Final = _record(
    video_id=ID,
    viral_coefficient=_COEFFICIENT,
    views=COUNT,
    shares=COUNT,
    comments=COUNT,
    detected_at=TIME,
)
_VIRAL_VIDEOS: Final = _record(videos=_list(_VIRAL))
_VIRAL_VIDEOS["properties"]["complete"] = {
    "const": False,
    "description": "Present only if the viral state of some videos is unknown.",
}
_VIDEO_WINDOW: Final = _record(**_BOUNDS, **schemas_of(VIDEO.answer))
_USER_WINDOW: Final = _record(**_BOUNDS, size_s=_SECONDS, step_s=_SECONDS)

_COMPLETE_SINCE: Final[Json] = {
    "type": ["string", "null"],
    "format": "date-time",
    "description": "Time from which the window is fully counted; null: from its start.",
}

_SCHEMAS: Final[Json] = {
    "Error": _record(error=_record(code={"type": "string"}, message={"type": "string"})),
    "Status": _status(),
    "User": _answer(
        user_id=ID,
        as_of=TIME,
        window=_USER_WINDOW,
        **schemas_of(USER.answer),
    ),
    "UserSeries": _answer(
        user_id=ID,
        as_of=TIME,
        window=_USER_WINDOW,
        panes=_list(_record(start=TIME, **schemas_of(USER.steps))),
    ),
    "Video": _answer(
        video_id=ID,
        as_of=TIME,
        rolling=_VIDEO_WINDOW,
        tumbling=_VIDEO_WINDOW,
        viral={"type": "boolean"},
    ),
    "VideoSeries": _answer(
        video_id=ID,
        as_of=TIME,
        step_s=_SECONDS,
        rolling=_record(**_BOUNDS),
        tumbling=_record(**_BOUNDS),
        panes=_list(_record(start=TIME, **schemas_of(VIDEO.steps))),
    ),
    "ViralVideos": _VIRAL_VIDEOS,
    "Users": openapi_batch.schema("users", "User", ID),
    "Videos": openapi_batch.schema("videos", "Video", ID),
}


def _summed_schemas(of: Entity[Any]) -> Json:
    """Describe the answers of a table of sums with one window, such as creators."""
    name = of.name.title()
    head = {of.key: ID, "as_of": TIME, "window": _USER_WINDOW}
    panes = _list(_record(start=TIME, **schemas_of(of.steps)))
    return {
        f"{name}s": openapi_batch.schema(of.plural, name, ID),
        name: _answer(**head, **schemas_of(of.answer), complete_since=_COMPLETE_SINCE),
        f"{name}Series": _answer(**head, panes=panes, complete_since=_COMPLETE_SINCE),
    }


def schemas() -> Json:
    """Return all schemas by name."""
    _, figures = schema_components([WorkerStats], ref_template="#/components/schemas/{name}")
    summed = {name: said for of in SUMMED for name, said in _summed_schemas(of).items()}
    return _SCHEMAS | summed | figures
