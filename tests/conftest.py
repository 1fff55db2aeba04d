"""Fixtures of the integration tests: one real broker a session, a program of its own a test."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from embedded import EmbeddedKafka
from tests.cluster import Cluster

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

LOG_LINES = 60

_clusters = pytest.StashKey[list[Cluster]]()


@pytest.fixture(scope="session")
def broker() -> Iterator[EmbeddedKafka]:
    """Run one Kafka for all tests; none of them may stop it."""
    with EmbeddedKafka() as kafka:
        yield kafka


@pytest.fixture
def make_cluster(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Callable[..., Cluster]]:
    """Return a factory of programs with names, topics and folders of their own."""
    clusters: list[Cluster] = []
    request.node.stash[_clusters] = clusters
    numbers = count()

    def make(bootstrap: str | None = None, **settings: str | int) -> Cluster:
        if bootstrap is None:
            bootstrap = request.getfixturevalue("broker").bootstrap
        app_id = f"t{next(numbers)}-{uuid4().hex[:8]}"
        folder = tmp_path / app_id
        folder.mkdir()
        cluster = Cluster(bootstrap, folder, app_id, **settings)
        clusters.append(cluster)
        return cluster

    yield make
    for cluster in clusters:
        cluster.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the workers said last when a test has failed."""
    report = yield
    if report.when == "call" and report.failed:
        for cluster in item.stash.get(_clusters, []):
            for worker in cluster.workers:
                lines = worker.output().splitlines()[-LOG_LINES:]
                report.sections.append((f"worker {worker.name}: {worker.log}", "\n".join(lines)))
    return report


def pytest_collection_modifyitems(items: list[Any]) -> None:
    """Run what needs no broker first: it fails in milliseconds."""
    items.sort(key=lambda item: "make_cluster" in getattr(item, "fixturenames", ()))
