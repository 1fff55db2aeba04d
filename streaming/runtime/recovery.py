"""Recovery after a rebalance, in place of Faust's: tasks are restored together.

Faust's recovery waits ten seconds for a control record that never arrives as a message, and reads a
changelog's end from ``last_stable_offset``, which is None until the partition was fetched.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

from aiokafka.errors import KafkaError
from faust.tables.manager import TableManager
from faust.tables.recovery import RebalanceAgain, Recovery, ServiceStopped
from mode import Service

from streaming.errors import FencedError, TransactionFailedError
from streaming.ports import WorkerContext
from streaming.restore.standby import StandbyConsumer
from tables.rocks import StoreCorruptError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from faust.types import TP

    from streaming.restore.changelog import ChangelogSink


#: Seconds before recovery is retried.
RETRY_DELAY_S = 1.0


class FollowingApp(WorkerContext, Protocol):
    """A worker that follows topics that other workers write."""

    def viral_sinks(self) -> Mapping[TP, ChangelogSink]:
        """Return the sinks of the viral topic, by partition."""

    async def standby_sinks(self) -> Mapping[TP, ChangelogSink]:
        """Return the sinks of standby partitions, by changelog partition."""


class BatchRecovery(Recovery):
    """Opens the assigned tasks, follows standbys and the viral topic, and resumes the flow."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Accept the arguments of Faust's recovery service."""
        super().__init__(*args, **kwargs)
        self._worker: FollowingApp = self.app
        settings = self.app.task_context.client_settings
        self.viral_follower = StandbyConsumer(settings, self._worker.give_up)
        self.standby_follower = StandbyConsumer(settings, self._worker.give_up)

    async def on_rebalance(
        self,
        assigned: set[TP],
        revoked: set[TP],
        newly_assigned: set[TP],
        generation_id: int = 0,
    ) -> None:
        """Start recovery for a new assignment; a running recovery starts again."""
        if generation_id == self._worker.generation:
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
            except (KafkaError, TimeoutError, StoreCorruptError, TransactionFailedError) as exc:
                # Brokers come back, and a damaged database has been set aside. A worker that locked
                # a partition has it by an assignment that this worker may not know yet.
                is_fenced = isinstance(exc, FencedError)
                delay = self._worker.session_timeout if is_fenced else RETRY_DELAY_S
                self.log.warning("recovery: %r; again in %.0f s", exc, delay)
                await self.wait_first(self.signal_recovery_start, timeout=delay)
                self.signal_recovery_start.set()
            except Exception as exc:  # noqa: BLE001 - for example a full disk or another store format
                self._worker.give_up(exc)
                break

    async def _recover(self, generation: int) -> None:
        """Resume tasks that stay at once, then open the new ones."""
        begun = monotonic()
        self._set_recovery_started()
        transactions = self.app.consumer.transactions
        await self._wait(self.app.consumer._thread.pause(self._changelog_tps()))
        await self._wait(transactions.resume_open())
        if kept := transactions.open_tps():
            await self._wait(self._let_flow(kept))
            self.log.info("partitions that stay continued after %.2f s", monotonic() - begun)
        await self._wait(self.viral_follower.follow(self._worker.viral_sinks()))
        await self._wait(self._follow_standbys())
        await self._wait(transactions.open_assigned())
        await self._wait(self.on_recovery_completed(generation))
        self.log.info(
            "partitions ready after %.2f s: %s",
            monotonic() - begun,
            ", ".join(map(str, sorted(self.app.tasks.assigned))) or "none, other workers have all",
        )

    async def _let_flow(self, partitions: set[TP]) -> None:
        """Resume fetching ``partitions``, like :meth:`on_recovery_completed` for all."""
        consumer = self.app.consumer
        consumer.resume_partitions(partitions)
        await consumer.perform_seek()
        self.app.flow_control.resume()
        consumer.resume_flow()
        await self.app._fetcher.maybe_start()

    async def _follow_standbys(self) -> None:
        await self.standby_follower.follow(await self._worker.standby_sinks())

    def _changelog_tps(self) -> set[TP]:
        return {tp for tp in self.app.consumer.assignment() if self._is_changelog_tp(tp)}

    @Service.task
    async def _slurp_changelogs(self) -> None:
        """Disable Faust's task; changelogs are not read with the group's consumer."""

    @Service.task
    async def _publish_stats(self) -> None:
        """Disable Faust's task; :mod:`streaming.restore.restore` logs its progress."""

    def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Do nothing; there are no buffers to flush."""

    async def on_stop(self) -> None:
        """Stop both followers."""
        for follower in (self.viral_follower, self.standby_follower):
            await asyncio.shield(follower.stop())


class BatchTableManager(TableManager):
    """Faust's table manager with :class:`BatchRecovery`."""

    _recovery: BatchRecovery | None

    async def on_start(self) -> None:
        """Start tables and recovery without the second that Faust sleeps first."""
        await self._update_channels()
        await self.recovery.start()

    @property
    def recovery(self) -> BatchRecovery:
        """The recovery service of this table manager."""
        if self._recovery is None:
            self._recovery = BatchRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery
