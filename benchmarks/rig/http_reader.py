"""A process that reads as fast as a service answers: ``python -m benchmarks.rig.http_reader``.

A client that does next to nothing, since it shares the machine with what is measured: requests are
made beforehand, and of an answer only the length and the status are looked at. Each connection asks
when it has its answer, or (with a pace) when the next request is due.
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

#: Requests made beforehand, which take turns.
_PREPARED: Final = 256


@dataclass(frozen=True)
class Reading:
    """What is asked for; as JSON it is the process's argument."""

    ports: list[int]
    """Of the workers, or of Redis; connections take turns."""
    kind: str
    """``single``, ``json``, ``arrow`` or ``redis``."""
    keys: int
    """Of a request."""
    users: int
    """Keys are drawn from 1 to this."""
    seconds: float
    connections: int = 16
    keys_per_s: float = 0.0
    """0: as fast as it goes."""

    def argument(self) -> str:
        """Return what the process is started with."""
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
    """Takes whole answers."""

    def __init__(self, kind: str) -> None:
        """Expect answers of HTTP, or of Redis."""
        self._size_of = redis_size if kind == "redis" else http_size
        self._buffer = bytearray()
        self._answer: asyncio.Future[bytes] | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Be ready."""
        # That of uvloop is none of asyncio's classes.
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Take a piece."""
        self._buffer += data
        size = self._size_of(self._buffer)
        if size is not None and len(self._buffer) >= size and self._answer is not None:
            answer, self._buffer = bytes(self._buffer[:16]), bytearray()
            self._answer.set_result(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError("the connection is lost"))

    async def ask(self, request: bytes) -> bytes:
        """Return the beginning of the answer to ``request`` once all of it is here."""
        self._answer = asyncio.get_running_loop().create_future()
        assert self.transport is not None  # noqa: S101 - for the type
        self.transport.write(request)
        return await self._answer


def http_size(buffer: bytearray) -> int | None:
    """Return the bytes of the answer that begins ``buffer``, None before its head is here."""
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        return None
    at = buffer.find(b"Content-Length: ", 0, end) + 16
    return end + 4 + int(buffer[at : buffer.find(b"\r", at)])


def redis_size(buffer: bytearray) -> int | None:
    """Return the bytes of a list of values, None before all of their lengths are here."""
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
    """Return the connection with this number."""
    _, connection = await asyncio.get_running_loop().create_connection(
        lambda: Connection(reading.kind),
        "127.0.0.1",
        reading.ports[number % len(reading.ports)],
    )
    return connection


async def read(reading: Reading) -> dict[str, float | list[float]]:
    """Read, and return what came of it: requests, errors and their times in ms."""
    requests, times, errors = reading.requests(), [], 0
    pause = reading.connections * reading.keys / reading.keys_per_s if reading.keys_per_s else 0.0
    connections = [await connect(reading, number) for number in range(reading.connections)]
    # A worker loads some of what it needs with the first request of a kind.
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
            # Of a paced request from when it was due: one that had to wait has waited.
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
