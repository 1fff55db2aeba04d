"""What leaves the program for people and other programs, as typed records."""

from __future__ import annotations

import faust
import orjson


class UserMetricsRecord(faust.Record, serializer="json"):  # type: ignore[call-arg]
    """A user's metrics in one window; times are RFC 3339, the rate is likes per view."""

    user_id: int
    window_start: str
    window_end: str
    total_videos_watched: int
    total_engagement_minutes: float
    likes: int
    engagement_rate: float


class VideoMetricsRecord(faust.Record, serializer="json"):  # type: ignore[call-arg]
    """A video's counters in one tumbling window; times are RFC 3339."""

    video_id: int
    window_start: str
    window_end: str
    views: int
    likes: int
    comments: int
    shares: int
    viral_coefficient: float | None


class ViralVideo(faust.Record, serializer="json"):  # type: ignore[call-arg]
    """A video that is viral, as the output topic tells it; times are RFC 3339."""

    video_id: int
    viral_coefficient: float
    views: int
    shares: int
    comments: int
    detected_at: str
    window_start: str
    window_end: str

    def encode(self) -> bytes:
        """Return the record's value in the topic."""
        return orjson.dumps(self.asdict())

    @classmethod
    def decode(cls, value: bytes) -> ViralVideo:
        """Read a record's value; unknown fields are ignored."""
        record: ViralVideo = cls.from_data(orjson.loads(value))
        return record
