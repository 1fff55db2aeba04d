"""An obvious implementation of the Python API: json.loads, dicts and deques.

It exists for comparison only. It keeps each event of the window, and never drops a user.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from datetime import datetime
from typing import Any

EVENT_TYPES = {"video_view", "like", "comment", "share", "save", "follow"}
REQUIRED = ("event_id", "event_type", "user_id", "video_id", "timestamp")
VIRAL_VIEWS, VIRAL_COEFFICIENT = 1000, 1.5
DAY_S, TWO_HOURS_S, HOUR_S = 86_400, 7_200, 3_600


def parse_event(event_json: str) -> dict[str, Any] | None:
    """Return the event, None if it is invalid."""
    try:
        event: dict[str, Any] = json.loads(event_json)
        seconds_of(event)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    if not all(name in event for name in REQUIRED) or event["event_type"] not in EVENT_TYPES:
        return None
    return event if type(event["user_id"]) is type(event["video_id"]) is int else None


def seconds_of(event: dict[str, Any]) -> float:
    """Return the event's time, in seconds since the epoch."""
    return datetime.fromisoformat(event["timestamp"]).timestamp()


class UserMetricsTracker:
    """A deque of events and a dict of ids per user."""

    def __init__(self) -> None:
        """Begin without users."""
        self._events: dict[int, deque[tuple[float, str, int]]] = {}
        self._ids: dict[int, dict[str, float]] = {}
        self._now = 0.0

    def update_user_metrics(self, user_id: int, event: dict[str, Any]) -> None:
        """Count an event once."""
        at = seconds_of(event)
        self._now = max(self._now, at)
        ids = self._ids.setdefault(user_id, {})
        if self._now - ids.get(event["event_id"], -HOUR_S - 1.0) <= HOUR_S:
            return
        ids[event["event_id"]] = self._now
        watched = event.get("metadata", {}).get("view_duration_ms", 0)
        events = self._events.setdefault(user_id, deque())
        events.append((at, event["event_type"], watched))
        while events and events[0][0] <= self._now - DAY_S:
            events.popleft()

    def get_user_metrics(self, user_id: int) -> dict[str, Any]:
        """Return the sums over a user's deque."""
        events = self._events.get(user_id, ())
        views = sum(kind == "video_view" for _, kind, _ in events)
        likes = sum(kind == "like" for _, kind, _ in events)
        watched = sum(watched for _, kind, watched in events if kind == "video_view")
        return {
            "user_id": user_id,
            "total_videos_watched": views,
            "total_engagement_minutes": watched / 60_000,
            "likes": likes,
            "engagement_rate": likes / views if views else 0.0,
        }


def detect_viral_videos(events: list[dict[str, Any]]) -> list[int]:
    """Return videos with 1,000 views and over 1.5 shares and comments per view in two hours."""
    latest = max(map(seconds_of, events), default=0.0)
    seen: set[tuple[int, str]] = set()
    views: Counter[int] = Counter()
    spread: Counter[int] = Counter()
    for event in events:
        name = event["user_id"], event["event_id"]
        if name in seen or seconds_of(event) <= latest - TWO_HOURS_S:
            continue
        seen.add(name)
        if event["event_type"] == "video_view":
            views[event["video_id"]] += 1
        elif event["event_type"] in {"share", "comment"}:
            spread[event["video_id"]] += 1
    found = {
        video_id: spread[video_id] / count
        for video_id, count in views.items()
        if count >= VIRAL_VIEWS and spread[video_id] > VIRAL_COEFFICIENT * count
    }
    return sorted(found, key=lambda video_id: (-found[video_id], video_id))
