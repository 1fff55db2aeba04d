"""The assignor, whose members tell each other not only their address but who they are.

Faust keeps what each member owns by its address alone: of two members with the same address, one is
forgotten. So a member's id, that of its data directory, follows its address as a fragment, which no
request ever sends.

Leans on the insides of faust-streaming 0.15 (``PartitionAssignor._url``, which it tells the others
and expects back, and ``_decompress``); ``tests/streaming/test_insides.py`` fails when they move.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from faust.assignor.client_assignment import ClientMetadata

from streaming.errors import StaleAssignmentError
from streaming.runtime.assignor import FixedAssignor

if TYPE_CHECKING:
    from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment


class Assignor(FixedAssignor):
    """Assigns as :class:`FixedAssignor` does; the app's ``worker_id`` tells members apart."""

    @property
    def _url(self) -> str:
        return f"{self.app.conf.canonical_url}#{self.app.worker_id}"

    def on_assignment(self, assignment: ConsumerProtocolMemberAssignment) -> None:
        """Take over what the leader has assigned.

        Raises:
            StaleAssignmentError: it was made for another worker.
        """
        metadata = ClientMetadata.loads(self._decompress(assignment.user_data))
        if cast("str", metadata.url) != self._url:
            # What is said when joining again differs from now on: the brokers call the leader.
            self._assignment = metadata.assignment
            raise StaleAssignmentError(metadata.url)
        super().on_assignment(assignment)
