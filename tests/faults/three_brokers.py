"""A cluster of three brokers, each also a controller, that can be stopped one by one."""

from __future__ import annotations

import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from confluent_kafka.admin import AdminClient

from embedded import EmbeddedKafka
from embedded.distribution import KAFKA_VERSION
from embedded.probe import HOST
from embedded.storage import new_cluster_id
from tests.faults.admin_requests import FeatureUpgrade, PreferredElection, Reassignment, ask
from tests.ports import reserve_ports
from tests.worker import TIMEOUT, is_stopped, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from confluent_kafka.admin import TopicMetadata

SETTINGS = {
    "default.replication.factor": "3",
    "min.insync.replicas": "2",
    "offsets.topic.replication.factor": "3",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    # Brokers on a busy machine must not take each other for dead. The interval is also the time-out
    # of a heartbeat.
    "broker.session.timeout.ms": "6000",
    "broker.heartbeat.interval.ms": "2000",
    "controller.quorum.fetch.timeout.ms": "4000",
    "controller.quorum.election.timeout.ms": "2000",
}


class ThreeBrokers:
    """Brokers 1, 2 and 3. Any two are a majority of controllers and enough replicas for writes."""

    def __init__(
        self, version: str = KAFKA_VERSION, data_dirs: Mapping[int, Path] | None = None
    ) -> None:
        """Choose the ports; ``data_dirs`` are the data directories of single brokers."""
        chosen = reserve_ports(6)
        ports = dict(zip((1, 2, 3), chosen[:3], strict=True))
        controllers = dict(zip((1, 2, 3), chosen[3:], strict=True))
        voters = ",".join(f"{number}@{HOST}:{port}" for number, port in controllers.items())
        cluster = new_cluster_id()
        self.bootstrap = ",".join(f"{HOST}:{port}" for port in ports.values())
        self.brokers = {
            number: EmbeddedKafka(
                port,
                (data_dirs or {}).get(number),
                version=version,
                cluster=cluster,
                heap="256m",
                properties={
                    **SETTINGS,
                    "node.id": str(number),
                    "listeners": f"BROKER://{HOST}:{port},CONTROLLER://{HOST}:{controllers[number]}",
                    "controller.quorum.voters": voters,
                },
            )
            for number, port in ports.items()
        }

    def __enter__(self) -> Self:
        """Start all brokers together, because none answers without a second one."""
        try:
            self.start(self.brokers)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop all brokers, in order while a majority is left."""
        for broker in self.brokers.values():
            broker.kill()
            broker.stop()

    # -- actions on brokers

    def start(self, numbers: Iterable[int]) -> None:
        """Start brokers with their existing data, and wait until each answers."""
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda number: self.brokers[number].restart(), numbers))

    def kill(self, *numbers: int) -> None:
        """Kill brokers immediately."""
        for number in numbers:
            self.brokers[number].kill()

    def terminate(self, number: int) -> None:
        """Let a broker hand over its leaderships, and stop it."""
        pid = self.pid(number)
        os.kill(pid, signal.SIGTERM)
        assert self.brokers[number].wait(TIMEOUT), f"broker {number} has not ended"

    @contextmanager
    def asleep(self, number: int) -> Iterator[None]:
        """Suspend a broker within the block; its connections stay open."""
        pid = self.pid(number)
        os.kill(pid, signal.SIGSTOP)
        try:
            wait_until(lambda: is_stopped(pid), f"broker {number} sleeps")
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def move_leaders(self) -> None:
        """Make the next replica of every partition its leader, for coordinators as well."""
        order = {
            name: {
                number: [*each.replicas[1:], each.replicas[0]]
                for number, each in topic.partitions.items()
            }
            for name, topic in self._topics().items()
        }
        ask(self.bootstrap, Reassignment(order))
        ask(self.bootstrap, PreferredElection(order))

        def all_are_led() -> bool:
            topics = self._topics()
            return all(
                topics[name].partitions[number].leader == replicas[0]
                for name, partitions in order.items()
                for number, replicas in partitions.items()
            )

        wait_until(all_are_led, "every partition has another leader")

    def upgrade(self, number: int, version: str) -> None:
        """Stop a broker, and start another release of it with the same data."""
        self.terminate(number)
        self.brokers[number].version = version
        self.heal()

    def finalize(self, levels: Mapping[str, int]) -> None:
        """Finalize the cluster's feature levels after an upgrade."""
        ask(self.bootstrap, FeatureUpgrade(levels))

    def heal(self) -> None:
        """Start all stopped brokers, and wait until all replicas are in sync."""
        self.start([number for number, each in self.brokers.items() if not each.running])
        self.wait_until_in_sync()

    # -- state

    def pid(self, number: int) -> int:
        """Return the process id of a running broker."""
        pid = self.brokers[number].pid
        assert pid is not None, f"broker {number} does not run"
        return pid

    def _topics(self) -> dict[str, TopicMetadata]:
        # A client with existing connections might keep asking a broker that sleeps.
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        found: dict[str, TopicMetadata] = admin.list_topics(timeout=TIMEOUT).topics
        return found

    def leaders(self, topic: str) -> dict[int, int]:
        """Return the leader of each partition; -1 if there is none."""
        partitions = self._topics()[topic].partitions
        return {number: each.leader for number, each in partitions.items()}

    def controller(self) -> int:
        """Return the active controller's number, as the other brokers report it."""
        states = [self._quorum_state(n) for n, each in self.brokers.items() if each.running]
        latest = max(states, key=lambda state: int(state["leaderEpoch"]))
        return int(latest["leaderId"])

    def _quorum_state(self, number: int) -> dict[str, int]:
        path = self.brokers[number].data_dir / "kafka" / "__cluster_metadata-0" / "quorum-state"
        state: dict[str, int] = json.loads(path.read_text())
        return state

    def wait_until_in_sync(self) -> None:
        """Wait until each partition has a leader and three replicas in sync."""

        def all_are() -> bool:
            topics = self._topics().values()
            partitions = [each for topic in topics for each in topic.partitions.values()]
            return all(each.leader > 0 and len(each.isrs) == 3 for each in partitions)

        wait_until(all_are, "all copies are in step")
