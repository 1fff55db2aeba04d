"""A process that reads as fast as a service answers: ``python -m benchmarks.rig.http_reader``.

The client does as little as possible, because it shares the machine with the measured service:
requests are made in advance, and only the length and the status of an answer are read. Each
connection sends its next request after an answer or, with a pace, when the request is due.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from dataclasses import asdict, dataclass
from typing import Final, cast

import uvloop

#: Requests made in advance, which take turns.
_PREPARED: Final = 256


@dataclass(frozen=True)
class Reading:
    """The requests to send; as JSON, the process's argument."""

    ports: list[int]
    """Ports of the workers, or of Redis; connections take turns."""
    kind: str
    """``single``, ``json``, ``arrow`` or ``redis``."""
    keys: int
    """Keys per request."""
    users: int
    """Keys are drawn from 1 to this number."""
    seconds: float
    connections: int = 16
    keys_per_s: float = 0.0
    """0: as fast as possible."""

    def argument(self) -> str:
        """Return the process's argument."""
        return json.dumps(asdict(self))

    def requests(self) -> list[bytes]:
        """Return requests of random keys."""
        rng = random.Random(1)
        return [
            self._request([rng.randint(1, self.users) for _ in range(self.keys)])
            for _ in range(_PREPARED)
        ]

    def _request(self, keys: list[int]) -> bytes:
        if self.kind == "redis":
            words = [b"MGET", *(b"%d" % key for key in keys)]
            return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in words)
        if self.kind == "single":
            return b"GET /users/%d HTTP/1.1\r\nHost: localhost\r\n\r\n" % keys[0]
        accept = b"application/vnd.apache.arrow.stream" if self.kind == "arrow" else b"*/*"
        body = json.dumps({"ids": keys}, separators=(",", ":")).encode()
        head = b"POST /users/query HTTP/1.1\r\nHost: localhost\r\nAccept: %b\r\nContent-Length: %d"
        return head % (accept, len(body)) + b"\r\n\r\n" + body


class Connection(asyncio.Protocol):
    """A connection that receives complete answers."""

    def __init__(self, kind: str) -> None:
        """Expect answers of HTTP or of Redis."""
        self._size_of = redis_size if kind == "redis" else http_size
        self._buffer = bytearray()
        self._answer: asyncio.Future[bytes] | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        # uvloop's transport is not a class of asyncio.
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Add a part of an answer."""
        self._buffer += data
        size = self._size_of(self._buffer)
        if size is not None and len(self._buffer) >= size and self._answer is not None:
            answer, self._buffer = bytes(self._buffer[:16]), bytearray()
            self._answer.set_result(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail the pending request."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError("the connection is lost"))

    async def ask(self, request: bytes) -> bytes:
        """Return the start of the answer to ``request`` once it is complete."""
        self._answer = asyncio.get_running_loop().create_future()
        assert self.transport is not None  # noqa: S101 - for the type
        self.transport.write(request)
        return await self._answer


def http_size(buffer: bytearray) -> int | None:
    """Return the size in bytes of the answer in ``buffer``, None until its head is complete."""
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        return None
    at = buffer.find(b"Content-Length: ", 0, end) + 16
    return end + 4 + int(buffer[at : buffer.find(b"\r", at)])


def redis_size(buffer: bytearray) -> int | None:
    """Return the size in bytes of a list of values, None until all their lengths are there."""
    end = buffer.find(b"\r\n")
    if end < 0:
        return None
    count, at = int(buffer[1:end]), end + 2
    for _ in range(count):
        end = buffer.find(b"\r\n", at)
        if end < 0:
            return None
        size = int(buffer[at + 1 : end])
        at = end + 2 + (size + 2 if size >= 0 else 0)
    return at


async def connect(reading: Reading, number: int) -> Connection:
    """Open the connection with this number."""
    _, connection = await asyncio.get_running_loop().create_connection(
        lambda: Connection(reading.kind),
        "127.0.0.1",
        reading.ports[number % len(reading.ports)],
    )
    return connection


async def read(reading: Reading) -> dict[str, float | list[float]]:
    """Read, and return the requests, errors, seconds, and times in ms."""
    requests, times, errors = reading.requests(), [], 0
    pause = reading.connections * reading.keys / reading.keys_per_s if reading.keys_per_s else 0.0
    connections = [await connect(reading, number) for number in range(reading.connections)]
    # A worker loads some code at the first request of a kind.
    await connections[0].ask(requests[0])
    begun = time.monotonic()
    until = begun + reading.seconds

    async def go_on(number: int) -> None:
        nonlocal errors
        connection = connections[number]
        due = begun + pause * number / reading.connections
        at = number
        while time.monotonic() < until:
            if pause:
                await asyncio.sleep(max(0.0, due - time.monotonic()))
            asked = time.monotonic()
            answer = await connection.ask(requests[at % _PREPARED])
            # A paced request's time starts when it is due, so that a delayed one counts as slow.
            times.append(1000 * (time.monotonic() - (due if pause else asked)))
            errors += not answer.startswith((b"HTTP/1.1 200", b"*"))
            at, due = at + reading.connections, due + pause
        if connection.transport is not None:
            connection.transport.close()

    await asyncio.gather(*map(go_on, range(reading.connections)))
    seconds = time.monotonic() - begun
    return {"requests": len(times), "errors": errors, "seconds": seconds, "times": times}


if __name__ == "__main__":
    print(json.dumps(uvloop.run(read(Reading(**json.loads(sys.argv[1]))))))
