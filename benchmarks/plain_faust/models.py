"""Events, and the rows of the two tables."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - Faust looks the types up

import faust


class Metadata(faust.Record):
    """The counted part of an event's metadata."""

    view_duration_ms: int = 0


class Engagement(faust.Record, coerce=True):  # type: ignore[call-arg]
    """An event; its other fields are ignored."""

    event_id: str
    event_type: str
    user_id: int
    video_id: int
    timestamp: datetime
    metadata: Metadata | None = None


class UserSums(faust.Record, include_metadata=False):  # type: ignore[call-arg]
    """A user's sums in one window."""

    views: int = 0
    likes: int = 0
    watched_ms: int = 0

    def __add__(self, other: UserSums) -> UserSums:
        """Return the sums of both."""
        return UserSums(
            views=self.views + other.views,
            likes=self.likes + other.likes,
            watched_ms=self.watched_ms + other.watched_ms,
        )


class VideoSums(faust.Record, include_metadata=False):  # type: ignore[call-arg]
    """A video's sums in one window."""

    views: int = 0
    likes: int = 0
    comments: int = 0
    shares: int = 0

    def __add__(self, other: VideoSums) -> VideoSums:
        """Return the sums of both."""
        return VideoSums(
            views=self.views + other.views,
            likes=self.likes + other.likes,
            comments=self.comments + other.comments,
            shares=self.shares + other.shares,
        )
