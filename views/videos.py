"""``GET /videos/{video_id}`` and ``GET /videos/viral``: what happened to videos."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from models.windows import to_iso

from .answers import json_response, unavailable
from .parameters import parse_at, parse_id, parse_limit
from .reading import check_kept, read_known

if TYPE_CHECKING:
    from aiohttp import web

    from models.video import VideoCounts
    from tables.records import ViralVideo

    from .health import Readiness
    from .routing import Routing
    from .sources import Sources


class VideoViews:
    """Answers for the videos' table and the list of viral videos."""

    def __init__(self, sources: Sources, routing: Routing, readiness: Readiness) -> None:
        """Read from ``sources``; videos of other workers are asked for by ``routing``."""
        self._table = sources.videos
        self._windows = sources.video_windows
        self._rule = sources.rule
        self._viral = sources.viral
        self._routing = routing
        self._readiness = readiness

    async def get(self, request: web.Request) -> web.Response:
        """Answer with a video's counters, at the stream time of its partition or at ``?at=``."""
        video_id = parse_id(request.match_info["video_id"])
        at = parse_at(request.query.get("at"))
        known = read_known(self._table, "video", video_id, self._windows.is_expired)
        if known is None:
            return await self._routing.forward(request, self._table, video_id)
        as_of = known.stream_time if at is None else at
        slices = self._windows.slices
        first_pane = min(slices.window_at(as_of)[0], slices.tumbling_at(as_of)[0])
        check_kept(slices, first_pane, known.stream_time)
        rolling = self._windows.rolling(known.value, as_of)
        answer = {
            "video_id": video_id,
            "as_of": to_iso(as_of),
            "rolling": describe(rolling),
            "tumbling": describe(self._windows.tumbling(known.value, as_of)),
            "viral": self._rule.is_viral(rolling),
        }
        return json_response(answer)

    async def list_viral(self, request: web.Request) -> web.Response:
        """Answer with the videos that are viral, highest coefficient first."""
        limit = parse_limit(request.query.get("limit"))
        if not self._readiness.is_viral_list_complete():
            raise unavailable("the list of viral videos is being read")
        return json_response({"videos": [describe_viral(v) for v in self._viral.top(limit)]})


def describe(counts: VideoCounts) -> dict[str, Any]:
    """Return the counters of one window as the contract has them."""
    return {
        "start": to_iso(counts.start_ms),
        "end": to_iso(counts.end_ms),
        "views": counts.views,
        "likes": counts.likes,
        "comments": counts.comments,
        "shares": counts.shares,
        "viral_coefficient": counts.viral_coefficient,
    }


def describe_viral(video: ViralVideo) -> dict[str, Any]:
    """Return an item of the viral list as the contract has it."""
    return {
        "video_id": video.video_id,
        "viral_coefficient": video.viral_coefficient,
        "views": video.views,
        "shares": video.shares,
        "comments": video.comments,
        "detected_at": video.detected_at,
    }
