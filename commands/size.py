"""``faust -A app size``: the partitions, workers and brokers that a load needs.

Importing this module registers the command.
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, cast

import click
from faust.cli.base import AppCommand, option

from commands import shapes
from commands.parsed import Parsed, like_setting
from models.windows import parse_duration
from sizing import Assumptions, Demand, SizingError, Windows, make_plan, parse_amount, read_costs
from sizing.documents import read_document
from sizing.report import assumptions_of, text_of, values_of

if TYPE_CHECKING:
    from settings import Settings
    from sizing import Plan
    from sizing.demand import Load
    from streaming.runtime.app import App


_AMOUNT = Parsed("amount", parse_amount)
_INTERVAL = like_setting("commit_interval")
_DURATION = Parsed("duration", parse_duration)


class size(AppCommand):  # noqa: N801 - the class's name is the command's
    """Print the partitions, workers and brokers that a load needs, and the limit it reaches first.

    Amounts are written 500000, 500k, 1.5M or 1B. The command asks neither Kafka nor a worker: costs
    come from the benchmark suite, and windows from the app's settings.
    """

    options: list[Any] = [  # noqa: RUF012 - as in Faust's commands
        option("--rate", type=_AMOUNT, required=True, help="Events/s at the peak."),
        option("--users", type=_AMOUNT, required=True, help="Users with events in a window."),
        option("--videos", type=_AMOUNT, default="1M", show_default=True, help="Videos."),
        option("--reads", type=_AMOUNT, default=None, help="Values read per second over HTTP."),
        option(
            "--batch",
            type=click.IntRange(1, 10_000),
            default=1,
            show_default=True,
            help="Keys per read request.",
        ),
        option(
            "--load",
            type=click.Choice(["sessions", "uniform"]),
            default="sessions",
            show_default=True,
            help="sessions: a user's events come together; uniform: random users, the worst case.",
        ),
        option(
            "--active",
            type=_DURATION,
            default="4h",
            show_default=True,
            help="The part of a window within which a user has events.",
        ),
        option(
            "--retention",
            type=_DURATION,
            default="48h",
            show_default=True,
            help="How long the brokers keep events.",
        ),
        option(
            "--replication",
            type=click.IntRange(1, 10),
            default=3,
            show_default=True,
            help="Copies of each record.",
        ),
        option(
            "--standbys",
            type=click.IntRange(0, 10),
            default=1,
            show_default=True,
            help="Copies of each partition on other workers.",
        ),
        option(
            "--commit-interval",
            type=_INTERVAL,
            default=None,
            help="BROKER_COMMIT_INTERVAL; default: the shortest that needs no more machines.",
        ),
        option(
            "--costs",
            type=click.Path(path_type=Path),
            default=None,
            help="JSON of `python -m benchmarks --output FILE`; shipped costs fill its gaps.",
        ),
        option("--show-costs", is_flag=True, help="List each cost and where it comes from."),
    ]

    def __init__(
        self,
        ctx: click.Context,
        *args: Any,
        rate: int,
        users: int,
        videos: int,
        reads: int | None,
        batch: int,
        load: Load,
        active: int,
        retention: int,
        replication: int,
        standbys: int,
        commit_interval: float | None,
        costs: Path | None,
        show_costs: bool,
        **kwargs: Any,
    ) -> None:
        """Read the options."""
        super().__init__(ctx, *args)
        self._costs, self._show_costs = costs, show_costs
        self._demand = Demand(rate, users, videos, reads or 0, batch, load)
        self._assumed = Assumptions(
            replication_factor=replication,
            standbys=standbys,
            retention_s=retention / 1000,
            active_s=active / 1000,
            commit_interval_s=commit_interval,
        )

    def __call__(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Run the command outside of a Faust worker: there is no app to start."""
        try:
            costs = read_costs(None if self._costs is None else read_document(self._costs))
            windows = windows_of(cast("App", self.app).task_context.settings)
            plan = make_plan(self._demand, costs, self._assumed, windows)
        except SizingError as exc:
            click.echo(f"error: {exc}", err=True)
            sys.exit(1)
        if self.json:
            shapes.print_json(shape_of(plan))
        else:
            click.echo(text_of(plan, with_costs=self._show_costs))
        sys.exit(0)


def windows_of(settings: Settings) -> Windows:
    """Return the properties of the app's windows that sizes depend on."""
    return Windows(
        user_window_s=settings.user_window / 1000,
        user_step_s=settings.user_step / 1000,
        video_panes=settings.video_window // settings.video_step,
        horizon_s=settings.dedup_horizon / 1000,
        has_creators=settings.has_creators,
    )


def shape_of(plan: Plan) -> shapes.Size:
    """Return a plan in the shape that ``--json`` prints."""
    demand = plan.demand
    costs = [
        shapes.SizeCost(each.name, values_of(each), each.unit, each.cases, each.is_own)
        for each in plan.costs.all()
    ]
    return shapes.Size(
        events_per_s=demand.events_per_s,
        users=demand.users,
        values_read_per_s=demand.values_read_per_s,
        partitions=plan.commits.partitions,
        commit_interval_s=plan.commit_interval_s,
        markers_per_s=plan.commits.markers_per_s,
        workers=shapes.SizedWorkers(**asdict(plan.workers), memory_bytes=plan.workers.memory_bytes),
        brokers=shapes.SizedBrokers(**asdict(plan.brokers)),
        sent_bytes_per_s=shapes.SentBytes(**plan.traffic._asdict()),
        limits=[shapes.SizeLimit(*limit) for limit in plan.limits],
        assumptions=list(assumptions_of(plan)),
        costs=costs,
        origins=list(plan.costs.origins),
    )
