"""The viral videos: a global table over the compacted output topic, complete on every worker."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Protocol

import faust
from faust.types import TP

from models.errors import CodecError
from models.schema import SOURCE_APP
from tables.records import ViralVideo

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Changes = dict["bytes | None", "bytes | None"]

_VIDEO_KEY = re.compile(rb"0|[1-9][0-9]{0,18}")


class Record(Protocol):
    """A record of the topic."""

    @property
    def offset(self) -> int:
        """Its place in the partition."""

    @property
    def key(self) -> bytes | None:
        """Its key."""

    @property
    def value(self) -> bytes | None:
        """Its value."""

    @property
    def headers(self) -> Sequence[tuple[str, bytes]]:
        """Its headers."""


class ViralPartition:
    """One partition of the topic, in memory."""

    def __init__(self, app_id: str = "") -> None:
        """Start empty. Flags that bear the name of another app than ``app_id`` are not taken."""
        self._writers = {None, app_id.encode()}
        self._takes_any = not app_id
        self.videos: dict[int, ViralVideo] = {}
        #: Videos whose last record is not the program's: nobody knows whether they are viral.
        self.unknown: set[int] = set()
        self._offset: int | None = None

    @property
    def offset(self) -> int | None:
        """Offset of the last record taken."""
        return self._offset

    async def attach(self, topic_id: str, end: int) -> None:
        """Take any topic: this is no more than a view of it."""

    async def apply(self, changes: Changes, offset: int) -> list[tuple[bytes | None, str]]:
        """Take flags and tombstones, and return the keys of what is neither, and why."""
        return self._apply({key: (value, None) for key, value in changes.items()}, offset)

    async def apply_records(self, records: Sequence[Record]) -> list[tuple[bytes | None, str]]:
        """Do the same with records, which bear the name of the app that has written them."""
        last = {each.key: (each.value, _writer(each.headers)) for each in records}
        return self._apply(last, records[-1].offset)

    def _apply(
        self, changes: Mapping[bytes | None, tuple[bytes | None, bytes | None]], offset: int
    ) -> list[tuple[bytes | None, str]]:
        foreign: list[tuple[bytes | None, str]] = []
        for key, (value, writer) in changes.items():
            if key is None or _VIDEO_KEY.fullmatch(key) is None:
                foreign.append((key, f"the key {key!r:.80} is no video's"))
                continue
            video_id = int(key)
            try:
                if writer not in self._writers and not self._takes_any:
                    raise CodecError(f"another app has written it: {writer!r:.80}")
                video = None if value is None else _decode(video_id, value)
            except CodecError as exc:
                foreign.append((key, str(exc)))
                self.videos.pop(video_id, None)
                self.unknown.add(video_id)
                continue
            self.unknown.discard(video_id)
            if video is None:
                self.videos.pop(video_id, None)
            else:
                self.videos[video_id] = video
        self._offset = offset
        return foreign

    async def reset(self) -> None:
        """Forget everything."""
        self.videos, self.unknown, self._offset = {}, set(), None


def _writer(headers: Iterable[tuple[str, bytes | None]]) -> bytes | None:
    """Return the app that a record bears the name of, None for one of a release before."""
    return dict(headers).get(SOURCE_APP)


def _decode(video_id: int, value: bytes) -> ViralVideo:
    video = ViralVideo.decode(value)
    if video.video_id != video_id:
        raise CodecError(f"the key is video {video_id}'s, the value video {video.video_id}'s")
    return video


class ViralTable(faust.GlobalTable):
    """All viral videos. It is fed by the topic alone, so that every worker sees what is committed.

    Leans on ``Collection._changelog_topic_name`` of faust-streaming 0.15.
    """

    def __init__(
        self, app: faust.App, *, topic: str, partitions: int, app_id: str = "", **kwargs: Any
    ) -> None:
        """Read ``topic`` of ``partitions`` partitions, which only the app ``app_id`` writes."""
        self._topic_name = topic
        self.feeds = {partition: ViralPartition(app_id) for partition in range(partitions)}
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

    @property
    def is_complete(self) -> bool:
        """Whether it is known of every video whether it is viral."""
        return not any(feed.unknown for feed in self.feeds.values())

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
