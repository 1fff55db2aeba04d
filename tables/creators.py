"""The table of creators: the last 24 hours of each, hopping by 15 minutes, as the users' are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.counters import CREATOR
from models.creator import CreatorWindows
from models.rows import foreign_creators
from models.windows import Slices, to_iso
from tables.layout import StoreFormat
from tables.records import CreatorMetricsRecord
from tables.sliced import SlicedTable

if TYPE_CHECKING:
    import faust

    from models.rows import FindForeign
    from settings import Settings
    from tables.store import StoreContext

NAME = "creator_metrics"


def creator_windows(settings: Settings) -> CreatorWindows:
    """Return the window functions that the settings ask for: windows and steps of the users'."""
    return CreatorWindows(Slices(settings.user_window, settings.user_step))


def creator_layout(
    windows: CreatorWindows, find_foreign: FindForeign = foreign_creators, partitions: int = 0
) -> StoreFormat:
    """Return how creators' values are laid out, in so many partitions (0: any number)."""
    return StoreFormat.of(
        *(CREATOR.version, windows.slices, CREATOR.older),
        *(find_foreign, partitions, windows.is_expired),
    )


def creator_table(
    app: faust.App, settings: Settings, windows: CreatorWindows, parts: StoreContext
) -> SlicedTable[CreatorMetricsRecord]:
    """Make the table."""

    def view(creator_id: int, value: bytes | None, at: int) -> CreatorMetricsRecord:
        counts = windows.rolling(value, at)
        return CreatorMetricsRecord(
            creator_id=creator_id,
            window_start=to_iso(counts.start_ms),
            window_end=to_iso(counts.end_ms),
            **CREATOR.describe(counts),
        )

    return SlicedTable(
        app,
        name=NAME,
        layout=creator_layout(windows, parts.rows.creators, settings.partitions),
        view=view,
        parts=parts,
        partitions=settings.partitions,
        help="each creator's last 24 hours: views, reactions, follows, minutes (hopping window)",
    )
