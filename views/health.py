"""``GET /healthz`` and ``GET /readyz``: whether the worker works, and whether it can answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .answers import json_response, unavailable

if TYPE_CHECKING:
    from aiohttp import web

    from streaming.app import App


class Readiness:
    """Tells whether this worker can answer for its partitions; may be asked at any time."""

    def __init__(self, app: App) -> None:
        """Look at the tasks of ``app``."""
        self._app = app

    def recovering(self) -> list[int]:
        """Return the partitions that are assigned to this worker but not open yet."""
        tasks = self._app.tasks
        open_now = {number for number, task in tasks.tasks.items() if task.accepting}
        return sorted(tasks.assigned - open_now)

    def is_viral_list_complete(self) -> bool:
        """Whether the output topic has been read up to its end."""
        return bool(self._app.tables.recovery.follower.is_caught_up)

    def obstacle(self) -> str | None:
        """Return why the worker is not ready, None when it is."""
        app = self._app
        if app.should_stop:
            return "the worker is stopping"
        if not app.tables.recovery.completed.is_set():
            return "the worker has not joined its group yet"
        if app.rebalancing:
            return "the group is rebalancing"
        recovering = self.recovering()
        if recovering:
            return f"recovering partitions: {', '.join(map(str, recovering))}"
        if not self.is_viral_list_complete():
            return "the list of viral videos is being read"
        return None


class HealthViews:
    """Answers for whoever starts, stops and balances workers."""

    def __init__(self, readiness: Readiness) -> None:
        """Go by ``readiness``."""
        self._readiness = readiness

    async def get_health(self, _: web.Request) -> web.Response:
        """Answer: whoever can do so works."""
        return json_response({"status": "ok"})

    async def get_readiness(self, _: web.Request) -> web.Response:
        """Answer whether requests for this worker's partitions get their answers."""
        obstacle = self._readiness.obstacle()
        if obstacle is not None:
            raise unavailable(obstacle)
        return json_response({"status": "ready"})
