"""Output of ``status`` and ``top``: a summary, two tables, and further problems."""

from __future__ import annotations

from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

#: Text for an unknown value.
UNKNOWN = "unknown"

#: States of workers that answer.
ANSWERING = frozenset({"ready", "not_ready"})

Figures = dict[str, Any]


def _number(value: float | None, unit: str = "") -> str:
    return "-" if value is None else f"{value:,.0f}{unit}"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:,.1f} s" if value >= 1 else f"{value * 1000:,.0f} ms"


def _lag(lag: Figures) -> tuple[str, str]:
    """Return the lag in records and in time as text."""
    records, seconds = lag.get("records"), lag.get("seconds")
    if records is None:
        known = lag.get("at_least", 0)
        return (f"at least {known:,}" if known else UNKNOWN), UNKNOWN
    return _number(records), UNKNOWN if seconds is None else _seconds(seconds)


def _name(url: str | None) -> str:
    """Return the part of a worker's address that distinguishes it."""
    return "-" if url is None else url.partition("://")[2].rstrip("/") or url


def _state(worker: Figures) -> str:
    if worker.get("obstacle"):
        return str(worker["obstacle"])
    since = worker.get("since")
    return f"{worker['state']} since {since[11:19]}" if since else str(worker["state"])


def _table(*names: str) -> Table:
    table = Table(padding=(0, 0, 0, 1), pad_edge=False)
    for name in names:
        # Long names continue on the next line: cut ones may look alike.
        is_text = name in {"worker", "state"}
        table.add_column(
            name, justify="left" if is_text else "right", overflow="fold", no_wrap=not is_text
        )
    return table


def rendered(figures: Figures, expected: int = 0) -> Group:
    """Return a summary, tables of workers and partitions, and further problems."""
    workers = _table("worker", "state", "parts", "events/s", "lag", "behind", "up")
    for worker in figures["workers"]:
        # A worker that does not answer has no lag, and one that cannot tell it has None.
        lag = _lag(worker["lag"] or {}) if "lag" in worker else ("-", "-")
        workers.add_row(
            *(_name(worker["url"]), _state(worker), str(len(worker["partitions"]))),
            *(_number(worker.get("rate")), *lag, _number(worker.get("uptime_s"), " s")),
        )
    partitions = _table("partition", "worker", "state", "lag", "behind", "to recover")
    for each in figures["partitions"]:
        partitions.add_row(
            *(str(each["number"]), _name(each["worker"]), each["state"]),
            *(*_lag(each.get("lag") or {}), _number(each.get("remaining"))),
        )
    return Group(
        Text(_summary(figures)), workers, partitions, *map(Text, troubles(figures, expected))
    )


def troubles(figures: Figures, expected: int = 0) -> list[str]:
    """Return problems that the states in the tables do not show, one line each.

    Arguments:
        figures: a worker's figures of all workers.
        expected: minimum number of workers that must answer.
    """
    lines = [
        f"different rules: {each['variable']} is "
        + ", ".join(
            f"{value} at {', '.join(map(_name, urls))}" for value, urls in each["values"].items()
        )
        for each in figures.get("rules", ())
    ]
    if lost := [_name(each["url"]) for each in figures["workers"] if each["state"] == "lost"]:
        lines.append(f"lost: {', '.join(lost)} (shown for 15 minutes, or until back)")
    answering = sum(each["state"] in ANSWERING for each in figures["workers"])
    if answering < expected:
        lines.append(f"{answering} of {expected} expected workers answer")
    return lines


def _summary(figures: Figures) -> str:
    lag = figures["lag"]
    records, seconds = _lag(lag)
    unanswered, total = len(lag.get("unanswered", ())), len(figures["partitions"])
    missing = f" ({unanswered} of {total} partitions have no answer)" if unanswered else ""
    return (
        f"{figures['time']}   {_number(figures['rate'])} events/s   "
        f"{records} records, {seconds} behind{missing}   "
        f"{figures['viral']['count']} viral"
    )


def is_well(figures: Figures, expected: int = 0) -> bool:
    """Return whether all partitions and workers are ready, and there are no other problems.

    Workers that have left in order are no problem if ``expected`` others answer.
    """
    return (
        {each["state"] for each in figures["partitions"]} <= {"ready"}
        and {each["state"] for each in figures["workers"]} <= {"ready", "left"}
        and not troubles(figures, expected)
    )
