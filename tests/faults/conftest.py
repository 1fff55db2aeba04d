"""What most of the fault tests run on."""

from __future__ import annotations

import pytest

from tests.faults.aftermath import QUICK


@pytest.fixture
def cluster(make_cluster):
    cluster = make_cluster(**QUICK)
    cluster.create_topic(cluster.events)
    return cluster
