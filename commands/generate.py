"""``faust -A app generate``: the load generator.

Importing this module registers the command.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from dataclasses import dataclass
from typing import Any, NoReturn

import click
import numpy as np
from faust.cli.base import AppCommand, option

import settings
from commands.progress import ProgressDisplay
from commands.running import run_without_worker
from commands.sending import EventSender, SendError
from loadgen import EventKind, Workload
from loadgen.campaign import EVENTS_PER_VIDEO
from models.timestamps import from_iso
from streaming.waiting import set_within

#: Events per second of event time if the rate is unlimited.
NOMINAL_RATE = 50_000.0
#: How far timestamps may be ahead of the wall clock.
MAX_AHEAD_MS = 60_000

TOO_FEW_EVENTS = (
    f"warning: a video needs {EVENTS_PER_VIDEO:,} events within two hours to turn viral; the "
    "events are too few, or too far apart, for all of them"
)

_CHUNK = 8_192
_TICK_S = 0.05
_LONGEST_PAUSE_S = 0.5
_LONGEST_GATHERING_S = 1.0
_CATCH_UP_S = 1.0


@dataclass(frozen=True, slots=True)
class SendPace:
    """Rate, number and duration of a run's events."""

    rate: float
    """Events per second; 0: as fast as possible."""
    count: int | None
    duration_s: float | None

    @property
    def total(self) -> int | None:
        """Number of events of the run; None: unlimited."""
        limits = [] if self.count is None else [self.count]
        if self.rate and self.duration_s is not None:
            limits.append(max(1, round(self.rate * self.duration_s)))
        return min(limits, default=None)

    def due(self, elapsed_s: float, made: int) -> int:
        """Return how many events to make now, if ``made`` were made in ``elapsed_s``."""
        due = int(elapsed_s * self.rate) + 1 - made if self.rate else _CHUNK
        left = due if self.total is None else self.total - made
        return max(0, min(due, left, _CHUNK))

    def is_over(self, elapsed_s: float, made: int) -> bool:
        """Return whether the run is over."""
        if self.total is not None and made >= self.total:
            return True
        # A run that is behind its rate may catch up for a moment, and then ends in any case.
        grace_s = _CATCH_UP_S if self.rate else 0.0
        return self.duration_s is not None and elapsed_s >= self.duration_s + grace_s

    def pause_s(self, elapsed_s: float, made: int) -> float:
        """Return how long to wait for due events, in seconds."""
        return min(max(_TICK_S, made / self.rate - elapsed_s), _LONGEST_PAUSE_S)


class Run:
    """One run of the generator."""

    def __init__(self, workload: Workload, pace: SendPace, sender: EventSender) -> None:
        """Prepare the run."""
        self._workload = workload
        self._pace = pace
        self._sender = sender
        self._stop = asyncio.Event()
        self.made = np.zeros(len(EventKind), np.int64)
        """Events given to the sender so far, by kind."""
        self.elapsed_s = 0.0

    def stop(self) -> None:
        """End the run as soon as possible."""
        self._stop.set()

    async def make(self, progress: ProgressDisplay) -> None:
        """Make events and send them until the run is over. Raises SendError."""
        started_s = time.monotonic()
        made = 0
        submitted_s = 0.0
        try:
            while not self._stop.is_set() and not self._pace.is_over(self.elapsed_s, made):
                count = self._pace.due(self.elapsed_s, made)
                if count:
                    latest_ms = time.time_ns() // 1_000_000 + MAX_AHEAD_MS
                    chunk = self._workload.chunk(count, latest_ms)
                    await self._sender.send(chunk)
                    made += len(chunk)
                    self.made += np.bincount(chunk.kinds, minlength=len(EventKind))
                is_in_time = self._pace.rate > 0 and count < _CHUNK
                if is_in_time or self.elapsed_s - submitted_s >= _LONGEST_GATHERING_S:
                    await self._sender.submit()
                    submitted_s = self.elapsed_s
                # Yield to the event loop even without a pause, or submitted batches are not sent.
                await self._wait(self._pace.pause_s(self.elapsed_s, made) if is_in_time else 0.0)
                self.elapsed_s = time.monotonic() - started_s
                progress.update(self._sender)
            await self._sender.flush()
        finally:
            self.elapsed_s = time.monotonic() - started_s
            progress.update(self._sender, last=True)

    async def _wait(self, seconds: float) -> None:
        if not seconds:
            await asyncio.sleep(0)
            return
        await set_within(self._stop, seconds)

    def summary(self) -> str:
        """Return several lines about what was sent."""
        sent, elapsed_s = self._sender.sent_events, max(self.elapsed_s, 1e-9)
        megabytes_a_second = self._sender.sent_bytes / elapsed_s / 1e6
        rates = f"{sent / elapsed_s:,.0f} events/s, {megabytes_a_second:.1f} MB/s"
        lines = [f"sent {sent:,} events in {elapsed_s:.1f} s: {rates}"]
        kinds = zip(EventKind, self.made.tolist(), strict=True)
        lines += [f"  {kind.label:<20}{made:>14,}" for kind, made in kinds if made]
        if self._sender.refused_events:
            lines.append(f"Kafka refused {self._sender.refused_events:,} of them as too large")
        missing = int(self.made.sum()) - sent - self._sender.refused_events
        if missing:
            lines.append(f"{missing:,} of them were not acknowledged by Kafka")
        return "\n".join(lines)


def parse_start(_ctx: click.Context, _option: click.Parameter, text: str | None) -> int:
    """Parse ``--start`` into milliseconds since the epoch; default: now."""
    now_ms = time.time_ns() // 1_000_000
    if text is None:
        return now_ms
    try:
        start_ms = from_iso(text)
    except ValueError as error:
        message = f"{text!r} is not a time with a zone, such as 2025-01-15T14:30:45Z"
        raise click.BadParameter(message) from error
    if start_ms > now_ms + MAX_AHEAD_MS:
        raise click.BadParameter(f"{text} is in the future")
    return start_ms


class Generate(AppCommand):
    """Generate load: send events of users who watch videos to the input topic.

    The time of event i is the start + i / rate seconds (i / 50,000 with --rate 0), times --speed,
    minus up to 5 s, because events are never quite in order, but not before the start (late events
    are). The same seed and options, with the same --start, give the same events, byte by byte.

    No event time is later than the clock + 1 minute: the clock limits later times. A --start in the
    past avoids this limit.
    """

    options = [  # noqa: RUF012 - as in Faust's commands
        option(
            "--rate",
            type=click.FloatRange(0),
            default=2000.0,
            help="Events per second; 0: as fast as possible.",
        ),
        option("--count", type=click.IntRange(1), help="End after this many events."),
        option(
            "--duration",
            type=click.FloatRange(0, min_open=True),
            help="End after this many seconds.",
        ),
        option("--users", type=click.IntRange(1, 10**9), default=100_000, help="Number of users."),
        option("--videos", type=click.IntRange(1, 10**9), default=20_000, help="Number of videos."),
        option(
            "--seed",
            type=click.IntRange(0),
            default=1,
            help="Seed; another seed gives other events.",
        ),
        option(
            "--invalid",
            type=click.FloatRange(0, 1),
            default=0.0,
            help="Fraction of invalid events; with the next two at most 0.9.",
        ),
        option(
            "--duplicates",
            type=click.FloatRange(0, 1),
            default=0.0,
            help="Fraction of events that are sent twice.",
        ),
        option(
            "--late",
            type=click.FloatRange(0, 1),
            default=0.0,
            help="Fraction of events more than a day old.",
        ),
        option(
            "--start",
            callback=parse_start,
            help="Time of the first event, with a zone; default: now.",
        ),
        option(
            "--speed",
            type=click.FloatRange(0, min_open=True),
            default=1.0,
            help="Seconds of event time per second.",
        ),
        option(
            "--viral", type=click.IntRange(0), default=0, help="Number of videos that turn viral."
        ),
    ]

    def __init__(self, ctx: click.Context, *args: Any, **kwargs: Any) -> None:
        """Read the options. Raises click.UsageError."""
        super().__init__(ctx, *args)
        self._pace = SendPace(kwargs["rate"], kwargs["count"], kwargs["duration"])
        nominal_rate = self._pace.rate or NOMINAL_RATE
        try:
            self._workload = Workload(
                kwargs["seed"],
                kwargs["users"],
                kwargs["videos"],
                invalid=kwargs["invalid"],
                duplicates=kwargs["duplicates"],
                late=kwargs["late"],
                viral=kwargs["viral"],
                viral_within=self._pace.total,
                start_ms=kwargs["start"],
                ms_per_event=1000 / nominal_rate * kwargs["speed"],
            )
        except ValueError as error:
            raise click.UsageError(str(error), ctx) from error

    def __call__(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Run the command outside of a Faust worker: there is no app to start."""
        try:
            run_without_worker(self._generate())
        except (SendError, settings.SettingsError) as error:
            click.echo(f"error: {error}", err=True)
            sys.exit(1)
        sys.exit(0)

    async def _generate(self) -> None:
        async with EventSender(settings.load()) as sender:
            run = Run(self._workload, self._pace, sender)
            _on_first_signal(run.stop)
            if self._workload.viral_videos:
                listed = ", ".join(map(str, self._workload.viral_videos))
                self.say(f"videos that turn viral: {listed}", file=self.stderr)
            if not self._workload.can_turn_viral:
                self.say(TOO_FEW_EVENTS, file=self.stderr)
            display = ProgressDisplay(self._pace.total, self._pace.duration_s, quiet=self.quiet)
            try:
                with display as progress:
                    await run.make(progress)
            finally:
                self.say(run.summary())


def _on_first_signal(stop: Any) -> None:
    """Call ``stop`` at the first Ctrl-C or SIGTERM; the second one ends the program."""
    loop = asyncio.get_running_loop()

    def handle() -> None:
        for each in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(each)
            signal.signal(each, signal.SIG_DFL)
        stop()

    for each in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(each, handle)
