"""Faust's assignor, with a number of partitions that is fixed while the app runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from faust.assignor import PartitionAssignor

if TYPE_CHECKING:
    from aiokafka.cluster import ClusterMetadata
    from faust.assignor.partition_assignor import MemberAssignmentMapping, MemberMetadataMapping


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
    that have changed.

    Depends on faust-streaming 0.15, which requests only topics' partitions from the cluster.
    """

    def assign(
        self, cluster: ClusterMetadata, member_metadata: MemberMetadataMapping
    ) -> MemberAssignmentMapping:
        """Return the assignment of each member."""
        del cluster
        fixed = _Partitions(self.app.conf.topic_partitions)
        return super().assign(fixed, member_metadata)
