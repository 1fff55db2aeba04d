"""The command line of the suite: ``python -m benchmarks [CASE ...]``."""

from __future__ import annotations

import argparse
import datetime as dt
import logging
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from benchmarks.reads import PARTS
from benchmarks.rig import machine
from benchmarks.rig.bench import SIZES, Bench, with_options
from benchmarks.rig.report import markdown_of, table_of, write_json
from benchmarks.rig.worker import BenchError
from embedded import EmbeddedKafkaError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.rig.figures import Row

#: Each is a module of this package with a function ``run``.
CASES = (
    *("backlog", "steady", "spike", "reads", "memory", "growth"),
    *("plain", "recovery", "takeover", "aging", "moves", "micro", "functions"),
    *("odd", "odd_micro", "workers"),
)

#: Cases that run only if they are named, because they install other programs.
NAMED = ("peers",)

_CASES_HELP = f"choose from {', '.join(CASES)} (default: all of these), {', '.join(NAMED)}"

RESULTS = Path(__file__).parent / "results"


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.replace("_", "").split(","))


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Run the benchmarks.")
    parser.add_argument("cases", nargs="*", metavar="CASE", help=_CASES_HELP)
    parser.add_argument("--size", choices=SIZES, default="quick", help="default: quick")
    parser.add_argument("--runs", type=int, help="runs of each measurement")
    parser.add_argument("--events", type=int, help="events of a backlog")
    parser.add_argument("--users", type=_numbers, help="users in the state: 1000000,10000000")
    parser.add_argument("--rates", type=_numbers, help="events/s of the steady load: 10000,50000")
    parser.add_argument("--seconds", type=float, help="seconds of each steady load")
    parser.add_argument(
        "--parts", type=_names, help=f"parts of reads, separated by commas: {', '.join(PARTS)}"
    )
    parser.add_argument(
        "--kinds",
        type=lambda text: tuple(text.split(";")),
        help="kinds of odd traffic, or peers, by prefixes of their names, such as 'late;wrong'",
    )
    parser.add_argument("--output", type=Path, help="file for the JSON")
    parser.add_argument("--markdown", action="store_true", help="also print tables for the docs")
    parser.add_argument("--bootstrap", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if unknown := set(options.cases) - {*CASES, *NAMED}:
        parser.error(f"there is no case {', '.join(sorted(unknown))}: {_CASES_HELP}")
    if unknown := set(options.parts or ()) - set(PARTS):
        parser.error(f"unknown part {', '.join(sorted(unknown))}, choose from {', '.join(PARTS)}")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the selected cases, and print each one's table when it is done."""
    options = parse(arguments)
    size = with_options(
        SIZES[options.size],
        **{
            name: getattr(options, name)
            for name in ("runs", "events", "users", "rates", "seconds", "parts", "kinds")
        },
    )
    begun = dt.datetime.now(dt.UTC)
    output = options.output or RESULTS / f"{begun:%Y%m%dT%H%M%SZ}.json"
    document: dict[str, Any] = {
        "begun": begun.isoformat(timespec="seconds"),
        "size": size.name,
        "machine": machine.describe_machine(),
        "command": " ".join(
            ["python -m benchmarks", *(sys.argv[1:] if arguments is None else arguments)]
        ),
        "cases": {},
    }
    # New topics have no leader for a moment, and aiokafka's clients warn about that.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    progress = Console(stderr=True)
    bench = Bench(size, progress, options.bootstrap)
    for name in options.cases or CASES:
        case = import_module(f"benchmarks.{name}")
        title = (case.__doc__ or "").splitlines()[0]
        progress.print(f"[bold]{name}")
        started = time.monotonic()
        try:
            rows: list[Row] = case.run(bench)
        except (BenchError, EmbeddedKafkaError) as error:
            sys.exit(f"error: {error}")
        document["cases"][name] = {
            "title": title,
            "seconds": round(time.monotonic() - started, 1),
            "rows": [row.as_json() for row in rows],
        }
        write_json(output, document)
        Console().print(table_of(title, rows))
        if options.markdown:
            print(markdown_of(rows))
    progress.print(f"written: {output}")


if __name__ == "__main__":
    main()
