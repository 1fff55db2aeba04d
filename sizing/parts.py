"""The resources that workers and brokers need."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sizing.costs import Costs
    from sizing.demand import Assumptions, Demand
    from sizing.traffic import Commits, Sums, Traffic
    from sizing.users import User

#: Partitions of the benchmarks' worker, whose memory was measured.
MEASURED_PARTITIONS: Final = 8

#: Disk space over size: compactions of workers and brokers write new files before they delete old.
COMPACTED: Final = 2

#: One for Python, and one for the threads of RocksDB and Kafka.
WORKER_CORES: Final = 2

#: Seconds for which counted sums stay in their topics (streaming/commit/purge.py).
SUMS_KEPT_S: Final = 3600


@dataclass(frozen=True, slots=True)
class Workers:
    """The number of workers, and the resources of each."""

    count: int
    cpu_share: float
    """Fraction of one core in use at the peak."""
    events_per_s: float
    users: float
    """Users of a worker's own partitions, standbys not included."""
    resident_bytes: float
    """Memory of the process."""
    cache_bytes: float
    """Memory in which the system keeps the tables' files."""
    disk_bytes: float
    in_bytes_per_s: float
    out_bytes_per_s: float
    restore_s: float
    """Seconds to restore the partitions of a worker that lost its disk."""

    @property
    def memory_bytes(self) -> float:
        """All memory."""
        return self.resident_bytes + self.cache_bytes


@dataclass(frozen=True, slots=True)
class Brokers:
    """The number of brokers, and the resources of each."""

    count: int
    cores: float
    """Cores in use at the peak; bytes per second are at the peak, too."""
    written_bytes_per_s: float
    in_bytes_per_s: float
    out_bytes_per_s: float
    disk_bytes: float


def cpu_of(
    demand: Demand, costs: Costs, standbys: int, user: User, sums: Sums, workers: int
) -> float:
    """Return the share of a core that each worker uses.

    A standby applies each row of a changelog as fast as a restore, which uses a core at most. Each
    pane of a row that is written or applied costs the same.
    """
    us = costs.worker_us(demand.load, demand.users / workers, user.ids, user.panes)
    read_us = costs.read_us(demand.keys_per_read)
    rows_per_s = demand.events_per_s + sums.rows_per_s
    panes_per_s = demand.events_per_s * (user.panes - 1) + sums.panes_per_s
    used_us = (
        demand.events_per_s * us
        + demand.values_read_per_s * read_us
        + (sums.panes_per_s + standbys * panes_per_s) * costs.pane_us.value
        + standbys * rows_per_s / costs.restored_records_per_s.value * 1e6
    )
    return costs.worker_fixed_cores.value + used_us / 1e6 / workers


def workers_of(
    demand: Demand,
    costs: Costs,
    assumed: Assumptions,
    user: User,
    commits: Commits,
    sums: Sums,
    traffic: Traffic,
) -> Workers:
    """Return the resources of each worker, for the number of workers in ``commits``."""
    count = commits.workers
    users, copies = demand.users / count, 1 + assumed.standbys
    partitions = commits.partitions * copies / count
    process = (
        costs.memory_bytes.value
        + max(0.0, users * copies - costs.memory_users.value) * costs.memory_bytes_per_user.value
        + max(0.0, partitions - MEASURED_PARTITIONS) * costs.memory_bytes_per_partition.value
        + (user.panes - 1) * costs.memory_bytes_per_pane.value
    )
    others = sums.table_bytes / count
    tables = users * (costs.table_bytes_per_user.value + user.more_bytes) + others
    # A restore is as fast as measured, in bytes.
    changelog = users * (costs.changelog_bytes_per_user.value + user.more_bytes) + others
    restored = costs.restored_records_per_s.value * costs.changelog_bytes_per_user.value
    return Workers(
        count=count,
        cpu_share=cpu_of(demand, costs, assumed.standbys, user, sums, count),
        events_per_s=demand.events_per_s / count,
        users=users,
        resident_bytes=process / assumed.used_share,
        cache_bytes=tables,
        disk_bytes=tables * copies * COMPACTED / assumed.used_share,
        in_bytes_per_s=(traffic.events + traffic.sums + assumed.standbys * traffic.changelogs)
        / count,
        out_bytes_per_s=(traffic.changelogs + traffic.sums) / count,
        restore_s=changelog / restored,
    )


def brokers_of(
    demand: Demand, costs: Costs, assumed: Assumptions, user: User, sums: Sums, traffic: Traffic
) -> Brokers:
    """Return the smallest number of brokers that suffices, and the resources that each uses."""
    copies, share = assumed.replication_factor, assumed.used_share
    cores = demand.events_per_s * costs.broker_us_per_event.value / 1e6 * copies
    written = traffic.total * copies
    read = traffic.events + traffic.sums + assumed.standbys * traffic.changelogs
    sent = read + traffic.total * (copies - 1)
    users = demand.users * (costs.changelog_bytes_per_user.value + user.more_bytes)
    kept = (
        traffic.events * assumed.retention_s
        + traffic.sums * SUMS_KEPT_S
        + (users + sums.table_bytes) * COMPACTED
    )
    count = max(
        copies,
        ceil(cores / share / assumed.broker_cores),
        ceil(written / share / assumed.broker_disk_bytes_per_s),
        ceil(max(written, sent) / share / assumed.broker_network_bytes_per_s),
    )
    return Brokers(
        *(count, cores / count, written / count, written / count, sent / count),
        kept * copies / share / count,
    )
