"""Description of the batch routes, for :mod:`views.openapi`."""

from __future__ import annotations

from typing import Any, Final

from views.arrow import MEDIA
from views.batch_parameters import MAX_IDS, MAX_IDS_IN_QUERY

Json = dict[str, Any]

_ERRORS: Final = {
    "400": "Invalid body, id, window or time, or an unknown field: the message names it.",
    "401": "No token or a wrong one, if the worker requires one.",
    "403": "The header Host names another host; only if the worker has no token.",
    "406": "The request asks for an Arrow stream, and the worker has no pyarrow.",
    "413": "The body is too large.",
    "429": "Too many reads are in progress: retry, or ask another worker.",
    "503": "The worker is overloaded: retry.",
}
_RETRY_AFTER: Final[Json] = {
    "description": "Seconds.",
    "required": True,
    "schema": {"type": "integer", "minimum": 0},
}
_IDS: Final = (
    "Ids without a row are in `unknown` (no data) or in `unavailable` (no worker can answer for "
    "them now: the answer has `Retry-After`). An Arrow stream has both as JSON lists in the "
    "schema's metadata."
)


def schema(name: str, item: str, key: Json) -> Json:
    """Describe an answer with a list ``name`` of schema ``item``; ``key`` is an id's schema."""
    ids = {"type": "array", "items": key}
    fields = {
        name: {"type": "array", "items": {"$ref": f"#/components/schemas/{item}"}},
        "unknown": ids,
        "unavailable": ids,
    }
    return {"type": "object", "properties": fields, "required": list(fields)}


def paths(name: str, answer: str, key: Json, parameters: list[Json]) -> Json:
    """Describe both routes of a table.

    Arguments:
        name: name of the route, such as ``users``.
        answer: name of the answer's schema.
        key: the schema of an id.
        parameters: those of a single read: ``window`` (if it has one), ``at``, ``stale``.
    """
    fields = {each["name"]: each["schema"] for each in parameters}
    fields["stale"] = {"type": "boolean", "default": False}
    body = {
        "type": "object",
        "properties": {
            "ids": {"type": "array", "items": key, "minItems": 1, "maxItems": MAX_IDS},
            **fields,
        },
        "required": ["ids"],
        "additionalProperties": False,
    }
    ids = {
        "name": "ids",
        "in": "query",
        "required": True,
        "description": "Separated by commas.",
        "style": "form",
        "explode": False,
        "schema": {"type": "array", "items": key, "minItems": 1, "maxItems": MAX_IDS_IN_QUERY},
    }
    return {
        f"/{name}/query": {
            "post": {
                "summary": f"Metrics of up to {MAX_IDS:,} {name}, in the order requested.",
                "description": _IDS,
                "security": [{"token": []}, {}],
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {"schema": body, "example": {"ids": [1, 2, 3]}}
                    },
                },
                "responses": _responses(answer, "413", "429"),
            }
        },
        f"/{name}": {
            "get": {
                "summary": f"Metrics of up to {MAX_IDS_IN_QUERY} {name}, in the order requested.",
                "description": _IDS,
                "security": [{"token": []}, {}],
                "parameters": [ids, *parameters],
                "responses": _responses(answer, "429"),
            }
        },
    }


def _responses(answer: str, *others: str) -> Json:
    content = {
        "application/json": {"schema": {"$ref": f"#/components/schemas/{answer}"}},
        MEDIA: {"schema": {"type": "string", "format": "binary"}},
    }
    responses: Json = {"200": {"description": "The answer.", "content": content}}
    for status in sorted(("400", "401", "403", "406", "503", *others)):
        error = {"schema": {"$ref": "#/components/schemas/Error"}}
        responses[status] = {
            "description": _ERRORS[status],
            "content": {"application/json": error},
        }
        if status in {"429", "503"}:
            responses[status]["headers"] = {"Retry-After": _RETRY_AFTER}
    return responses
