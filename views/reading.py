"""Reads of single keys, from this worker's tables or from the key's owner."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple

from models.windows import format_mixed, to_iso
from tables.sliced import NotHereError
from views.answers import HttpError, bad_request, json_response, not_found, unavailable
from views.parameters import parse_stale

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import web

    from models.windows import Slices
    from tables.sliced import Reading, SlicedTable
    from views.routing import Routing


class KeyValue(NamedTuple):
    """An unexpired value, and the stream time of its partition in ms."""

    value: bytes
    stream_time: int
    complete_from: int = 0
    """The stream time in ms from which counts are complete; 0: always."""


class KeyQuery(NamedTuple):
    """The key of a request."""

    table: SlicedTable[Any]
    what: str
    """``user``, ``video`` or ``creator``."""
    key: int
    is_expired: Callable[[bytes, int], bool]


async def answer(
    request: web.Request,
    routing: Routing,
    asked: KeyQuery,
    describe: Callable[[KeyValue], dict[str, Any]],
) -> web.Response:
    """Answer from the owner of the key, or (``?stale=ok``) from a copy if the owner cannot.

    An answer from a copy has ``"stale": true``.

    Raises:
        HttpError: the key is unknown, or no worker can answer now.
    """
    stale_is_ok = parse_stale(request.query.get("stale"))
    known = _known(asked, asked.table.read)
    if known is not None:
        return json_response(describe(known))
    try:
        passed_on = await routing.forward(request, asked.table, asked.key, stale_is_ok=stale_is_ok)
    except HttpError:
        if not stale_is_ok:
            raise
        passed_on = None
    if passed_on is not None and (
        not stale_is_ok or passed_on.status != HTTPStatus.SERVICE_UNAVAILABLE
    ):
        return passed_on
    known = _known(asked, asked.table.read_copy)
    if known is not None:
        return json_response({**describe(known), "stale": True})
    copy = await routing.ask_for_copy(request, asked.table, asked.key)
    if copy is None:
        raise unavailable(f"no worker has a copy of {asked.what} {asked.key} now")
    return copy


def _known(asked: KeyQuery, read: Callable[[int], Reading]) -> KeyValue | None:
    """Read a key from this worker's partition or copy; None if it has none.

    Raises:
        HttpError: the key is unknown.
    """
    try:
        value, stream_time, complete_from = read(asked.key)
    except NotHereError:
        return None
    if value is None or stream_time is None or asked.is_expired(value, stream_time):
        raise not_found(f"nothing is known of {asked.what} {asked.key}")
    return KeyValue(value, stream_time, complete_from)


def check_kept(
    slices: Slices, first_pane: int, stream_time: int, end_pane: int | None = None
) -> None:
    """Refuse a window that is no longer kept in full.

    With ``end_pane``, the message offers the largest window up to it that is kept.

    Raises:
        HttpError: the window begins before the oldest pane that is kept.
    """
    kept_from = slices.kept_from(stream_time)
    if first_pane >= kept_from:
        return
    begin, kept = to_iso(first_pane * slices.step), to_iso(kept_from * slices.step)
    message = f"the window begins at {begin}, but only events from {kept} on are kept"
    if end_pane is not None and end_pane > kept_from:
        largest = format_mixed((end_pane - kept_from) * slices.step)
        message = f"{message}: the largest window kept at that time is ?window={largest}"
    else:
        message = f"{message}: ask for a later time, or leave out ?at="
    raise bad_request("window_not_kept", message)
