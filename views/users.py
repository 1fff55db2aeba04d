"""``GET /users/{user_id}``: what a user watched and liked in a window."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.user import describe

from .answers import json_response
from .parameters import parse_at, parse_id, parse_window
from .reading import check_kept, read_known

if TYPE_CHECKING:
    from aiohttp import web

    from .routing import Routing
    from .sources import Sources


class UserViews:
    """Answers for the users' table."""

    def __init__(self, sources: Sources, routing: Routing) -> None:
        """Read from ``sources``; users of other workers are asked for by ``routing``."""
        self._table = sources.users
        self._windows = sources.user_windows
        self._routing = routing

    async def get(self, request: web.Request) -> web.Response:
        """Answer with a user's metrics, at the stream time of its partition or at ``?at=``."""
        user_id = parse_id(request.match_info["user_id"])
        size = parse_window(request.query.get("window"), self._windows.slices)
        at = parse_at(request.query.get("at"))
        known = read_known(self._table, "user", user_id, self._windows.is_expired)
        if known is None:
            return await self._routing.forward(request, self._table, user_id)
        as_of = known.stream_time if at is None else at
        slices = self._windows.slices
        check_kept(slices, slices.window_at(as_of, size)[0], known.stream_time)
        metrics = self._windows.metrics(known.value, as_of, size)
        return json_response(describe(user_id, as_of, metrics))
