"""Rows of a batch's answer: JSON texts, or flat columns for Arrow.

A JSON row equals the answer of a single read. A column's name joins the names of nested fields
(``window_start``, ``rolling_views``), as in :mod:`models.columns`. Both are built column by column,
without a Python loop over keys.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from orjson import OPT_SERIALIZE_NUMPY, dumps

from models.columns import NO_TIME
from models.counters import VIDEO
from models.windows import complete_since, to_iso, window_fields

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from models.entity import Entity
    from models.viral import ViralRule

#: An array of integers, floats (NaN: missing), flags, or times in ms since the epoch.
Column = Any

Columns = dict[str, Column]


class Summed(NamedTuple):
    """The known keys of one partition, with their sums."""

    ids: Sequence[int]
    sums: npt.NDArray[Any]
    """See :class:`models.sums.Totals`."""
    as_of: int
    windows: tuple[tuple[int, int], ...]
    """The panes of each window: first <= p < end."""
    step: int
    """Length of a pane in ms."""
    complete_from: int = 0
    """The stream time in ms from which counts are complete; 0: always."""
    is_stale: bool = False
    """Whether this comes from a copy, which may be behind."""


Parts = list[Summed]


class _Rows:
    """Builds the texts of all rows, piece by piece."""

    def __init__(self, parts: Parts, key: str) -> None:
        self._sizes = [len(part.ids) for part in parts]
        self._pieces: list[Any] = []
        self.add(b'{"%b":' % key.encode())
        self.add_column(ids_of(parts))

    def add(self, text: bytes) -> None:
        """Append the same text to all rows."""
        self._pieces.append(repeat(text, sum(self._sizes)))

    def add_parts(self, texts: Sequence[bytes]) -> None:
        """Append each part's text to its rows."""
        if len(set(texts)) == 1:
            self.add(texts[0])
        else:
            self._pieces.append(chain.from_iterable(map(repeat, texts, self._sizes)))

    def add_column(self, column: Column) -> None:
        """Append each row's number or flag."""
        # Sums that need more than 64 bits are objects, but fields of the answer fit into 64.
        if column.dtype == object:
            column = column.astype(np.int64)
        text = dumps(np.ascontiguousarray(column), option=OPT_SERIALIZE_NUMPY)
        self._pieces.append(text[1:-1].split(b","))

    def add_fields(self, columns: Columns) -> None:
        """Append named fields."""
        for name, column in columns.items():
            self.add(b',"%b":' % name.encode())
            self.add_column(column)

    def end(self, parts: Parts) -> list[bytes]:
        """Complete the rows, and return them."""
        self.add_parts([b',"stale":true}' if part.is_stale else b"}" for part in parts])
        return list(map(b"".join, zip(*self._pieces, strict=True)))


def ids_of(parts: Parts) -> Column:
    """Return the ids of all parts."""
    return np.fromiter(chain.from_iterable(part.ids for part in parts), np.int64)


def _sums_of(parts: Parts) -> npt.NDArray[Any]:
    return np.concatenate([part.sums for part in parts])


def _repeated(parts: Parts, numbers: list[int]) -> Column:
    """Return a column that repeats each part's number for its rows."""
    return np.repeat(np.array(numbers, np.int64), [len(part.ids) for part in parts])


def fields(of: Entity[Any], sums: npt.NDArray[Any], window: int = 0, prefix: str = "") -> Columns:
    """Return the fields of one window, by name."""
    width = len(of.counters)
    counters = dict(zip(of.counters, sums.T[width * window :], strict=False))
    return {prefix + shown.name: shown.column(counters) for shown in of.answer}


class HoppingRows:
    """Rows and columns of tables with one hopping window."""

    def __init__(self, of: Entity[Any], *, tells_complete: bool) -> None:
        """Build rows of ``of``.

        With ``tells_complete``, a row has the field ``complete_since``.
        """
        self._of = of
        self._tells_complete = tells_complete

    def rows(self, parts: Parts) -> list[bytes]:
        """Return the rows of all parts, in the form of single reads."""
        rows = _Rows(parts, self._of.key)
        rows.add_parts([_window(part) for part in parts])
        rows.add_fields(fields(self._of, _sums_of(parts)))
        if self._tells_complete:
            since = [_complete_since(part) for part in parts]
            texts = [dumps(None if each is None else to_iso(each)) for each in since]
            rows.add_parts([b',"complete_since":%b' % text for text in texts])
        return rows.end(parts)

    def columns(self, parts: Parts) -> Columns:
        """Return the values of the table's columns, see :mod:`models.columns`."""
        windows = [(part.windows[0], part.step) for part in parts]
        columns: Columns = {
            self._of.key: ids_of(parts),
            "as_of": _repeated(parts, [part.as_of for part in parts]),
            "window_start": _repeated(parts, [first * step for (first, _), step in windows]),
            "window_end": _repeated(parts, [end * step for (_, end), step in windows]),
            "window_size_s": _repeated(
                parts, [(end - first) * step // 1000 for (first, end), step in windows]
            ),
            "window_step_s": _repeated(parts, [step // 1000 for _, step in windows]),
            **fields(self._of, _sums_of(parts)),
        }
        if self._tells_complete:
            since = [_complete_since(part) for part in parts]
            columns["complete_since"] = _repeated(
                parts, [NO_TIME if each is None else each for each in since]
            )
        return columns


def _window(part: Summed) -> bytes:
    window = _window_text(*part.windows[0], part.step)
    return b',"as_of":"%b","window":%b' % (to_iso(part.as_of).encode(), window)


@lru_cache(maxsize=64)
def _window_text(first: int, end: int, step: int) -> bytes:
    """Return the text of a window; cached, as partitions mostly have the same one."""
    return dumps(window_fields(first * step, end * step, step))


def _complete_since(part: Summed) -> int | None:
    return complete_since(part.windows[0][0] * part.step, part.complete_from)


#: The windows of a video.
_VIDEO_WINDOWS: Final = ("rolling", "tumbling")


def video_rows(rule: ViralRule) -> Callable[[Parts], list[bytes]]:
    """Return a function that builds rows like ``GET /videos/{video_id}``."""

    def rows(parts: Parts) -> list[bytes]:
        rows, sums = _Rows(parts, VIDEO.key), _sums_of(parts)
        rows.add_parts([b',"as_of":"%b"' % to_iso(part.as_of).encode() for part in parts])
        for number, name in enumerate(_VIDEO_WINDOWS):
            rows.add_parts([_begin_window(name, part, number) for part in parts])
            rows.add_fields(fields(VIDEO, sums, number))
            rows.add(b"}")
        rows.add_fields({"viral": _viral(rule, fields(VIDEO, sums))})
        return rows.end(parts)

    return rows


def _begin_window(name: str, part: Summed, number: int) -> bytes:
    first, end = part.windows[number]
    start = dumps({"start": to_iso(first * part.step), "end": to_iso(end * part.step)})
    return b',"%b":%b' % (name.encode(), start[:-1])


def _viral(rule: ViralRule, rolling: Columns) -> Column:
    return rule.are_viral(rolling["views"], rolling["comments"], rolling["shares"])


def video_columns(rule: ViralRule) -> Callable[[Parts], Columns]:
    """Return a function that computes the columns :data:`models.columns.VIDEO_COLUMNS`."""

    def columns(parts: Parts) -> Columns:
        sums = _sums_of(parts)
        found: Columns = {
            VIDEO.key: ids_of(parts),
            "as_of": _repeated(parts, [part.as_of for part in parts]),
        }
        for number, name in enumerate(_VIDEO_WINDOWS):
            edges = [part.windows[number] for part in parts]
            steps = [part.step for part in parts]
            for edge, at in ("start", 0), ("end", 1):
                times = [each[at] * step for each, step in zip(edges, steps, strict=True)]
                found[f"{name}_{edge}"] = _repeated(parts, times)
            found |= fields(VIDEO, sums, number, f"{name}_")
        found["viral"] = _viral(rule, fields(VIDEO, sums))
        return found

    return columns
