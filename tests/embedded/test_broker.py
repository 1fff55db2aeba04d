"""Promises to a program that runs its own Kafka."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import KafkaError

from embedded import EmbeddedKafka, EmbeddedKafkaError, broker, diagnosis
from embedded.errors import PortTakenError
from embedded.probe import HOST, answering_cluster

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

    MakeTopic = Callable[..., Any]


@pytest.fixture
def taken_port() -> Iterator[int]:
    """Return a port on which another program listens."""
    with socket.create_server((HOST, 0)) as server:
        yield server.getsockname()[1]


def wait_until_gone(pid: int, seconds: float = 10.0) -> bool:
    """Wait until a process ends that is no child of this one; return whether it did."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            # A zombie has ended, even if nobody reaps orphans.
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.05)
    return False


def priorities(pid: int) -> dict[str, int]:
    """Return the priorities of a process's threads by name; the highest if several share it."""
    found: dict[str, int] = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):  # it may have ended meanwhile
            name = (task / "comm").read_text().strip()
            priority = os.getpriority(os.PRIO_PROCESS, int(task.name))
            found[name] = min(priority, found.get(name, priority))
    return found


class TestRunning:
    def test_compaction_waits_for_a_free_core_and_nothing_else_does(
        self, kafka: EmbeddedKafka
    ) -> None:
        assert kafka.pid is not None
        lower = {name for name, nice in priorities(kafka.pid).items() if nice > 0}
        assert lower == {"kafka-log-clean"}

    def test_it_is_ready_for_clients_when_start_returns(
        self, make_topic: MakeTopic, kafka: EmbeddedKafka
    ) -> None:
        topic = make_topic(kafka.bootstrap, "plain")
        topic.write(b"a", b"b")
        assert topic.read(2) == [b"a", b"b"]

    def test_it_takes_transactions(self, make_topic: MakeTopic, kafka: EmbeddedKafka) -> None:
        topic = make_topic(kafka.bootstrap, "transactional")
        topic.write(b"a", b"b", transactional=True)
        assert topic.read(2) == [b"a", b"b"]

    def test_it_takes_values_above_one_mebibyte(
        self, make_topic: MakeTopic, kafka: EmbeddedKafka
    ) -> None:
        topic = make_topic(kafka.bootstrap, "large")
        topic.write(bytes(3 << 20))
        assert [len(value) for value in topic.read(1)] == [3 << 20]

    def test_a_topic_that_nobody_made_is_an_error(
        self, make_topic: MakeTopic, kafka: EmbeddedKafka
    ) -> None:
        topic = make_topic(kafka.bootstrap, "misspelt", create=False)
        assert topic.error() == KafkaError.UNKNOWN_TOPIC_OR_PART

    def test_its_addresses_name_the_port(self, kafka: EmbeddedKafka) -> None:
        assert kafka.bootstrap == f"127.0.0.1:{kafka.port}"
        assert kafka.url == f"kafka://127.0.0.1:{kafka.port}"

    def test_it_answers_with_the_identity_of_its_own_storage(self, kafka: EmbeddedKafka) -> None:
        stored = (kafka.data_dir / "kafka" / "meta.properties").read_text()
        assert f"cluster.id={answering_cluster(kafka.port)}\n" in stored

    def test_a_second_start_is_refused(self, kafka: EmbeddedKafka) -> None:
        with pytest.raises(EmbeddedKafkaError, match="already runs"):
            kafka.start()

    def test_ctrl_c_in_the_terminal_does_not_reach_it(self, kafka: EmbeddedKafka) -> None:
        assert kafka.pid is not None
        assert os.getsid(kafka.pid) != os.getsid(0)
        assert os.getpgid(kafka.pid) != os.getpgid(0)


class TestStopping:
    def test_data_and_port_outlive_a_restart_and_a_crash_but_not_a_stop(
        self, make_topic: MakeTopic
    ) -> None:
        with EmbeddedKafka() as kafka:
            folder, port = kafka.data_dir, kafka.port
            topic = make_topic(kafka.bootstrap)
            topic.write(b"before")
            kafka.restart()
            topic.write(b"between")
            kafka.kill()
            assert not kafka.running
            kafka.restart()
            topic.write(b"after")
            assert topic.read(3) == [b"before", b"between", b"after"]
            assert kafka.port == port
        assert not kafka.running
        assert not folder.exists()

    def test_a_data_folder_of_ones_own_is_kept(self, make_topic: MakeTopic, tmp_path: Path) -> None:
        with EmbeddedKafka(data_dir=tmp_path / "data") as kafka:
            topic = make_topic(kafka.bootstrap)
            topic.write(b"kept")
        with EmbeddedKafka(data_dir=tmp_path / "data") as kafka:
            assert make_topic(kafka.bootstrap, create=False).read(1) == [b"kept"]

    def test_it_dies_when_the_program_that_started_it_is_killed(
        self, run_python: Callable[..., subprocess.Popen[str]]
    ) -> None:
        code = (
            "import time; from embedded import EmbeddedKafka; kafka = EmbeddedKafka().start();"
            "print(kafka.pid, kafka.data_dir, flush=True); time.sleep(600)"
        )
        parent = run_python("-c", code)
        assert parent.stdout is not None
        pid, _folder = parent.stdout.readline().split()
        parent.kill()
        assert wait_until_gone(int(pid))

    def test_it_outlives_the_thread_that_started_it(self) -> None:
        kafka = EmbeddedKafka()
        thread = threading.Thread(target=kafka.start)
        thread.start()
        thread.join()
        try:
            assert not kafka.wait(1.0)
            assert answering_cluster(kafka.port)
        finally:
            kafka.stop()

    def test_a_node_that_does_not_stop_in_order_is_killed(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(broker, "STOP_TIMEOUT_S", 0.5)
        with EmbeddedKafka() as kafka:
            pid = kafka.pid
            assert pid is not None
            os.kill(pid, signal.SIGSTOP)
        assert wait_until_gone(pid, 1.0)

    def test_folders_left_behind_by_killed_programs_are_removed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        left, young = tmp_path / "reels-kafka-left", tmp_path / "reels-kafka-young"
        for folder in (left, young):
            folder.mkdir()
            (folder / "owner.lock").touch()
        os.utime(left, (0, 0))
        with EmbeddedKafka() as kafka:
            os.utime(kafka.data_dir, (0, 0))
            with pytest.raises(EmbeddedKafkaError, match=r"log\.retention\.hours"):
                EmbeddedKafka(properties={"log.retention.hours": "soon"}).start()
            assert kafka.data_dir.exists(), "in use, so not left behind"
        assert not left.exists()
        assert young.exists()


class TestNotStarting:
    def test_a_taken_port_is_named_before_java_starts(self, taken_port: int) -> None:
        with pytest.raises(PortTakenError, match=f"port {taken_port} on 127.0.0.1 is in use"):
            EmbeddedKafka(taken_port).start()

    def test_a_port_taken_while_java_starts_is_named_too(
        self, taken_port: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(broker, "is_free", lambda _: True)
        kafka = EmbeddedKafka(taken_port)
        with pytest.raises(PortTakenError, match=f"port {taken_port} on 127.0.0.1 is in use"):
            kafka.start()
        assert not kafka.running

    @pytest.mark.parametrize("chosen", [0, 12345])
    def test_a_free_port_that_is_lost_is_replaced_by_another_and_a_chosen_one_kept(
        self, chosen: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tried: list[int] = []

        def lose_twice(kafka: EmbeddedKafka, _distribution: object) -> None:
            kafka.port = kafka.port or 1000 + len(tried)
            tried.append(kafka.port)
            if len(tried) < 3:
                raise PortTakenError(999 if chosen else kafka.port)

        monkeypatch.setattr(EmbeddedKafka, "_launch", lose_twice)
        assert EmbeddedKafka(chosen).start().port == tried[-1]
        assert tried == ([chosen] * 3 if chosen else [1000, 1001, 1002])

    def test_another_kafka_on_the_port_is_not_taken_for_this_one(
        self, kafka: EmbeddedKafka, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(broker, "is_free", lambda _: True)
        with pytest.raises(PortTakenError):
            EmbeddedKafka(kafka.port).start()

    def test_a_data_folder_in_use_is_refused_and_its_user_unharmed(
        self, kafka: EmbeddedKafka
    ) -> None:
        with pytest.raises(EmbeddedKafkaError, match="another embedded Kafka uses"):
            EmbeddedKafka(data_dir=kafka.data_dir).start()
        assert answering_cluster(kafka.port)

    def test_what_kafka_itself_said_is_in_the_error(self, tmp_path: Path) -> None:
        kafka = EmbeddedKafka(data_dir=tmp_path, properties={"log.retention.hours": "soon"})
        with pytest.raises(EmbeddedKafkaError, match=r"log\.retention\.hours") as caught:
            kafka.start()
        assert "\n" not in str(caught.value)
        assert caught.value.__notes__

    def test_what_java_itself_said_is_in_the_error(self) -> None:
        with pytest.raises(EmbeddedKafkaError, match="Java lacks memory"):
            EmbeddedKafka(heap="1k").start()

    def test_a_disk_that_is_nearly_full_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(diagnosis, "MIN_FREE_BYTES", 1 << 60)
        with pytest.raises(EmbeddedKafkaError, match="free some space"):
            EmbeddedKafka().start()

    def test_a_data_folder_that_cannot_be_made_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(EmbeddedKafkaError, match="cannot use the data folder"):
            EmbeddedKafka(data_dir=tmp_path / "file" / "data").start()

    def test_it_leaves_no_folder_behind(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        with pytest.raises(EmbeddedKafkaError):
            EmbeddedKafka(heap="1k").start()
        assert list(tmp_path.iterdir()) == []
