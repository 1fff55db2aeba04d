"""A rebuild has caught up only when its worker answers for the tables."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

import commands.rebuild
from commands.rebuild import rebuild
from rescaling.errors import RescaleError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Untyped: tests pass it a part of a rebuild, and a worker with only what it needs.
follow: Any = rebuild._follow


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A rebuild that has read all of its input, and whose worker answers ``status``."""

    async def nothing_left(*_: object) -> int:
        return 0

    monkeypatch.setattr(commands.rebuild, "left", nothing_left)
    monkeypatch.setattr(commands.rebuild, "POLL_S", 0.01)
    monkeypatch.setattr(commands.rebuild, "CURRENT_S", 0.05)
    command: Any = SimpleNamespace(status=503, quiet=True, asked=0)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            command.asked += self.path == "/readyz"
            self.send_response(command.status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    command._port, command._new = server.server_port, SimpleNamespace(events_topic="events")
    command._log = tmp_path / "rebuild.log"
    command._is_ready = lambda: rebuild._is_ready(command)
    yield command
    server.shutdown()
    server.server_close()


class Worker:
    """Runs until it was asked ``asked`` times whether it is ready."""

    exit_code = 1

    def __init__(self, command: Any, asked: int = 10**9) -> None:
        self.command, self.until = command, asked

    @property
    def running(self) -> bool:
        is_running: bool = self.command.asked < self.until
        return is_running


async def test_a_worker_that_ends_before_it_is_ready_is_what_the_rebuild_ends_with(
    command: Any,
) -> None:
    """A worker that refuses tables with other windows ends like this."""
    command._log.write_text("a line\nerror: table users has a window of 24h by 15m\n\n")
    told = r"the worker \(.*\) has ended with exit code 1: table users has a window"
    with pytest.raises(RescaleError, match=told):
        await follow(command, Worker(command, asked=10), None)


async def test_a_worker_that_is_ready_has_caught_up(command: Any) -> None:
    command.status = 200
    await follow(command, Worker(command), None)
    assert command.asked


def test_a_worker_that_does_not_listen_is_not_ready() -> None:
    nobody: Any = SimpleNamespace(_port=1)
    assert not rebuild._is_ready(nobody)
