"""The tables that can be exported, by the word that the command takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporting.columns import UserMetrics, VideoMetrics
from exporting.errors import ExportError
from exporting.export import Source
from models.viral import ViralRule
from models.windows import format_duration, parse_duration
from tables import users, videos

if TYPE_CHECKING:
    from typing import Any

    from exporting.columns import Metrics
    from settings import Settings
    from streaming.runtime.app import App
    from tables.sliced import SlicedTable

TABLES = {"users": users.NAME, "videos": videos.NAME}


def tables_of(app: App) -> dict[str, SlicedTable[Any]]:
    """Return the tables of ``app`` by the names that TABLES has for them."""
    by_name = app.task_context.tables
    return {word: by_name[name] for word, name in TABLES.items() if name in by_name}


def source_of(settings: Settings, word: str, table: SlicedTable[Any], window: str | None) -> Source:
    """Return ``table``, for which the command's word is ``word``, with windows of ``window``.

    Raises:
        ExportError: it has no such window.
    """
    return Source(
        word,
        settings.app_id,
        table.changelog_topic_name,
        table.layout,
        settings.partitions,
        _metrics(settings, word, window),
    )


def _metrics(settings: Settings, word: str, window: str | None) -> Metrics:
    if word == "videos":
        if window is not None:
            raise ExportError("--window is for users: videos have a rolling and a tumbling window")
        rule = ViralRule(settings.viral_coefficient, settings.viral_min_views)
        return VideoMetrics(videos.video_windows(settings), rule)
    windows = users.user_windows(settings)
    try:
        return UserMetrics(windows, None if window is None else parse_duration(window))
    except ValueError as exc:
        step, size = format_duration(windows.slices.step), format_duration(windows.slices.size)
        raise ExportError(
            f"--window {window} is wrong: a window is a multiple of {step} up to {size}"
        ) from exc
