"""The viral videos: a global table of the compacted output topic, complete on every worker."""

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
        """Offset in the partition."""

    @property
    def key(self) -> bytes | None:
        """The key."""

    @property
    def value(self) -> bytes | None:
        """The value."""

    @property
    def headers(self) -> Sequence[tuple[str, bytes]]:
        """The headers."""


class ViralPartition:
    """One partition of the topic, in memory."""

    def __init__(self, app_id: str = "") -> None:
        """Start empty. Flags with the name of another app than ``app_id`` are refused."""
        self._writers = {None, app_id.encode()}
        self._takes_any = not app_id
        self.videos: dict[int, ViralVideo] = {}
        #: Videos whose last record is not from this program, so their state is unknown.
        self.unknown: set[int] = set()
        self._offset: int | None = None

    @property
    def offset(self) -> int | None:
        """Offset of the last record read."""
        return self._offset

    async def attach(self, topic_id: str, end: int) -> None:
        """Accept any topic, because this is only a view of it."""

    async def apply(self, changes: Changes, offset: int) -> list[tuple[bytes | None, str]]:
        """Apply flags and tombstones; return the keys of other records, each with the reason."""
        return self._apply({key: (value, None) for key, value in changes.items()}, offset)

    async def apply_records(self, records: Sequence[Record]) -> list[tuple[bytes | None, str]]:
        """Apply records as :meth:`apply` does; their headers name the app that wrote them."""
        last = {each.key: (each.value, _writer(each.headers)) for each in records}
        return self._apply(last, records[-1].offset)

    def _apply(
        self, changes: Mapping[bytes | None, tuple[bytes | None, bytes | None]], offset: int
    ) -> list[tuple[bytes | None, str]]:
        foreign: list[tuple[bytes | None, str]] = []
        for key, (value, writer) in changes.items():
            if key is None or _VIDEO_KEY.fullmatch(key) is None:
                foreign.append((key, f"the key {key!r:.80} is not a video id"))
                continue
            video_id = int(key)
            try:
                if writer not in self._writers and not self._takes_any:
                    raise CodecError(f"another app wrote it: {writer!r:.80}")
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
        """Start over, empty."""
        self.videos, self.unknown, self._offset = {}, set(), None

    @property
    def is_whole(self) -> bool:
        """See :class:`ChangelogSink`; the list is not read before its follower has caught up."""
        return True

    async def caught_up(self) -> None:
        """See :attr:`is_whole`."""


def _writer(headers: Iterable[tuple[str, bytes | None]]) -> bytes | None:
    """Return the name of the app that wrote a record; None for earlier releases."""
    return dict(headers).get(SOURCE_APP)


def _decode(video_id: int, value: bytes) -> ViralVideo:
    video = ViralVideo.decode(value)
    if video.video_id != video_id:
        raise CodecError(
            f"the key belongs to video {video_id}, the value to video {video.video_id}"
        )
    return video


class ViralTable(faust.GlobalTable):
    """All viral videos. It reads only the topic, so every worker sees the committed ones.

    Depends on ``Collection._changelog_topic_name`` of faust-streaming 0.15.
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
        """Return the receiver of each partition's records."""
        return {TP(self._topic_name, partition): feed for partition, feed in self.feeds.items()}

    @property
    def is_complete(self) -> bool:
        """Whether the state of every video is known."""
        return not any(feed.unknown for feed in self.feeds.values())

    def top(self, limit: int) -> list[ViralVideo]:
        """Return at most ``limit`` videos by descending coefficient, then ascending id."""
        videos = [video for feed in self.feeds.values() for video in feed.videos.values()]
        videos.sort(key=lambda video: (-video.viral_coefficient, video.video_id))
        return videos[:limit]

    def __getitem__(self, key: int) -> ViralVideo:
        """Return the flag of a viral video."""
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
