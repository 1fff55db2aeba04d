"""The engine's implementation of :class:`streaming.ports.WorkerStatus`.

Views and metrics access the engine's internals only through this module.
"""

from __future__ import annotations

from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from streaming.runtime.group_lag import GroupLag

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from collections.abc import Set as AbstractSet
    from contextlib import AbstractAsyncContextManager

    from yarl import URL

    from streaming.runtime.app import App
    from streaming.tasks.task import Task


class AppStatus:
    """The status of an app; the port documents each method.

    Reads the app lazily, because an app creates its consumer and table manager at their first use.
    """

    def __init__(self, app: App) -> None:
        """Report the status of ``app``."""
        self._app = app

    @property
    def url(self) -> URL:
        """See the port."""
        url: URL = self._app.conf.canonical_url
        return url

    @property
    def worker_id(self) -> str:
        """See the port."""
        return self._app.worker_id

    @property
    def partitions(self) -> int:
        """See the port."""
        count: int = self._app.conf.topic_partitions
        return count

    @property
    def data_dir(self) -> Path:
        """See the port."""
        return Path(self._app.conf.datadir).absolute()

    def owners(self) -> Mapping[str, Mapping[str, Collection[int]]]:
        """See the port."""
        owners: Mapping[str, Mapping[str, Collection[int]]]
        owners = self._app.assignor.changelog_distribution
        return owners

    def assigned(self) -> AbstractSet[int]:
        """See the port."""
        return self._app.tasks.assigned

    def open(self) -> AbstractSet[int]:
        """See the port."""
        return {number for number, _ in self._open_tasks()}

    def _open_tasks(self) -> Iterator[tuple[int, Task]]:
        return ((number, t) for number, t in self._app.tasks.tasks.items() if t.accepting)

    def has_joined(self) -> bool:
        """See the port."""
        return bool(self._app.tables.recovery.completed.is_set())

    def is_rebalancing(self) -> bool:
        """See the port."""
        return bool(self._app.rebalancing)

    def is_viral_list_complete(self) -> bool:
        """See the port."""
        return bool(self._app.tables.recovery.viral_follower.is_caught_up)

    def lag_s(self) -> Mapping[int, float]:
        """See the port."""
        return self._app.tasks.lag.seconds

    def uncommitted_s(self) -> Mapping[int, float]:
        """See the port."""
        return {number: task.uncommitted_seconds for number, task in self._open_tasks()}

    def fetch_age_s(self) -> float:
        """See the port."""
        since: float = self._app.consumer.fetching_since
        return monotonic() - since

    def stop_reason(self) -> str | None:
        """See the port."""
        if not self._app.should_stop:
            return None
        return self._app.given_up or "the worker is stopping"

    def group_refusal(self) -> str | None:
        """See the port."""
        refusal: str | None = self._app.consumer.group_refusal
        return refusal

    def topic_obstacle(self) -> str | None:
        """See the port."""
        watch = self._app.topic_watch
        return None if watch is None else watch.obstacle

    def group_lag(self) -> AbstractAsyncContextManager[GroupLag]:
        """See the port."""
        context = self._app.task_context
        return GroupLag.connected(
            context.client_settings, context.settings.app_id, context.event_topics
        )

    def stall_reason(self, limit_s: float) -> str | None:
        """See the port."""
        tasks = self._app.tasks
        reasons = (task.stall_reason(limit_s) for task in tasks.tasks.values())
        if (reason := next(filter(None, reasons), None)) is not None:
            return reason
        return "commits have ended" if tasks.committer.has_ended else None
