"""Processing of video deltas: video metrics, and flags of viral videos."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final

from agents.summed_deltas import DeltaProcessor
from models.schema import SOURCE_APP
from models.video import Verdict, VideoWindows
from models.windows import to_iso
from streaming.kafka.records import OutRecord
from tables.records import ViralVideo

if TYPE_CHECKING:
    from collections.abc import Sequence

    from accelerator import PaneBackend
    from models import _protocols
    from models.counters import VideoCounts
    from models.viral import ViralRule
    from settings import Settings
    from streaming.tasks.outbox import Outbox
    from tables.state import PartitionState

#: Seconds between two judgements of changed videos, and the most videos per judgement.
JUDGE_INTERVAL_S: Final = 0.25
MAX_VIDEOS_PER_JUDGEMENT: Final = 4000

#: Most videos of a batch that are judged immediately, in case they have turned viral. More of them
#: mean that a backlog is being worked off, and they are judged with the others.
MAX_VIDEOS_WITH_BATCH: Final = 1000


class VideoProcessor(DeltaProcessor[VideoWindows, "_protocols.VideoWindows"]):
    """Processes one partition of the deltas into the videos of that partition."""

    def __init__(
        self,
        partition: int,
        state: PartitionState,
        outbox: Outbox,
        settings: Settings,
        backend: PaneBackend[VideoWindows, _protocols.VideoWindows],
        rule: ViralRule,
        changelog_topic: str,
    ) -> None:
        """Process into ``state``; flags go to the viral topic through ``outbox``."""
        super().__init__(partition, state, settings.deltas_topic, backend, changelog_topic, rule)
        self._outbox = outbox
        self._settings = settings
        self._headers = ((SOURCE_APP, settings.app_id.encode()),)
        self._viral_rule = rule
        #: Videos to judge: changed, or (when the window moves) candidates and flagged ones.
        self._unjudged: set[int] = set()
        #: Videos with enough views: they may turn viral without new events, as old views expire.
        self._candidates: set[int] = set()
        #: Viral videos, with the counts that were last sent.
        self._flagged: dict[int, VideoCounts | None] = {}
        self._judged_at = 0.0
        self._pane = -1
        self._advanced_at = monotonic()

    @property
    def _windows(self) -> VideoWindows:
        return self._backend.plain_windows

    def _advance(self, stream_time: int) -> None:
        before = self.state.stream_time
        super()._advance(stream_time)
        if self.state.stream_time != before:
            self._advanced_at = monotonic()
        pane = self._windows.slices.pane_of(self.state.stream_time or 0)
        if pane != self._pane:
            self._pane = pane
            self._unjudged |= self._candidates | self._flagged.keys()

    def _note(self, reached: set[int]) -> None:
        """Judge them later, except those that may just have turned viral."""
        unflagged = reached - self._flagged.keys()
        if 0 < len(unflagged) <= MAX_VIDEOS_WITH_BATCH:
            reached -= unflagged
            self._judge(list(unflagged))
        self._unjudged |= reached

    @property
    def is_idle(self) -> bool:
        """Whether stream time has not advanced for the length of a whole window."""
        return monotonic() - self._advanced_at >= self._settings.video_window / 1000

    def has_pending(self) -> bool:
        """Whether there are videos to judge or flags to end."""
        return (bool(self._unjudged) and monotonic() - self._judged_at >= JUDGE_INTERVAL_S) or (
            bool(self._flagged) and self.is_idle
        )

    def prepare(self) -> None:
        """Judge videos that may have turned viral, or may have ceased to be."""
        now = monotonic()
        if self._flagged and self.is_idle:
            for video_id in list(self._flagged):
                self._unflag(video_id, b"%d" % video_id)
            self._unjudged.clear()
        if self._unjudged and now - self._judged_at >= JUDGE_INTERVAL_S:
            self._judged_at = now
            unjudged = list(self._unjudged)
            self._judge(unjudged[:MAX_VIDEOS_PER_JUDGEMENT])
            self._unjudged = set(unjudged[MAX_VIDEOS_PER_JUDGEMENT:])

    def _judge(self, video_ids: Sequence[int]) -> None:
        state, windows = self.state, self._windows
        stream_time = state.stream_time or 0
        values = state.get_many([b"%d" % video_id for video_id in video_ids])
        verdicts = self._backend.windows.judge(values, stream_time, self._viral_rule)
        for number, (video_id, verdict) in enumerate(zip(video_ids, verdicts, strict=True)):
            if verdict == Verdict.FEW_VIEWS:
                self._candidates.discard(video_id)
            else:
                self._candidates.add(video_id)
            if verdict == Verdict.VIRAL:
                key, value = b"%d" % video_id, values[number]
                counts, since = windows.rolling(value, stream_time), windows.detected_at(value)
                if not since:
                    since = stream_time
                    state.put(key, windows.with_detected_at(value, since))
                if self._flagged.get(video_id) != counts:
                    self._flag(video_id, key, counts, since)
            elif video_id in self._flagged:
                self._unflag(video_id, b"%d" % video_id)

    def _flag(self, video_id: int, key: bytes, counts: VideoCounts, since: int) -> None:
        self._flagged[video_id] = counts
        flag = ViralVideo(
            video_id=video_id,
            viral_coefficient=counts.viral_coefficient,
            views=counts.views,
            shares=counts.shares,
            comments=counts.comments,
            detected_at=to_iso(since),
            window_start=to_iso(counts.start_ms),
            window_end=to_iso(counts.end_ms),
        )
        self._send(key, flag.encode())

    def _unflag(self, video_id: int, key: bytes) -> None:
        self._flagged.pop(video_id, None)
        value = self.state.get(key)
        if value is not None:
            self.state.put(key, self._windows.with_detected_at(value, 0))
        self._send(key, None)

    def _send(self, key: bytes, value: bytes | None) -> None:
        self._outbox.add(
            self._settings.viral_topic, self._partition, OutRecord(key, value, self._headers)
        )

    def reset_to_committed(self) -> None:
        """Start from the committed state, with its viral videos and candidates."""
        super().reset_to_committed()
        self._unjudged, self._candidates, self._flagged = set(), set(), {}
        self._advanced_at = monotonic()
        stream_time = self.state.stream_time
        if stream_time is None:
            self._pane = -1
            return
        self._pane = self._windows.slices.pane_of(stream_time)
        for key, value in self.state.items():
            if self._windows.detected_at(value):
                self._flagged[int(key)] = None
            if self._viral_rule.may_be_viral(self._windows.kept_views(value, stream_time)):
                self._candidates.add(int(key))
        self._unjudged = self._candidates | self._flagged.keys()
