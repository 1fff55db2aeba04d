"""``Bench``: what a case is given: sizes, rigs, and somewhere to say how far it is."""

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
    """How much is measured."""

    name: str
    runs: int
    events: int
    """Of one backlog."""
    users: tuple[int, ...]
    """With how many users the state is filled."""
    rates: tuple[int, ...]
    """Events a second of the steady load."""
    seconds: float
    """Of each steady load."""
    warm_up_s: float = 30.0
    """Of each steady load, before that: a broker that has just started compiles itself for half a
    minute, and takes half a core for it: not what a load is like that goes on."""
    brief: bool = False
    """Whether situations are left out that take long or differ little from others."""
    parts: tuple[str, ...] = ()
    """Of a case that has some: what of it is measured; empty: all."""
    kinds: tuple[str, ...] = ()
    """How the names of the kinds of odd traffic begin that are measured; empty: all."""


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
        """Say what is done now, and how much of it (0 to 1): a line now and then."""
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
        filling = Filling(users, panes)
        named = {**self._names(), **variables}
        with filled_rig(filling, named, self.tell, self._bootstrap) as rig:
            yield rig

    def _names(self) -> dict[str, str]:
        """Return settings that give the program names of its own on a Kafka that others use."""
        if self._bootstrap is None:
            return {}
        return names_of(f"bench-{uuid4().hex[:8]}")


def with_options(size: Size, **given: Any) -> Size:
    """Return ``size`` with what is given, and not None, in place of its own."""
    return replace(size, **{name: value for name, value in given.items() if value is not None})
