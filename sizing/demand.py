"""The load to size, and the assumptions about it and about the machines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Load = Literal["sessions", "uniform"]


@dataclass(frozen=True, slots=True)
class Demand:
    """The load, at its peak."""

    events_per_s: int
    users: int
    videos: int = 1_000_000
    values_read_per_s: int = 0
    keys_per_read: int = 1
    load: Load = "sessions"
    """``sessions``: a user's events follow each other; ``uniform``: nearly each event has another
    user, the worst case."""


@dataclass(frozen=True, slots=True)
class Windows:
    """Panes in the windows of the tables, from the app's settings."""

    user_window_s: float = 24 * 3600.0
    user_step_s: float = 900.0
    video_panes: int = 24
    horizon_s: float = 3600.0
    """For how long an event id is remembered."""
    has_creators: bool = True

    @property
    def user_panes(self) -> float:
        """Panes of a user's window, and of a creator's."""
        return self.user_window_s / self.user_step_s


@dataclass(frozen=True, slots=True)
class Assumptions:
    """Values that no benchmark measures; the report prints them."""

    used_share: float = 0.6
    """Largest fraction of each resource that may be in use at the peak."""
    replication_factor: int = 3
    standbys: int = 1
    retention_s: float = 48 * 3600.0
    """How long the brokers keep events."""
    active_s: float = 4 * 3600.0
    """The part of a window, in seconds, within which a user has events."""
    commit_interval_s: float | None = None
    """None: the shortest that keeps ``markers_per_s`` and needs no more machines."""
    event_bytes: int = 330
    events_per_session: float = 6.6
    broker_cores: int = 8
    broker_disk_bytes_per_s: float = 250e6
    broker_network_bytes_per_s: float = 1.25e9
    """In each direction."""
    markers_per_s: float = 10_000.0
    """Maximum transaction markers per second in the whole cluster."""
