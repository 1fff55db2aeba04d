"""``GET /healthz`` and ``GET /readyz``: whether the worker works, and whether it can answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from models.windows import format_duration
from views.answers import json_response, unavailable

if TYPE_CHECKING:
    from aiohttp import web

    from streaming.ports import WorkerStatus
    from views.addresses import Addresses

#: Seconds after which a fold, or a turn of fetching, counts as one that will not end.
STUCK_AFTER: Final = 60.0


class Readiness:
    """Tells whether this worker can answer for its partitions; may be asked at any time."""

    def __init__(self, status: WorkerStatus, addresses: Addresses, ready_lag: int) -> None:
        """Look at ``status``, and at the worker's place among the ``addresses``.

        A worker is not ready while it is more than ``ready_lag`` ms behind.
        """
        self._status = status
        self._addresses = addresses
        self._ready_lag = ready_lag

    def recovering(self) -> list[int]:
        """Return the partitions that are assigned to this worker but not open yet."""
        return sorted(self._status.assigned() - self._status.open())

    def is_viral_list_complete(self) -> bool:
        """Whether the output topic has been read up to its end."""
        return self._status.is_viral_list_complete()

    def lag_obstacle(self) -> str | None:
        """Return what is said when answers are older than is allowed."""
        lag, bound = self._status.lag_s(), self._ready_lag
        behind = sorted(number for number, seconds in lag.items() if seconds * 1000 > bound)
        if not behind:
            return None
        return (
            f"more than {format_duration(bound)} behind (REELS_READY_LAG): partitions "
            f"{', '.join(map(str, behind))}"
        )

    def _group_obstacle(self) -> str | None:
        """Return what keeps the worker from having its partitions, None when it has them."""
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
        """Return why the worker is not ready, None when it is."""
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
    """Answers for whoever starts, stops and balances workers."""

    def __init__(self, status: WorkerStatus, readiness: Readiness) -> None:
        """Go by ``readiness`` and ``status``."""
        self._status = status
        self._readiness = readiness

    async def get_health(self, _: web.Request) -> web.Response:
        """Answer: the event loop turns, and what runs on it does, too.

        An event loop that hangs answers nobody. Waiting for a broker, or for the group to let the
        worker in, is no reason to be restarted, and neither is being behind.
        """
        stuck = self.stuck()
        if stuck is not None:
            raise unavailable(stuck)
        refused = self._status.group_refusal()
        return json_response({"status": "ok", **({"obstacle": refused} if refused else {})})

    def stuck(self) -> str | None:
        """Return what does not go on and will not by itself, None when all does."""
        status = self._status
        if (reason := status.stall_reason(STUCK_AFTER)) is not None:
            return reason
        if not status.open() or self._readiness.obstacle() is not None:
            return None
        is_stuck = status.fetch_age_s() > STUCK_AFTER
        return "nothing is fetched any more" if is_stuck else None

    async def get_readiness(self, _: web.Request) -> web.Response:
        """Answer whether requests for this worker's partitions get their answers."""
        obstacle = self._readiness.obstacle()
        if obstacle is not None:
            raise unavailable(obstacle)
        return json_response({"status": "ready"})
