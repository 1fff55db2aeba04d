"""What ``status`` and ``top`` print: two tables, and what is wrong besides."""

from __future__ import annotations

from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

#: For what nobody knows.
UNKNOWN = "unknown"

#: States of workers that answer.
ANSWERING = frozenset({"ready", "not_ready"})

Figures = dict[str, Any]


def _number(value: float | None, unit: str = "") -> str:
    return "-" if value is None else f"{value:,.0f}{unit}"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:,.1f} s" if value >= 1 else f"{value * 1000:,.0f} ms"


def _lag(lag: Figures) -> tuple[str, str]:
    """Return the records behind and their age as text; what nobody knows is unknown."""
    records, seconds = lag.get("records"), lag.get("seconds")
    if records is None:
        known = lag.get("at_least", 0)
        return (f"at least {known:,}" if known else UNKNOWN), UNKNOWN
    return _number(records), UNKNOWN if seconds is None else _seconds(seconds)


def _name(url: str | None) -> str:
    """Return the part of a worker's address that tells it from others."""
    return "-" if url is None else url.partition("://")[2].rstrip("/") or url


def _state(worker: Figures) -> str:
    if worker.get("obstacle"):
        return str(worker["obstacle"])
    since = worker.get("since")
    return f"{worker['state']} since {since[11:19]}" if since else str(worker["state"])


def _table(*names: str) -> Table:
    table = Table(padding=(0, 0, 0, 1), pad_edge=False)
    for name in names:
        # A name goes on in the next line rather than lose what tells it from others.
        is_text = name in {"worker", "state"}
        table.add_column(
            name, justify="left" if is_text else "right", overflow="fold", no_wrap=not is_text
        )
    return table


def rendered(figures: Figures, expected: int = 0) -> Group:
    """Return a summary, tables of workers and partitions, and what is wrong besides."""
    workers = _table("worker", "state", "parts", "events/s", "lag", "behind", "up")
    for worker in figures["workers"]:
        lag = worker.get("lag") or {}
        workers.add_row(
            *(_name(worker["url"]), _state(worker), str(len(worker["partitions"]))),
            *(_number(worker.get("rate")), _number(lag.get("records"))),
            *(_seconds(lag.get("seconds")), _number(worker.get("uptime_s"), " s")),
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
    """Return what is wrong besides the states that the tables show, a line each.

    Arguments:
        figures: what a worker tells of all.
        expected: how many workers there have to be at least.
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
    """Whether every partition and every worker is ready, and nothing else is wrong.

    Workers that have left in order are no trouble, as long as ``expected`` others answer.
    """
    return (
        {each["state"] for each in figures["partitions"]} <= {"ready"}
        and {each["state"] for each in figures["workers"]} <= {"ready", "left"}
        and not troubles(figures, expected)
    )
