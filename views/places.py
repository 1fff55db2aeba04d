"""Places for connections, and the choice of connections to cut when places or memory run out."""

from __future__ import annotations

from itertools import chain
from typing import Final, Protocol

#: Connections beyond the places, which may use health routes only.
MAX_GUESTS: Final = 16

#: Maximum bytes of untaken answers, over all connections.
MAX_UNTAKEN_BYTES: Final = 32 << 20


class Connection(Protocol):
    """A connection that occupies a place; see ``views/connection.py``."""

    @property
    def waits_for_client(self) -> bool:
        """Whether the client must act next."""

    def cut(self) -> None:
        """Close the connection at once."""


class Places:
    """Decides which connections stay.

    Clients with untaken bytes are cut first, those that have had some for longest before the
    others. Then follow clients that must act next, the oldest connections first. A connection
    whose answer is in progress stays.
    """

    def __init__(self, most: int) -> None:
        """Provide ``most`` places, and :data:`MAX_GUESTS` more for guests."""
        self._most = most
        # In the order of opening.
        self._seated: dict[Connection, None] = {}
        self._guests: dict[Connection, None] = {}
        # Untaken bytes, in the order in which they began to wait.
        self._untaken: dict[Connection, int] = {}
        self._untaken_bytes = 0

    def enter(self, connection: Connection) -> bool:
        """Assign a place and return True, or return False for a guest."""
        if len(self._seated) >= self._most:
            leaving = self._first_to_go()
            if leaving is None:
                if len(self._guests) >= MAX_GUESTS:
                    self._cut(next(iter(self._guests)))
                self._guests[connection] = None
                return False
            self._cut(leaving)
        self._seated[connection] = None
        return True

    def leave(self, connection: Connection) -> None:
        """Release the place."""
        self._seated.pop(connection, None)
        self._guests.pop(connection, None)
        self.taken(connection)

    def left_untaken(self, connection: Connection, size: int) -> None:
        """Record ``size`` untaken bytes; beyond the limit, cut the oldest of such clients."""
        self._untaken[connection] = size
        self._untaken_bytes += size
        while len(self._untaken) > 1 and self._untaken_bytes > MAX_UNTAKEN_BYTES:
            self._cut(next(iter(self._untaken)))

    def taken(self, connection: Connection) -> None:
        """Record that a client has taken all of its answer."""
        self._untaken_bytes -= self._untaken.pop(connection, 0)

    def _first_to_go(self) -> Connection | None:
        slow = (each for each in self._untaken if each in self._seated)
        waiting = (each for each in self._seated if each.waits_for_client)
        return next(chain(slow, waiting), None)

    def _cut(self, connection: Connection) -> None:
        self.leave(connection)
        connection.cut()
