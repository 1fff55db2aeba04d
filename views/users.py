"""``GET /users/{user_id}`` and its series: a user's metrics in a window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web

from models.counters import USER
from models.user import describe_user, describe_window
from models.windows import to_iso
from views.parameters import parse_at, parse_id, parse_window
from views.reading import KeyQuery, answer, check_kept

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.user import UserWindows
    from tables.sliced import SlicedTable
    from views.reading import KeyValue
    from views.routing import Routing

    #: Returns the answer for a user's id, packed value, time in ms and window in ms.
    Description = Callable[[int, bytes, int, int | None], dict[str, Any]]


class UserViews:
    """Answers for single users."""

    def __init__(self, table: SlicedTable[Any], windows: UserWindows, routing: Routing) -> None:
        """Read from ``table``; ``routing`` forwards requests for users of other workers."""
        self._table = table
        self._windows = windows
        self._step = windows.slices.step
        self._routing = routing

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of these views."""
        return [
            web.get(r"/users/{user_id:(?!query$)[^/]+}", self.get),
            web.get("/users/{user_id}/series", self.get_series),
        ]

    async def get(self, request: web.Request) -> web.Response:
        """Answer with a user's metrics, at the stream time of its partition or at ``?at=``."""
        return await self._answer(request, self._metrics)

    async def get_series(self, request: web.Request) -> web.Response:
        """Answer with the panes whose sums are a user's metrics, oldest first.

        Parameters (``?window=``, ``?at=``) and errors are those of the metrics. Empty panes are
        left out. Over all ``panes``, the sum of ``views`` is ``total_videos_watched``, the sum of
        ``likes`` is ``likes``, and the sum of ``watch_ms`` (milliseconds) divided by 60000 is
        ``total_engagement_minutes``. A pane begins at ``start`` and is ``window.step_s`` seconds
        long.
        """
        return await self._answer(request, self._series)

    async def _answer(self, request: web.Request, describe_as: Description) -> web.Response:
        user_id = parse_id(request.match_info["user_id"])
        size = parse_window(request.query.get("window"), self._windows.slices)
        at = parse_at(request.query.get("at"))
        slices = self._windows.slices

        def describe_known(known: KeyValue) -> dict[str, Any]:
            as_of = known.stream_time if at is None else at
            first_pane, end_pane = slices.window_at(as_of, size)
            check_kept(slices, first_pane, known.stream_time, end_pane)
            return describe_as(user_id, known.value, as_of, size)

        asked = KeyQuery(self._table, "user", user_id, self._windows.is_expired)
        return await answer(request, self._routing, asked, describe_known)

    def _metrics(self, user_id: int, value: bytes, as_of: int, size: int | None) -> dict[str, Any]:
        return describe_user(user_id, as_of, self._windows.metrics(value, as_of, size), self._step)

    def _series(self, user_id: int, value: bytes, as_of: int, size: int | None) -> dict[str, Any]:
        metrics = self._windows.metrics(value, as_of, size)
        window = describe_window(user_id, as_of, metrics, self._step)
        panes = [
            {"start": to_iso(pane.start_ms), **USER.describe_step(pane)}
            for pane in self._windows.series(value, as_of, size)
        ]
        return {**window, "panes": panes}
