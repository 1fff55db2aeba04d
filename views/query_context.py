"""What views read: tables by name, and the parts that read and show them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tables.rocks_options import RocksMemory
    from tables.sliced import SlicedTable
    from tables.viral import ViralTable
    from views.entities import BatchTable
    from views.health import Readiness
    from views.routing import Routing


class ViewContext(NamedTuple):
    """The parts of a table's views."""

    table: SlicedTable[Any]
    viral: ViralTable
    routing: Routing
    readiness: Readiness


MakeViews = Callable[[ViewContext], Iterable[web.RouteDef]]
"""Returns the routes of a table."""

MakeEntity = Callable[["SlicedTable[Any]"], "BatchTable"]
"""Returns the description of a table for batch reads."""


@dataclass(frozen=True)
class QueryContext:
    """Made by bootstrap.py. The keys of all mappings are the tables' names."""

    tables: Mapping[str, SlicedTable[Any]]
    windows: Mapping[str, Any]
    views: Mapping[str, MakeViews]
    viral: ViralTable
    memory: RocksMemory
    """Memory that the databases of all tables share."""
    batches: Mapping[str, MakeEntity] = field(default_factory=dict)
    """For tables with batch routes only."""
