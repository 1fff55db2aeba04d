"""What the case knows of a peer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

#: Hopping windows of a day, hopping by an hour, that contain an event.
HOPS = 24

HOPPING = "24 h by 1 h"


@dataclass(frozen=True, slots=True)
class Peer:
    """A program that does the job of this one.

    Its process gets its settings from the environment: ``PEER_BOOTSTRAP``, ``PEER_EVENTS_TOPIC``,
    ``PEER_APP_ID`` (its consumer group), ``PEER_STATE`` (a folder), and ``PEER_PANES`` (1 or 0).
    It commits every second.
    """

    kind: str
    """Its name in ``--kinds``."""
    program: str
    version: str
    share: int
    """Events of this program per event of the peer."""
    prepare: Callable[[Callable[[str], None]], list[str]]
    """Installs it, reports in lines of text, and returns the command of its process."""
    users: str
    """Topic of the users' results, with ``{app}`` and ``{events}`` for app id and events topic."""
    videos: str
    """The same for videos."""
    views_of: Callable[[bytes], int]
    """Returns the views in the value of a result."""
    panes: bool = False
    """Whether it keeps hours of users instead of hopping windows."""
    rows_per_event: int = HOPS
    """Users' results that count the same event."""
    closes: bool = False
    """Whether results appear only when the windows close."""

    @property
    def setting(self) -> dict[str, str | int | float]:
        """The columns that describe it."""
        return {
            "program": f"{self.program} {self.version}",
            "kept per user": "hours" if self.panes else HOPPING,
        }
