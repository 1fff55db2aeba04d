"""``GET /healthz`` and ``GET /readyz``: the worker's liveness and readiness."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from models.windows import format_duration
from views.answers import json_response, unavailable

if TYPE_CHECKING:
    from aiohttp import web

    from streaming.ports import WorkerStatus
    from views.addresses import Addresses

#: Seconds after which processing a batch, or one fetch, counts as stuck.
STUCK_AFTER_S: Final = 60.0


class Readiness:
    """Checks whether this worker can answer for its partitions."""

    def __init__(self, status: WorkerStatus, addresses: Addresses, ready_lag: int) -> None:
        """Check ``status``, and that no other worker has the same address in ``addresses``.

        A worker is not ready while it is more than ``ready_lag`` ms behind.
        """
        self._status = status
        self._addresses = addresses
        self._ready_lag = ready_lag

    def recovering(self) -> list[int]:
        """Return the partitions that are assigned to this worker but not open yet."""
        return sorted(self._status.assigned() - self._status.open())

    def is_viral_list_complete(self) -> bool:
        """Whether the topic of viral videos has been read to its end."""
        return self._status.is_viral_list_complete()

    def lag_obstacle(self) -> str | None:
        """Return a message if partitions are too far behind, else None."""
        lag, bound = self._status.lag_s(), self._ready_lag
        behind = sorted(number for number, seconds in lag.items() if seconds * 1000 > bound)
        if not behind:
            return None
        return (
            f"lag above {format_duration(bound)} (REELS_READY_LAG): partitions "
            f"{', '.join(map(str, behind))}"
        )

    def _group_obstacle(self) -> str | None:
        """Return why the worker does not have its partitions, None if it has them."""
        status = self._status
        if (refused := status.group_refusal()) is not None:
            return refused
        if not status.has_joined():
            return "the worker has not joined its group yet"
        recovering = self.recovering()
        if recovering:
            return f"recovering partitions: {', '.join(map(str, recovering))}"
        return "the group is rebalancing" if status.is_rebalancing() else None

    def obstacle(self) -> str | None:
        """Return why the worker is not ready, None if it is."""
        obstacle = (
            self._status.stop_reason()
            or self._group_obstacle()
            or self._addresses.shared(self._addresses.own)
        )
        if obstacle is not None:
            return obstacle
        if not self.is_viral_list_complete():
            return "the list of viral videos is being read"
        return self._status.topic_obstacle() or self.lag_obstacle()


class HealthViews:
    """Answers for process supervisors and load balancers."""

    def __init__(self, status: WorkerStatus, readiness: Readiness) -> None:
        """Answer from ``readiness`` and ``status``."""
        self._status = status
        self._readiness = readiness

    async def get_health(self, _: web.Request) -> web.Response:
        """Answer that the event loop and its tasks make progress.

        A stuck event loop cannot answer. Waiting for a broker or for the group is no reason for a
        restart, and neither is lag.
        """
        stuck = self.stuck()
        if stuck is not None:
            raise unavailable(stuck)
        refused = self._status.group_refusal()
        return json_response({"status": "ok", **({"obstacle": refused} if refused else {})})

    def stuck(self) -> str | None:
        """Return what is stuck and will not recover by itself, None if nothing is."""
        status = self._status
        if (reason := status.stall_reason(STUCK_AFTER_S)) is not None:
            return reason
        if not status.open() or self._readiness.obstacle() is not None:
            return None
        is_stuck = status.fetch_age_s() > STUCK_AFTER_S
        return "fetching has stopped" if is_stuck else None

    async def get_readiness(self, _: web.Request) -> web.Response:
        """Answer whether this worker can answer for its partitions."""
        obstacle = self._readiness.obstacle()
        if obstacle is not None:
            raise unavailable(obstacle)
        return json_response({"status": "ready"})
