"""What leaves the program for people and other programs, as typed records."""

from __future__ import annotations

from typing import Annotated

import faust
import msgspec
import orjson
from msgspec import Meta

from models.errors import CodecError
from models.timestamps import parse_rfc3339

Count = Annotated[int, Meta(ge=0)]
VideoId = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Coefficient = Annotated[float, Meta(ge=0, le=2**64)]


class UserMetricsRecord(faust.Record, serializer="json"):  # type: ignore[call-arg]
    """A user's metrics in one window; times are RFC 3339, the rate is likes per view."""

    user_id: int
    window_start: str
    window_end: str
    total_videos_watched: int
    total_engagement_minutes: float
    likes: int
    engagement_rate: float
    average_completion: float | None


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
    average_completion: float | None


class CreatorMetricsRecord(faust.Record, serializer="json"):  # type: ignore[call-arg]
    """A creator's metrics in one window; times are RFC 3339."""

    creator_id: int
    window_start: str
    window_end: str
    views: int
    likes: int
    comments: int
    shares: int
    follows: int
    total_engagement_minutes: float
    average_completion: float | None


class _StoredViral(msgspec.Struct):
    video_id: VideoId
    viral_coefficient: Coefficient
    views: Count
    shares: Count
    comments: Count
    detected_at: str
    window_start: str
    window_end: str


_decode_viral = msgspec.json.Decoder(_StoredViral).decode


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
        """Read a record's value; unknown fields are ignored.

        Raises:
            CodecError: it is not one that this program writes.
        """
        try:
            found = _decode_viral(value)
            for text in (found.detected_at, found.window_start, found.window_end):
                parse_rfc3339(text)
        except (msgspec.MsgspecError, ValueError) as exc:
            raise CodecError(f"no viral video: {exc}") from exc
        return cls(**msgspec.structs.asdict(found))
