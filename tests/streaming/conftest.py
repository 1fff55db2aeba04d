"""Fixtures: a bench of tasks, changelogs in memory, and a Kafka for transactions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.streaming.bench import Bench
from tests.streaming.changelogs import Changelogs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tables.state import PartitionState


@pytest.fixture
def changelogs(monkeypatch: pytest.MonkeyPatch) -> Changelogs:
    """Return changelogs that replace a broker's in all modules that read them."""
    changelogs = Changelogs()
    for module in ("restore", "standby"):
        monkeypatch.setattr(f"streaming.restore.{module}.changelog_consumer", changelogs.consumer)
    monkeypatch.setattr("streaming.restore.changelog.topic_ids", changelogs.topic_ids)
    monkeypatch.setattr("streaming.restore.changelog.fetch_changes", changelogs.fetch)
    monkeypatch.setattr("streaming.restore.changelog.LOOK_DELAY_S", 0)
    return changelogs


@pytest.fixture
async def bench(make_state: Callable[..., PartitionState]) -> AsyncIterator[Bench]:
    bench = Bench(make_state)
    await bench.add()
    yield bench
    await bench.close()
