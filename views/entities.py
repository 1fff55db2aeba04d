"""Descriptions of tables for batch reads; topology.py refers to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from models.columns import USER_COLUMNS, VIDEO_COLUMNS, summed_columns
from models.counters import USER
from views.batch_rows import HoppingRows, video_columns, video_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models._protocols import Sums
    from models.columns import Column
    from models.entity import Entity as Counted
    from models.pane_windows import PaneWindows
    from models.sums import Panes
    from models.viral import ViralRule
    from models.windows import Slices
    from tables.sliced import SlicedTable
    from views.batch_rows import Columns, Parts


@dataclass(frozen=True)
class BatchTable:
    """Description of one table for batch reads."""

    name: str
    """Name of the route and of the answer's list, such as ``users``."""
    key: str
    """Field and column of the id, such as ``user_id``."""
    table: SlicedTable[Any]
    slices: Slices
    sums: Sums
    by_partition: ByPartition
    has_window: bool
    """Whether a smaller window may be requested."""
    windows_at: Callable[[int, int | None], tuple[Panes, ...]]
    """Returns the windows to sum, for a time in ms and a size in ms (None: the full one)."""
    rows: Callable[[Parts], list[bytes]]
    columns: Callable[[Parts], Columns]
    schema: Sequence[Column]
    """Names and types of the columns."""


#: Returns the list indexes of ids, by partition, for a number of partitions.
ByPartition = Callable[[list[int], int], dict[int, list[int]]]


def users(
    table: SlicedTable[Any], slices: Slices, sums: Sums, by_partition: ByPartition
) -> BatchTable:
    """Return the description of the users' table."""
    rows = HoppingRows(USER, tells_complete=False)
    return _hopping(USER, rows, USER_COLUMNS, table, slices, sums, by_partition)


def summed(
    table: SlicedTable[Any], windows: PaneWindows[Any], sums: Sums, by_partition: ByPartition
) -> BatchTable:
    """Return the description of a table of sums with one window, such as creators."""
    of, slices = windows.entity, windows.slices
    rows = HoppingRows(of, tells_complete=True)
    return _hopping(of, rows, summed_columns(of), table, slices, sums, by_partition)


def _hopping(
    of: Counted[Any],
    rows: HoppingRows,
    schema: Sequence[Column],
    table: SlicedTable[Any],
    slices: Slices,
    sums: Sums,
    by_partition: ByPartition,
) -> BatchTable:
    """Return the description of a table with one hopping window."""
    return BatchTable(
        name=of.plural,
        key=of.key,
        table=table,
        slices=slices,
        sums=sums,
        by_partition=by_partition,
        has_window=True,
        windows_at=lambda at, size: (slices.window_at(at, size),),
        rows=rows.rows,
        columns=rows.columns,
        schema=schema,
    )


def videos(
    table: SlicedTable[Any],
    slices: Slices,
    sums: Sums,
    by_partition: ByPartition,
    rule: ViralRule,
) -> BatchTable:
    """Return the description of the videos' table."""
    return BatchTable(
        name="videos",
        key="video_id",
        table=table,
        slices=slices,
        sums=sums,
        by_partition=by_partition,
        has_window=False,
        windows_at=lambda at, _: (slices.window_at(at), slices.tumbling_at(at)),
        rows=video_rows(rule),
        columns=video_columns(rule),
        schema=VIDEO_COLUMNS,
    )
