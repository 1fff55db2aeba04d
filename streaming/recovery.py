"""Recovery after a rebalance, in place of Faust's: tasks restore themselves, all at once.

Faust's own waits ten seconds for a control record that never arrives as a message, and takes a
changelog's end from ``last_stable_offset``, which is None until that partition was fetched.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Any

from faust.tables.manager import TableManager
from faust.tables.recovery import RebalanceAgain, Recovery, ServiceStopped
from mode import Service

from tables.layout import LayoutError
from tables.rocks import StoreLockedError

from .changelog import ChangelogFollower

if TYPE_CHECKING:
    from faust.types import TP

    from .app import App


class BatchRecovery(Recovery):
    """Opens the assigned tasks, follows standbys and global tables, and lets the flow go on."""

    app: App

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take what Faust gives its recovery service."""
        super().__init__(*args, **kwargs)
        self.follower = ChangelogFollower(self.app.task_parts.client_settings)

    async def on_rebalance(
        self,
        assigned: set[TP],
        revoked: set[TP],
        newly_assigned: set[TP],
        generation_id: int = 0,
    ) -> None:
        """Begin recovery for a new assignment; one that is under way begins again."""
        if generation_id == self.app.consumer_generation_id:
            self._generation_id = generation_id
            self.signal_recovery_start.set()

    @Service.task
    async def _restart_recovery(self) -> None:
        while not await self.wait_for_stopped(self.signal_recovery_start):
            self.signal_recovery_start.clear()
            try:
                await self._recover(self._generation_id)
            except RebalanceAgain:
                continue
            except ServiceStopped:
                break
            except (LayoutError, StoreLockedError) as exc:
                self.app.give_up(exc)
                break

    async def _recover(self, generation: int) -> None:
        begun = monotonic()
        self._set_recovery_started()
        transactions = self.app.consumer.transactions
        await self._wait(self.app.consumer._thread.pause(self._changelog_tps()))
        await self._wait(self.follower.follow(await self.app.followed_sinks()))
        await self._wait(transactions.open_assigned())
        await self._wait(self.follower.wait_caught_up())
        await self._wait(self.on_recovery_completed(generation))
        self.log.info("partitions ready after %.2f s", monotonic() - begun)

    def _changelog_tps(self) -> set[TP]:
        return {tp for tp in self.app.consumer.assignment() if self._is_changelog_tp(tp)}

    @Service.task
    async def _slurp_changelogs(self) -> None:
        """Replace Faust's: changelogs do not come through the group's consumer."""

    @Service.task
    async def _publish_stats(self) -> None:
        """Replace Faust's: :func:`streaming.changelog.restore` tells how far it is."""

    def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Have no buffers to flush."""

    async def on_stop(self) -> None:
        """Stop following."""
        await asyncio.shield(self.follower.stop())


class BatchTableManager(TableManager):
    """Faust's table manager with that recovery."""

    _recovery: BatchRecovery | None

    @property
    def recovery(self) -> BatchRecovery:
        """Recovery service used by this table manager."""
        if self._recovery is None:
            self._recovery = BatchRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery
