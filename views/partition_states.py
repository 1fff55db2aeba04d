"""States of the partitions, and their total lag.

An unknown lag is None, not 0. A partition's lag comes from its owner. Without an answer of the
owner, it comes from the brokers: the ends of the logs, and the group's committed offsets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from views.worker_stats import Lag, WorkerStats

Json = dict[str, Any]


class PartitionStates:
    """Describes partitions, with the progress of their recovery."""

    def __init__(self) -> None:
        """Begin without a recovery."""
        #: Owner, and the most records left, of each recovery in progress.
        self._peaks: dict[int, tuple[str | None, int]] = {}
        #: Partitions whose owner does not report the lag.
        self.unmeasured: set[int] = set()

    def describe(
        self,
        own: WorkerStats,
        figures_of: Callable[[str], WorkerStats | None],
        behind: Mapping[int, int],
    ) -> list[Json]:
        """Return one description per partition.

        Arguments:
            own: the figures of this worker, whose view of the owners is used.
            figures_of: returns the figures of the worker at an address, None without an answer.
            behind: records behind by partition, according to the brokers.
        """
        self.unmeasured = set(range(own.partitions.total))
        owner_of = {n: url for url, owned in own.partitions.by_worker.items() for n in owned}
        return [
            self._partition(number, owner_of.get(number), figures_of, behind.get(number))
            for number in range(own.partitions.total)
        ]

    def _partition(
        self,
        number: int,
        url: str | None,
        figures_of: Callable[[str], WorkerStats | None],
        behind: int | None,
    ) -> Json:
        described: Json = {"number": number, "worker": url, "lag": _lag(None, behind)}
        # Kept only while the same owner goes on recovering.
        owner, peak = self._peaks.pop(number, (None, 0))
        figures = None if url is None else figures_of(url)
        if figures is None:
            return {**described, "state": "unowned" if url is None else "silent"}
        if number not in figures.partitions.owned and url in figures.partitions.shared_addresses:
            # The owner shares its address with another worker, and cannot be reached.
            return {**described, "state": "silent"}
        if number in figures.partitions.owned and number not in figures.partitions.recovering:
            answered = figures.lag_by_partition.get(str(number))
            if answered is not None:
                self.unmeasured.discard(number)
            return {**described, "state": "ready", "lag": _lag(answered, behind)}
        remaining = figures.recovery.get(str(number), 0)
        peak = max(remaining, peak if owner == url else 0)
        self._peaks[number] = url, peak
        recovered = 1 - remaining / peak if peak else None
        return {**described, "state": "recovering", "remaining": remaining, "recovered": recovered}


def _lag(answered: Lag | None, behind: int | None) -> Json:
    if answered is not None:
        return {"records": answered.records, "seconds": answered.seconds}
    # The brokers do not know the age of unread records.
    return {"records": behind, "seconds": 0.0 if behind == 0 else None}


def total_lag(partitions: Sequence[Json]) -> Json:
    """Return the total lag; records and seconds are None if those of a partition are unknown.

    ``at_least`` is the sum of the known records; ``unanswered`` lists the partitions that no
    worker can answer for.
    """
    records = [each["lag"]["records"] for each in partitions]
    seconds = [each["lag"]["seconds"] for each in partitions]
    return {
        "records": None if None in records else sum(records),
        "seconds": None if None in seconds else max(seconds, default=0.0),
        "at_least": sum(number for number in records if number is not None),
        "unanswered": [each["number"] for each in partitions if each["state"] != "ready"],
    }
