"""Addresses of the group's workers, and detection of shared ones.

The assignment has each worker's address and id (``streaming/runtime/member_ids.py``). Two ids at
one address are two workers with the same ``NODE_CANONICAL_URL``: requests for one may reach the
other.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple

from yarl import URL

if TYPE_CHECKING:
    from streaming.ports import WorkerStatus
    from tables.sliced import SlicedTable

log = logging.getLogger(__name__)

_ADVICE = "give each worker its own NODE_CANONICAL_URL that leads to it"


class Member(NamedTuple):
    """A worker of the group; those of earlier releases have no id."""

    url: URL
    id: str
    partitions: tuple[int, ...]
    """The partitions of a table that it owns."""


class Addresses:
    """The members of the group's assignment, which every worker has."""

    def __init__(self, status: WorkerStatus) -> None:
        """Read the assignment from ``status``."""
        self._status = status
        self._warned: set[str] = set()

    @property
    def own(self) -> URL:
        """This worker's address."""
        return self._status.url

    def members(self, table: SlicedTable[Any]) -> list[Member]:
        """Return all workers, with the partitions of ``table`` that each owns."""
        topic = table.changelog_topic_name
        return [
            Member(*_split(url), tuple(sorted(set(topics.get(topic, ())))))
            for url, topics in self._status.owners().items()
        ]

    def everyone(self) -> list[tuple[str, str]]:
        """Return the address and id of each worker in the group, including this one."""
        return [(str(url), worker_id) for url, worker_id in self._addresses()]

    def _addresses(self) -> list[tuple[URL, str]]:
        return [_split(url) for url in self._status.owners()]

    def ids_at(self, url: URL) -> set[str]:
        """Return the ids of the workers with the address ``url``."""
        return {worker_id for each, worker_id in self._addresses() if each == url}

    def shared(self, url: URL) -> str | None:
        """Return a warning about an address that several workers have, None if one has it."""
        ids = self.ids_at(url)
        if len(ids) < 2:  # noqa: PLR2004 - two workers share it
            return None
        names = " and ".join(each or "(of an earlier release)" for each in sorted(ids))
        return self._warn_once(f"the workers {names} give the same address, {url}: {_ADVICE}")

    def led_elsewhere(self, wanted: str, found: str) -> str | None:
        """Return a warning that a request for worker ``wanted`` has reached worker ``found``.

        None if nothing is wrong, for example if ``wanted`` has left the group.
        """
        url = next((url for url, worker_id in self._addresses() if worker_id == wanted), None)
        if not wanted or url is None or wanted == found:
            return None
        return self._warn_once(
            f"{url}, the address of worker {wanted}, leads to worker {found}: {_ADVICE}"
        )

    def _warn_once(self, reason: str) -> str:
        if reason not in self._warned:
            self._warned.add(reason)
            log.warning("%s", reason)
        return reason


def _split(url: str) -> tuple[URL, str]:
    """Split a worker's entry in the assignment, ``address#id``; the id may be missing."""
    address, _, worker_id = url.partition("#")
    return URL(address), worker_id
