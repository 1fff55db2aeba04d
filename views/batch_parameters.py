"""Parsing of batch requests, from a body or a query."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from models.schema import MAX_ID
from views.answers import bad_request
from views.parameters import parse_at, parse_id, parse_stale, parse_window

if TYPE_CHECKING:
    from multidict import MultiMapping

    from views.entities import BatchTable

#: Maximum ids per request, in a body and in a query.
MAX_IDS: Final = 10_000
MAX_IDS_IN_QUERY: Final = 100

#: Maximum bytes of a body: twice the size of the most ids with all digits.
MAX_BATCH_BODY_BYTES: Final = 512 << 10


class BatchQuery(NamedTuple):
    """A parsed request."""

    ids: list[int]
    """Distinct, in the order asked."""
    window: str | None
    window_ms: int | None
    """None for the whole window."""
    at: str | None
    at_ms: int | None
    """None for each partition's stream time."""
    stale_is_ok: bool

    def body(self, ids: list[int]) -> bytes:
        """Return a request body for some of the ids."""
        asked: dict[str, Any] = {"ids": ids}
        if self.window is not None:
            asked["window"] = self.window
        if self.at is not None:
            asked["at"] = self.at
        if self.stale_is_ok:
            asked["stale"] = True
        return orjson.dumps(asked)


def parse_body(body: bytes, entity: BatchTable) -> BatchQuery:
    """Parse a body.

    Raises:
        HttpError: it is not a JSON object, or has an unknown or invalid field.
    """
    try:
        asked = orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        raise bad_request("invalid_body", f"the body is not JSON: {exc}") from exc
    if not isinstance(asked, dict):
        raise bad_request("invalid_body", 'the body must be an object such as {"ids": [1, 2]}')
    known = ("ids", *(("window",) if entity.has_window else ()), "at", "stale")
    for name in asked:
        if name not in known:
            message = (
                f"{name!r:.40} is not a field of this request; its fields are {', '.join(known)}"
            )
            raise bad_request("invalid_body", message)
    ids = asked.get("ids")
    if not isinstance(ids, list) or not 1 <= len(ids) <= MAX_IDS:
        raise bad_request("invalid_ids", f"ids must be a list of 1 to {MAX_IDS} ids")
    # In Python, a bool is an int.
    if set(map(type, ids)) != {int} or min(ids) < 0 or max(ids) > MAX_ID:
        each = next(id_ for id_ in ids if type(id_) is not int or not 0 <= id_ <= MAX_ID)
        message = f"an id must be an integer from 0 to {MAX_ID}, not {each!r:.40}"
        raise bad_request("invalid_id", message)
    stale = asked.get("stale", False)
    if not isinstance(stale, bool):
        raise bad_request("invalid_stale", f"stale must be true or false, not {stale!r:.40}")
    window = _text(asked, "window", "invalid_window", "a duration such as 1h")
    at = _text(asked, "at", "invalid_time", "a time such as 2025-01-15T14:30:45.123Z")
    return _query(ids, window, at, entity, stale_is_ok=stale)


def parse_query(query: MultiMapping[str], entity: BatchTable) -> BatchQuery:
    """Parse a query; unknown parameters are ignored, as in single reads.

    Raises:
        HttpError: a parameter is invalid.
    """
    # A text that is too long is split only as far as needed to refuse it.
    texts = ",".join(query.getall("ids", ())).split(",", MAX_IDS_IN_QUERY)
    if texts == [""] or len(texts) > MAX_IDS_IN_QUERY:
        message = f"ids must be 1 to {MAX_IDS_IN_QUERY} ids, separated by commas; POST accepts more"
        raise bad_request("invalid_ids", message)
    window = query.get("window") if entity.has_window else None
    stale = parse_stale(query.get("stale"))
    ids = [parse_id(text) for text in texts]
    return _query(ids, window, query.get("at"), entity, stale_is_ok=stale)


def _text(asked: dict[str, Any], name: str, code: str, what: str) -> str | None:
    if name not in asked:
        return None
    text = asked[name]
    if not isinstance(text, str):
        raise bad_request(code, f"{name} must be {what}, not {text!r:.40}")
    return text


def _query(
    ids: list[int], window: str | None, at: str | None, entity: BatchTable, *, stale_is_ok: bool
) -> BatchQuery:
    return BatchQuery(
        ids=list(dict.fromkeys(ids)),
        window=window,
        window_ms=parse_window(window, entity.slices),
        at=at,
        at_ms=parse_at(at),
        stale_is_ok=stale_is_ok,
    )
