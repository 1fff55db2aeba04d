"""How each partition is, and how far behind all of them are together.

What nobody knows is None, not 0. How far a partition is behind is its owner's answer; where there
is none, it is what the brokers know: the ends of the logs, and the group's committed offsets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from views.figures import Figures, Lag

Json = dict[str, Any]


class PartitionStates:
    """Describes partitions, with the progress of those that recover."""

    def __init__(self) -> None:
        """Know of no recovery."""
        self._peaks: dict[int, int] = {}
        #: Partitions whose owner does not say how far behind they are.
        self.unmeasured: set[int] = set()

    def describe(
        self,
        own: Figures,
        figures_of: Callable[[str], Figures | None],
        behind: Mapping[int, int],
    ) -> list[Json]:
        """Return one description a partition.

        Arguments:
            own: the figures of the worker that looks; who owns what is as it knows it.
            figures_of: what the worker at an address answers, None when it does not.
            behind: records behind by partition, as the brokers know it.
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
        figures_of: Callable[[str], Figures | None],
        behind: int | None,
    ) -> Json:
        described: Json = {"number": number, "worker": url, "lag": _lag(None, behind)}
        figures = None if url is None else figures_of(url)
        if figures is None:
            return {**described, "state": "unowned" if url is None else "silent"}
        if number not in figures.partitions.owned and url in figures.partitions.shared_addresses:
            # Another worker has it, at the same address: nobody can ask that one.
            return {**described, "state": "silent"}
        if number in figures.partitions.owned and number not in figures.partitions.recovering:
            self._peaks.pop(number, None)
            answered = figures.lag_by_partition.get(str(number))
            if answered is not None:
                self.unmeasured.discard(number)
            return {**described, "state": "ready", "lag": _lag(answered, behind)}
        remaining = figures.recovery.get(str(number), 0)
        peak = self._peaks[number] = max(self._peaks.get(number, 0), remaining)
        recovered = 1 - remaining / peak if peak else None
        return {**described, "state": "recovering", "remaining": remaining, "recovered": recovered}


def _lag(answered: Lag | None, behind: int | None) -> Json:
    if answered is not None:
        return {"records": answered.records, "seconds": answered.seconds}
    # The brokers do not know how old what waits is.
    return {"records": behind, "seconds": 0.0 if behind == 0 else None}


def total_lag(partitions: Sequence[Json]) -> Json:
    """Add up: records and seconds are None when one partition's are not known.

    ``at_least`` is the sum of those that are; ``unanswered`` lists the partitions that no worker
    answers for.
    """
    records = [each["lag"]["records"] for each in partitions]
    seconds = [each["lag"]["seconds"] for each in partitions]
    return {
        "records": None if None in records else sum(records),
        "seconds": None if None in seconds else max(seconds, default=0.0),
        "at_least": sum(number for number in records if number is not None),
        "unanswered": [each["number"] for each in partitions if each["state"] != "ready"],
    }
