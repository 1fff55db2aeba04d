"""What one part of the engine asks of another, where it may not know the other itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from faust.types import TP


class BatchSink(Protocol):
    """Takes the batches that a consumer fetches."""

    @property
    def source_topic(self) -> str:
        """The topic that events come from; all others are internal."""

    async def wait_for_room(self) -> None:
        """Wait while enough is fetched and not processed."""

    async def suspend(self) -> None:
        """Accept no more, and commit what is processed."""

    def pending_seeks(self) -> Mapping[TP, int]:
        """Return the positions of tasks that were opened or resumed since the last call."""
