"""Fixtures: one real broker per session, an app per test, and tables on disk."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING
from uuid import uuid4

import hypothesis
import pytest
from rocksdict import DbClosedError

from embedded import EmbeddedKafka
from embedded.distribution import KAFKA_VERSION
from models.windows import Slices
from streaming.kafka.patches import install
from tables.layout import StoreFormat
from tables.rocks import RocksStore
from tables.rocks_options import RocksMemory
from tables.state import PartitionState
from tests.cluster import Cluster
from tests.side_by_side import pytest_collection_modifyitems, pytest_runtest_protocol

# Explain their failed assertions as in tests. (Modules already imported cannot be rewritten.)
pytest.register_assert_rewrite("tests.faults.aftermath", "tests.integration.checks")

__all__ = ["pytest_collection_modifyitems", "pytest_runtest_protocol"]

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterator
    from pathlib import Path

LOG_LINES = 60
DAY_BY_HOURS = Slices(24 * 3_600_000, 3_600_000)

_open_clusters: list[Cluster] = []


# Tests use parts of the engine without the app, which installs them.
install()

# These brokers live for seconds or minutes, so optimizing their code does not pay off.
EmbeddedKafka.common_jvm_flags = ("-XX:TieredStopAtLevel=1",)

# The duration of an example depends on the other load of the machine: no deadline.
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the tests run on another Kafka: ``--kafka 3.6.2``, one whose jars are pinned."""
    parser.addoption("--kafka", default=KAFKA_VERSION, help="version of the Kafka that tests share")


@pytest.fixture(scope="session")
def broker(request: pytest.FixtureRequest) -> Iterator[EmbeddedKafka]:
    """Run one Kafka for all tests; none of them may stop it."""
    with EmbeddedKafka(version=request.config.getoption("--kafka")) as kafka:
        yield kafka


@contextmanager
def _cluster_factory(bootstrap: str, folder: Path) -> Iterator[Callable[..., Cluster]]:
    clusters: list[Cluster] = []

    def make(*, bootstrap: str = bootstrap, **settings: str | int) -> Cluster:
        app_id = f"t{len(clusters)}-{uuid4().hex[:8]}"
        (folder / app_id).mkdir()
        cluster = Cluster(bootstrap, folder / app_id, app_id, **settings)
        clusters.append(cluster)
        _open_clusters.append(cluster)
        return cluster

    try:
        yield make
    finally:
        for cluster in clusters:
            cluster.close()
            _open_clusters.remove(cluster)


@pytest.fixture
def make_cluster(broker: EmbeddedKafka, tmp_path: Path) -> Iterator[Callable[..., Cluster]]:
    """Return a factory of apps, each with its own names, topics and folder."""
    with _cluster_factory(broker.bootstrap, tmp_path) as make:
        yield make


@pytest.fixture
def cluster(make_cluster: Callable[..., Cluster]) -> Cluster:
    """Return an app with two partitions, for modules that need no other."""
    cluster = make_cluster(TOPIC_PARTITIONS=2)
    cluster.create_topic(cluster.events)
    return cluster


@pytest.fixture(scope="module")
def make_shared_cluster(
    broker: EmbeddedKafka, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Cluster]]:
    """Return the same factory, for apps that all tests of a module share."""
    with _cluster_factory(broker.bootstrap, tmp_path_factory.mktemp("shared")) as make:
        yield make


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the last lines of the workers' logs to the report of a failed test."""
    report = yield
    if report.failed and report.when != "teardown":
        for worker in (worker for cluster in _open_clusters for worker in cluster.workers):
            lines = worker.output().splitlines()[-LOG_LINES:]
            report.sections.append((f"worker {worker.name}: {worker.log}", "\n".join(lines)))
    return report


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    """Yield a thread pool for disk access."""
    with ThreadPoolExecutor(2) as pool:
        yield pool


@pytest.fixture
def make_state(
    tmp_path: Path, executor: ThreadPoolExecutor
) -> Iterator[Callable[..., PartitionState]]:
    """Return a factory of partition states on RocksDB; the same name opens the same database."""
    memory = RocksMemory.create(8 << 20)
    stores: list[RocksStore] = []

    def make(
        name: str = "table",
        slices: Slices = DAY_BY_HOURS,
        *,
        version: int = 1,
        older: Collection[int] = (),
    ) -> PartitionState:
        store = RocksStore(tmp_path / f"{name}.db", memory)
        stores.append(store)
        layout = StoreFormat.of(version, slices, older)
        state = PartitionState(name, layout, store, executor)
        state.reset_to_committed()
        return state

    yield make
    for store in stores:
        with suppress(DbClosedError):
            store.close()
