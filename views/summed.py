"""Single reads of a table of sums with one window, such as ``GET /creators/{creator_id}``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web

from models.windows import complete_since, to_iso, window_fields
from views.parameters import parse_at, parse_id, parse_window
from views.reading import KeyQuery, answer, check_kept

if TYPE_CHECKING:
    from models.pane_windows import PaneWindows
    from tables.sliced import SlicedTable
    from views.reading import KeyValue
    from views.routing import Routing


class SummedViews:
    """Answers for single keys of the table."""

    def __init__(
        self, table: SlicedTable[Any], windows: PaneWindows[Any], routing: Routing
    ) -> None:
        """Read from ``table``; ``routing`` forwards requests for keys of other workers."""
        self._table = table
        self._windows = windows
        self._of = windows.entity
        self._routing = routing

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of these views."""
        name, key = self._of.plural, self._of.key
        return [
            web.get(rf"/{name}/{{{key}:(?!query$)[^/]+}}", self.get),
            web.get(f"/{name}/{{{key}}}/series", self.get_series),
        ]

    async def get(self, request: web.Request) -> web.Response:
        """Answer with a key's metrics, at the stream time of its partition or at ``?at=``.

        ``complete_since`` is when the table was begun, while a part of the window is before that.
        """
        return await self._answer(request, with_panes=False)

    async def get_series(self, request: web.Request) -> web.Response:
        """Answer with the panes whose sums are a key's metrics, oldest first.

        Parameters (``?window=``, ``?at=``) and errors are those of the metrics. Empty panes are
        left out. The sums over all ``panes`` are the metrics; the sum of ``watch_ms``
        (milliseconds) divided by 60000 is ``total_engagement_minutes``. A pane begins at ``start``
        and is ``window.step_s`` seconds long.
        """
        return await self._answer(request, with_panes=True)

    async def _answer(self, request: web.Request, *, with_panes: bool) -> web.Response:
        of, windows, slices = self._of, self._windows, self._windows.slices
        key = parse_id(request.match_info[of.key])
        size = parse_window(request.query.get("window"), slices)
        at = parse_at(request.query.get("at"))

        def describe(known: KeyValue) -> dict[str, Any]:
            as_of = known.stream_time if at is None else at
            first_pane, end_pane = slices.window_at(as_of, size)
            check_kept(slices, first_pane, known.stream_time, end_pane)
            start, end = first_pane * slices.step, end_pane * slices.step
            if with_panes:
                panes = windows.series(known.value, as_of, size)
                shown: dict[str, Any] = {
                    "panes": [
                        {"start": to_iso(pane.start_ms), **of.describe_step(pane)} for pane in panes
                    ]
                }
            else:
                shown = of.describe(windows.rolling(known.value, as_of, size))
            since = complete_since(start, known.complete_from)
            return {
                of.key: key,
                "as_of": to_iso(as_of),
                "window": window_fields(start, end, slices.step),
                **shown,
                "complete_since": None if since is None else to_iso(since),
            }

        asked = KeyQuery(self._table, of.name, key, windows.is_expired)
        return await answer(request, self._routing, asked, describe)
