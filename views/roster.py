"""Members of the group, and workers that left it or were lost.

The group's assignment lists its members, but not why others are gone. A worker that stops normally
announces it to the others: it has *left*. After any other end (killed, crashed, given up, cut off)
it is *lost*. Pure: the time is an argument.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Seconds for which a departed worker is remembered, unless it returns.
REMEMBERED_S: Final = 900.0

#: Maximum seconds, besides the session timeout, between a worker's farewell and its departure.
LEAVE_TIMEOUT_S: Final = 60.0

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
    """Remembers the members of the group, and those that departed."""

    def __init__(self, session_timeout: float = 0.0) -> None:
        """Begin without members; ``session_timeout`` is in seconds."""
        self._patience = session_timeout + LEAVE_TIMEOUT_S
        self._members: dict[tuple[str, str], None] = {}
        self._departed: dict[str, Departed] = {}
        self._farewells: dict[str, float] = {}

    def update(self, members: Iterable[tuple[str, str]], now: float) -> None:
        """Set the group's current members, each an address and an id."""
        present = dict.fromkeys(members)
        if not present:
            # There is no assignment yet.
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
            and now - each.since <= REMEMBERED_S
        }
        self._members = present

    def farewell(self, worker_id: str, now: float) -> None:
        """Record a worker's announcement that it leaves."""
        self._farewells[worker_id] = now
        for url, each in self._departed.items():
            if each.id == worker_id and now - each.since <= LEAVE_TIMEOUT_S:
                self._departed[url] = Departed(url, worker_id, LEFT, each.since)

    @property
    def members(self) -> list[str]:
        """The addresses of all workers in the group."""
        return list(dict.fromkeys(url for url, _ in self._members))

    @property
    def size(self) -> int:
        """Number of workers in the group."""
        return len(self._members)

    @property
    def departed(self) -> list[Departed]:
        """Remembered workers that are no longer in the group."""
        return list(self._departed.values())


def merge(reports: Iterable[Iterable[Departed]]) -> dict[str, Departed]:
    """Merge the departed workers that all workers report, by address.

    A farewell that one worker has received counts for all.
    """
    merged: dict[str, Departed] = {}
    for report in reports:
        for each in report:
            known = merged.get(each.url)
            if known is None or (known.how == LOST and each.how == LEFT):
                merged[each.url] = each
    return merged
