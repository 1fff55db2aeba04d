"""Kafka clients to inspect a broker, and processes to run one."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from embedded import EmbeddedKafka

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 30.0

ClientConfig = dict[str, Any]


class Topic:
    """One topic with one partition, written and read by Kafka clients."""

    def __init__(self, bootstrap: str, name: str) -> None:
        self._config: ClientConfig = {
            "bootstrap.servers": bootstrap,
            "message.max.bytes": 8 << 20,
        }
        self._name = name

    def create(self) -> None:
        admin = AdminClient(self._config)
        admin.create_topics([NewTopic(self._name, 1, 1)])[self._name].result(TIMEOUT_S)

    def error(self) -> int | None:
        """Look the topic up as a client does before its first write; return the error's code."""
        consumer = Consumer(
            {
                **self._config,
                "group.id": "asker",
                "allow.auto.create.topics": True,
            }
        )
        try:
            error = consumer.list_topics(self._name, TIMEOUT_S).topics[self._name].error
            return error.code() if error else None
        finally:
            consumer.close()

    def write(self, *values: bytes, transactional: bool = False) -> None:
        failures: list[object] = []

        def on_delivery(error: object, _message: object) -> None:
            if error is not None:
                failures.append(error)

        extra: ClientConfig = {"transactional.id": "writer"} if transactional else {}
        producer = Producer({**self._config, **extra})
        if transactional:
            producer.init_transactions(TIMEOUT_S)
            producer.begin_transaction()
        for value in values:
            producer.produce(self._name, value, on_delivery=on_delivery)
        assert producer.flush(TIMEOUT_S) == 0
        if transactional:
            producer.commit_transaction(TIMEOUT_S)
        assert failures == []

    def read(self, count: int) -> list[bytes]:
        consumer = Consumer({**self._config, "group.id": "reader"})
        try:
            consumer.assign([TopicPartition(self._name, 0, 0)])
            records = consumer.consume(count, TIMEOUT_S)
            return [value for record in records if (value := record.value()) is not None]
        finally:
            consumer.close()


@pytest.fixture(scope="session")
def kafka(broker: EmbeddedKafka) -> EmbeddedKafka:
    """Return the broker that all tests share and none may stop."""
    return broker


@pytest.fixture
def make_topic() -> Callable[..., Topic]:
    """Return a factory of topics; it creates them unless ``create`` is false."""

    def make(bootstrap: str, name: str = "records", *, create: bool = True) -> Topic:
        topic = Topic(bootstrap, name)
        if create:
            topic.create()
        return topic

    return make


@pytest.fixture
def find_children() -> Callable[[int], list[int]]:
    """Return a function that lists a process's children, without zombies."""

    def find(parent: int) -> list[int]:
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                # The program's name is in parentheses, and may contain spaces and parentheses.
                state, its_parent = stat.read_text().rpartition(")")[2].split()[:2]
                if int(its_parent) == parent and state != "Z":
                    found.append(int(stat.parent.name))
        return found

    return find


@pytest.fixture
def run_python(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start ``python ARGUMENT ...`` in the project's folder; kill the processes at the end."""
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: str, **environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            # Tests that run in the background ignore Ctrl-C, and child processes inherit that.
            ["env", "--default-signal=INT", sys.executable, *arguments],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()
