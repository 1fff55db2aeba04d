"""The command line of the soak: ``python -m benchmarks.soak``."""

from __future__ import annotations

import argparse
import datetime as dt
import logging
import shutil
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from rich.console import Console

from benchmarks.rig import machine
from benchmarks.rig.bench import Bench, Size
from benchmarks.rig.figures import Row
from benchmarks.rig.report import markdown_of, table_of, write_json
from benchmarks.rig.snapshots import cache_folder
from benchmarks.rig.worker import BenchError
from benchmarks.soak.audit import audit, keep
from benchmarks.soak.course import Course
from benchmarks.soak.plan import Plan
from benchmarks.soak.verdict import failures, judge
from commands.progress import ProgressBar
from embedded import EmbeddedKafkaError

if TYPE_CHECKING:
    from collections.abc import Sequence

RESULTS = Path(__file__).parents[1] / "results"

PARTS_TITLE = "By parts of the run"

_INTERRUPTED = 130


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.soak",
        description="Load two workers for an hour, restart one and kill it, then audit the tables.",
    )
    plan = Plan()
    parser.add_argument("--seconds", type=float, default=plan.seconds, help="default: %(default)s")
    parser.add_argument(
        "--rate", type=int, default=plan.rate, help="events/s, default: %(default)s"
    )
    parser.add_argument("--users", type=int, default=plan.users, help="default: %(default)s")
    parser.add_argument("--output", type=Path, help="where the JSON goes")
    parser.add_argument("--markdown", action="store_true", help="print the tables for docs, too")
    parser.add_argument("--bootstrap", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the soak, print its tables and its verdict; exit with 1 if that is bad."""
    options = parse(arguments)
    plan = Plan(options.seconds, options.rate, options.users)
    begun = dt.datetime.now(dt.UTC)
    name = f"soak-{begun:%Y%m%dT%H%M%SZ}"
    progress = Console(stderr=True)
    # New topics have no leader for a moment, and aiokafka's clients warn about that.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    size = Size("soak", 1, 0, (plan.users,), (plan.rate,), plan.seconds)
    document: dict[str, Any] = {
        "begun": begun.isoformat(timespec="seconds"),
        "machine": machine.describe_machine(),
        "seconds": plan.seconds,
        "rate": plan.rate,
        "users": plan.users,
    }
    output = options.output or RESULTS / f"{name}.json"
    try:
        tables, failed = run(Bench(size, progress, options.bootstrap), plan, name, document, output)
    except (BenchError, EmbeddedKafkaError) as error:
        sys.exit(f"error: {error}")
    write_json(output, document)
    for title, rows in tables.items():
        Console().print(table_of(title, rows))
        if options.markdown:
            print(markdown_of(rows, by_figure=title == PARTS_TITLE))
    progress.print(f"written: {output}", *failed, sep="\n", highlight=False)
    progress.print(f"[bold]{'failed' if failed else 'passed'}")
    sys.exit(1 if failed else 0)


def run(
    bench: Bench, plan: Plan, name: str, document: dict[str, Any], output: Path
) -> tuple[dict[str, list[Row]], list[str]]:
    """Run the soak, and add its figures to ``document``.

    Before the audit, which takes long, the document is written to ``output``.

    Returns:
        The tables by their titles, and a line for each reason why the soak has failed.

    Raises:
        BenchError: it cannot run.
    """
    free = shutil.disk_usage(cache_folder()).free
    if free < plan.disk_bytes:
        raise BenchError(
            f"{plan.disk_bytes / 1e9:.0f} GB of disk are needed, and {free / 1e9:.0f} are free"
        )
    with bench.rig_of(plan.filling()) as rig:
        with ProgressBar(quiet=False) as progress:
            course = Course(bench, rig, plan, progress)
            course.run()
        parts = course.parts()
        judged = judge(parts)
        tables = {
            PARTS_TITLE: _rows(parts, plan.minutes_per_part * plan.minute_s / 60),
            "Reads beside it": [_row({"batch of": "100 users"}, course.reads)],
            "The last part over the second": [each.row() for each in judged],
        }
        minutes = _rows(course.minutes(), plan.minute_s / 60)
        document |= {
            "minutes": [row.as_json() for row in minutes],
            "tables": {title: [row.as_json() for row in rows] for title, rows in tables.items()},
        }
        write_json(output, document)
        found = audit(bench, rig)
        course.end()
        if not found.clean:
            bench.tell(f"the files of all processes are kept in {keep(rig, name)}")
    counted = {outcome: float(number) for outcome, number in found.outcomes.items()}
    tables["Audit"] = [_row({"differences": found.total_differences}, counted)]
    failed = failures(judged, found, course.whole()["events/s"], plan.rate)
    document["tables"]["Audit"] = [row.as_json() for row in tables["Audit"]]
    document |= {"audit": msgspec.to_builtins(found), "failed": failed}
    return tables, failed


def _rows(of_time: Sequence[dict[str, float]], minutes: float) -> list[Row]:
    """Return one row per period of ``minutes`` minutes."""
    return [
        _row({"until minute": round(number * minutes, 2)}, figures)
        for number, figures in enumerate(of_time, 1)
    ]


def _row(setting: dict[str, str | int | float], figures: dict[str, float]) -> Row:
    row = Row(setting)
    row.add(figures)
    return row


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        main()
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        sys.exit(_INTERRUPTED)
