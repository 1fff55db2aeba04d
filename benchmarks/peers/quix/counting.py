"""The job in Quix Streams; it runs in an environment of its own.

Settings are the defaults, except exactly-once and commits every second.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from typing import Any

from quixstreams import Application

DAY, HOUR = timedelta(days=1), timedelta(hours=1)

USER_FIELDS = ("views", "likes", "watch_ms")
VIDEO_FIELDS = ("views", "likes", "comments", "shares")


def time_ms(event: dict[str, Any], *_: Any) -> int:
    """Return the event's time in milliseconds."""
    return round(datetime.fromisoformat(event["timestamp"]).timestamp() * 1000)


def of_user(event: dict[str, Any]) -> dict[str, int]:
    """Return what the event adds to its user's sums."""
    viewed = event["event_type"] == "video_view"
    return {
        "views": int(viewed),
        "likes": int(event["event_type"] == "like"),
        "watch_ms": event["metadata"].get("view_duration_ms", 0) if viewed else 0,
    }


def of_video(event: dict[str, Any]) -> dict[str, int]:
    """Return what the event adds to its video's counts."""
    kind = event["event_type"]
    return {
        "video_id": event["video_id"],
        "views": int(kind == "video_view"),
        "likes": int(kind == "like"),
        "comments": int(kind == "comment"),
        "shares": int(kind == "share"),
    }


def sums(*fields: str) -> dict[str, Any]:
    """Return the arguments of a window that sums ``fields``."""
    return {
        "initializer": lambda row: {field: row[field] for field in fields},
        "reducer": lambda old, row: {field: old[field] + row[field] for field in fields},
    }


def main() -> None:
    """Count until it is stopped."""
    app = Application(
        broker_address=os.environ["PEER_BOOTSTRAP"],
        consumer_group=os.environ["PEER_APP_ID"],
        state_dir=os.environ["PEER_STATE"],
        auto_offset_reset="earliest",
        processing_guarantee="exactly-once",
        commit_interval=1.0,
        loglevel="WARNING",
    )
    topic = app.topic(
        os.environ["PEER_EVENTS_TOPIC"], key_deserializer="str", timestamp_extractor=time_ms
    )
    events = app.dataframe(topic)

    users = events.filter(lambda event: event["event_type"] in {"video_view", "like"})
    users = users.apply(of_user)
    if os.environ["PEER_PANES"] == "1":
        windows = users.tumbling_window(HOUR, name="users")
    else:
        windows = users.hopping_window(DAY, HOUR, name="users")
    windows.reduce(**sums(*USER_FIELDS)).final()

    videos = events.apply(of_video).group_by("video_id", name="by-video")
    videos.tumbling_window(2 * HOUR, name="videos").reduce(**sums(*VIDEO_FIELDS)).final()

    app.run()


if __name__ == "__main__":
    main()
