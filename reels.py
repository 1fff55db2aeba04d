"""The engagement metrics as plain Python: the code that the agents run, without Kafka.

    from reels import UserMetricsTracker, detect_viral_videos, parse_event

    tracker = UserMetricsTracker()
    event = parse_event(line)
    if event is not None:
        tracker.update_user_metrics(event["user_id"], event)
    tracker.get_user_metrics(987654321)

Durations read ``100ms``, ``5m``, ``2h``, ``24h``; steps are whole seconds. The defaults are those
of the program.
"""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral, Real
from operator import add, index
from time import time
from typing import TYPE_CHECKING, Any, Final

import msgspec

from accelerator import DirectBackend
from models.direct import usual_fields
from models.event import Event, decode
from models.lenient import known_fields
from models.user import UserWindows, describe_user
from models.video import VideoWindows
from models.viral import ViralRule
from models.windows import WHOLE_STEP_MS, Slices, parse_duration

if TYPE_CHECKING:
    from collections.abc import Iterable

    from models._protocols import Engagement

__all__ = ["UserMetricsTracker", "detect_viral_videos", "parse_event"]

_FORM: Final = DirectBackend.of()
_USER_SLICES: Final = Slices(parse_duration("24h"), parse_duration("15m"))


def parse_event(event_json: str | bytes) -> dict[str, Any] | None:
    """Return the known fields of an event, unconverted; None if it is invalid. Never raises.

    Unknown fields, and optional values that are invalid or null, are left out.
    """
    if not isinstance(event_json, str | bytes | bytearray):
        return None
    if (fields := usual_fields(event_json)) is not None:
        return fields
    value = _json_of(event_json)
    return known_fields(value) if value else None


class UserMetricsTracker:
    """Metrics of users over the last hours, by event time.

    It behaves like one partition: time is the latest accepted timestamp, late and duplicate events
    are not counted, and expired users are dropped.
    """

    def __init__(
        self, *, window: str = "24h", step: str = "15m", dedup_horizon: str = "1h"
    ) -> None:
        """Count over a window that hops by a step.

        Raises:
            ValueError: a duration is invalid, or the step is not a multiple of 1s.
        """
        slices = _slices(window, step)
        self._partition = _Partition(slices, dedup_horizon, slices.end_ms)

    def update_user_metrics(self, user_id: int, event: Mapping[str, Any]) -> None:
        """Count an event, as returned by parse_event or as a JSON object; ignore an invalid one.

        Numbers and texts may be of other types, such as numpy's.

        Raises:
            ValueError: the event is another user's.
        """
        found = _engagement_of(event)
        if found is None:
            return
        if found.user_id != user_id:
            raise ValueError(f"this event belongs to user {found.user_id}, not to user {user_id!r}")
        self._partition.apply(found)

    def get_user_metrics(self, user_id: int) -> dict[str, Any]:
        """Return the fields of GET /users/{user_id}; zeros for an unknown user.

        Raises:
            TypeError: the id is not an integer.
        """
        user_id, partition = index(user_id), self._partition
        as_of = partition.stream_time
        if as_of is None:
            as_of = int(time() * 1000)
        metrics = partition.rows.metrics(user_id, as_of)
        return describe_user(user_id, as_of, metrics, partition.windows.slices.step)


def detect_viral_videos(
    events: Iterable[Mapping[str, Any]],
    *,
    coefficient: float = 1.5,
    min_views: int = 1000,
    window: str = "2h",
    step: str = "5m",
    dedup_horizon: str = "1h",
) -> list[int]:
    """Return the ids of videos that are viral at the latest timestamp, highest coefficient first.

    Events are results of parse_event or JSON objects. Invalid, late and duplicate events are not
    counted. Of videos with equal coefficients the smaller id comes first.

    Raises:
        ValueError: a duration or a number is invalid, or the step is not a multiple of 1s.
    """
    rule = ViralRule(coefficient, min_views)
    slices = _slices(window, step)
    users = max(_USER_SLICES, slices, key=lambda candidate: candidate.size)
    partition = _Partition(users, dedup_horizon, min(users.end_ms, slices.end_ms))
    added: dict[tuple[int, int], tuple[int, ...]] = {}
    pane_ms = slices.step
    for event in events:
        found = _engagement_of(event)
        if found is None or not partition.apply(found):
            continue
        more = found.of_video()
        if more is not None:
            place = found.video_id, found.t_ms // pane_ms
            before = added.get(place)
            added[place] = more if before is None else tuple(map(add, before, more))
    return _viral(added, VideoWindows(slices), rule, partition.stream_time or 0)


def _viral(
    added: dict[tuple[int, int], tuple[int, ...]],
    windows: VideoWindows,
    rule: ViralRule,
    as_of: int,
) -> list[int]:
    values: dict[int, bytes] = {}
    for (video_id, pane), counts in added.items():
        values[video_id] = windows.apply(values.get(video_id), pane, counts, as_of)
    rolling = {video_id: windows.rolling(value, as_of) for video_id, value in values.items()}
    viral = {video_id: found for video_id, found in rolling.items() if rule.is_viral(found)}
    return sorted(viral, key=lambda video_id: (-(viral[video_id].viral_coefficient or 0), video_id))


def _slices(window: str, step: str) -> Slices:
    slices = Slices(parse_duration(window), parse_duration(step))
    if slices.step % WHOLE_STEP_MS:
        raise ValueError(f"the step must be a multiple of 1s, not {step}")
    return slices


class _Partition:
    """Users' rows and the stream time, as in a partition of the input topic."""

    def __init__(self, slices: Slices, dedup_horizon: str, end_ms: int) -> None:
        self.windows = UserWindows(slices, parse_duration(dedup_horizon))
        self.rows = _FORM.rows(self.windows)
        self.stream_time: int | None = None
        self._end_ms = end_ms
        # A sweep checks each row, so a row outlives its last event by two sweeps at most.
        self._sweep_every = slices.size + parse_duration(dedup_horizon)
        self._sweep_at = 0

    def apply(self, event: Engagement) -> bool:
        """Count an event; return False if it is late or a duplicate."""
        before, t_ms = self.stream_time, event.t_ms
        now = t_ms
        if before is None or t_ms < before:
            if self.windows.is_late(t_ms, before):
                return False
            now = t_ms if before is None else before
        if t_ms >= self._end_ms:
            return False
        if not self.rows.apply(event, now):
            return False
        self.stream_time = now
        if now >= self._sweep_at:
            self.rows.sweep(now)
            self._sweep_at = now + self._sweep_every
        return True


def _engagement_of(event: object) -> Engagement | None:
    """Return the valid event in a dict or in JSON text; None otherwise."""
    if (usual := _FORM.usual(event)) is not None:
        return usual
    value = _json_of(event)
    found = decode(value) if value else None
    return _FORM.engagement(found) if isinstance(found, Event) else None


def _json_of(event: object) -> bytes | None:
    try:
        if isinstance(event, str):
            return event.encode()
        if isinstance(event, bytes | bytearray):
            return bytes(event)
        return msgspec.json.encode(event, enc_hook=_plain)
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError):
        return None


def _plain(value: object) -> object:
    """Return a value of another type as one that JSON has; null, which is ignored, if none fits."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Integral):
        return int(value)
    return float(value) if isinstance(value, Real) else None
