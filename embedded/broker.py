"""``EmbeddedKafka``: one Kafka node, started and stopped from Python."""

from __future__ import annotations

import atexit
import time
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from embedded import distribution
from embedded.configuration import server_properties
from embedded.diagnosis import explain_failure, explain_os_error, require_space
from embedded.errors import EmbeddedKafkaError, PortTakenError
from embedded.folder import DataFolder
from embedded.java import java_process
from embedded.priorities import COMPACTION, let_wait
from embedded.probe import HOST, answering_cluster, free_ports, is_free
from embedded.storage import cluster_id, format_storage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    from embedded.process import BoundProcess

#: A start takes 2 to 5 s, and much longer on a busy machine.
START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 20.0

_POLL_S = 0.05
#: Another program may take the chosen port before Kafka listens on it.
_PORT_ATTEMPTS = 3


class EmbeddedKafka:
    """A Kafka node as a child process, for one process or one ``with`` block.

    It dies with the Python process, on Linux even if that is killed. All methods block: in
    asyncio, call them with ``asyncio.to_thread``. Only ``kill`` is safe in concurrent threads.
    """

    #: Java's flags for all nodes of this process; ``jvm_flags`` override them.
    common_jvm_flags: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        port: int = 0,
        data_dir: Path | str | None = None,
        *,
        version: str = distribution.KAFKA_VERSION,
        cluster: str | None = None,
        heap: str = "512m",
        properties: Mapping[str, str] | None = None,
        jvm_flags: Sequence[str] = (),
        progress: Callable[[str], None] | None = None,
    ) -> None:
        """Prepare the node; nothing happens before ``start``.

        ``port``: for clients on 127.0.0.1; 0 picks a free one. ``data_dir``: kept between starts;
        default: a temporary folder that ``stop`` deletes. ``version``: a Kafka whose jars are
        pinned; it may be changed before the next start. ``cluster``: id that the nodes of one
        cluster share; default: a new cluster. ``heap``: value of Java's ``-Xmx``. ``properties``:
        override ``server.properties``. ``jvm_flags``: added to Java's. ``progress`` receives short
        lines of text during a download.
        """
        self.port = port
        self.version = version
        self._cluster = cluster
        self._any_port = port == 0
        self._folder = DataFolder(Path(data_dir).expanduser().absolute() if data_dir else None)
        self._heap = heap
        self._properties = dict(properties or {})
        self._jvm_flags = tuple(jvm_flags)
        self._progress = progress
        self._process: BoundProcess | None = None

    @property
    def bootstrap(self) -> str:
        """``127.0.0.1:PORT``, for Kafka clients."""
        return f"{HOST}:{self.port}"

    @property
    def url(self) -> str:
        """``kafka://127.0.0.1:PORT``, for Faust."""
        return f"kafka://{self.bootstrap}"

    @property
    def data_dir(self) -> Path:
        """The folder of all files of the node; its logs are in ``logs``.

        Raises EmbeddedKafkaError if it is a temporary folder that does not exist now.
        """
        return self._folder.path

    @property
    def running(self) -> bool:
        """Whether the process is alive."""
        return self._process is not None and self._process.running

    @property
    def pid(self) -> int | None:
        """The process id, for signals; None if it does not run."""
        return self._process.pid if self._process is not None and self.running else None

    def start(self) -> Self:
        """Start the node and return when it answers requests.

        A second start after ``stop`` uses the same port.

        Raises EmbeddedKafkaError, with the node stopped, if it does not start.
        """
        if self.running:
            msg = f"this Kafka already runs on {self.bootstrap}"
            raise EmbeddedKafkaError(msg)
        manifest = distribution.manifest_of(self.version)
        kafka = distribution.prepare(manifest=manifest, progress=self._progress)
        try:
            for attempts_left in reversed(range(_PORT_ATTEMPTS)):
                try:
                    self._launch(kafka)
                    break
                except PortTakenError as error:
                    if not attempts_left or (error.port == self.port and not self._any_port):
                        raise
                    self.kill()
                    if self._any_port:
                        self.port = 0
        except BaseException:
            self.kill()
            self.stop()
            raise
        self._any_port = False
        return self

    def stop(self) -> None:
        """Stop the node, after 20 s by SIGKILL, and delete a temporary data folder."""
        self._end()
        self._folder.release()
        atexit.unregister(self.stop)

    def kill(self) -> None:
        """Kill the node with SIGKILL, like a crash; its data stays for ``restart``."""
        if self._process is not None:
            self._process.kill()

    def restart(self) -> None:
        """Stop the node if it runs, and start it on the same port with the same data.

        Raises EmbeddedKafkaError, with the data folder released, if it does not start.
        """
        self._end()
        self.start()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the node's process has ended; return whether it has."""
        return self._process is None or self._process.wait(timeout_s)

    def explain_end(self) -> EmbeddedKafkaError:
        """Return an error that explains, from the logs, why the node has ended by itself."""
        code = self._process.exit_code if self._process is not None else None
        return explain_failure(f"Kafka has ended (exit code {code})", self._folder)

    def __enter__(self) -> Self:
        """Start the node."""
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the node."""
        self.stop()

    def _end(self) -> None:
        if self._process is not None:
            self._process.terminate(STOP_TIMEOUT_S)
            self._process = None

    def _launch(self, kafka: distribution.Distribution) -> None:
        """Start the process on free ports and wait until it answers."""
        if self.port == 0:
            (self.port,) = free_ports(1)
        elif not is_free(self.port):
            raise PortTakenError(self.port)
        (controller_port,) = free_ports(1)
        try:
            self._folder.acquire()
            atexit.unregister(self.stop)
            atexit.register(self.stop)
            require_space(self._folder.path)
            self._folder.set_logs_aside()
            self._folder.settings.write_text(
                server_properties(
                    self.port, controller_port, self._folder.storage, self._properties
                ),
                encoding="ascii",
            )
            cluster = cluster_id(self._folder) or format_storage(kafka, self._folder, self._cluster)
            self._process = java_process(
                kafka,
                self._folder,
                "server",
                ["kafka.Kafka", str(self._folder.settings)],
                [f"-Xmx{self._heap}", *self.common_jvm_flags, *self._jvm_flags],
            )
            self._process.start()
        except OSError as error:
            raise explain_os_error(error, self._folder) from error
        self._await_answer(self._process, cluster, (self.port, controller_port))
        if self.pid is not None:
            let_wait(self.pid, COMPACTION)

    def _await_answer(self, process: BoundProcess, cluster: str, ports: tuple[int, int]) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        # The cluster id distinguishes this Kafka from another one that took the port.
        while answering_cluster(self.port) != cluster:
            if process.wait(_POLL_S):
                what = f"Kafka ended during its start (exit code {process.exit_code})"
                raise explain_failure(what, self._folder, ports)
            if time.monotonic() > deadline:
                what = f"Kafka did not answer within {START_TIMEOUT_S:.0f} s"
                raise explain_failure(what, self._folder, ports)
