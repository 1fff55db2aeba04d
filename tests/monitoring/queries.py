"""The PromQL of the dashboard and of the alert rules, parsed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import promql_parser as promql
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator


ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "monitoring" / "alerts.yml"
DASHBOARD = ROOT / "monitoring" / "grafana" / "dashboards" / "reels.json"

#: Labels that Prometheus adds to scraped series, and series that it makes itself.
ADDED_LABELS = {"job", "instance"}
OWN_SERIES = {"up"}


#: Prometheus' types of the metrics that the program promises.
TYPES = {
    "reels_events_read": "counter",
    "reels_events": "counter",
    "reels_events_rejected": "counter",
    "reels_consumer_lag_records": "gauge",
    "reels_consumer_lag_seconds": "gauge",
    "reels_ingest_latency_seconds": "histogram",
    "reels_commit_seconds": "histogram",
    "reels_transactions": "counter",
    "reels_recovery_records_remaining": "gauge",
    "reels_viral_videos": "gauge",
}


def rules() -> list[dict[str, Any]]:
    """Return the alert rules."""
    (group,) = yaml.safe_load(ALERTS.read_text())["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def dashboard_queries() -> list[str]:
    """Return the queries of all panels, with Grafana's interval filled in."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return [
        target["expr"].replace("$__rate_interval", "1m")
        for panel in panels
        for target in panel.get("targets", ())
    ]


def selected(query: str) -> Iterator[tuple[str, set[str]]]:
    """Yield each metric's name, and the labels that the query matches or groups by.

    The labels of an aggregation apply to every series below it, ``le`` of buckets included.
    """
    yield from _walk(promql.parse(query), frozenset())


def _walk(node: promql.Expr, grouped: frozenset[str]) -> Iterator[tuple[str, set[str]]]:
    if isinstance(node, promql.VectorSelector):
        matched = {matcher.name for matcher in node.matchers.matchers}
        assert node.name is not None
        yield node.name, {*matched, *grouped}
    elif isinstance(node, promql.MatrixSelector):
        yield from _walk(node.vector_selector, grouped)
    elif isinstance(node, promql.AggregateExpr):
        labels = set(node.modifier.labels) if node.modifier else set()
        yield from _walk(node.expr, grouped | labels)
    elif isinstance(node, promql.Call):
        for argument in node.args:
            yield from _walk(argument, grouped)
    elif isinstance(node, promql.BinaryExpr):
        yield from _walk(node.lhs, grouped)
        yield from _walk(node.rhs, grouped)
    elif isinstance(node, promql.ParenExpr | promql.SubqueryExpr | promql.UnaryExpr):
        yield from _walk(node.expr, grouped)
    else:
        assert isinstance(node, promql.NumberLiteral | promql.StringLiteral), type(node)
