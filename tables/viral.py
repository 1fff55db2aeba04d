"""The viral videos: a global table over the compacted output topic, complete on every worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import faust
from faust.types import TP

from .records import ViralVideo

if TYPE_CHECKING:
    from collections.abc import Mapping

Changes = dict[bytes, "bytes | None"]


class ViralPartition:
    """One partition of the topic, in memory."""

    def __init__(self) -> None:
        """Start empty."""
        self.videos: dict[int, ViralVideo] = {}
        self._offset: int | None = None

    @property
    def offset(self) -> int | None:
        """Offset of the last record taken."""
        return self._offset

    async def attach(self, topic_id: str, end: int) -> None:
        """Take any topic: this is no more than a view of it."""

    async def apply(self, changes: Changes, offset: int) -> None:
        """Take flags and tombstones."""
        for key, value in changes.items():
            if value is None:
                self.videos.pop(int(key), None)
            else:
                self.videos[int(key)] = ViralVideo.decode(value)
        self._offset = offset

    async def reset(self) -> None:
        """Forget everything."""
        self.videos, self._offset = {}, None


class ViralTable(faust.GlobalTable):
    """All viral videos. It is fed by the topic alone, so that every worker sees what is committed.

    Leans on ``Collection._changelog_topic_name`` of faust-streaming 0.15.
    """

    def __init__(self, app: faust.App, *, topic: str, partitions: int, **kwargs: Any) -> None:
        """Read ``topic`` of ``partitions`` partitions."""
        self._topic_name = topic
        self.feeds = {partition: ViralPartition() for partition in range(partitions)}
        super().__init__(
            app,
            partitions=partitions,
            key_type=int,
            value_type=ViralVideo,
            store="memory://",
            **kwargs,
        )

    def _changelog_topic_name(self) -> str:
        return self._topic_name

    def sinks(self) -> Mapping[TP, ViralPartition]:
        """Return what takes the records of each partition."""
        return {TP(self._topic_name, partition): feed for partition, feed in self.feeds.items()}

    def top(self, limit: int) -> list[ViralVideo]:
        """Return at most ``limit`` videos, the highest coefficient first, then the lowest id."""
        videos = [video for feed in self.feeds.values() for video in feed.videos.values()]
        videos.sort(key=lambda video: (-video.viral_coefficient, video.video_id))
        return videos[:limit]

    def __getitem__(self, key: int) -> ViralVideo:
        """Return the flag of a video that is viral."""
        for feed in self.feeds.values():
            if key in feed.videos:
                return feed.videos[key]
        raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        """Whether a video is viral."""
        return any(key in feed.videos for feed in self.feeds.values())

    def __len__(self) -> int:
        """Count the viral videos."""
        return sum(len(feed.videos) for feed in self.feeds.values())
