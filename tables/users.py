"""The table of users: the last 24 hours of each, hopping by 15 minutes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from models.counters import USER
from models.rows import foreign_users
from models.user import UserWindows
from models.windows import Slices
from setting_rules import rules_of
from tables.layout import StoreFormat
from tables.records import metrics_view
from tables.sliced import SlicedTable

if TYPE_CHECKING:
    from collections.abc import Mapping

    import faust

    from models.rows import FindForeign
    from settings import Settings
    from tables.store import StoreContext

NAME = "user_metrics"
RULES = {"dedup_horizon"}


def user_windows(settings: Settings) -> UserWindows:
    """Return the users' windows for the settings."""
    return UserWindows(Slices(settings.user_window, settings.user_step), settings.dedup_horizon)


def user_layout(
    windows: UserWindows,
    find_foreign: FindForeign = foreign_users,
    partitions: int = 0,
    rules: Mapping[str, str] | None = None,
) -> StoreFormat:
    """Return the layout of a table with that number of partitions (0: any number).

    ``rules`` are the other settings that change the table's content.
    """
    return StoreFormat.of(
        *(USER.version, windows.slices, USER.older),
        *(find_foreign, partitions, windows),
        rules=rules,
    )


def user_table(
    app: faust.App, settings: Settings, windows: UserWindows, parts: StoreContext
) -> SlicedTable[Any]:
    """Create the table."""
    return SlicedTable(
        app,
        name=NAME,
        layout=user_layout(
            windows, parts.rows.users, settings.partitions, rules_of(settings, RULES)
        ),
        view=metrics_view(USER, windows.metrics),
        parts=parts,
        partitions=settings.partitions,
        help="each user's last 24 hours: videos watched, minutes, likes (hopping window)",
    )
