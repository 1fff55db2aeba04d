"""Faust's assignor, balanced, with a number of partitions that is fixed while the app runs.

Depends on the internals of faust-streaming 0.15 (``CopartitionedAssignor``, and its name in
``partition_assignor``); ``tests/streaming/test_assignor.py`` fails when they change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from faust.assignor import PartitionAssignor, partition_assignor
from faust.assignor.copartitioned_assignor import CopartitionedAssignor

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from aiokafka.cluster import ClusterMetadata
    from faust.assignor.client_assignment import CopartitionedAssignment
    from faust.assignor.partition_assignor import MemberAssignmentMapping, MemberMetadataMapping


class BalancedAssignor(CopartitionedAssignor):
    """Gives each worker its share of the partitions, and moves as few as possible.

    With standbys, Faust's leaves a worker that was added without partitions as long as no other has
    more than its share, rounded up.
    """

    _shares: dict[int, int]

    def get_assignment(self) -> MutableMapping[str, CopartitionedAssignment]:
        """Return the assignment of each worker."""
        self._unassign_overassigned(active=True)
        each, more = divmod(self.num_partitions, self._num_clients)
        workers = sorted(
            self._client_assignments.values(), key=lambda worker: len(worker.actives), reverse=True
        )
        self._shares = {id(worker): each + (number < more) for number, worker in enumerate(workers)}
        for worker in workers:
            while len(worker.actives) > self._shares[id(worker)]:
                worker.actives.pop()
            worker.unassign_extras(self.max_capacity, self.replicas)
        self._assign(active=True)
        self._assign(active=False)
        found: MutableMapping[str, CopartitionedAssignment] = self._client_assignments
        return found

    def _client_exhausted(
        self,
        assignment: CopartitionedAssignment,
        active: bool,  # noqa: FBT001 - as Faust's
        client_limit: int | None = None,
    ) -> bool:
        if active:
            return len(assignment.actives) >= self._shares[id(assignment)]
        return bool(super()._client_exhausted(assignment, active, client_limit))


partition_assignor.CopartitionedAssignor = BalancedAssignor


class _Partitions:
    """A view of the cluster in which every topic has the app's number of partitions."""

    def __init__(self, count: int) -> None:
        self._numbers = frozenset(range(count))

    def partitions_for_topic(self, _topic: str) -> frozenset[int]:
        return self._numbers


class FixedAssignor(PartitionAssignor):
    """Assigns the tables' number of partitions for each topic.

    Faust's assignor uses the brokers' numbers. If they differ, topics are no longer co-partitioned,
    and the tasks of a running app are closed. :mod:`streaming.runtime.topic_watch` handles topics
    that have changed. Of the cluster it requests only topics' partitions.
    """

    def assign(
        self, cluster: ClusterMetadata, member_metadata: MemberMetadataMapping
    ) -> MemberAssignmentMapping:
        """Return the assignment of each member."""
        del cluster
        fixed = _Partitions(self.app.conf.topic_partitions)
        return super().assign(fixed, member_metadata)
