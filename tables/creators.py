"""The table of creators: the last 24 hours of each, hopping by 15 minutes, like the users'."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.counters import CREATOR, CreatorCounts
from models.pane_windows import PaneWindows
from models.windows import Slices

if TYPE_CHECKING:
    from settings import Settings

NAME = "creator_metrics"


def creator_windows(settings: Settings) -> PaneWindows[CreatorCounts]:
    """Return the creators' windows; size and step are those of the users."""
    return PaneWindows(CREATOR, Slices(settings.user_window, settings.user_step))
