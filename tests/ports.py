"""Ports for servers that a test starts, reserved against all other tests."""

from __future__ import annotations

import socket

from embedded.probe import HOST

#: Sockets that hold a port until this process ends.
_held: list[socket.socket] = []


def reserve_ports(count: int) -> list[int]:
    """Return ``count`` ports that no other process gets; a server that reuses addresses may listen.

    A port that is only free now may be taken a moment later, if several processes run tests. A
    bound socket reserves it: Linux assigns such a port to nobody else, and servers can still
    listen on it if they request its number with SO_REUSEADDR, as Kafka and asyncio do.
    """
    chosen = []
    for _ in range(count):
        held = socket.socket()
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((HOST, 0))
        _held.append(held)
        chosen.append(held.getsockname()[1])
    return chosen
