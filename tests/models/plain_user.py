"""A user's windows computed the simple way: a list of applied events, nothing packed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from models.user import MAX_SEEN


class Applied(NamedTuple):
    """An applied event, and the stream time at which it was applied; times in ms."""

    t: int
    views: int
    likes: int
    watched: int
    event_id: int
    stream_time: int


@dataclass
class PlainUser:
    """The applied events of one user."""

    size: int
    step: int
    horizon: int
    applied: list[Applied] = field(default_factory=list)

    def apply(self, kind: str, t: int, watched: int, event_id: int, stream_time: int) -> bool:
        """Apply an event; return whether it is new rather than a duplicate."""
        remembered = self.applied[-MAX_SEEN:]
        if any(
            event_id == one.event_id and stream_time - one.stream_time <= self.horizon
            for one in remembered
        ):
            return False
        view, like = kind == "video_view", kind == "like"
        self.applied.append(
            Applied(t, int(view), int(like), watched if view else 0, event_id, stream_time)
        )
        return True

    def metrics(self, at: int) -> tuple[int, int, int]:
        """Return views, likes and watched ms of the window at a given time."""
        end = at // self.step * self.step + self.step
        inside = [one for one in self.applied if end - self.size <= one.t < end]
        return (
            sum(one.views for one in inside),
            sum(one.likes for one in inside),
            sum(one.watched for one in inside),
        )
