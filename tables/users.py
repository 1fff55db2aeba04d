"""The table of users: the last 24 hours of each, hopping by 15 minutes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from models.counters import USER
from models.rows import foreign_users
from models.user import UserWindows
from models.windows import Slices
from tables.layout import StoreFormat
from tables.records import metrics_view
from tables.sliced import SlicedTable

if TYPE_CHECKING:
    import faust

    from models.rows import FindForeign
    from settings import Settings
    from tables.store import StoreContext

NAME = "user_metrics"


def user_windows(settings: Settings) -> UserWindows:
    """Return the window functions that the settings ask for."""
    return UserWindows(Slices(settings.user_window, settings.user_step), settings.dedup_horizon)


def user_layout(
    windows: UserWindows, find_foreign: FindForeign = foreign_users, partitions: int = 0
) -> StoreFormat:
    """Return how users' values are laid out, in a table of so many partitions (0: any number)."""
    return StoreFormat.of(
        *(USER.version, windows.slices, USER.older),
        *(find_foreign, partitions, windows.is_expired),
    )


def user_table(
    app: faust.App, settings: Settings, windows: UserWindows, parts: StoreContext
) -> SlicedTable[Any]:
    """Make the table."""
    return SlicedTable(
        app,
        name=NAME,
        layout=user_layout(windows, parts.rows.users, settings.partitions),
        view=metrics_view(USER, windows.metrics),
        parts=parts,
        partitions=settings.partitions,
        help="each user's last 24 hours: videos watched, minutes, likes (hopping window)",
    )
