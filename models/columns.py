"""Answers as flat columns, for Arrow and files; the fields are those of the routes' JSON.

``window.start`` is ``window_start``, ``rolling.views`` is ``rolling_views``. Names and kinds come
from here and from models.counters; tests compare them with the JSON.
"""

from collections.abc import Iterable
from enum import Enum
from typing import Any, Final, NamedTuple

from models.counters import USER, VIDEO
from models.entity import Entity, Shown


class Kind(Enum):
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
    kind: Kind
    nullable: bool = False


def _shown(fields: Iterable[Shown], prefix: str = "") -> tuple[Column, ...]:
    """Return columns for the fields of an answer."""
    return tuple(
        Column(
            prefix + each.name,
            Kind.INTEGER if each.format.is_whole else Kind.FLOAT,
            nullable=each.format.is_nullable,
        )
        for each in fields
    )


def _video_window(name: str) -> tuple[Column, ...]:
    edges = (Column(f"{name}_{edge}", Kind.TIME) for edge in ("start", "end"))
    return (*edges, *_shown(VIDEO.answer, f"{name}_"))


def hopping_columns(of: Entity[Any]) -> tuple[Column, ...]:
    """Return the columns of an answer with one hopping window."""
    return (
        Column(of.key, Kind.INTEGER),
        Column("as_of", Kind.TIME),
        Column("window_start", Kind.TIME),
        Column("window_end", Kind.TIME),
        Column("window_size_s", Kind.INTEGER),
        Column("window_step_s", Kind.INTEGER),
        *_shown(of.answer),
    )


#: The answer of ``GET /users/{user_id}``.
USER_COLUMNS: Final = hopping_columns(USER)


#: The answer of ``GET /videos/{video_id}``.
VIDEO_COLUMNS: Final = (
    Column("video_id", Kind.INTEGER),
    Column("as_of", Kind.TIME),
    *_video_window("rolling"),
    *_video_window("tumbling"),
    Column("viral", Kind.FLAG),
)


def summed_columns(of: Entity[Any]) -> tuple[Column, ...]:
    """Return the columns of a summed table with one window, such as creators."""
    return (*hopping_columns(of), Column("complete_since", Kind.TIME, nullable=True))


def arrow_types(pyarrow: Any) -> dict[Kind, Any]:
    """Return each kind's type of ``pyarrow``, which is an optional dependency."""
    return {
        Kind.INTEGER: pyarrow.int64(),
        Kind.FLOAT: pyarrow.float64(),
        Kind.TIME: pyarrow.timestamp("ms", "UTC"),
        Kind.FLAG: pyarrow.bool_(),
    }
