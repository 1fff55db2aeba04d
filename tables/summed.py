"""Summed tables: panes per key, added up from the sums that the users' tasks send."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from models.rows import foreign_sums
from setting_rules import rules_of
from tables.layout import StoreFormat
from tables.records import metrics_view
from tables.sliced import SlicedTable

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping

    import faust

    from models.entity import Entity
    from models.pane_windows import PaneWindows
    from models.rows import FindForeign
    from settings import Settings
    from tables.store import StoreContext


def summed_layout(
    windows: PaneWindows[Any],
    find_foreign: Callable[[Entity[Any], int], FindForeign] = foreign_sums,
    partitions: int = 0,
    rules: Mapping[str, str] | None = None,
) -> StoreFormat:
    """Return the layout of a table with that number of partitions (0: any number).

    ``rules`` are the other settings that change the table's content.
    """
    of = windows.entity
    return StoreFormat.of(
        *(of.version, windows.slices, of.older),
        *(find_foreign(of, len(windows.empty)), partitions, windows),
        rules=rules,
    )


def summed_table(
    app: faust.App,
    settings: Settings,
    name: str,
    windows: PaneWindows[Any],
    parts: StoreContext,
    window: Callable[[bytes | None, int], Any] | None = None,
    rules: Container[str] = (),
) -> SlicedTable[Any]:
    """Create the table; ``rules`` are the settings, besides its windows, that change its content.

    The methods of Faust's windowed tables use ``window`` (None: the rolling one).
    """
    of = windows.entity
    return SlicedTable(
        app,
        name=name,
        layout=summed_layout(
            windows, parts.rows.sums, settings.partitions, rules_of(settings, rules)
        ),
        view=metrics_view(of, window or windows.rolling),
        parts=parts,
        partitions=settings.partitions,
        help=f"each {of.name}'s {', '.join(shown.label for shown in of.answer)}",
    )
