"""Apps for integration tests: their own topics on a real broker, and workers as processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from confluent_kafka import (
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    OffsetSpec,
)

from tests.oracle import Record
from tests.worker import ROOT, TIMEOUT, Worker, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

MIB = 1 << 20

COORDINATOR_MOVES = {
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
}


class Cluster:
    """One app on a broker: its names, its topics as an outside client reads them, its workers."""

    def __init__(self, bootstrap: str, folder: Path, app_id: str, **settings: str | int) -> None:
        """Name the app and its topics; ``settings`` are its environment variables."""
        self.bootstrap = bootstrap
        self.folder = folder
        self.app_id = app_id
        self.events = f"{app_id}-events"
        self.dead_letters = f"{app_id}-dead-letters"
        self.viral = f"{app_id}-viral"
        self.deltas = f"{app_id}-video-deltas"
        self.repartition = f"{app_id}-events-repartition"
        self.order = f"{app_id}-events-order"
        self.user_changelog = f"{app_id}-user_metrics-changelog"
        self.video_changelog = f"{app_id}-video_metrics-changelog"
        self.creator_deltas = f"{app_id}-creator-deltas"
        self.creator_changelog = f"{app_id}-creator_metrics-changelog"
        self.partitions = int(settings.get("TOPIC_PARTITIONS", 4))
        self.replicas = int(settings.get("TOPIC_REPLICATION_FACTOR", 1))
        self.environment = {
            **without_settings(),
            "PYTHONPATH": str(ROOT),
            "BROKER_URL": f"kafka://{bootstrap}",
            "REELS_APP_ID": app_id,
            "REELS_EVENTS_TOPIC": self.events,
            "REELS_DEAD_LETTER_TOPIC": self.dead_letters,
            "REELS_VIRAL_TOPIC": self.viral,
            "TOPIC_PARTITIONS": str(self.partitions),
            **{name: str(value) for name, value in settings.items()},
        }
        self.workers: list[Worker] = []
        #: Whether an earlier release ran that passed misplaced events on through the input topic.
        self.was_taken_over = False
        #: Whether all releases that ran counted the positions of users' views.
        self.users_have_positions = True
        self._admin: AdminClient | None = None

    @property
    def admin(self) -> AdminClient:
        """The admin client for topics and groups."""
        if self._admin is None:
            self._admin = AdminClient({"bootstrap.servers": self.bootstrap})
        return self._admin

    def worker(self, name: str = "a", **settings: str | int) -> Worker:
        """Describe a worker of this app; ``settings`` override the app's."""
        environment = {**self.environment, **{k: str(v) for k, v in settings.items()}}
        worker = Worker(self.folder, name, environment)
        self.workers.append(worker)
        return worker

    def command(self, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run one of the program's commands to its end; it must print no traceback."""
        done = subprocess.run(
            [sys.executable, "-m", "faust", "-A", "app", *words],
            cwd=ROOT,
            env={**self.environment, **settings},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def close(self) -> None:
        """Kill all workers."""
        for worker in self.workers:
            worker.kill()
        self._admin = None

    # -- topics

    def create_topic(self, name: str, partitions: int | None = None, **config: str) -> None:
        """Create a topic, and wait until its partitions have leaders."""
        # Tests send records with old timestamps: retention must not delete them.
        settings = {"max.message.bytes": str(4 * MIB), "retention.ms": "-1"} | {
            key.replace("_", "."): value for key, value in config.items()
        }
        topic = NewTopic(name, partitions or self.partitions, self.replicas, config=settings)
        self.admin.create_topics([topic])[name].result(TIMEOUT)
        wait_until(lambda: self._leaders(name), f"topic {name} is there")

    def alter_topic(self, name: str, **config: str | int) -> None:
        """Change settings of a topic, with underscores for dots."""
        changes = [
            ConfigEntry(
                key.replace("_", "."), str(value), incremental_operation=AlterConfigOpType.SET
            )
            for key, value in config.items()
        ]
        resource = ConfigResource(ConfigResource.Type.TOPIC, name, incremental_configs=changes)
        self.admin.incremental_alter_configs([resource])[resource].result(TIMEOUT)
        wanted = {change.name: change.value for change in changes}
        wait_until(lambda: wanted.items() <= self.topic_config(name).items(), "it is changed")

    def topic_config(self, name: str) -> dict[str, str]:
        """Return the settings of a topic."""
        resource = ConfigResource(ConfigResource.Type.TOPIC, name)
        entries = self.admin.describe_configs([resource])[resource].result(TIMEOUT)
        return {key: entry.value for key, entry in entries.items()}

    def has_topic(self, name: str) -> bool:
        """Whether a topic exists."""
        return name in self.admin.list_topics(timeout=TIMEOUT).topics

    def _leaders(self, topic: str) -> bool:
        found = self.admin.list_topics(topic, TIMEOUT).topics[topic]
        return found.error is None and all(p.leader >= 0 for p in found.partitions.values())

    @contextmanager
    def producer(self, **config: str | int) -> Iterator[Producer]:
        """Connect a producer; at the end of the block, all its records are delivered."""
        failures: list[KafkaError] = []
        producer = Producer(
            {
                "bootstrap.servers": self.bootstrap,
                "message.max.bytes": 4 * MIB,
                "queue.buffering.max.messages": 1_000_000,
                "partitioner": "murmur2_random",
                "linger.ms": 5,
                "on_delivery": lambda error, _: failures.append(error) if error else None,
                **{key.replace("_", "."): value for key, value in config.items()},
            }
        )
        yield producer
        assert producer.flush(TIMEOUT) == 0
        assert failures == []

    def read(self, topic: str) -> list[Record]:
        """Return all committed records of a topic, ordered by partition and offset."""
        with self._consumer(topic) as (consumer, partitions):
            consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
            records = list(_until_ends(consumer, partitions))
        return sorted(records, key=lambda record: (record.partition, record.offset))

    def replay(self, topic: str, until: dict[int, int] | None = None) -> dict[bytes, bytes]:
        """Return the last value of each key, up to and including an offset per partition."""
        values: dict[bytes, bytes] = {}
        for record in self.read(topic):
            assert record.key is not None
            if until is not None and record.offset > until.get(record.partition, -1):
                continue
            if record.value is None:
                values.pop(record.key, None)
            else:
                values[record.key] = record.value
        return values

    @contextmanager
    def _consumer(self, topic: str) -> Iterator[tuple[Consumer, list[int]]]:
        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                # Only for queries of this group's committed offsets: the consumer never joins it.
                "group.id": self.app_id,
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 20,
                "log_level": 3,
            }
        )
        try:
            found = consumer.list_topics(topic, TIMEOUT).topics[topic]
            yield consumer, sorted(found.partitions)
        finally:
            consumer.close()

    # -- progress

    def committed(self, topic: str) -> dict[int, int]:
        """Return the group's committed offset of each partition, 0 where there is none."""
        with self._consumer(topic) as (consumer, partitions):
            asked = [TopicPartition(topic, number) for number in partitions]
            return {tp.partition: max(0, tp.offset) for tp in _committed(consumer, asked)}

    def is_unread(self, topic: str) -> bool:
        """Whether there is a committed record beyond the group's committed offsets."""
        with self._consumer(topic) as (consumer, partitions):
            asked = [TopicPartition(topic, number) for number in partitions]
            committed = _committed(consumer, asked)
            begins = [TopicPartition(t.topic, t.partition, max(0, t.offset)) for t in committed]
            consumer.assign(begins)
            return any(True for _ in _until_ends(consumer, partitions))

    def wait_until_applied(self, timeout: float = TIMEOUT) -> None:
        """Wait until the group has read everything, and all results are visible.

        Offsets alone do not show this: an open transaction hides the records after its own, and its
        end is written to one topic after the other, maybe to the group's offsets first. So nothing
        may be unread while no transaction is open, from before the check until after it.
        """

        def nothing_is_left() -> bool:
            ends = self._ends(IsolationLevel.READ_UNCOMMITTED)
            return (
                ends == self._ends(IsolationLevel.READ_COMMITTED)
                and not any(self.is_unread(topic) for topic in self._sources())
                and ends == self._ends(IsolationLevel.READ_UNCOMMITTED)
            )

        wait_until(nothing_is_left, "all is applied", timeout)

    def _sources(self) -> list[str]:
        """Return the topics that the group reads; earlier releases lacked some of them."""
        topics = self.admin.list_topics(timeout=TIMEOUT).topics
        newer = [name for name in (self.repartition, self.creator_deltas) if name in topics]
        return [self.events, self.deltas, *newer]

    def is_transaction_open(self) -> bool:
        """Whether a topic of the app has records after its last stable offset."""
        stable = self._ends(IsolationLevel.READ_COMMITTED)
        return stable != self._ends(IsolationLevel.READ_UNCOMMITTED)

    def wait_until_no_transaction_is_open(self) -> None:
        """Wait until every transaction in the app's topics has ended."""
        wait_until(lambda: not self.is_transaction_open(), "every transaction has ended", 20)

    def _ends(self, level: IsolationLevel) -> dict[TopicPartition, int]:
        asked = {
            TopicPartition(name, number): OffsetSpec.latest()
            for name, topic in self.admin.list_topics(timeout=TIMEOUT).topics.items()
            if name.startswith(f"{self.app_id}-")
            for number in topic.partitions
        }
        found = self.admin.list_offsets(asked, isolation_level=level)
        return {tp: future.result(TIMEOUT).offset for tp, future in found.items()}


def _committed(consumer: Consumer, asked: list[TopicPartition]) -> list[TopicPartition]:
    """Return the group's offsets; retry while a broker that has just started loads them."""
    deadline = time.monotonic() + TIMEOUT
    while True:
        try:
            offsets: list[TopicPartition] = consumer.committed(asked, TIMEOUT)
        except KafkaException as exc:
            if exc.args[0].code() not in COORDINATOR_MOVES or time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return offsets


def _until_ends(consumer: Consumer, partitions: Iterable[int]) -> Iterator[Record]:
    """Yield records until each assigned partition has reached its end at least once."""
    deadline = time.monotonic() + TIMEOUT
    unfinished = set(partitions)
    while unfinished:
        assert time.monotonic() < deadline, "a topic cannot be read to its end"
        for message in consumer.consume(10_000, 0.1):
            deadline = time.monotonic() + TIMEOUT
            error = message.error()
            if error is None:
                headers = tuple(message.headers() or ())
                _, timestamp = message.timestamp()
                place = message.partition(), message.offset()
                yield Record(*place, message.key(), message.value(), timestamp, headers)
            elif error.code() == KafkaError._PARTITION_EOF:
                unfinished.discard(message.partition())
            else:
                raise KafkaException(error)


def without_settings() -> dict[str, str]:
    """Return this process's environment without the variables that set up a worker."""
    kept = {"REELS_CACHE_DIR"}
    prefixes = ("REELS_", "TOPIC_", "BROKER_", "APP_", "WEB_", "NODE_", "TABLE_", "CONSUMER_", "F_")
    return {
        name: text
        for name, text in os.environ.items()
        if name in kept or not name.startswith(prefixes)
    }


def send(producer: Producer, topic: str, records: Iterable[tuple[bytes | None, bytes]]) -> None:
    """Produce keys and values; wait while the queue is full."""
    for key, value in records:
        while True:
            try:
                producer.produce(topic, value, key)
                break
            except BufferError:
                producer.poll(0.1)
    producer.poll(0)
