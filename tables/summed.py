"""Tables of sums: of each key the panes that the users' tasks add up and send."""

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
    """Return how values are laid out, in a table of so many partitions (0: any number).

    ``rules`` are other settings that the table goes by.
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
    """Make the table, which goes by the settings ``rules`` besides its windows.

    Readers of it in Faust's style get ``window`` (None: the rolling one).
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
