"""Plans suffice, are no larger than needed, and grow with the load."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

import settings
from models.counters import CREATOR, USER, VIDEO
from models.deltas import ROW_SIZE
from sizing import Assumptions, Demand, SizingError, Windows, make_plan, read_costs
from sizing.costs import Curve
from sizing.parts import SUMS_KEPT_S, cpu_of
from sizing.plan import COMMIT_INTERVALS_S, FEWEST_PARTITIONS, MOST_PARTITIONS
from sizing.plan import MAX_EARLY_S as PLANNED_EARLY_S
from sizing.plan import MIN_PART as PLANNED_PART
from sizing.traffic import KEY_BYTES, VIDEOS_PER_CREATOR, Commits, distinct, sums_of
from sizing.users import User
from streaming.commit.pacing import MAX_EARLY_S, MIN_PART, shortest_distance_s
from streaming.commit.purge import PURGE_INTERVAL_S, ROUNDS_KEPT

if TYPE_CHECKING:
    from sizing.plan import Plan


COSTS = read_costs()
RATES = st.integers(1, 3_000_000)
DEMANDS = st.builds(
    Demand,
    events_per_s=RATES,
    users=st.integers(1, 10**9),
    videos=st.integers(1, 10**7),
    values_read_per_s=st.integers(0, 100_000),
    keys_per_read=st.integers(1, 1000),
    load=st.sampled_from(["sessions", "uniform"]),
)
ASSUMED = st.builds(
    Assumptions,
    replication_factor=st.integers(1, 5),
    standbys=st.integers(0, 2),
    active_s=st.integers(60, 86_400).map(float),
    commit_interval_s=st.sampled_from([None, 0.1, 1.0]),
)
TIMES = st.integers(1, 20)


def cpu(plan: Plan, workers: int) -> float:
    sums = sums_of(plan.demand, plan.windows, Commits(1, 1, plan.commits.between_s))
    return cpu_of(plan.demand, COSTS, plan.assumed.standbys, plan.user, sums, workers)


def fixed(assumed: Assumptions) -> Assumptions:
    """Commit at one interval: a longer one writes fewer rows of videos and creators."""
    return replace(assumed, commit_interval_s=1.0)


@given(DEMANDS, ASSUMED)
def test_every_resource_has_room_and_no_worker_is_for_nothing(
    demand: Demand, assumed: Assumptions
) -> None:
    plan = make_plan(demand, COSTS, assumed)
    workers, brokers = plan.workers, plan.brokers

    assert workers.cpu_share <= assumed.used_share
    if workers.count > 1 + assumed.standbys:
        assert cpu(plan, workers.count - 1) > assumed.used_share
    assert workers.count <= plan.commits.partitions
    assert brokers.cores <= assumed.used_share * assumed.broker_cores * (1 + 1e-9)
    room = assumed.used_share * (1 + 1e-9)
    assert brokers.written_bytes_per_s <= room * assumed.broker_disk_bytes_per_s
    assert brokers.out_bytes_per_s <= room * assumed.broker_network_bytes_per_s
    assert brokers.count >= assumed.replication_factor
    assert all(limit.at_times >= 1 for limit in plan.limits if not limit.with_more_workers)


@given(DEMANDS, ASSUMED, TIMES)
def test_a_higher_rate_needs_no_less(demand: Demand, assumed: Assumptions, times: int) -> None:
    low = make_plan(demand, COSTS, fixed(assumed))
    more = replace(demand, events_per_s=min(3_000_000, demand.events_per_s * times))
    high = make_plan(more, COSTS, fixed(assumed))
    assert low.workers.count <= high.workers.count
    assert low.commits.partitions <= high.commits.partitions
    assert low.brokers.count <= high.brokers.count
    assert low.traffic.total <= high.traffic.total * (1 + 1e-9)
    assert low.brokers.disk_bytes * low.brokers.count <= (
        high.brokers.disk_bytes * high.brokers.count * (1 + 1e-9)
    )


@given(DEMANDS, ASSUMED, st.integers(0, 200_000))
def test_more_reads_need_no_fewer_workers(demand: Demand, assumed: Assumptions, more: int) -> None:
    low = make_plan(demand, COSTS, fixed(assumed))
    reads = demand.values_read_per_s + more
    high = make_plan(replace(demand, values_read_per_s=reads), COSTS, fixed(assumed))
    assert low.workers.count <= high.workers.count
    assert low.brokers.count <= high.brokers.count


@given(DEMANDS, ASSUMED, TIMES)
def test_more_users_need_no_less_room(demand: Demand, assumed: Assumptions, times: int) -> None:
    """Each user is less active at the same rate, but the tables grow in total."""
    low = make_plan(demand, COSTS, assumed)
    more = replace(demand, users=demand.users * times)
    high = make_plan(more, COSTS, assumed)
    assert low.workers.cache_bytes * low.workers.count <= (
        high.workers.cache_bytes * high.workers.count * (1 + 1e-9)
    )


@given(st.integers(1, 10**9), st.floats(0, 200), st.floats(1, 96), TIMES)
def test_more_users_of_the_same_kind_cost_an_event_no_less(
    users: int, ids: float, panes: float, times: int
) -> None:
    for load in ("sessions", "uniform"):
        few = COSTS.worker_us(load, users, ids, panes)
        assert few <= COSTS.worker_us(load, users * times, ids, panes) * (1 + 1e-9)


@given(DEMANDS)
def test_copies_are_on_other_workers_and_cost_what_they_cost(demand: Demand) -> None:
    alone = make_plan(demand, COSTS, Assumptions(standbys=0, commit_interval_s=1.0))
    copied = make_plan(demand, COSTS, Assumptions(standbys=2, commit_interval_s=1.0))
    assert copied.workers.count >= max(3, alone.workers.count)
    assert copied.workers.disk_bytes * copied.workers.count > (
        alone.workers.disk_bytes * alone.workers.count
    )


@given(DEMANDS)
def test_a_shorter_commit_interval_is_taken_where_it_needs_no_more_machines(demand: Demand) -> None:
    plan = make_plan(demand, COSTS)
    assert plan.commits.markers_per_s <= plan.assumed.markers_per_s or plan.commit_interval_s == 5
    if plan.commit_interval_s < 1:
        second = make_plan(demand, COSTS, Assumptions(commit_interval_s=1.0))
        assert plan.machines <= second.machines


def test_a_load_beyond_one_app_is_refused_in_one_line() -> None:
    with pytest.raises(SizingError, match=r"at most 1024 partitions.*split the users"):
        make_plan(Demand(10**10, 10**12), COSTS)


def test_a_machine_that_is_busy_with_few_events_is_refused() -> None:
    busy = replace(COSTS, worker_fixed_cores=replace(COSTS.worker_fixed_cores, value=0.7))
    with pytest.raises(SizingError, match="by these costs a worker uses 70% of a core"):
        make_plan(Demand(1000, 1000), busy)


def test_tables_that_the_app_does_not_keep_cost_nothing() -> None:
    demand = Demand(100_000, 10_000_000)
    with_creators = make_plan(demand, COSTS)
    without = make_plan(demand, COSTS, windows=Windows(has_creators=False))
    assert without.traffic.creators == 0
    assert without.traffic.sums < with_creators.traffic.sums
    assert without.machines < with_creators.machines


def test_an_event_more_a_user_fills_panes_up_to_the_active_time() -> None:
    """4 h are 16 panes of 15 minutes, however many events there are."""
    rare = make_plan(Demand(100, 100_000_000), COSTS)
    often = make_plan(Demand(500_000, 100_000_000), COSTS)
    assert rare.user.panes == 1
    assert rare.user.more_bytes == 0
    assert often.user.panes == 16
    all_day = make_plan(Demand(500_000, 100_000_000), COSTS, Assumptions(active_s=86_400.0))
    # 432 events per user and day are 65 sessions.
    assert all_day.user.panes == pytest.approx(432 / 6.6)


class TestWhatIsCountedElsewhere:
    """Numbers that other packages define as well, which ``sizing`` does not import."""

    def test_commits_begin_as_early_as_the_worker_lets_them(self) -> None:
        assert (PLANNED_PART, PLANNED_EARLY_S) == (MIN_PART, MAX_EARLY_S)

    @pytest.mark.parametrize("interval_s", COMMIT_INTERVALS_S)
    def test_commits_are_as_far_apart_as_short_ones_of_a_worker(self, interval_s: float) -> None:
        assumed = Assumptions(commit_interval_s=interval_s)
        plan = make_plan(Demand(500_000, 100_000_000), COSTS, assumed)
        assert plan.commits.between_s == shortest_distance_s(interval_s)

    def test_partitions_are_between_the_default_and_the_most_that_may_be_set(self) -> None:
        (partitions,) = [each for each in settings.VARIABLES if each.attribute == "partitions"]
        assert settings.load({}).partitions == FEWEST_PARTITIONS
        assert partitions.kind.parse(str(MOST_PARTITIONS)) == MOST_PARTITIONS
        with pytest.raises(ValueError, match=str(MOST_PARTITIONS + 1)):
            partitions.kind.parse(str(MOST_PARTITIONS + 1))

    def test_sums_are_kept_until_workers_delete_them(self) -> None:
        assert ROUNDS_KEPT * PURGE_INTERVAL_S == SUMS_KEPT_S

    def test_a_row_of_sums_is_a_key_and_a_panes_row(self) -> None:
        assert KEY_BYTES + VIDEO.rows.size == ROW_SIZE

    def test_a_pane_has_the_size_of_its_row(self) -> None:
        plan = make_plan(Demand(500_000, 100_000_000), COSTS)
        sums = sums_of(plan.demand, plan.windows, plan.commits)
        assert (sums.video_bytes, sums.creator_bytes) == (
            24 * VIDEO.rows.size,
            96 * CREATOR.rows.size,
        )
        assert plan.user.more_bytes >= 15 * USER.rows.size


class TestDistinctVideos:
    @pytest.mark.parametrize(
        ("draws", "videos"), [(5_000, 20_000), (250_000, 1_000_000), (500_000, 100_000)]
    )
    def test_are_as_many_as_the_generator_draws(self, draws: int, videos: int) -> None:
        import numpy as np

        from loadgen.population import Population

        population = Population.of(1000, videos, np.empty(0, np.int64))
        drawn = population.videos(np.random.default_rng(1), draws)
        assert distinct(draws, videos) == pytest.approx(len(np.unique(drawn)), rel=0.03)

    def test_have_as_many_creators_as_the_generator_gives_them(self) -> None:
        import numpy as np

        from loadgen.population import Population

        assert Population.of(1000, 20_000, np.empty(0, np.int64)).creators == (
            20_000 / VIDEOS_PER_CREATOR
        )

    @given(st.floats(0.01, 1e7), st.integers(1, 10**8), TIMES)
    def test_are_no_more_than_draws_or_videos_and_grow_with_draws(
        self, draws: float, videos: int, times: int
    ) -> None:
        few = distinct(draws, videos)
        assert 0 <= few <= min(draws, videos)
        assert few <= distinct(draws * times, videos) * (1 + 1e-9)


class TestAgainstWhatWasMeasured:
    """The line through the rates matches the measured worker to within a fifth."""

    def test_the_shipped_rates(self) -> None:
        from sizing.documents import shipped
        from sizing.measures import HELD

        held = [
            row
            for row in shipped().rows("steady")
            if (done := row.figure("worked off events/s")) is not None
            and done >= HELD * row.number("events/s")
            and row.figure("worker % of a core") is not None
        ]
        assert len(held) >= 2
        for row in held:
            rate, percent = row.figure("worked off events/s"), row.figure("worker % of a core")
            assert rate is not None
            assert percent is not None
            us = COSTS.worker_us("sessions", row.number("users"), 1.0, 1.0)
            cores = COSTS.worker_fixed_cores.value + rate * us / 1e6
            assert cores == pytest.approx(percent / 100, rel=0.2)

    def test_several_workers(self) -> None:
        """Commits a second apart, values with few panes, and 20,000 videos, as in the suite."""
        from sizing.documents import shipped

        windows = Windows(user_window_s=900.0, video_panes=1)
        fresh = User(ids=1.0, panes=1.0, more_bytes=0.0)
        rows = shipped().rows("workers")
        assert [row.number("workers") for row in rows] == [1, 2, 4]
        for row in rows:
            count, percent = int(row.number("workers")), row.figure("worker % of a core")
            assert percent is not None
            demand = Demand(int(row.number("events/s")), int(row.number("users")), videos=20_000)
            sums = sums_of(demand, windows, Commits(count, 8, shortest_distance_s(1.0)))
            cores = cpu_of(demand, COSTS, 0, fresh, sums, count)
            assert cores == pytest.approx(percent / 100, rel=0.2)

    def test_curves_pass_through_their_points(self) -> None:
        for curve in (each for each in COSTS.all() if isinstance(each, Curve)):
            x, y = curve.points[0]
            assert curve.at(x) == pytest.approx(y)
