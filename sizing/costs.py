"""Measured costs of events, users and reads, each with the benchmark cases that measured it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from sizing import measures
from sizing.documents import shipped
from sizing.errors import SizingError
from sizing.fits import on_log_scale

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sizing.demand import Load
    from sizing.documents import Document
    from sizing.fits import Points


@dataclass(frozen=True, slots=True)
class Cost:
    """A measured number."""

    name: str
    value: float
    unit: str
    cases: str
    """The cases of the suite that it comes from."""
    is_own: bool
    """Whether it comes from the file of ``--costs``."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A cost as a function of one quantity, given by measured points."""

    name: str
    points: Points
    unit: str
    cases: str
    is_own: bool

    def at(self, x: float) -> float:
        """Return the cost at x; outside of the measured range, that of the nearest point."""
        return on_log_scale(self.points, x)

    def above(self, x: float, reference: float) -> float:
        """Return by how much the cost at x exceeds the cost ``reference``, at least 0."""
        return max(0.0, self.at(x) - reference)


@dataclass(frozen=True, slots=True)
class Costs:
    """All costs."""

    worker_fixed_cores: Cost
    """Cores that a worker under a steady load uses at any rate."""
    worker_us_per_event: Cost
    """CPU per event beyond that, with users in sessions, in us."""
    steady_users: Cost
    """Number of users in that measurement."""
    sessions_us: Curve
    uniform_us: Curve
    """Worker's us per event of a backlog, by users."""
    ids_us: Curve
    """Worker's us per event, by events of a user within the dedup horizon."""
    pane_us: Cost
    """CPU per event for each further pane in a user's value, in us."""
    read_us_per_request: Cost
    read_us_per_value: Cost
    broker_us_per_event: Cost
    changelog_bytes: Curve
    """Changelog bytes per event, by events of a user within the dedup horizon."""
    table_bytes_per_user: Cost
    changelog_bytes_per_user: Cost
    memory_bytes: Cost
    memory_users: Cost
    """Number of users in that measurement."""
    memory_bytes_per_user: Cost
    memory_bytes_per_partition: Cost
    memory_bytes_per_pane: Cost
    restored_records_per_s: Cost
    origins: tuple[str, ...]
    """Machine, commit and command of each document that costs come from."""

    def all(self) -> Iterator[Cost | Curve]:
        """Yield all costs, in the order of the fields."""
        values = (getattr(self, each.name) for each in fields(self))
        return (value for value in values if isinstance(value, Cost | Curve))

    def worker_us(self, load: Load, users: float, ids: float, panes: float) -> float:
        """Return the worker's us per event, without its fixed part.

        Arguments:
            load: how users are drawn.
            users: on the worker.
            ids: events of a user within the dedup horizon.
            panes: in a user's value.
        """
        curve = self.sessions_us if load == "sessions" else self.uniform_us
        return (
            self.worker_us_per_event.value
            + curve.above(users, self.sessions_us.at(self.steady_users.value))
            + self.ids_us.above(ids, self.ids_us.at(1.0))
            + (panes - 1) * self.pane_us.value
        )

    def read_us(self, keys_per_read: int) -> float:
        """Return the worker's us per value read."""
        return self.read_us_per_value.value + self.read_us_per_request.value / keys_per_read


def read_costs(own: Document | None = None) -> Costs:
    """Return an operator's measured costs, and the shipped ones for cases that these lack.

    Raises SizingError if the measurements are invalid, or contain no usable case.
    """
    ours = shipped()
    found: dict[str, Any] = {}
    for measure in measures.MEASURES:
        values = None if own is None else measure.of(own)
        is_own = values is not None
        for name, value in (values or measure.required(ours)).items():
            whose = (measures.UNITS[name], measure.cases, is_own)
            found[name] = (
                Cost(name, value, *whose)
                if isinstance(value, float)
                else Curve(name, value, *whose)
            )
    owned = {cost.is_own for cost in found.values()}
    if own is not None and owned == {False}:
        cases = ", ".join(measure.cases for measure in measures.MEASURES)
        raise SizingError(f"no cost can be read from these measurements; cases of use: {cases}")
    origins = [f"yours, {own.origin()}"] if own is not None else []
    origins += [f"ours, {ours.origin()}"] if False in owned else []
    return Costs(**found, origins=tuple(origins))
