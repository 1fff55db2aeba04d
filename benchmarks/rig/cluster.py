"""The rig of one measurement: its own Kafka, and the program's settings and workers."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Self
from uuid import uuid4

import settings as program_settings
from benchmarks.rig.machine import ROOT
from benchmarks.rig.worker import Child, Program, Worker
from embedded import EmbeddedKafka
from embedded.probe import free_ports
from streaming.kafka.clients import client_settings
from streaming.kafka.topic_specs import changelog_topic
from streaming.kafka.topics import ensure_topics
from topology import all_topics, topology

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

#: More than the embedded Kafka's usual heap, for a producer, a worker and gigabytes of log.
BROKER_HEAP = "1g"

_PREFIXES = ("REELS_", "TOPIC_", "BROKER_", "APP_", "WEB_", "NODE_", "TABLE_", "CONSUMER_", "F_")


def names_of(name: str) -> dict[str, str]:
    """Return settings that name the program and its topics after ``name``."""
    return {
        "REELS_APP_ID": name,
        "REELS_EVENTS_TOPIC": f"{name}-events",
        "REELS_DEAD_LETTER_TOPIC": f"{name}-dead-letters",
        "REELS_VIRAL_TOPIC": f"{name}-viral",
    }


class Rig:
    """Kafka and its clients; use it with ``with``.

    All files are in ``folder``: ``kafka``, ``worker-NAME`` and their logs.
    """

    def __init__(self, folder: Path, *, bootstrap: str | None = None, **variables: str) -> None:
        """Prepare it. ``variables``: the program's settings, as environment variables.

        ``bootstrap``: a Kafka that runs already, to be used instead of a new one.
        """
        self.folder = folder
        self._variables = variables
        self._given = bootstrap
        self._given_pid: int | None = None
        self.kafka = EmbeddedKafka(data_dir=folder / "kafka", heap=BROKER_HEAP)
        self._stack = contextlib.ExitStack()
        self._ports: dict[str, int] = {}
        self.env: dict[str, str] = {}

    def __enter__(self) -> Self:
        """Start Kafka."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if self._given is None:
            self._stack.enter_context(self.kafka)
        bootstrap = self._given or self.kafka.bootstrap
        kept = {name: text for name, text in os.environ.items() if not name.startswith(_PREFIXES)}
        self.env = {**kept, "BROKER_URL": f"kafka://{bootstrap}", **self._variables}
        self.settings = program_settings.load(self.env)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop all processes."""
        self._stack.close()

    @property
    def bootstrap(self) -> str:
        """The address of Kafka."""
        return self._given or self.kafka.bootstrap

    @property
    def broker_pid(self) -> int:
        """Kafka's process id; this process's if that is unknown."""
        return self._given_pid or self.kafka.pid or os.getpid()

    def beside(self, **variables: str) -> Rig:
        """Return another rig on this Kafka, with its own topics and tables."""
        name = f"bench-{uuid4().hex[:8]}"
        named = {**self._variables, **names_of(name), **variables}
        rig = Rig(self.folder / name, bootstrap=self.bootstrap, **named)
        rig._given_pid = self.broker_pid
        return rig

    def changelog(self, table: str) -> str:
        """Return the name of a table's changelog topic."""
        return changelog_topic(self.settings, table)

    async def make_topics(self) -> None:
        """Create the program's topics, as its workers do at their start."""
        specs = all_topics(self.settings, topology(self.settings))
        await ensure_topics(client_settings(self.settings), specs, 1)

    def worker(self, name: str = "a", variables: Mapping[str, str] | None = None) -> Worker:
        """Start a worker without waiting; the same name has the same tables and address."""
        if name not in self._ports:
            (self._ports[name],) = free_ports(1)
        worker = Worker(
            {**self.env, **(variables or {})},
            self.folder / f"worker-{name}",
            self.folder / f"worker-{name}.log",
            self._ports[name],
        )
        self._stack.callback(worker.kill)
        return worker

    def child(
        self,
        name: str,
        arguments: Sequence[str],
        modules: Path = ROOT,
        variables: Mapping[str, str] | None = None,
    ) -> Child:
        """Start another Python program; its modules are found in ``modules``."""
        env = {**self.env, **(variables or {})}
        child = Child(arguments, env, self.folder / f"{name}.log", modules)
        self._stack.callback(child.kill)
        return child

    def program(self, name: str, command: Sequence[str], variables: Mapping[str, str]) -> Program:
        """Start a program that is no part of this repository."""
        program = Program(command, {**self.env, **variables}, self.folder / f"{name}.log")
        self._stack.callback(program.kill)
        return program
