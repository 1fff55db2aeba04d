"""Limits of a plan: by how much the load may grow until a resource is exhausted."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from sizing.costs import Costs
    from sizing.demand import Assumptions
    from sizing.parts import Brokers, Workers
    from sizing.traffic import Commits


class Limit(NamedTuple):
    """A resource that is exhausted at ``at_times`` times the load."""

    part: str
    at_times: float
    remedy: str
    with_more_workers: bool = False
    """Whether workers grow with the load; if not, all sizes stay as planned."""


_NONE = 1e-9


def limits_of(
    assumed: Assumptions, costs: Costs, commits: Commits, workers: Workers, brokers: Brokers
) -> tuple[Limit, ...]:
    """Return all limits, lowest first: with the planned sizes, then with more workers."""
    fixed, count = costs.worker_fixed_cores.value, workers.count
    network = max(brokers.in_bytes_per_s, brokers.out_bytes_per_s)
    # Markers/s are (2 * workers + 1) * partitions / seconds; solved for the workers below.
    most = assumed.markers_per_s * commits.between_s / commits.partitions
    found = [
        Limit("workers' CPU", (1 - fixed) / max(workers.cpu_share - fixed, _NONE), "more workers"),
        Limit("brokers' CPU", assumed.broker_cores / max(brokers.cores, _NONE), "more brokers"),
        Limit(
            "brokers' disk writes",
            assumed.broker_disk_bytes_per_s / brokers.written_bytes_per_s,
            "more brokers, faster disks",
        ),
        Limit("brokers' network", assumed.broker_network_bytes_per_s / network, "more brokers"),
        Limit(
            *("partitions", commits.partitions / count, "faust -A app rescale"),
            with_more_workers=True,
        ),
        Limit(
            *("transaction markers", max(0.0, (most - 1) / 2 / count), "a longer commit interval"),
            with_more_workers=True,
        ),
    ]
    return tuple(sorted(found, key=lambda limit: (limit.with_more_workers, limit.at_times)))
