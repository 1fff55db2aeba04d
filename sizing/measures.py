"""How each cost is read from the rows of the suite's cases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from sizing.errors import SizingError
from sizing.fits import line_through, rise

if TYPE_CHECKING:
    from collections.abc import Callable

    from sizing.documents import Document, Row
    from sizing.fits import Points

    Values = dict[str, float | Points]

MIB: Final = 1 << 20

#: The case ``aging`` has so many events/s of event time.
AGING_EVENTS_PER_S: Final = 50_000

#: A rate is held if at least so much of it is processed.
HELD: Final = 0.95

#: The figures that are read, by case; tests/benchmarks compares them with those of the suite.
FIGURES: Final = {
    "steady": ("worked off events/s", "worker % of a core", "broker % of a core"),
    "backlog": ("worker us/event",),
    "growth": ("worker us/event", "peak RSS MiB"),
    "aging": ("us/event", "changelog bytes/event"),
    "reads": ("server us/value",),
    "memory": ("disk bytes/user", "changelog bytes/user", "peak RSS MiB"),
    "recovery": ("restored records/s",),
}

UNITS: Final = {
    "worker_fixed_cores": "cores",
    "worker_us_per_event": "us CPU/event",
    "steady_users": "users",
    "sessions_us": "us CPU/event",
    "uniform_us": "us CPU/event",
    "ids_us": "us CPU/event",
    "pane_us": "us CPU/event/pane",
    "read_us_per_request": "us CPU/request",
    "read_us_per_value": "us CPU/value",
    "broker_us_per_event": "us CPU/event",
    "changelog_bytes": "bytes/event",
    "table_bytes_per_user": "bytes/user",
    "changelog_bytes_per_user": "bytes/user",
    "memory_bytes": "bytes",
    "memory_users": "users",
    "memory_bytes_per_user": "bytes/user",
    "memory_bytes_per_partition": "bytes/partition",
    "memory_bytes_per_pane": "bytes/pane",
    "restored_records_per_s": "records/s",
}


class Measure(NamedTuple):
    """Costs that are read from the same cases; None if those are not there."""

    cases: str
    of: Callable[[Document], Values | None]

    def required(self, document: Document) -> Values:
        """Return the costs of a document that has to have them."""
        values = self.of(document)
        if values is None:
            raise SizingError(f"the costs that come with the program lack the case {self.cases}")
        return values


def _steady(document: Document) -> Values | None:
    """CPU of worker and broker over the rates that were held."""
    rates, of_worker, of_broker = FIGURES["steady"]
    workers, brokers = (
        with_figures(document.rows("steady"), rates, each) for each in (of_worker, of_broker)
    )
    if not workers or not brokers:
        return None
    held = [(rate, share / 100) for row, (rate, share) in workers if _is_held(row, rate)]
    of_brokers = [(rate, share / 100) for row, (rate, share) in brokers if _is_held(row, rate)]
    if not held or not of_brokers:
        raise SizingError("the case steady holds none of its rates: measure lower ones (--rates)")
    fixed, per_event = line_through(held)
    fastest, cores = max(of_brokers)
    return {
        "worker_fixed_cores": fixed,
        "worker_us_per_event": per_event * 1e6,
        "steady_users": max(row.number("users") for row, _ in workers),
        "broker_us_per_event": cores / fastest * 1e6,
    }


def _is_held(row: Row, rate: float) -> bool:
    return rate >= HELD * row.number("events/s") > 0


def with_figures(rows: list[Row], *names: str) -> list[tuple[Row, list[float]]]:
    """Return the rows that have all of some figures, with these."""
    found = [(row, [row.figure(name) for name in names]) for row in rows]
    return [
        (row, [f for f in figures if f is not None])
        for row, figures in found
        if None not in figures
    ]


def _users(document: Document) -> Values | None:
    """CPU of backlogs with more and more users; of the case backlog, then of growth."""
    curves: Values = {}
    for load in ("sessions", "uniform"):
        points: dict[float, float] = {}
        rows = [*document.rows("growth"), *document.rows("backlog")]
        for row, (us,) in with_figures(rows, *FIGURES["backlog"]):
            is_usual = all(row.number(name) in {0, usual} for name, usual in _USUAL.items())
            if row.setting.get("load") == load and is_usual:
                points[row.number("users")] = us
        curves[f"{load}_us"] = sorted(points.items())
    return curves if all(curves.values()) else None


#: What a row of the case growth varies besides load and users.
_USUAL: Final = {"panes": 1, "partitions": 8, "workers": 1}


def _growth(document: Document) -> Values | None:
    """CPU and memory of panes and partitions, memory of users."""
    names = FIGURES["growth"]
    rows = with_figures(document.rows("growth"), *names)
    if not rows:
        return None
    few = min(row.number("users") for row, _ in rows)

    def points(by: str, load: str, figure: str) -> Points:
        usual = {"users": few, **_USUAL}
        del usual[by]
        return sorted(
            (row.number(by), figures[names.index(figure)])
            for row, figures in rows
            if row.setting.get("load") == load
            and all(row.number(name) == number for name, number in usual.items())
        )

    panes_us = points("panes", "uniform", "worker us/event")
    memory = [
        points(by, load, "peak RSS MiB")
        for by, load in (("users", "sessions"), ("partitions", "uniform"), ("panes", "uniform"))
    ]
    if not panes_us or not all(memory):
        return None
    per_user, per_partition, per_pane = (MIB * rise(each) for each in memory)
    return {
        "pane_us": rise(panes_us),
        "memory_bytes_per_user": per_user,
        "memory_bytes_per_partition": per_partition,
        "memory_bytes_per_pane": per_pane,
    }


def _aging(document: Document) -> Values | None:
    """Costs of an event as users have more and more ids to remember."""
    measured = with_figures(document.rows("aging"), *FIGURES["aging"])
    rows = [(row, figures) for row, figures in measured if row.number("users") > 0]
    if not rows:
        return None
    # What more users cost is measured elsewhere, and the fewest have the most ids each.
    users = min(row.number("users") for row, _ in rows)
    found = sorted(
        (row.number("minutes") * 60 * AGING_EVENTS_PER_S / users, *figures)
        for row, figures in rows
        if row.number("users") == users
    )
    return {
        "ids_us": [(ids, us) for ids, us, _ in found],
        "changelog_bytes": [(ids, size) for ids, _, size in found],
    }


def _reads(document: Document) -> Values | None:
    """CPU of a request and of a value in it, from requests of one key and of a hundred."""
    rows = with_figures(document.rows("reads"), *FIGURES["reads"])
    us = {row.setting.get("reads"): us for row, (us,) in rows}
    single, batch = us.get("single, idle"), us.get("batches of 100, idle")
    if single is None or batch is None:
        return None
    per_request = min(single, max(0.0, single - batch) / (1 - 1 / 100))
    return {"read_us_per_request": per_request, "read_us_per_value": single - per_request}


def _memory(document: Document) -> Values | None:
    """Memory and disk of the largest state."""
    rows = with_figures(document.rows("memory"), *FIGURES["memory"])
    # A restore is timed by the changelog's bytes.
    for row, (disk, changelog, peak) in rows:
        if changelog <= 0:
            continue
        return {
            "table_bytes_per_user": disk,
            "changelog_bytes_per_user": changelog,
            "memory_bytes": peak * MIB,
            "memory_users": row.number("users"),
        }
    return None


def _recovery(document: Document) -> Values | None:
    """Speed of a restore from the changelogs."""
    rows = with_figures(document.rows("recovery"), *FIGURES["recovery"])
    rates = [rate for _, (rate,) in rows if rate > 0]
    return {"restored_records_per_s": min(rates)} if rates else None


MEASURES: Final = (
    Measure("steady", _steady),
    Measure("backlog, growth", _users),
    Measure("aging", _aging),
    Measure("growth", _growth),
    Measure("reads", _reads),
    Measure("memory", _memory),
    Measure("recovery", _recovery),
)
