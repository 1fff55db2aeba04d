"""A worker's status, set by a test."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiokafka.errors import KafkaConnectionError
from yarl import URL

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Mapping
    from collections.abc import Set as AbstractSet


@dataclass
class FakeStatus:
    """A :class:`streaming.ports.WorkerStatus` of a worker that has not started."""

    url: URL = field(default_factory=URL)
    worker_id: str = ""
    partitions: int = 0
    data_dir: Path = Path("/")
    owned: Mapping[str, Mapping[str, Collection[int]]] = field(default_factory=dict)
    assigned_now: AbstractSet[int] = frozenset()
    open_now: AbstractSet[int] = frozenset()
    joined: bool = False
    rebalancing: bool = False
    viral_list_complete: bool = False
    lag: Mapping[int, float] = field(default_factory=dict)
    fetched_ago_s: float = 0.0
    stops_for: str | None = None
    refused_for: str | None = None
    topics_lack: str | None = None
    stalls_for: str | None = None

    def owners(self) -> Mapping[str, Mapping[str, Collection[int]]]:
        return self.owned

    def assigned(self) -> AbstractSet[int]:
        return self.assigned_now

    def open(self) -> AbstractSet[int]:
        return self.open_now

    def has_joined(self) -> bool:
        return self.joined

    def is_rebalancing(self) -> bool:
        return self.rebalancing

    def is_viral_list_complete(self) -> bool:
        return self.viral_list_complete

    def lag_s(self) -> Mapping[int, float]:
        return self.lag

    def uncommitted_s(self) -> Mapping[int, float]:
        return dict.fromkeys(self.open_now, 0.0)

    def fetch_age_s(self) -> float:
        return self.fetched_ago_s

    def stop_reason(self) -> str | None:
        return self.stops_for

    def group_refusal(self) -> str | None:
        return self.refused_for

    def topic_obstacle(self) -> str | None:
        return self.topics_lack

    @asynccontextmanager
    async def group_lag(self) -> AsyncIterator[Any]:
        raise KafkaConnectionError
        yield

    def stall_reason(self, limit_s: float) -> str | None:
        assert limit_s > 0
        return self.stalls_for
