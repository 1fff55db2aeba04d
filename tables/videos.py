"""The table of videos: tumbling windows of two hours, and the rolling two hours, of one store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.counters import VIDEO
from models.rows import foreign_videos
from models.video import VideoWindows
from models.windows import Slices, to_iso
from tables.layout import StoreFormat
from tables.records import VideoMetricsRecord
from tables.sliced import SlicedTable

if TYPE_CHECKING:
    import faust

    from models.rows import FindForeign
    from settings import Settings
    from tables.store import StoreContext

NAME = "video_metrics"


def video_windows(settings: Settings) -> VideoWindows:
    """Return the window functions that the settings ask for."""
    return VideoWindows(Slices(settings.video_window, settings.video_step))


def video_layout(
    windows: VideoWindows, find_foreign: FindForeign = foreign_videos, partitions: int = 0
) -> StoreFormat:
    """Return how videos' values are laid out, in a table of so many partitions (0: any number)."""
    return StoreFormat.of(
        *(VIDEO.version, windows.slices, VIDEO.older),
        *(find_foreign, partitions, windows.is_expired),
    )


def video_table(
    app: faust.App, settings: Settings, windows: VideoWindows, parts: StoreContext
) -> SlicedTable[VideoMetricsRecord]:
    """Make the table."""

    def view(video_id: int, value: bytes | None, at: int) -> VideoMetricsRecord:
        counts = windows.tumbling(value, at)
        return VideoMetricsRecord(
            video_id=video_id,
            window_start=to_iso(counts.start_ms),
            window_end=to_iso(counts.end_ms),
            **VIDEO.describe(counts),
        )

    return SlicedTable(
        app,
        name=NAME,
        layout=video_layout(windows, parts.rows.videos, settings.partitions),
        view=view,
        parts=parts,
        partitions=settings.partitions,
        help="each video's two hours: views, likes, comments, shares (tumbling window)",
    )
