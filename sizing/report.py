"""A plan as text for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sizing.amounts import shown, shown_bytes, shown_large
from sizing.costs import Cost
from sizing.parts import WORKER_CORES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sizing.costs import Curve
    from sizing.limits import Limit
    from sizing.plan import Plan

_LABEL = 13


def text_of(plan: Plan, *, with_costs: bool = False) -> str:
    """Return all lines: sizes, what gives way first, what is assumed, and where costs are from."""
    costs = plan.costs
    return "\n".join(
        [
            _title(plan),
            "",
            *(f"  {label:<{_LABEL}}{text}" for label, text in _sizes(plan)),
            "",
            "As the load grows, this gives way first:",
            *(_limit(each) for each in plan.limits if not each.with_more_workers),
            "With more workers for the load:",
            *(_limit(each) for each in plan.limits if each.with_more_workers),
            "",
            "Assumed:",
            *(f"  - {line}" for line in assumptions_of(plan)),
            "",
            "Costs, by `python -m benchmarks` (--costs FILE reads yours, --show-costs lists all):",
            *(f"  - {origin}" for origin in costs.origins),
            *(_cost(each) for each in costs.all() if with_costs),
        ]
    )


def _title(plan: Plan) -> str:
    demand = plan.demand
    reads = demand.values_read_per_s
    return (
        f"{demand.events_per_s:,} events/s of {shown_large(demand.users)} users"
        f"{' drawn uniformly' if demand.load == 'uniform' else ' in sessions'}, "
        + (f"{reads:,} values/s read" if reads else "nothing read")
    )


def _sizes(plan: Plan) -> Iterator[tuple[str, str]]:
    """Yield labels with their texts."""
    demand, workers, brokers, traffic = plan.demand, plan.workers, plan.brokers, plan.traffic
    partitions = plan.commits.partitions
    each, users = demand.events_per_s / partitions, shown_large(demand.users / partitions)
    yield "partitions", f"{partitions}, of {shown(each)} events/s and {users} users"
    each, users = workers.events_per_s, shown_large(workers.users)
    used = f"{workers.cpu_share:.0%} of a core in use"
    yield "workers", f"{workers.count}, of {shown(each)} events/s and {users} users, with {used}"
    yield "", f"{WORKER_CORES} cores, {shown_bytes(workers.disk_bytes)} of disk"
    parts = f"{shown_bytes(workers.resident_bytes)} for the process"
    parts += f", {shown_bytes(workers.cache_bytes)} to cache its tables' files"
    yield "", f"{shown_bytes(workers.memory_bytes)} of memory: {parts}"
    yield "", _network(workers.in_bytes_per_s, workers.out_bytes_per_s)
    yield "", f"a lost disk is restored in {shown(workers.restore_s)} s"
    setting = f"BROKER_COMMIT_INTERVAL={plan.commit_interval_s:g}"
    yield "commits", f"{setting}: {shown(plan.commits.markers_per_s)} transaction markers/s"
    used = f"{shown(brokers.cores)} of {plan.assumed.broker_cores} cores in use"
    yield "brokers", f"{brokers.count}, with {used}"
    written = f"{shown_bytes(brokers.written_bytes_per_s)}/s"
    yield "", f"{shown_bytes(brokers.disk_bytes)} of disk, written at {written}"
    yield "", _network(brokers.in_bytes_per_s, brokers.out_bytes_per_s)
    texts = [f"{shown_bytes(traffic.events)}/s of events", f"{shown_bytes(traffic.sums)}/s of sums"]
    yield "sent to them", ", ".join(texts)
    changelogs = zip(traffic._fields[1:4], traffic[1:4], strict=True)
    texts = [f"{name} {shown_bytes(size)}/s" for name, size in changelogs if size]
    yield "", f"changelogs: {', '.join(texts)}"


def _limit(limit: Limit) -> str:
    return f"  at {shown(limit.at_times):>5} times: {limit.part} ({limit.remedy})"


def _network(into: float, out: float) -> str:
    return f"network: {shown_bytes(into)}/s in, {shown_bytes(out)}/s out"


def assumptions_of(plan: Plan) -> Iterator[str]:
    """Yield what is assumed, a sentence each, with the option that changes it."""
    assumed, demand, costs = plan.assumed, plan.demand, plan.costs
    yield f"at most {assumed.used_share:.0%} of a CPU, a disk, a network, a process's memory in use"
    yield f"events of {assumed.event_bytes} bytes, at this rate all day"
    yield (
        f"a user has events in {shown(plan.user.panes)} of {plan.windows.user_panes:g} panes: "
        f"in {assumed.active_s / 3600:g} h at most (--active), {assumed.events_per_session:g} "
        "events a session"
    )
    creators = ", a tenth as many creators" if plan.windows.has_creators else ""
    yield (
        f"{shown_large(demand.videos)} videos (--videos){creators}: shares of 1 / rank, "
        "all panes filled"
    )
    if demand.values_read_per_s:
        yield f"keys in a read: {demand.keys_per_read} (--batch), all of the worker that is asked"
    yield f"replication factor {assumed.replication_factor} (--replication)"
    yield f"standbys: {assumed.standbys} (--standbys)"
    yield f"events are kept for {assumed.retention_s / 3600:g} h (--retention)"
    yield (
        f"a broker has {assumed.broker_cores} cores, writes "
        f"{shown_bytes(assumed.broker_disk_bytes_per_s)}/s, and moves "
        f"{shown_bytes(assumed.broker_network_bytes_per_s)}/s each way"
    )
    yield "a broker's CPU for a copy of a record is that for the first"
    yield f"at most {assumed.markers_per_s:,.0f} transaction markers/s in the cluster (estimated)"
    curve = costs.sessions_us if demand.load == "sessions" else costs.uniform_us
    measured = max(users for users, _ in curve.points)
    if plan.workers.users > measured:
        yield f"an event costs no more with more users on a worker than {shown_large(measured)}"


def _cost(cost: Cost | Curve) -> str:
    values = values_of(cost)
    value = " to ".join(map(shown, dict.fromkeys((values[0], values[-1]))))
    whose = "yours" if cost.is_own else "ours"
    return f"  {cost.name:<27}{value:>16} {cost.unit:<18} {whose}: {cost.cases}"


def values_of(cost: Cost | Curve) -> list[float]:
    """Return a cost's number, or the numbers of its points."""
    return [cost.value] if isinstance(cost, Cost) else [y for _, y in cost.points]
