"""The job in plain Faust: users' sums per hopping window, videos' per tumbling window.

Settings are Faust's defaults, with two exceptions. The producer lingers for 100 ms, up to 256 KiB,
which saves about a fifth of the worker's processor time. There are no standbys. Commits are 2.8 s
apart, also under exactly-once, where commits every 100 ms took about twice the broker's time and
gained nothing. A larger stream buffer and ``cython_optimizations`` made no measurable difference.
Variables are ``PLAIN_APP_ID``, ``PLAIN_EVENTS_TOPIC``, and Faust's own, such as ``BROKER_URL`` and
``PROCESSING_GUARANTEE``.

It does less than this program: no deduplication, late events, dead letters or viral videos. Its
users' windows hop by an hour; 15 minutes would take four times the rows.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING

import faust

from benchmarks.plain_faust.models import Engagement, UserSums, VideoSums

if TYPE_CHECKING:
    from faust.types import StreamT

DAY, HOUR = timedelta(days=1), timedelta(hours=1)

app = faust.App(
    os.environ["PLAIN_APP_ID"],
    store="rocksdb://",
    table_standby_replicas=0,
    producer_linger=0.1,
    producer_max_batch_size=256 << 10,
)

# The default serializer of keys, raw, cannot write integers: group_by would fail.
events, events_by_video = (
    app.topic(name, key_type=int, key_serializer="json", value_type=Engagement)
    for name in (os.environ["PLAIN_EVENTS_TOPIC"], f"{app.conf.id}-events-by-video")
)

users = (
    # Faust removes the driver from the options, so each table needs its own dict.
    app.Table("users", default=UserSums, value_type=UserSums, options={"driver": "rocksdict"})
    .hopping(DAY, HOUR, expires=DAY)
    .relative_to_field(Engagement.timestamp)
)
videos = (
    app.Table("videos", default=VideoSums, value_type=VideoSums, options={"driver": "rocksdict"})
    .tumbling(2 * HOUR, expires=2 * HOUR)
    .relative_to_field(Engagement.timestamp)
)

ONE_FOR_VIDEO = {
    "video_view": VideoSums(views=1),
    "like": VideoSums(likes=1),
    "comment": VideoSums(comments=1),
    "share": VideoSums(shares=1),
}


@app.agent(events)
async def count_users(stream: StreamT[Engagement]) -> None:
    """Count views, watch time and likes in each of the 24 windows that contain an event."""
    async for event in stream:
        if event.event_type == "video_view":
            watched_ms = event.metadata.view_duration_ms if event.metadata else 0
            users[event.user_id] += UserSums(views=1, watched_ms=watched_ms)
        elif event.event_type == "like":
            users[event.user_id] += UserSums(likes=1)


@app.agent(events)
async def count_videos(stream: StreamT[Engagement]) -> None:
    """Repartition events by video, and count the repartitioned events."""
    async for event in stream.group_by(Engagement.video_id, topic=events_by_video):
        one = ONE_FOR_VIDEO.get(event.event_type)
        if one is not None:
            videos[event.video_id] += one
