"""A proxy between workers and their broker that can simulate network faults."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from embedded import EmbeddedKafka
from embedded.probe import HOST
from tests.ports import reserve_ports

if TYPE_CHECKING:
    from collections.abc import Callable

CHUNK = 64 << 10


class Proxy:
    """Forwards TCP connections to a port, in a thread of its own. All methods may be called from
    other threads at any time.
    """

    def __init__(self, target: int, port: int) -> None:
        """Listen at ``port`` and forward to ``target``, both on this host."""
        self.target = target
        self.port = port
        #: Delay of each chunk of bytes in seconds, in either direction.
        self.latency = 0.0
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._reachable = True
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    def __enter__(self) -> Self:
        """Start listening."""
        self._thread.start()
        listening = asyncio.start_server(self._connect, HOST, self.port)
        self._server = asyncio.run_coroutine_threadsafe(listening, self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        """Close everything."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _close(self) -> None:
        self._server.close()
        self._abort()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    # -- network faults

    def cut(self) -> None:
        """Break all connections; accept new ones."""
        self._call(self._abort)

    def disconnect(self) -> None:
        """Break all connections, and every new one."""
        self._call(lambda: setattr(self, "_reachable", False))
        self._call(self._abort)

    def hold(self) -> None:
        """Forward nothing and close nothing, as a half-open connection does."""
        self._call(self._flowing.clear)

    def mend(self) -> None:
        """End all faults."""
        self.latency = 0.0
        self._call(lambda: setattr(self, "_reachable", True))
        self._call(self._flowing.set)

    def _call(self, function: Callable[[], None]) -> None:
        self._loop.call_soon_threadsafe(function)

    def _abort(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    # -- connections

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        others: asyncio.StreamWriter | None = None
        try:
            if not self._reachable:
                writer.transport.abort()
                return
            answers, others = await asyncio.open_connection(HOST, self.target)
            self._writers.add(others)
            await asyncio.gather(self._pass_on(reader, others), self._pass_on(answers, writer))
        except OSError:
            pass
        finally:
            for each in filter(None, (writer, others)):
                self._writers.discard(each)
                each.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(CHUNK):
            await asyncio.sleep(self.latency)
            await self._flowing.wait()
            writer.write(chunk)
            await writer.drain()
        with suppress(OSError):
            writer.write_eof()


class WiredKafka:
    """A broker with two listeners: its own port for tests, and a proxy for workers.

    Clients reconnect to the address that a broker advertises, so each path needs its own listener.
    """

    def __init__(self) -> None:
        """Choose the ports."""
        port, controller, behind, wire = reserve_ports(4)
        names = ("BROKER", "WIRE", "CONTROLLER")
        listeners = dict(zip(names, (port, behind, controller), strict=True))
        advertised = {**listeners, "WIRE": wire}
        self.kafka = EmbeddedKafka(
            port,
            properties={
                "listeners": _addresses(listeners),
                "advertised.listeners": _addresses(advertised),
                "listener.security.protocol.map": ",".join(f"{each}:PLAINTEXT" for each in names),
                "controller.quorum.voters": f"1@{HOST}:{controller}",
            },
        )
        self.wire = Proxy(behind, wire)
        self.workers_url = f"kafka://{HOST}:{wire}"

    def __enter__(self) -> Self:
        """Start both."""
        self.kafka.start()
        self.wire.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop both."""
        self.wire.__exit__()
        self.kafka.stop()


def _addresses(ports: dict[str, int]) -> str:
    return ",".join(f"{name}://{HOST}:{port}" for name, port in ports.items())
