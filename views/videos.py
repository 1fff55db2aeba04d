"""``GET /videos/{video_id}`` and its series, and ``GET /videos/viral``: metrics of videos."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web

from models.counters import VIDEO
from models.windows import to_iso
from views.answers import json_response, unavailable
from views.parameters import parse_at, parse_id, parse_limit
from views.reading import KeyQuery, answer, check_kept

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.counters import VideoCounts
    from models.video import VideoWindows
    from models.viral import ViralRule
    from tables.records import ViralVideo
    from tables.sliced import SlicedTable
    from tables.viral import ViralTable
    from views.health import Readiness
    from views.reading import KeyValue
    from views.routing import Routing

    #: Returns the answer for a video's packed value and a time in ms.
    Description = Callable[[bytes, int], dict[str, Any]]


class VideoViews:
    """Answers for single videos, and for the list of viral videos."""

    def __init__(
        self,
        table: SlicedTable[Any],
        windows: VideoWindows,
        rule: ViralRule,
        viral: ViralTable,
        routing: Routing,
        readiness: Readiness,
    ) -> None:
        """Read from ``table`` and ``viral``.

        ``routing`` forwards requests for videos of other workers.
        """
        self._table = table
        self._windows = windows
        self._rule = rule
        self._viral = viral
        self._routing = routing
        self._readiness = readiness

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of these views."""
        return [
            # Before the next route, which would read ``viral`` as an id.
            web.get("/videos/viral", self.list_viral),
            web.get(r"/videos/{video_id:(?!query$)[^/]+}", self.get),
            web.get("/videos/{video_id}/series", self.get_series),
        ]

    async def get(self, request: web.Request) -> web.Response:
        """Answer with a video's counters, at the stream time of its partition or at ``?at=``."""
        return await self._answer(request, self._counters)

    async def get_series(self, request: web.Request) -> web.Response:
        """Answer with the panes whose sums are a video's counters, oldest first.

        The parameter (``?at=``) and errors are those of the counters. ``panes`` are those of both
        windows, without empty ones. A window's counters are the sums over the panes that begin from
        its ``start`` on and before its ``end``. A pane begins at its ``start`` and is ``step_s``
        seconds long.
        """
        return await self._answer(request, self._series)

    async def _answer(self, request: web.Request, describe_as: Description) -> web.Response:
        video_id = parse_id(request.match_info["video_id"])
        at = parse_at(request.query.get("at"))
        slices = self._windows.slices

        def describe_known(known: KeyValue) -> dict[str, Any]:
            as_of = known.stream_time if at is None else at
            first_pane = min(slices.window_at(as_of)[0], slices.tumbling_at(as_of)[0])
            check_kept(slices, first_pane, known.stream_time)
            head = {"video_id": video_id, "as_of": to_iso(as_of)}
            return {**head, **describe_as(known.value, as_of)}

        asked = KeyQuery(self._table, "video", video_id, self._windows.is_expired)
        return await answer(request, self._routing, asked, describe_known)

    def _counters(self, value: bytes, as_of: int) -> dict[str, Any]:
        rolling = self._windows.rolling(value, as_of)
        return {
            "rolling": describe_video_window(rolling),
            "tumbling": describe_video_window(self._windows.tumbling(value, as_of)),
            "viral": self._rule.is_viral(rolling),
        }

    def _series(self, value: bytes, as_of: int) -> dict[str, Any]:
        slices = self._windows.slices
        rolling, tumbling = slices.window_at(as_of), slices.tumbling_at(as_of)
        first, end = min(rolling[0], tumbling[0]), max(rolling[1], tumbling[1])
        return {
            "step_s": slices.step // 1000,
            "rolling": _bounds(rolling, slices.step),
            "tumbling": _bounds(tumbling, slices.step),
            "panes": [
                {"start": to_iso(pane.start_ms), **VIDEO.describe_step(pane)}
                for pane in self._windows.steps(value, first, end)
            ],
        }

    async def list_viral(self, request: web.Request) -> web.Response:
        """Answer with the viral videos, highest coefficient first."""
        limit = parse_limit(request.query.get("limit"))
        if not self._readiness.is_viral_list_complete():
            raise unavailable("the list of viral videos is being read")
        found = {"videos": [describe_viral(v) for v in self._viral.top(limit)]}
        # ``complete`` is left out if the list is complete, as nearly always.
        return json_response(found if self._viral.is_complete else {**found, "complete": False})


def _bounds(panes: tuple[int, int], step: int) -> dict[str, str]:
    first, end = panes
    return {"start": to_iso(first * step), "end": to_iso(end * step)}


def describe_video_window(counts: VideoCounts) -> dict[str, Any]:
    """Return the counters of one window in the form of the contract."""
    return {
        "start": to_iso(counts.start_ms),
        "end": to_iso(counts.end_ms),
        **VIDEO.describe(counts),
    }


def describe_viral(video: ViralVideo) -> dict[str, Any]:
    """Return an item of the viral list in the form of the contract."""
    return {
        "video_id": video.video_id,
        "viral_coefficient": video.viral_coefficient,
        "views": video.views,
        "shares": video.shares,
        "comments": video.comments,
        "detected_at": video.detected_at,
    }
