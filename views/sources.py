"""What the views read: the tables, by name, and who answers for keys of other workers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tables.rocks import RocksMemory
    from tables.sliced import SlicedTable
    from tables.viral import ViralTable
    from views.entities import Entity
    from views.health import Readiness
    from views.routing import Routing


class ViewContext(NamedTuple):
    """What a table's views are made of."""

    table: SlicedTable[Any]
    viral: ViralTable
    routing: Routing
    readiness: Readiness


MakeViews = Callable[[ViewContext], Iterable[web.RouteDef]]
"""Returns the routes of a table."""

MakeEntity = Callable[["SlicedTable[Any]"], "Entity"]
"""Returns what batches of a table are read with."""


@dataclass(frozen=True)
class Sources:
    """Put together once, by bootstrap.py. Tables, windows and views have the tables' names."""

    tables: Mapping[str, SlicedTable[Any]]
    windows: Mapping[str, Any]
    views: Mapping[str, MakeViews]
    viral: ViralTable
    memory: RocksMemory
    """What the databases of all tables share."""
    batches: Mapping[str, MakeEntity] = field(default_factory=dict)
    """Returns what batches are read with, of each table that has them."""
