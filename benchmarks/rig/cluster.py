"""The rig of one measurement: a Kafka of its own, and the program's settings and workers."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Self
from uuid import uuid4

import settings as program_settings
from benchmarks.rig.machine import ROOT
from benchmarks.rig.worker import Child, Worker
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

#: A producer, a worker and a log of some gigabytes: more than the embedded Kafka's usual heap.
BROKER_HEAP = "1g"

_PREFIXES = ("REELS_", "TOPIC_", "BROKER_", "APP_", "WEB_", "NODE_", "TABLE_", "CONSUMER_", "F_")


def names_of(name: str) -> dict[str, str]:
    """Return settings that give the program names of its own on a Kafka that others use."""
    return {
        "REELS_APP_ID": name,
        "REELS_EVENTS_TOPIC": f"{name}-events",
        "REELS_DEAD_LETTER_TOPIC": f"{name}-dead-letters",
        "REELS_VIRAL_TOPIC": f"{name}-viral",
    }


class Rig:
    """Kafka and what runs on it; use it with ``with``.

    Everything lies in ``folder``: ``kafka``, ``worker-NAME`` and their logs.
    """

    def __init__(self, folder: Path, *, bootstrap: str | None = None, **variables: str) -> None:
        """Describe it. ``variables``: the program's settings, as environment variables.

        ``bootstrap``: a Kafka that runs already, instead of one of its own.
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
        """Stop what runs."""
        self._stack.close()

    @property
    def bootstrap(self) -> str:
        """Where Kafka answers."""
        return self._given or self.kafka.bootstrap

    @property
    def broker_pid(self) -> int:
        """Kafka's process; this one's when that is not known."""
        return self._given_pid or self.kafka.pid or os.getpid()

    def beside(self, **variables: str) -> Rig:
        """Return another rig on this Kafka, whose program has topics and tables of its own."""
        name = f"bench-{uuid4().hex[:8]}"
        named = {**self._variables, **names_of(name), **variables}
        rig = Rig(self.folder / name, bootstrap=self.bootstrap, **named)
        rig._given_pid = self.broker_pid
        return rig

    def changelog(self, table: str) -> str:
        """Return the name of a table's changelog topic."""
        return changelog_topic(self.settings, table)

    async def make_topics(self) -> None:
        """Make the program's topics, as its workers do at their start."""
        specs = all_topics(self.settings, topology(self.settings))
        await ensure_topics(client_settings(self.settings), specs, 1)

    def worker(self, name: str = "a", variables: Mapping[str, str] | None = None) -> Worker:
        """Start a worker, and do not wait; the same name has the same tables and address."""
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
        """Start another Python program beside; its modules are found in ``modules``."""
        env = {**self.env, **(variables or {})}
        child = Child(arguments, env, self.folder / f"{name}.log", modules)
        self._stack.callback(child.kill)
        return child
