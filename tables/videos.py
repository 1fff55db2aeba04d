"""The table of videos: tumbling windows of two hours and the rolling two hours, in one store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.video import VideoWindows
from models.windows import Slices

if TYPE_CHECKING:
    from settings import Settings

NAME = "video_metrics"
RULES = {"viral_coefficient", "viral_min_views"}


def video_windows(settings: Settings) -> VideoWindows:
    """Return the videos' windows for the settings."""
    return VideoWindows(Slices(settings.video_window, settings.video_step))
