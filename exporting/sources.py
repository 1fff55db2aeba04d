"""Description of a table's export; topology.py has one per table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from exporting.errors import ExportError
from models.windows import format_duration, parse_mixed

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporting.columns import Metrics
    from models.windows import Slices
    from settings import Settings
    from tables.layout import StoreFormat
    from tables.sliced import SlicedTable


class ExportSource(NamedTuple):
    """A table to export."""

    name: str
    """Prefix of the files' names, such as ``users``."""
    app_id: str
    changelog: str
    layout: StoreFormat
    partitions: int
    metrics: Metrics


class Exported(NamedTuple):
    """How a table is exported."""

    slices: Slices
    metrics: Callable[[int | None], Metrics]
    """Returns the columns for a window's size in ms (None: the full one), or raises ValueError."""
    has_window: bool = True
    """Whether a smaller window may be requested."""

    def source(
        self, settings: Settings, name: str, table: SlicedTable[Any], window: str | None
    ) -> ExportSource:
        """Return ``table`` as a source, with ``name`` in file names and windows of size ``window``.

        Raises:
            ExportError: the table has no such window.
        """
        return ExportSource(
            name,
            settings.app_id,
            table.changelog_topic_name,
            table.layout,
            settings.partitions,
            self._metrics(name, window),
        )

    def _metrics(self, name: str, window: str | None) -> Metrics:
        if window is not None and not self.has_window:
            raise ExportError(f"--window is not for {name}: their windows have fixed sizes")
        try:
            return self.metrics(None if window is None else parse_mixed(window))
        except ValueError as exc:
            step, size = format_duration(self.slices.step), format_duration(self.slices.size)
            raise ExportError(
                f"--window {window} is wrong: allowed is a multiple of {step} up to {size}"
            ) from exc
