"""What the views read: the tables, and the functions on their values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from models.user import UserWindows
    from models.video import VideoWindows
    from models.viral import ViralRule
    from tables.sliced import SlicedTable
    from tables.viral import ViralTable


@dataclass(frozen=True)
class Sources:
    """Put together once, by app.py."""

    users: SlicedTable[Any]
    user_windows: UserWindows
    videos: SlicedTable[Any]
    video_windows: VideoWindows
    rule: ViralRule
    viral: ViralTable
