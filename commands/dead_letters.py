"""``faust -A app dead-letters``: show rejected events, their reasons and their sources.

Importing this module registers the command.
"""

from __future__ import annotations

import base64
import heapq
import json
import os
import sys
from collections import Counter
from contextlib import suppress
from time import time
from typing import TYPE_CHECKING, Any, NoReturn, cast

import click
from faust.cli.base import AppCommand, option

from auditing.dead_letters import letter_of
from auditing.reading import open_topics
from commands import shapes
from commands.parsed import Parsed
from commands.progress import ProgressBar
from commands.running import run_or_exit
from models.schema import REASONS
from models.windows import from_iso, parse_mixed, to_iso
from streaming.kafka.metadata import Right

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditing.dead_letters import Letter
    from auditing.reading import Topics
    from settings import Settings
    from streaming.kafka.records import Record
    from streaming.runtime.app import App

#: Characters of a value in text output.
SHOWN_VALUE = 300


def _parse_since(text: str) -> int:
    """Return a time in RFC 3339, or an age such as ``2h``, in milliseconds since the epoch."""
    # Kafka knows no time before the epoch.
    with suppress(ValueError):
        return max(0, int(time() * 1000) - parse_mixed(text))
    try:
        return max(0, from_iso(text))
    except ValueError:
        raise ValueError(
            f"{text!r} is not a time: write 2025-01-15T14:30:45Z, or 2h for two hours ago"
        ) from None


SINCE = Parsed("time", _parse_since)


class Reader:
    """Reads the committed dead letters of one app."""

    def __init__(
        self, topics: Topics, settings: Settings, reason: str | None, since_ms: int | None
    ) -> None:
        """Select dead letters of ``reason``, written at ``since_ms`` or later; None: all."""
        self.counts: Counter[str] = Counter()
        """Dead letters by reason."""
        self.others = 0
        """Records of other apps or programs."""
        self._topics = topics
        self._topic = settings.dead_letter_topic
        self._app_id = settings.app_id
        self._sources = {settings.events_topic, settings.repartition_topic}
        self._reason = reason
        self._since = since_ms

    async def newest(
        self, limit: int, progress: ProgressBar
    ) -> tuple[list[Letter], dict[int, int]]:
        """Return up to ``limit`` newest dead letters, oldest first, and the end offsets."""
        topics, topic = self._topics, self._topic
        starts = await topics.begins(topic)
        if self._since is not None:
            starts = await topics.since(topic, self._since)
        ends = await topics.ends(topic)
        newest: list[tuple[tuple[int, int, int], Letter]] = []
        for partition, end in ends.items():
            start = starts[partition]
            progress.begin(f"dead letters of partition {partition}", max(0, end - start))
            async for records in topics.read(topic, partition, start, end):
                for each in self.take(partition, records):
                    entry = (each.timestamp, each.partition, each.offset), each
                    if len(newest) < limit:
                        heapq.heappush(newest, entry)
                    else:
                        heapq.heappushpop(newest, entry)
                progress.advance(len(records))
        return [each for _, each in sorted(newest)], ends

    def take(self, partition: int, records: Sequence[Record]) -> list[Letter]:
        """Return the selected dead letters among records, and update the counts."""
        found = []
        for record in records:
            if self._since is not None and record.timestamp < self._since:
                continue
            letter = letter_of(partition, record, self._sources, self._app_id)
            if letter is None:
                self.others += 1
            elif self._reason in {None, letter.reason}:
                self.counts[letter.reason] += 1
                found.append(letter)
        return found


class dead_letters(AppCommand):  # noqa: N801 - the class's name is the command's
    """Show rejected events, each with its reason and its place in the input.

    Shows the newest committed ones, oldest first. Skips and counts records that other programs or
    apps wrote to the topic. With `faust -A app --json`, or --json here, it prints one JSON object
    per line to stdout, and the sums to stderr.
    """

    name = "dead-letters"
    options: list[Any] = [  # noqa: RUF012 - as in Faust's commands
        option("--reason", type=click.Choice(REASONS), default=None, help="Show only this reason."),
        option(
            "--since", type=SINCE, default=None, help="Only from this time on; 2h: two hours ago."
        ),
        option(
            "--limit",
            type=click.IntRange(0, 100_000),
            default=20,
            show_default=True,
            help="Number to show; all are counted.",
        ),
        option("--follow", is_flag=True, help="Also show new ones, until Ctrl-C."),
        option("--json", "as_json", is_flag=True, help="One JSON object per line."),
    ]

    def __init__(
        self,
        ctx: click.Context,
        *args: Any,
        reason: str | None,
        since: int | None,
        limit: int,
        follow: bool,
        as_json: bool,
        **kwargs: Any,
    ) -> None:
        """Read the options."""
        super().__init__(ctx, *args)
        self._reason = reason
        self._since = since
        self._limit = limit
        self._follow = follow
        self._as_json = as_json or self.json
        self._settings = cast("App", self.app).task_context.settings

    def __call__(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Run the command outside of a Faust worker: there is no app to start."""
        interrupted = 0 if self._follow else 130
        try:
            run_or_exit(self._show(), self._settings.broker_url, code=2, interrupted=interrupted)
        except BrokenPipeError:
            # The reader of stdout is gone, as after `| head`.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)

    async def _show(self) -> None:
        settings, topic = self._settings, self._settings.dead_letter_topic
        client = cast("App", self.app).task_context.client_settings
        async with open_topics(client, settings.app_id) as topics:
            await topics.require({topic: {Right.READ}})
            reader = Reader(topics, settings, self._reason, self._since)
            with ProgressBar(quiet=self.quiet or self._as_json) as progress:
                found, ends = await reader.newest(self._limit, progress)
            for each in found:
                self._print(each)
            self._print_sums(reader, len(found))
            if self._follow:
                async for partition, records in topics.follow(topic, ends):
                    for each in reader.take(partition, records):
                        self._print(each)

    def _print(self, letter: Letter) -> None:
        if self._as_json:
            shapes.print_json(as_json(letter, self._settings.dead_letter_topic))
        else:
            click.echo(as_text(letter, self._settings.dead_letter_topic))

    def _print_sums(self, reader: Reader, shown: int) -> None:
        sums = ", ".join(f"{name} {count:,}" for name, count in reader.counts.most_common())
        total = reader.counts.total()
        click.echo(f"{shown:,} of {total:,} dead letters{': ' if sums else ''}{sums}", err=True)
        if reader.others:
            click.echo(
                f"skipped {reader.others:,} records that app {self._settings.app_id} did not write",
                err=True,
            )


def as_text(letter: Letter, topic: str) -> str:
    """Format a dead letter for people, with control characters escaped."""
    value = (letter.value or b"").decode(errors="backslashreplace")
    if len(value) > SHOWN_VALUE:
        value = f"{value[:SHOWN_VALUE]}..."
    cut = "" if letter.whole else " (cut)"
    return (
        f"{to_iso(letter.timestamp)}  {letter.reason}: {_escaped(letter.detail)}\n"
        f"  from {letter.source_topic}-{letter.source_partition} offset {letter.source_offset}, "
        f"dead letter {topic}-{letter.partition} offset {letter.offset}{cut}\n"
        f"  {_escaped(value)}"
    )


def _escaped(text: str) -> str:
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in text)


def as_json(letter: Letter, topic: str) -> shapes.DeadLetter:
    """Return the JSON shape of a dead letter."""
    value = _text(letter.value)
    return shapes.DeadLetter(
        place=shapes.Place(topic, letter.partition, letter.offset),
        source=shapes.Place(letter.source_topic, letter.source_partition, letter.source_offset),
        reason=letter.reason,
        detail=letter.detail,
        rejected_at=to_iso(letter.timestamp),
        event_id=letter.event_id,
        key=_text(letter.key),
        value=value,
        value_base64=(
            None
            if letter.value is None or value is not None
            else base64.b64encode(letter.value).decode()
        ),
        whole=letter.whole,
    )


def _text(data: bytes | None) -> str | None:
    try:
        return None if data is None else data.decode()
    except UnicodeDecodeError:
        return None
