"""Fixtures that most of the fault tests use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.aftermath import QUICK

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cluster import Cluster


@pytest.fixture
def cluster(make_cluster: Callable[..., Cluster]) -> Cluster:
    cluster = make_cluster(**QUICK)
    cluster.create_topic(cluster.events)
    return cluster
