"""The rows that a chunk of events is folded into: users, and the indexes of their ids.

A user with many ids within the dedup horizon has them in blocks beside its own row, and an index of
those blocks. Only the user's row tells whether the index is needed, so it is read second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from models.chunk import Overlay

if TYPE_CHECKING:
    from models._protocols import Chunk, UserWindows
    from tables.state import PartitionState


async def load_rows(state: PartitionState, chunk: Chunk[Any], windows: UserWindows) -> Overlay:
    """Return what ``chunk`` reads and changes of ``state``, ready to be folded into at once.

    Whoever waits between this and the fold may miss what others have changed meanwhile.
    """
    loaded, indexes = await state.load_with(
        chunk.keys, lambda rows: chunk.indexes(windows, rows, state.stream_time)
    )
    return Overlay(state.dirty, loaded, indexes, state.get)
