"""What a batch answers of many keys of one partition: rows for JSON, flat columns for Arrow.

A row is what a single read answers; a column is named by the fields that lead to it
(``window_start``, ``rolling_views``): those of models.columns. What all keys of a
partition have in common is made once.
"""

from __future__ import annotations

from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from orjson import Fragment, dumps

from models.counters import VIDEO, VideoCounts
from models.windows import complete_since, to_iso, window_fields

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from models.entity import Entity, Shown
    from models.viral import ViralRule

#: A column: of each key its own, or the same of all.
Column = list[Any] | int

Columns = dict[str, Column]


class Summed(NamedTuple):
    """The keys of one partition of which something is known, with their sums."""

    ids: Sequence[int]
    sums: Sequence[tuple[int, ...]]
    as_of: int
    windows: tuple[tuple[int, int], ...]
    """The windows' panes."""
    step: int
    """Milliseconds of a pane."""
    complete_from: int = 0
    """From which stream time on all is counted; 0: it always was."""


class _Fields:
    """The fields of a window, many windows at a time."""

    def __init__(self, answer: tuple[Shown, ...]) -> None:
        self.names = [shown.name for shown in answer]
        self.values: Callable[[Any], tuple[Any, ...]] = attrgetter(
            *(shown.of or shown.name for shown in answer)
        )

    def row(self, counts: object) -> dict[str, Any]:
        """Return the fields of one window by name."""
        return dict(zip(self.names, self.values(counts), strict=True))

    def columns(self, counts: Iterable[object], prefix: str = "") -> Columns:
        """Return the fields of many windows, a list each."""
        columns = zip(*map(self.values, counts), strict=True)
        return {prefix + n: list(column) for n, column in zip(self.names, columns, strict=True)}


_VIDEO: Final = _Fields(VIDEO.answer)


class HoppingRows:
    """Rows and columns of tables that answer with one window that hops."""

    def __init__(self, of: Entity[Any], *, tells_complete: bool) -> None:
        """Answer for what ``of`` counts.

        With ``tells_complete`` a row says since when all of its window is counted.
        """
        self._key = of.key
        self._counts = of.counts
        self._fields = _Fields(of.answer)
        self._tells_complete = tells_complete

    def _counted(self, batch: Summed) -> list[Any]:
        make = self._counts
        return [make(0, 0, *sums) for sums in batch.sums]

    def rows(self, batch: Summed) -> list[dict[str, Any]]:
        """Return rows as single reads answer them."""
        key, row = self._key, self._fields.row
        as_of, window = to_iso(batch.as_of), _window(*batch.windows[0], batch.step)
        rows = [
            {key: each, "as_of": as_of, "window": window, **row(counts)}
            for each, counts in zip(batch.ids, self._counted(batch), strict=True)
        ]
        if self._tells_complete:
            since = complete_since(batch.windows[0][0] * batch.step, batch.complete_from)
            for each in rows:
                each["complete_since"] = None if since is None else to_iso(since)
        return rows

    def columns(self, batch: Summed) -> Columns:
        """Return the values of the table's columns, see :mod:`models.columns`."""
        (first, end), step = batch.windows[0], batch.step
        columns: Columns = {
            self._key: list(batch.ids),
            "as_of": batch.as_of,
            "window_start": first * step,
            "window_end": end * step,
            "window_size_s": (end - first) * step // 1000,
            "window_step_s": step // 1000,
            **self._fields.columns(self._counted(batch)),
        }
        if self._tells_complete:
            since = complete_since(first * step, batch.complete_from)
            columns["complete_since"] = [since] * len(batch.ids)
        return columns


@lru_cache(maxsize=64)
def _window(first: int, end: int, step: int) -> Fragment:
    """Return the text of a window, of which all partitions have the same for most of the time."""
    return Fragment(dumps(window_fields(first * step, end * step, step)))


def _video_counts(batch: Summed) -> list[list[VideoCounts]]:
    """Return the counts of each of the windows."""
    width = len(VIDEO.counters)
    return [
        [VideoCounts(0, 0, *sums[at : at + width]) for sums in batch.sums]
        for at in range(0, width * len(batch.windows), width)
    ]


def video_rows(rule: ViralRule) -> Callable[[Summed], list[dict[str, Any]]]:
    """Return what makes rows as ``GET /videos/{video_id}`` answers them."""

    def rows(batch: Summed) -> list[dict[str, Any]]:
        as_of, step = to_iso(batch.as_of), batch.step
        rolling_at, tumbling_at = [
            {"start": to_iso(first * step), "end": to_iso(end * step)}
            for first, end in batch.windows
        ]
        return [
            {
                "video_id": video_id,
                "as_of": as_of,
                "rolling": {**rolling_at, **_VIDEO.row(rolling)},
                "tumbling": {**tumbling_at, **_VIDEO.row(tumbling)},
                "viral": rule.is_viral(rolling),
            }
            for video_id, rolling, tumbling in zip(batch.ids, *_video_counts(batch), strict=True)
        ]

    return rows


def video_columns(rule: ViralRule) -> Callable[[Summed], Columns]:
    """Return what makes the values of :data:`models.columns.VIDEO_COLUMNS`."""

    def columns(batch: Summed) -> Columns:
        found: Columns = {"video_id": list(batch.ids), "as_of": batch.as_of}
        windows = _video_counts(batch)
        for name, (first, end), counts in zip(
            ("rolling", "tumbling"), batch.windows, windows, strict=True
        ):
            found[f"{name}_start"] = first * batch.step
            found[f"{name}_end"] = end * batch.step
            found |= _VIDEO.columns(counts, f"{name}_")
        found["viral"] = [rule.is_viral(rolling) for rolling in windows[0]]
        return found

    return columns
