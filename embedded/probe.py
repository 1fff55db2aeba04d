"""Free ports, and the cluster that answers on a port."""

from __future__ import annotations

import contextlib
import socket
import struct

HOST = "127.0.0.1"

_API_VERSIONS = 18
_METADATA = 3
_TIMEOUT_S = 2.0
_MIN_ANSWER = 4  # the correlation id
_MAX_ANSWER = 1 << 20


def free_ports(count: int) -> list[int]:
    """Return ``count`` different ports on which nothing listens now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((HOST, 0))
        return [each.getsockname()[1] for each in sockets]


def is_free(port: int) -> bool:
    """Return whether a server could listen on ``port`` now."""
    with socket.socket() as probe:
        # As in Kafka: old connections in TIME_WAIT do not block the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def answering_cluster(port: int) -> str | None:
    """Return the id of the cluster whose broker serves clients on ``port``, or None.

    A broker listens before it has caught up with its controller, but its metadata lists no broker
    until then.
    """
    try:
        with socket.create_connection((HOST, port), timeout=_TIMEOUT_S) as connection:
            (error,) = struct.unpack_from(">h", _request(connection, _API_VERSIONS, 0, b""))
            # An empty array requests no topics, so that the answer stays small.
            metadata = _request(connection, _METADATA, 2, struct.pack(">i", 0))
    except (OSError, struct.error):
        return None
    return None if error else _cluster_with_brokers(metadata)


def _cluster_with_brokers(metadata: bytes) -> str | None:
    """Return the cluster id of a Metadata answer, version 2; None if it lists no brokers."""
    try:
        (brokers,) = struct.unpack_from(">i", metadata)
        position = 4
        for _ in range(brokers):
            _, position = _string(metadata, position + 4)
            _, position = _string(metadata, position + 4)
        cluster, _ = _string(metadata, position)
    except (struct.error, UnicodeDecodeError):
        return None
    return cluster if brokers else None


def _string(data: bytes, start: int) -> tuple[str | None, int]:
    """Return the nullable string at ``start`` and the position after it."""
    (size,) = struct.unpack_from(">h", data, start)
    start += 2
    return (None, start) if size < 0 else (data[start : start + size].decode(), start + size)


def _request(connection: socket.socket, api: int, version: int, body: bytes) -> bytes:
    """Send one request without a client id; return the answer after its correlation id."""
    header = struct.pack(">hhih", api, version, 1, -1)
    connection.sendall(struct.pack(">i", len(header) + len(body)) + header + body)
    (size,) = struct.unpack(">i", _read(connection, 4))
    if not _MIN_ANSWER <= size <= _MAX_ANSWER:
        msg = "not an answer of Kafka"
        raise OSError(msg)
    return _read(connection, size)[_MIN_ANSWER:]


def _read(connection: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        chunk = connection.recv(size - len(data))
        if not chunk:
            msg = "connection closed"
            raise OSError(msg)
        data += chunk
    return bytes(data)
