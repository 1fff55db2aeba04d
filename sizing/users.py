"""A user's value, on average, by the layouts of the program's own records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Self

from models.counters import USER
from models.dedup import BLOCK_IDS, ENTRY_SIZE, ID_SIZE, SEALED_HEADER_SIZE

if TYPE_CHECKING:
    from sizing.demand import Assumptions, Demand, Windows

#: Of a sealed id, with its part of the block's header and of the index.
ID_BYTES: Final = ID_SIZE + (SEALED_HEADER_SIZE + ENTRY_SIZE) / BLOCK_IDS


class User(NamedTuple):
    """The average user."""

    ids: float
    """Event ids to remember: the events within the dedup horizon."""
    panes: float
    """Panes of a window that have events of that user."""
    more_bytes: float
    """Bytes of a value beyond those of a user with one session in one pane, as measured."""

    @classmethod
    def of(cls, demand: Demand, assumed: Assumptions, windows: Windows) -> Self:
        """Spread events over users, and a user's sessions over the panes of the active time."""
        per_s = demand.events_per_s / demand.users
        sessions = per_s * windows.user_window_s / assumed.events_per_session
        most = min(windows.user_panes, max(1.0, assumed.active_s / windows.user_step_s))
        ids, panes = per_s * windows.horizon_s, min(most, max(1.0, sessions))
        more_ids = max(0.0, ids - assumed.events_per_session)
        return cls(ids, panes, (panes - 1) * USER.rows.size + more_ids * ID_BYTES)
