"""Comparison of the tables with the recount, pane by pane."""

from __future__ import annotations

from heapq import merge
from itertools import groupby
from operator import add
from typing import TYPE_CHECKING, NamedTuple

from auditing.spill_map import id_key, id_of, pane_of, unique
from models.counters import USER
from models.partitioner import partition_of
from models.windows import to_iso

if TYPE_CHECKING:
    from collections.abc import Iterator

    from auditing.recount import PartitionRecount
    from auditing.spill_map import SpillMap
    from auditing.summed import FoundTable, JoinedSums, Sums
    from models.user import UserWindows

Panes = dict[int, tuple[int, ...]]


class Difference(NamedTuple):
    """A count of a table that differs from the recount."""

    what: str
    """``user 17`` or ``video 5``."""
    start_ms: int
    """Start of the count's step."""
    counter: str
    found: int
    least: int
    most: int

    def __str__(self) -> str:
        """One line for people."""
        expected = f"{self.least}" if self.least == self.most else f"{self.least} to {self.most}"
        return (
            f"{self.what}, step of {to_iso(self.start_ms)}: "
            f"{self.counter} {self.found}, the input says {expected}"
        )


def compare_users(
    found: SpillMap,
    found_windows: UserWindows,
    recount: PartitionRecount,
    windows: UserWindows,
    as_of: int,
    judged_from: int,
) -> Iterator[list[Difference]]:
    """Compare the users of one partition in the window at ``as_of``, from a time on.

    Values of the table and of the recount may number their panes by different units.

    Yields:
        The differences of each user, in numeric order.
    """

    def panes(value: bytes | None, windows: UserWindows = windows) -> Panes:
        return {
            pane.start_ms: tuple(pane[2:])
            for pane in windows.series(value, as_of)
            if pane.start_ms >= judged_from
        }

    for key in unique(merge(found, recount.sure)):
        if key != id_key(id_of(key)):
            continue  # sealed ids: their keys begin with the user's
        least = panes(recount.sure.get(key))
        most = {
            start: tuple(map(add, counts, recount.repeated(id_of(key), start)))
            for start, counts in panes(recount.most(key)).items()
        }
        rows = panes(found.get(key), found_windows)
        yield list(_compare(f"user {id_of(key)}", rows, least, most, tuple(USER.counters)))


def compare_sums(
    found: FoundTable, sums: Sums | JoinedSums, judged_from: int, *, complete: bool
) -> Iterator[list[Difference]]:
    """Compare all keys of a table of sums in the windows of their partitions.

    Arguments:
        found: the table.
        sums: the recount.
        judged_from: earlier steps are left out.
        complete: whether the table must contain all certain counts.

    Yields:
        The differences of each key, in numeric order.
    """
    table, times = sums.table, found.times
    windows, nothing = table.windows, table.entity.nothing
    step = windows.slices.step
    # A number's key sorts before the keys of its panes, which begin with it.
    ordered = merge(found.values, sums.stored())
    for number, keys in groupby(unique(ordered), key=id_of):
        counted = [key for key in keys if len(key) > len(id_key(number))]
        partition = partition_of(number, len(times)) if times else -1
        time = times.get(partition, -1)
        begin = max(judged_from, found.complete_from.get(partition, 0))
        first = max(windows.slices.kept_from(time), -(-begin // step))
        found_windows = windows.in_units(found.units.get(partition, step))
        rows: Panes = {
            pane.start_ms: tuple(pane[2:])
            for pane in found_windows.series(found.values.get(id_key(number)), time)
            if pane.start_ms >= first * step
        }
        least: Panes = {}
        most: Panes = {}
        for key in counted:
            if (pane := pane_of(key)) >= first:
                low, high = sums.bounds(key)
                least[pane * step] = low if complete else nothing
                most[pane * step] = high
        counters = tuple(table.entity.counters)
        yield list(_compare(f"{table.entity.name} {number}", rows, least, most, counters))


def _compare(
    what: str, found: Panes, least: Panes, most: Panes, counters: tuple[str, ...]
) -> Iterator[Difference]:
    nothing = (0,) * len(counters)
    for start_ms in sorted(found.keys() | least.keys() | most.keys()):
        rows = (each.get(start_ms, nothing) for each in (found, least, most))
        for counter, count, low, high in zip(counters, *rows, strict=True):
            if not low <= count <= high:
                yield Difference(what, start_ms, counter, count, low, high)
