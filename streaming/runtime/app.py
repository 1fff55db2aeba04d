"""The Faust app with batches, tasks and recovery of its own, and the checks at its start."""

from __future__ import annotations

import asyncio
import gc
import os
import warnings
from dataclasses import replace
from functools import cached_property
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

import faust
from aiokafka.errors import KafkaError
from faust.exceptions import AlreadyConfiguredWarning

from monitoring import metrics
from setting_names import unknown_variables
from settings import describe_settings
from streaming.errors import StartError
from streaming.fetch.flow_control import FlowControl
from streaming.fetch.transport import BatchTransport
from streaming.kafka.broker_check import unreachable
from streaming.kafka.rights import check_rights
from streaming.kafka.topic_settings import check_settings
from streaming.kafka.topics import admin_client, make_topics
from streaming.runtime.data_directory import NO_SPACE, lock
from streaming.runtime.garbage import collect_seldom
from streaming.runtime.member_ids import Assignor
from streaming.runtime.membership import end_former_membership
from streaming.runtime.recovery import BatchTableManager
from streaming.runtime.task_manager import TaskManager
from streaming.runtime.topic_watch import TopicWatch
from streaming.runtime.viral_owner import check_owner
from streaming.runtime.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from io import TextIOWrapper

    from faust.types import TP
    from faust.types.web import Web

    from settings import Settings
    from streaming.kafka.metadata import TopicMetadata
    from streaming.kafka.topic_specs import TopicSpec
    from streaming.restore.changelog import ChangelogSink
    from streaming.runtime.task_factory import TaskContext
    from tables.viral import ViralTable

#: Seconds between two attempts to reach the brokers: the first pause, and the longest.
FIRST_DELAY_S, MAX_DELAY_S = 1.0, 15.0

#: Characters of a data directory's id that identify its worker within the group.
WORKER_ID_LENGTH = 8


class _Transport(BatchTransport):
    TransactionManager = TaskManager


class AppParts(NamedTuple):
    """The parts of an app, created after it because tables belong to their app."""

    task_context: TaskContext
    viral_table: ViralTable
    make_web: Callable[[], Web]
    """Creates the web server at its first use."""


class App(faust.App):
    """A Faust app whose agents receive batches and whose tasks write its tables."""

    #: Set by the worker that runs the app; commands have none.
    worker: Worker
    #: Partitions of the dead-letter topic, whose number may differ from that of other topics.
    dead_letter_partitions = 1
    #: None until the topics are known to exist.
    topic_watch: TopicWatch | None = None
    #: Why the worker gave up, None if it did not.
    given_up: str | None = None
    #: Identifies this worker independently of its address; the same after restarts.
    worker_id = ""
    #: The log line about the form of the hot path, and a warning if the form is a fallback.
    start_lines: tuple[str, str | None] = ("", None)
    _rebalance_begun: float | None = None
    _lock: TextIOWrapper | None = None

    def __init__(self, app_id: str, build: Callable[[App], AppParts], **kwargs: Any) -> None:
        """Use the parts that ``build`` creates, and the arguments of :class:`faust.App`."""
        super().__init__(
            app_id,
            PartitionAssignor=Assignor,
            TableManager=BatchTableManager,
            Worker=Worker,
            processing_guarantee="exactly_once",
            store="memory://",
            stream_wait_empty=True,
            stream_recovery_delay=0.0,
            # Never full: the consumer waits for free inboxes before it fetches.
            stream_buffer_maxsize=4096,
            **kwargs,
        )
        self.task_context, self.viral_table, self._make_web = build(self)

    @cached_property
    def flow_control(self) -> FlowControl:
        """Blocks the agents' queues during a rebalance."""
        return FlowControl(loop=self.loop)

    def _new_transport(self) -> BatchTransport:
        return _Transport(self.conf.broker_consumer, self)

    def _new_web(self) -> Web:
        return self._make_web()

    def on_rebalance_start(self) -> None:
        """Start the rebalance timer. Called in the consumer's thread."""
        super().on_rebalance_start()
        metrics.rebalances.inc()
        if self._rebalance_begun is None:
            self._rebalance_begun = monotonic()

    def on_rebalance_end(self) -> None:
        """Record the time until all tasks resumed."""
        super().on_rebalance_end()
        if self._rebalance_begun is not None:
            metrics.rebalance_seconds.observe(monotonic() - self._rebalance_begun)
            self._rebalance_begun = None

    @property
    def generation(self) -> int:
        """The group's generation as of the last assignment."""
        return int(self.consumer_generation_id)

    @property
    def session_timeout(self) -> float:
        """Seconds without a heartbeat after which the group removes a member."""
        return float(self.conf.broker_session_timeout)

    def is_standby(self, tp: TP) -> bool:
        """Whether this worker is only a standby of ``tp``."""
        return bool(self.assignor.is_standby(tp))

    def viral_sinks(self) -> Mapping[TP, ChangelogSink]:
        """Return the sinks of the viral topic, by partition."""
        return self.viral_table.sinks()

    @property
    def tasks(self) -> TaskManager:
        """The tasks of this worker."""
        manager: TaskManager = self.consumer.transactions
        return manager

    async def on_first_start(self) -> None:
        """Lock the data directory, reach the brokers, and prepare the topics."""
        try:
            # Before Faust creates folders in it, which would fail with a traceback.
            directory_id = self.lock_data_directory()
            self.worker_id = directory_id[:WORKER_ID_LENGTH]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", AlreadyConfiguredWarning)
                # Lets the next worker with this directory recognize this member of the group.
                self.conf.broker_client_id = f"{self.conf.id}-{directory_id}"
            await super().on_first_start()
            gc.collect()
            collect_seldom()
            await self._prepare()
        except StartError as exc:
            self.give_up(exc)
            # The end of the worker cancels this wait.
            await asyncio.Event().wait()

    async def on_stop(self) -> None:
        """Say farewell to the other workers if the end is orderly, and stop."""
        if self.conf.web_enabled and self.given_up is None and not self.crashed:
            web: Any = self.web
            await web.say_farewell()
        await super().on_stop()

    def give_up(self, exc: BaseException) -> None:
        """Shut the worker down, with exit code 1 and ``exc`` as the one-line reason."""
        if self.given_up is None:
            self.given_up = self._reason(exc)
            # The worker logs it again in its last line, where operators look first.
            self.log.error("cannot continue: %s", self.given_up)
            self.worker.end()

    def _reason(self, exc: BaseException) -> str:
        text = str(exc) or repr(exc)
        if (full := NO_SPACE.search(text)) is None:
            return text
        return (
            f"the disk of {self.conf.datadir} is full ({full[0]}): free some space, or choose "
            "another with --datadir or APP_DATADIR"
        )

    async def _prepare(self) -> None:
        for line in unknown_variables(os.environ):
            self.log.warning("%s", line)
        for name, value in describe_settings(self._settings_in_use()):
            self.log.info("%s = %s", name, value)
        line, fallback = self.start_lines
        self.log.info("%s", line)
        if fallback is not None:
            self.log.warning("%s", fallback)
        self.log.info("the tables are in %s", self.conf.appdir.absolute())
        if self.conf.web_enabled:
            # Before the brokers answer, so that the health routes work.
            await self.web.maybe_start()
        await self._prepare_topics()

    def _settings_in_use(self) -> Settings:
        """Return the settings with the options of the command line, which override variables."""
        settings, conf = self.task_context.settings, self.conf
        return replace(
            settings,
            data_dir=str(conf.datadir),
            web_port=conf.web_port,
            web_bind=conf.web_bind or settings.web_bind,
        )

    def lock_data_directory(self) -> str:
        """Lock out other workers, and return the directory's id, created at its first use."""
        self._lock, directory_id = lock(self.conf.appdir, self.conf.datadir)
        return directory_id

    async def _prepare_topics(self) -> None:
        parts = self.task_context
        specs = parts.topics
        delay = FIRST_DELAY_S
        while not self.should_stop:
            try:
                found = await self._checked_topics(specs)
            except (KafkaError, OSError) as exc:
                self.log.warning(
                    "%s; again in %.0f s", unreachable(parts.settings.broker_url, exc), delay
                )
                await self.sleep(delay)
                delay = min(2 * delay, MAX_DELAY_S)
            else:
                self.dead_letter_partitions = found[parts.settings.dead_letter_topic].partitions
                self.topic_watch = TopicWatch(
                    parts.client_settings,
                    specs,
                    found,
                    parts.settings.replication_factor,
                    self.give_up,
                )
                self.add_dependency(self.topic_watch)
                break
        self.log.info("joining the group %s", self.conf.id)
        if parts.settings.group_instance_id is None:
            await end_former_membership(
                parts.client_settings, self.conf.id, self.conf.broker_client_id
            )

    async def _checked_topics(self, specs: Sequence[TopicSpec]) -> dict[str, TopicMetadata]:
        """Return the topics. Raises StartError if the program cannot work with them."""
        parts = self.task_context
        settings = parts.settings
        async with admin_client(parts.client_settings) as admin:
            found = await make_topics(admin, specs, settings.replication_factor)
            await check_rights(admin, specs, found, settings)
            await check_settings(admin, specs, found, settings)
        await check_owner(
            parts.client_settings, settings.viral_topic, settings.partitions, settings.app_id
        )
        return found

    async def standby_sinks(self) -> Mapping[TP, ChangelogSink]:
        """Return the sinks of standby partitions, by changelog partition.

        Partitions that are no longer standbys of this worker are closed.
        """
        standbys = self.assignor.assigned_standbys()
        sinks: dict[TP, ChangelogSink] = {}
        for table in self.task_context.tables.values():
            name = table.changelog_topic_name
            here = {tp for tp in standbys if tp.topic == name}
            numbers = {tp.partition for tp in here}
            for partition in set(table.data.partitions) - numbers - self.tasks.assigned:
                await table.data.close(partition)
            for tp in here:
                sinks[tp] = await table.data.open(tp.partition)
        return sinks
