"""The places for connections: who has one, and who has to go when places or memory run short."""

from __future__ import annotations

from itertools import chain
from typing import Final, Protocol

#: Connections beyond the places, which are answered how the worker is and nothing else.
GUESTS: Final = 16

#: Bytes of answers that clients have not taken yet, of all connections together.
MAX_UNTAKEN: Final = 32 << 20


class Connection(Protocol):
    """What takes a place; see ``views/connection.py``."""

    @property
    def waits_for_client(self) -> bool:
        """Whether it is for the client to go on."""

    def cut(self) -> None:
        """End the connection at once."""


class Places:
    """Decides who stays.

    Clients that do not take their answers go first, those that have taken nothing for longest
    before the others; then clients that the worker waits for, the longest open ones first. A
    connection whose answer the worker is working on stays.
    """

    def __init__(self, most: int) -> None:
        """Give ``most`` places, and :data:`GUESTS` beside them."""
        self._most = most
        # In the order in which they were opened.
        self._seated: dict[Connection, None] = {}
        self._guests: dict[Connection, None] = {}
        # Bytes that are not taken, in the order in which the clients began to leave them.
        self._untaken: dict[Connection, int] = {}
        self._untaken_bytes = 0

    def enter(self, connection: Connection) -> bool:
        """Give a place, and return True; False makes the connection a guest."""
        if len(self._seated) >= self._most:
            leaving = self._first_to_go()
            if leaving is None:
                if len(self._guests) >= GUESTS:
                    self._cut(next(iter(self._guests)))
                self._guests[connection] = None
                return False
            self._cut(leaving)
        self._seated[connection] = None
        return True

    def leave(self, connection: Connection) -> None:
        """Take the place back."""
        self._seated.pop(connection, None)
        self._guests.pop(connection, None)
        self.taken(connection)

    def left_untaken(self, connection: Connection, size: int) -> None:
        """Take that a client leaves ``size`` bytes of its answer; too many make others go."""
        self._untaken[connection] = size
        self._untaken_bytes += size
        while len(self._untaken) > 1 and self._untaken_bytes > MAX_UNTAKEN:
            self._cut(next(iter(self._untaken)))

    def taken(self, connection: Connection) -> None:
        """Take that a client leaves nothing of its answer any more."""
        self._untaken_bytes -= self._untaken.pop(connection, 0)

    def _first_to_go(self) -> Connection | None:
        slow = (each for each in self._untaken if each in self._seated)
        waiting = (each for each in self._seated if each.waits_for_client)
        return next(chain(slow, waiting), None)

    def _cut(self, connection: Connection) -> None:
        self.leave(connection)
        connection.cut()
