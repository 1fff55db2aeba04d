"""Partitions are spread evenly over the workers, with standbys elsewhere, and few move."""

from __future__ import annotations

from collections import Counter

from faust.assignor import partition_assignor
from faust.assignor.client_assignment import CopartitionedAssignment
from hypothesis import given
from hypothesis import strategies as st

from streaming.runtime.assignor import BalancedAssignor

Assignment = dict[str, CopartitionedAssignment]


def assigned(before: Assignment, workers: list[str], partitions: int, standbys: int) -> Assignment:
    """Assign to ``workers``; what they had before stays known, as in the group's metadata."""
    known = {
        name: CopartitionedAssignment(
            set(before[name].actives) if name in before else set(),
            set(before[name].standbys) if name in before else set(),
            {"events"},
        )
        for name in workers
    }
    assignor = BalancedAssignor({"events"}, known, partitions, standbys)
    return dict(assignor.get_assignment())


def check(found: Assignment, partitions: int, standbys: int) -> None:
    actives = Counter(each for worker in found.values() for each in worker.actives)
    assert actives == Counter(range(partitions))
    sizes = [len(worker.actives) for worker in found.values()]
    assert max(sizes) - min(sizes) <= 1
    copies = Counter(each for worker in found.values() for each in worker.standbys)
    wanted = min(standbys, len(found) - 1)
    assert copies == Counter(dict.fromkeys(range(partitions), wanted) if wanted else {})
    assert all(worker.actives.isdisjoint(worker.standbys) for worker in found.values())


def test_faust_uses_it() -> None:
    assert partition_assignor.CopartitionedAssignor is BalancedAssignor


def test_a_worker_that_is_added_gets_partitions_with_standbys_as_without() -> None:
    for standbys in (0, 1, 2):
        found: Assignment = {}
        for count, expected in ((4, [2, 2, 2, 2]), (5, [2, 2, 2, 1, 1]), (6, [2, 2, 1, 1, 1, 1])):
            found = assigned(found, [f"w{n}" for n in range(count)], 8, standbys)
            check(found, 8, standbys)
            assert sorted((len(each.actives) for each in found.values()), reverse=True) == expected


def test_a_worker_that_comes_back_gets_its_share_of_what_others_took_over() -> None:
    both = assigned({}, ["a", "b"], 8, 1)
    alone = assigned(both, ["a"], 8, 1)
    check(alone, 8, 1)
    check(assigned(alone | {"b": both["b"]}, ["a", "b"], 8, 1), 8, 1)


@given(
    st.integers(1, 24),
    st.integers(0, 3),
    st.lists(st.sets(st.sampled_from("abcdefgh"), min_size=1), min_size=1, max_size=6),
)
def test_every_group_is_balanced_and_keeps_what_it_can(
    partitions: int, standbys: int, groups: list[set[str]]
) -> None:
    found: Assignment = {}
    for group in groups:
        before, found = found, assigned(found, sorted(group), partitions, standbys)
        check(found, partitions, standbys)
        kept = sum(
            len(worker.actives & before[name].actives)
            for name, worker in found.items()
            if name in before
        )
        each, more = divmod(partitions, len(group))
        had = sorted(
            (len(before[name].actives) if name in before else 0 for name in group), reverse=True
        )
        assert kept == sum(min(size, each + (number < more)) for number, size in enumerate(had))
