"""Progress of a run: a bar on a terminal, a plain line every few seconds elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

_MEGABYTE = 1_000_000
_BAR_PERIOD_S = 0.1
_LINE_PERIOD_S = 5.0
#: Span of the displayed rates.
_RATE_SPAN_S = 2.0


class Sent(Protocol):
    """Counts of sent events and bytes."""

    sent_events: int
    sent_bytes: int


class Gauge:
    """Computes rates over the last seconds from growing counts."""

    def __init__(self) -> None:
        """Begin with zero counts at 0 s."""
        self._samples = [(0.0, 0, 0)]

    def rates(self, now_s: float, events: int, size: int) -> tuple[float, float]:
        """Return events and bytes per second; each call adds a sample."""
        self._samples.append((now_s, events, size))
        while len(self._samples) > 2 and now_s - self._samples[1][0] >= _RATE_SPAN_S:  # noqa: PLR2004
            del self._samples[0]
        first_s, first_events, first_size = self._samples[0]
        span_s = now_s - first_s
        if span_s <= 0:
            return 0.0, 0.0
        return (events - first_events) / span_s, (size - first_size) / span_s


class ProgressDisplay:
    """Progress on stderr; use it with ``with``, and call ``update`` as often as you like.

    The run ends at ``total_events`` or after ``duration_s``; None: no such limit.
    """

    def __init__(
        self,
        total_events: int | None,
        duration_s: float | None,
        *,
        quiet: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Describe the run. ``quiet``: show nothing. ``clock`` counts seconds."""
        self._clock = clock
        self._total_events = total_events
        self._duration_s = duration_s
        self._quiet = quiet
        self._console = Console(stderr=True)
        self._bar: Progress | None = None
        self._gauge = Gauge()
        self._started_s = self._shown_s = clock()

    def __enter__(self) -> Self:
        """Start the display."""
        if self._console.is_terminal and not self._quiet:
            self._bar = _bar(self._console)
            self._bar.start()
            total = self._total_events or self._duration_s
            self._bar.add_task("", total=total, figures="")
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Leave the last state on the screen."""
        if self._bar is not None:
            self._bar.stop()

    def update(self, sent: Sent, *, last: bool = False) -> None:
        """Show the counts of ``sent`` if an update is due or this is the ``last`` call."""
        now_s = self._clock()
        period_s = _LINE_PERIOD_S if self._bar is None else _BAR_PERIOD_S
        is_time = now_s - self._shown_s >= period_s or (last and self._bar is not None)
        if self._quiet or not is_time:
            return
        self._shown_s = now_s
        elapsed_s = now_s - self._started_s
        events_a_second, bytes_a_second = self._gauge.rates(
            elapsed_s, sent.sent_events, sent.sent_bytes
        )
        figures = (
            f"{sent.sent_events:,} events, {events_a_second:,.0f} events/s, "
            f"{bytes_a_second / _MEGABYTE:.1f} MB/s"
        )
        if self._bar is not None:
            done = elapsed_s if self._total_events is None else sent.sent_events
            self._bar.update(self._bar.task_ids[0], completed=done, figures=figures)
        else:
            self._console.print(
                f"{figures}{self._time_left(elapsed_s, sent.sent_events)}", highlight=False
            )

    def _time_left(self, elapsed_s: float, events: int) -> str:
        left_s = []
        if self._duration_s is not None:
            left_s.append(self._duration_s - elapsed_s)
        if self._total_events is not None and events:
            left_s.append((self._total_events - events) * elapsed_s / events)
        return f", {max(0.0, min(left_s)):.0f} s left" if left_s else ""


def _bar(console: Console) -> Progress:
    return Progress(
        BarColumn(bar_width=None),
        TextColumn("{task.fields[figures]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        expand=True,
    )


class ProgressBar:
    """A bar on stderr for each part of a run; hidden if stderr is not a terminal."""

    def __init__(self, *, quiet: bool) -> None:
        """Prepare the bar; use it with ``with``."""
        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=quiet or not console.is_terminal,
        )
        self._task = self._progress.add_task("", total=None)

    def __enter__(self) -> Self:
        """Start the display."""
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the bar from the screen."""
        self._progress.stop()

    def begin(self, what: str, total: int) -> None:
        """Begin the part ``what`` of ``total`` units."""
        self._progress.reset(self._task, description=what, total=total)

    def advance(self, count: int) -> None:
        """Advance the part by ``count`` units."""
        self._progress.advance(self._task, count)
