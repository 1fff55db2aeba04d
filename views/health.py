"""``GET /healthz`` and ``GET /readyz``: whether the worker works, and whether it can answer."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final

from models.windows import format_duration
from views.answers import json_response, unavailable

if TYPE_CHECKING:
    from aiohttp import web

    from streaming.runtime.app import App
    from views.addresses import Addresses

#: Seconds after which a fold, or a turn of fetching, counts as one that will not end.
STUCK_AFTER: Final = 60.0


class Readiness:
    """Tells whether this worker can answer for its partitions; may be asked at any time."""

    def __init__(self, app: App, addresses: Addresses) -> None:
        """Look at the tasks of ``app``, and at its place among the ``addresses``."""
        self._app = app
        self._addresses = addresses

    def recovering(self) -> list[int]:
        """Return the partitions that are assigned to this worker but not open yet."""
        tasks = self._app.tasks
        open_now = {number for number, task in tasks.tasks.items() if task.accepting}
        return sorted(tasks.assigned - open_now)

    def is_viral_list_complete(self) -> bool:
        """Whether the output topic has been read up to its end."""
        return bool(self._app.tables.recovery.viral_follower.is_caught_up)

    def lag_obstacle(self) -> str | None:
        """Return what is said when answers are older than is allowed."""
        lag = self._app.tasks.lag.seconds
        bound = self._app.task_context.settings.ready_lag
        behind = sorted(number for number, seconds in lag.items() if seconds * 1000 > bound)
        if not behind:
            return None
        return (
            f"more than {format_duration(bound)} behind (REELS_READY_LAG): partitions "
            f"{', '.join(map(str, behind))}"
        )

    def topic_obstacle(self) -> str | None:
        """Return what is said when topics have partitions that no worker reads."""
        watch = self._app.topic_watch
        return None if watch is None else watch.obstacle

    def _group_obstacle(self) -> str | None:
        """Return what keeps the worker from having its partitions, None when it has them."""
        app = self._app
        if (refused := app.consumer.group_refusal) is not None:
            return str(refused)
        if not app.tables.recovery.completed.is_set():
            return "the worker has not joined its group yet"
        recovering = self.recovering()
        if recovering:
            return f"recovering partitions: {', '.join(map(str, recovering))}"
        return "the group is rebalancing" if app.rebalancing else None

    def obstacle(self) -> str | None:
        """Return why the worker is not ready, None when it is."""
        app = self._app
        if app.should_stop:
            return app.given_up or "the worker is stopping"
        obstacle = self._group_obstacle() or self._addresses.shared(self._addresses.own)
        if obstacle is not None:
            return obstacle
        if not self.is_viral_list_complete():
            return "the list of viral videos is being read"
        return self.topic_obstacle() or self.lag_obstacle()


class HealthViews:
    """Answers for whoever starts, stops and balances workers."""

    def __init__(self, app: App, readiness: Readiness) -> None:
        """Go by ``readiness``, and by the tasks of ``app``."""
        self._app = app
        self._readiness = readiness

    async def get_health(self, _: web.Request) -> web.Response:
        """Answer: the event loop turns, and what runs on it does, too.

        An event loop that hangs answers nobody. Waiting for a broker, or for the group to let the
        worker in, is no reason to be restarted, and neither is being behind.
        """
        stuck = self.stuck()
        if stuck is not None:
            raise unavailable(stuck)
        refused = self._app.consumer.group_refusal
        return json_response({"status": "ok", **({"obstacle": refused} if refused else {})})

    def stuck(self) -> str | None:
        """Return what does not go on and will not by itself, None when all does."""
        app = self._app
        for task in app.tasks.tasks.values():
            obstacle = task.stall_reason(STUCK_AFTER)
            if obstacle is not None:
                return obstacle
        if app.tasks.committer.has_ended:
            return "nothing is committed any more"
        if not app.tasks.tasks or self._readiness.obstacle() is not None:
            return None
        if monotonic() - app.consumer.fetching_since > STUCK_AFTER:
            return "nothing is fetched any more"
        return None

    async def get_readiness(self, _: web.Request) -> web.Response:
        """Answer whether requests for this worker's partitions get their answers."""
        obstacle = self._readiness.obstacle()
        if obstacle is not None:
            raise unavailable(obstacle)
        return json_response({"status": "ready"})
