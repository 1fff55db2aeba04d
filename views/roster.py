"""Who is in the group, who has left it, and who was lost.

The group's assignment names its members, and says nothing of why one is there no more. A worker
that ends in order tells the others before it goes: it has *left*. Any other end (killed, crashed,
given up, cut off) is a *loss*. Pure: it is told the time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Seconds for which a worker that is gone is remembered, unless it comes back.
REMEMBERED: Final = 900.0

#: Seconds, besides the session's, between a worker's farewell and its being out of the group.
LEAVE_TIMEOUT: Final = 60.0

LEFT: Final = "left"
LOST: Final = "lost"


class Departed(Struct, frozen=True):
    """A worker that was in the group: its address, how it went (left or lost), and when."""

    url: str
    id: str
    how: str
    since: float
    """Seconds since the epoch."""


class Roster:
    """Remembers the members of the group from one look to the next."""

    def __init__(self, session_timeout: float = 0.0) -> None:
        """Know nobody; ``session_timeout`` in seconds."""
        self._patience = session_timeout + LEAVE_TIMEOUT
        self._members: dict[tuple[str, str], None] = {}
        self._departed: dict[str, Departed] = {}
        self._farewells: dict[str, float] = {}

    def update(self, members: Iterable[tuple[str, str]], now: float) -> None:
        """Take the group's members as they are now, each an address and an id."""
        present = dict.fromkeys(members)
        if not present:
            # Before the first assignment nobody is known, and nobody is gone.
            return
        ids, urls = {worker_id for _, worker_id in present}, {url for url, _ in present}
        self._farewells = {
            each: at for each, at in self._farewells.items() if now - at <= self._patience
        }
        for url, worker_id in self._members.keys() - present.keys():
            if worker_id not in ids or not worker_id:
                how = LEFT if worker_id in self._farewells else LOST
                self._departed[url] = Departed(url, worker_id, how, now)
        self._departed = {
            url: each
            for url, each in self._departed.items()
            if url not in urls
            and (not each.id or each.id not in ids)
            and now - each.since <= REMEMBERED
        }
        self._members = present

    def farewell(self, worker_id: str, now: float) -> None:
        """Take a worker's word that it leaves in order."""
        self._farewells[worker_id] = now
        for url, each in self._departed.items():
            if each.id == worker_id and now - each.since <= LEAVE_TIMEOUT:
                self._departed[url] = Departed(url, worker_id, LEFT, each.since)

    @property
    def members(self) -> list[str]:
        """The addresses of all workers in the group."""
        return list(dict.fromkeys(url for url, _ in self._members))

    @property
    def size(self) -> int:
        """How many workers are in the group."""
        return len(self._members)

    @property
    def departed(self) -> list[Departed]:
        """Workers that are in the group no more, for as long as they are remembered."""
        return list(self._departed.values())


def merge(reports: Iterable[Iterable[Departed]]) -> dict[str, Departed]:
    """Return what all workers together know of those that are gone, by address.

    A farewell that one of them has heard is true for all.
    """
    merged: dict[str, Departed] = {}
    for report in reports:
        for each in report:
            known = merged.get(each.url)
            if known is None or (known.how == LOST and each.how == LEFT):
                merged[each.url] = each
    return merged
