"""Ports for servers that a test starts, kept from all other tests that run meanwhile."""

from __future__ import annotations

import socket

from embedded.probe import HOST

#: Sockets that hold a port until this process ends.
_held: list[socket.socket] = []


def reserve_ports(count: int) -> list[int]:
    """Return ``count`` ports that nobody else is given; a server that reuses addresses may listen.

    A port that is merely free now may be another process's a moment later, when several run tests
    side by side. A bound socket keeps it: Linux gives no such port away, and lets those listen on
    it who ask for it by number with SO_REUSEADDR, as Kafka and asyncio do.
    """
    chosen = []
    for _ in range(count):
        held = socket.socket()
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((HOST, 0))
        _held.append(held)
        chosen.append(held.getsockname()[1])
    return chosen
