"""The assignor with member ids besides addresses.

Faust identifies members by their address alone: of two members with the same address, it forgets
one. So the address has the worker's id, from its data directory, as a URL fragment, which HTTP
requests never send.

Depends on the internals of faust-streaming 0.15 (``PartitionAssignor._url``, which it sends to the
others and expects back, and ``_decompress``); ``tests/streaming/test_insides.py`` fails when they
change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from faust.assignor.client_assignment import ClientMetadata

from streaming.errors import StaleAssignmentError
from streaming.runtime.assignor import FixedAssignor

if TYPE_CHECKING:
    from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment


class Assignor(FixedAssignor):
    """A :class:`FixedAssignor` that identifies members by address and ``worker_id``."""

    @property
    def _url(self) -> str:
        return f"{self.app.conf.canonical_url}#{self.app.worker_id}"

    def on_assignment(self, assignment: ConsumerProtocolMemberAssignment) -> None:
        """Accept the leader's assignment.

        Raises:
            StaleAssignmentError: it is for another worker.
        """
        metadata = ClientMetadata.loads(self._decompress(assignment.user_data))
        if cast("str", metadata.url) != self._url:
            # Changes the metadata of the next join, so that the leader must assign again.
            self._assignment = metadata.assignment
            raise StaleAssignmentError(metadata.url)
        super().on_assignment(assignment)
