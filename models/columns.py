"""Answers as flat columns, for Arrow and files; the fields are those of the routes' JSON.

``window.start`` is ``window_start``, ``rolling.views`` is ``rolling_views``. Names and kinds come
from here and from models.counters; tests compare them with the JSON.
"""

from collections.abc import Iterable
from enum import Enum
from typing import Any, Final, NamedTuple

from models.counters import USER, VIDEO
from models.entity import Entity, Shown


class ColumnKind(Enum):
    """The type of a column; only nullable columns have missing values."""

    INTEGER = "int64"
    FLOAT = "float64"
    TIME = "timestamp[ms, UTC]"
    FLAG = "bool"


#: The missing value in a column of times, as numpy's NaT.
NO_TIME: Final = -(2**63)


class Column(NamedTuple):
    """A column of a table."""

    name: str
    kind: ColumnKind
    nullable: bool = False


def _shown(fields: Iterable[Shown], prefix: str = "") -> tuple[Column, ...]:
    """Return columns for the fields of an answer."""
    return tuple(
        Column(
            prefix + each.name,
            ColumnKind.INTEGER if each.format.is_whole else ColumnKind.FLOAT,
            nullable=each.format.is_nullable,
        )
        for each in fields
    )


def _video_window(name: str) -> tuple[Column, ...]:
    edges = (Column(f"{name}_{edge}", ColumnKind.TIME) for edge in ("start", "end"))
    return (*edges, *_shown(VIDEO.answer, f"{name}_"))


def hopping_columns(of: Entity[Any]) -> tuple[Column, ...]:
    """Return the columns of an answer with one hopping window."""
    return (
        Column(of.key, ColumnKind.INTEGER),
        Column("as_of", ColumnKind.TIME),
        Column("window_start", ColumnKind.TIME),
        Column("window_end", ColumnKind.TIME),
        Column("window_size_s", ColumnKind.INTEGER),
        Column("window_step_s", ColumnKind.INTEGER),
        *_shown(of.answer),
    )


#: The answer of ``GET /users/{user_id}``.
USER_COLUMNS: Final = hopping_columns(USER)


#: The answer of ``GET /videos/{video_id}``.
VIDEO_COLUMNS: Final = (
    Column("video_id", ColumnKind.INTEGER),
    Column("as_of", ColumnKind.TIME),
    *_video_window("rolling"),
    *_video_window("tumbling"),
    Column("viral", ColumnKind.FLAG),
)


def summed_columns(of: Entity[Any]) -> tuple[Column, ...]:
    """Return the columns of a summed table with one window, such as creators."""
    return (*hopping_columns(of), Column("complete_since", ColumnKind.TIME, nullable=True))


def arrow_types(pyarrow: Any) -> dict[ColumnKind, Any]:
    """Return each kind's type of ``pyarrow``, which is an optional dependency."""
    return {
        ColumnKind.INTEGER: pyarrow.int64(),
        ColumnKind.FLOAT: pyarrow.float64(),
        ColumnKind.TIME: pyarrow.timestamp("ms", "UTC"),
        ColumnKind.FLAG: pyarrow.bool_(),
    }
