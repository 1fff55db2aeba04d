"""The assignor: Faust's, but for topics whose number of partitions changes under a running app."""

from __future__ import annotations

from typing import TYPE_CHECKING

from faust.assignor import PartitionAssignor

if TYPE_CHECKING:
    from aiokafka.cluster import ClusterMetadata
    from faust.assignor.partition_assignor import MemberAssignmentMapping, MemberMetadataMapping


class _Partitions:
    """What the assignor is shown of the cluster: each topic with the partitions of the app."""

    def __init__(self, count: int) -> None:
        self._numbers = frozenset(range(count))

    def partitions_for_topic(self, _topic: str) -> frozenset[int]:
        return self._numbers


class FixedAssignor(PartitionAssignor):
    """Assigns as many partitions of each topic as the tables have.

    Faust's goes by what the brokers have. Topics of different numbers are not co-partitioned then:
    each goes its own way, and the tasks of a running app are closed. The worker's
    :mod:`streaming.runtime.topic_watch` sees to topics that have changed.

    Leans on faust-streaming 0.15: of the cluster, it asks for the partitions of topics alone.
    """

    def assign(
        self, cluster: ClusterMetadata, member_metadata: MemberMetadataMapping
    ) -> MemberAssignmentMapping:
        """Return the assignment of each member."""
        del cluster
        fixed = _Partitions(self.app.conf.topic_partitions)
        return super().assign(fixed, member_metadata)
