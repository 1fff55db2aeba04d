"""``GET /creators/{creator_id}`` and its series: a creator's counts in a window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web

from models.counters import CREATOR
from models.creator import describe_window
from models.windows import complete_since, to_iso
from views.parameters import parse_at, parse_id, parse_window
from views.reading import Asked, answer, check_kept

if TYPE_CHECKING:
    from models.creator import CreatorWindows
    from tables.sliced import SlicedTable
    from views.reading import Known
    from views.routing import Routing


class CreatorViews:
    """Answers for the creators' table."""

    def __init__(self, table: SlicedTable[Any], windows: CreatorWindows, routing: Routing) -> None:
        """Read from ``table``; creators of other workers are asked for by ``routing``."""
        self._table = table
        self._windows = windows
        self._routing = routing

    def routes(self) -> list[web.RouteDef]:
        """Return the routes that these views answer."""
        return [
            web.get(r"/creators/{creator_id:(?!query$)[^/]+}", self.get),
            web.get("/creators/{creator_id}/series", self.get_series),
        ]

    async def get(self, request: web.Request) -> web.Response:
        """Answer with a creator's metrics, at the stream time of its partition or at ``?at=``.

        ``complete_since`` is when the table was begun, as long as a part of the window lies before.
        """
        return await self._answer(request, with_panes=False)

    async def get_series(self, request: web.Request) -> web.Response:
        """Answer with the steps that a creator's metrics are the sums of, oldest first.

        Takes the parameters of the creator's metrics and has their errors: ``?window=``, ``?at=``.
        Steps without anything are left out. Over all ``panes`` the sums of the counters are those
        of the metrics; that of ``watch_ms`` (milliseconds) divided by 60000 is
        ``total_engagement_minutes``. A pane begins at ``start`` and is ``window.step_s`` seconds
        long.
        """
        return await self._answer(request, with_panes=True)

    async def _answer(self, request: web.Request, *, with_panes: bool) -> web.Response:
        creator_id = parse_id(request.match_info["creator_id"])
        windows, slices = self._windows, self._windows.slices
        size = parse_window(request.query.get("window"), slices)
        at = parse_at(request.query.get("at"))

        def describe(known: Known) -> dict[str, Any]:
            as_of = known.stream_time if at is None else at
            check_kept(slices, slices.window_at(as_of, size)[0], known.stream_time)
            counts = windows.rolling(known.value, as_of, size)
            if with_panes:
                panes = windows.series(known.value, as_of, size)
                shown: dict[str, Any] = {
                    "panes": [
                        {"start": to_iso(pane.start_ms), **CREATOR.describe_step(pane)}
                        for pane in panes
                    ]
                }
            else:
                shown = CREATOR.describe(counts)
            since = complete_since(counts.start_ms, known.complete_from)
            return {
                **describe_window(creator_id, as_of, counts, slices.step),
                **shown,
                "complete_since": None if since is None else to_iso(since),
            }

        asked = Asked(self._table, "creator", creator_id, windows.is_expired)
        return await answer(request, self._routing, asked, describe)
