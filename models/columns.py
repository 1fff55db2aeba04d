"""Answers as flat columns, for Arrow and files: the fields of the routes' JSON.

``window.start`` is ``window_start``, ``rolling.views`` is ``rolling_views``. Names and kinds stand
here and in models.counters; tests hold them against the JSON.
"""

from collections.abc import Iterable
from enum import Enum
from typing import Any, Final, NamedTuple

from models.counters import USER, VIDEO
from models.entity import Entity, Shown


class Kind(Enum):
    """What a column holds; any value may be missing where a column says so."""

    INTEGER = "int64"
    FLOAT = "float64"
    TIME = "timestamp[ms, UTC]"
    FLAG = "bool"


NO_TIME: Final = -(2**63)
"""In a column of times: there is none, as numpy's NaT."""


class Column(NamedTuple):
    """A column of a table."""

    name: str
    kind: Kind
    nullable: bool = False


def _shown(fields: Iterable[Shown], prefix: str = "") -> tuple[Column, ...]:
    """Columns for the fields of an answer."""
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
    """Columns of what is answered of one window that hops."""
    return (
        Column(of.key, Kind.INTEGER),
        Column("as_of", Kind.TIME),
        Column("window_start", Kind.TIME),
        Column("window_end", Kind.TIME),
        Column("window_size_s", Kind.INTEGER),
        Column("window_step_s", Kind.INTEGER),
        *_shown(of.answer),
    )


USER_COLUMNS: Final = hopping_columns(USER)
"""What ``GET /users/{user_id}`` answers."""


VIDEO_COLUMNS: Final = (
    Column("video_id", Kind.INTEGER),
    Column("as_of", Kind.TIME),
    *_video_window("rolling"),
    *_video_window("tumbling"),
    Column("viral", Kind.FLAG),
)
"""What ``GET /videos/{video_id}`` answers."""


def summed_columns(of: Entity[Any]) -> tuple[Column, ...]:
    """Columns of a table of sums that has one window, such as what ``GET /creators/3`` answers."""
    return (*hopping_columns(of), Column("complete_since", Kind.TIME, nullable=True))


def arrow_types(pyarrow: Any) -> dict[Kind, Any]:
    """The types of ``pyarrow``, which is an extra, for each kind."""
    return {
        Kind.INTEGER: pyarrow.int64(),
        Kind.FLOAT: pyarrow.float64(),
        Kind.TIME: pyarrow.timestamp("ms", "UTC"),
        Kind.FLAG: pyarrow.bool_(),
    }
