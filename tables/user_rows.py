"""The rows that a chunk of events changes: users, and the indexes of their ids.

A user with many ids within the dedup horizon has them in blocks beside its own row, with an index
of those blocks. The user's row shows whether the index is needed, so the index is read second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from models.chunk import Overlay

if TYPE_CHECKING:
    from models._protocols import Chunk, UserWindows
    from tables.state import PartitionState


async def load_rows(state: PartitionState, chunk: Chunk[Any], windows: UserWindows) -> Overlay:
    """Load the rows of ``state`` that ``chunk`` reads and changes.

    Apply the chunk without awaiting in between: other changes in the meantime would be missed.
    """
    loaded, indexes = await state.load_with(
        chunk.keys, lambda rows: chunk.indexes(windows, rows, state.stream_time)
    )
    return Overlay(state.dirty, loaded, indexes, state.get)
