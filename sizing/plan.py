"""A plan for a load: partitions, workers, brokers, and the resources of each."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sizing.demand import Assumptions, Windows
from sizing.errors import SizingError
from sizing.limits import Limit, limits_of
from sizing.parts import Brokers, Workers, brokers_of, cpu_of, workers_of
from sizing.traffic import Commits, Traffic, sums_of, traffic_of
from sizing.users import User

if TYPE_CHECKING:
    from sizing.costs import Costs
    from sizing.demand import Demand

#: The maximum and the default of TOPIC_PARTITIONS.
MOST_PARTITIONS, FEWEST_PARTITIONS = 1024, 8

#: Values of BROKER_COMMIT_INTERVAL to choose from, in seconds, the default first.
COMMIT_INTERVALS_S: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
#: A shorter interval makes videos' answers fresher; it is chosen if it needs no more machines.
LONG_ENOUGH_S: Final = 1.0

#: Commits with sums for other workers begin up to this many seconds before the end of the interval,
#: but not before this fraction of it (streaming/commit/pacing.py).
MAX_EARLY_S, MIN_PART = 0.07, 1 / 3


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that the load needs."""

    demand: Demand
    assumed: Assumptions
    windows: Windows
    costs: Costs
    user: User
    commit_interval_s: float
    commits: Commits
    traffic: Traffic
    workers: Workers
    brokers: Brokers

    @property
    def machines(self) -> int:
        """Workers and brokers together."""
        return self.workers.count + self.brokers.count

    @property
    def limits(self) -> tuple[Limit, ...]:
        """The limits that a growing load reaches, the lowest first."""
        return limits_of(self.assumed, self.costs, self.commits, self.workers, self.brokers)


def make_plan(
    demand: Demand,
    costs: Costs,
    assumed: Assumptions | None = None,
    windows: Windows | None = None,
) -> Plan:
    """Return the sizes. Raises SizingError if no number of workers suffices.

    Commits are as frequent as possible with few enough transaction markers, and with no more
    machines than a longer interval needs.
    """
    assumed, windows = assumed or Assumptions(), windows or Windows()
    if assumed.commit_interval_s is not None:
        return _plan(demand, costs, assumed, windows, assumed.commit_interval_s)
    plans = [_plan(demand, costs, assumed, windows, each) for each in COMMIT_INTERVALS_S]
    fitting = [p for p in plans if p.commits.markers_per_s <= assumed.markers_per_s] or plans[-1:]
    long_enough = next((p for p in fitting if p.commit_interval_s >= LONG_ENOUGH_S), fitting[-1])
    return next(plan for plan in fitting if plan.machines <= long_enough.machines)


def _plan(
    demand: Demand, costs: Costs, assumed: Assumptions, windows: Windows, interval_s: float
) -> Plan:
    """Return the sizes with one commit interval."""
    user, between_s = User.of(demand, assumed, windows), interval_s
    count = _count_workers(demand, costs, assumed, windows, user, between_s)
    if count > 1:
        # Workers commit earlier if sums wait for each other.
        between_s = max(interval_s * MIN_PART, interval_s - MAX_EARLY_S)
        count = _count_workers(demand, costs, assumed, windows, user, between_s)
    # Enough for twice as many workers, each with at least one partition.
    partitions = min(MOST_PARTITIONS, max(FEWEST_PARTITIONS, 1 << (2 * count - 1).bit_length()))
    commits = Commits(count, partitions, between_s)
    sums = sums_of(demand, windows, commits)
    traffic = traffic_of(demand, assumed, costs, user, sums)
    return Plan(
        *(demand, assumed, windows, costs, user, interval_s, commits, traffic),
        workers_of(demand, costs, assumed, user, commits, sums, traffic),
        brokers_of(demand, costs, assumed, user, sums, traffic),
    )


def _count_workers(
    demand: Demand,
    costs: Costs,
    assumed: Assumptions,
    windows: Windows,
    user: User,
    between_s: float,
) -> int:
    """Return the fewest workers that have CPU to spare, and a copy of each partition elsewhere."""
    fixed = costs.worker_fixed_cores.value
    if fixed >= assumed.used_share:
        raise SizingError(
            f"by these costs a worker uses {fixed:.0%} of a core however few events it has, "
            f"and {assumed.used_share:.0%} are all that may be used"
        )
    # Partitions do not change how many rows of videos and creators are written.
    sums = sums_of(demand, windows, Commits(1, 1, between_s))

    def suffices(count: int) -> bool:
        return cpu_of(demand, costs, assumed.standbys, user, sums, count) <= assumed.used_share

    # The more workers, the smaller each share: a binary search finds the first that suffices.
    count = 1 + bisect_left(range(1, MOST_PARTITIONS + 1), True, key=suffices)  # noqa: FBT003
    if count > MOST_PARTITIONS:
        raise SizingError(
            f"one app has at most {MOST_PARTITIONS} partitions and as many workers, and this load "
            "needs more: split the users over several apps, and size one of them"
        )
    return max(count, 1 + assumed.standbys)
