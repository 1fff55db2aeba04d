"""``Bench``: the sizes, rigs and progress output of a case."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from benchmarks.rig.cluster import Rig, names_of
from benchmarks.rig.filling import Filling
from benchmarks.rig.snapshots import filled_rig, work_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

_LINE_PERIOD_S = 5.0


@dataclass(frozen=True, slots=True)
class Size:
    """The size of a run of the suite."""

    name: str
    runs: int
    events: int
    """Events of one backlog."""
    users: tuple[int, ...]
    """Numbers of users of filled states."""
    rates: tuple[int, ...]
    """Events per second of the steady load."""
    seconds: float
    """Seconds of each steady load."""
    warm_up_s: float = 30.0
    """Seconds of each steady load before that. A broker that has just started uses half a core for
    half a minute to compile its code, which a lasting load does not."""
    brief: bool = False
    """Whether to leave out situations that take long or differ little from others."""
    parts: tuple[str, ...] = ()
    """Parts of a case to measure; empty: all."""
    kinds: tuple[str, ...] = ()
    """Prefixes of the names of the kinds of odd traffic to measure; empty: all."""


SIZES = {
    "smoke": Size("smoke", 1, 1_000_000, (10_000,), (2_000,), 4.0, 2.0, brief=True),
    "quick": Size("quick", 3, 1_000_000, (1_000_000,), (10_000, 25_000, 50_000, 75_000), 40.0),
    "full": Size(
        "full", 3, 2_000_000, (1_000_000, 10_000_000), (10_000, 25_000, 50_000, 75_000), 300.0
    ),
}


class Bench:
    """One run of the suite."""

    def __init__(self, size: Size, console: Console, bootstrap: str | None = None) -> None:
        """Measure ``size``; ``bootstrap``: on a Kafka that runs already (smoke tests only)."""
        self.size = size
        self._console = console
        self._bootstrap = bootstrap
        self._told = ("", 0.0)

    def tell(self, what: str, part: float = 0.0) -> None:
        """Print the current step and its done fraction (0 to 1), at most every 5 s per step."""
        last, at = self._told
        now = time.monotonic()
        if what != last or now - at >= _LINE_PERIOD_S:
            self._told = (what, now)
            self._console.print(f"  {what}" + (f", {part:.0%}" if part else ""), highlight=False)

    @contextmanager
    def rig(self, **variables: str) -> Iterator[Rig]:
        """Start a rig with empty tables."""
        with (
            work_folder() as folder,
            Rig(folder, bootstrap=self._bootstrap, **self._names(), **variables) as rig,
        ):
            yield rig

    @contextmanager
    def filled_rig(self, users: int, panes: int = 1, **variables: str) -> Iterator[Rig]:
        """Start a rig with the tables of ``users`` users."""
        with self.rig_of(Filling(users, panes), **variables) as rig:
            yield rig

    @contextmanager
    def rig_of(self, filling: Filling, **variables: str) -> Iterator[Rig]:
        """Start a rig with the tables of ``filling``."""
        named = {**self._names(), **variables}
        with filled_rig(filling, named, self.tell, self._bootstrap) as rig:
            yield rig

    def _names(self) -> dict[str, str]:
        """Return settings that give the program unique names on a shared Kafka."""
        if self._bootstrap is None:
            return {}
        return names_of(f"bench-{uuid4().hex[:8]}")


def with_options(size: Size, **given: Any) -> Size:
    """Return ``size`` with the given values that are not None."""
    return replace(size, **{name: value for name, value in given.items() if value is not None})
