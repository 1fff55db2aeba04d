"""Following changelogs that others write, for standbys and the list of viral videos."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from aiokafka.structs import TopicPartition
from faust.types import TP

from streaming.errors import ChangelogError, ForeignChangelogError
from streaming.restore.changelog import changelog_consumer, poll, remaining, seek_to_sinks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from aiokafka import AIOKafkaConsumer

    from streaming.restore.changelog import ChangelogSink

log = logging.getLogger(__name__)

#: Milliseconds that a poll waits once all sinks have caught up: records end the wait, and an idle
#: worker uses less processor time.
FOLLOW_MS = 500


class StandbyConsumer:
    """Keeps standbys and the viral list up to date with changelogs that others write."""

    def __init__(
        self, settings: Mapping[str, Any], give_up: Callable[[BaseException], None]
    ) -> None:
        """Prepare to read with aiokafka's consumer ``settings``.

        ``give_up`` is called with an error that a retry would not change.
        """
        self._settings = settings
        self._give_up = give_up
        self._sinks: dict[TP, ChangelogSink] = {}
        #: Sinks no longer followed, because their changelogs have rows of other programs.
        self._left_out: set[TP] = set()
        self._task: asyncio.Task[None] | None = None
        self._caught_up = asyncio.Event()

    async def follow(self, sinks: Mapping[TP, ChangelogSink]) -> None:
        """Follow exactly ``sinks`` from now on."""
        if self._task is not None and dict(sinks) == self._sinks and not self._task.done():
            return
        await self.stop()
        self._sinks = dict(sinks)
        self._left_out.clear()
        self._caught_up.clear()
        self._task = asyncio.create_task(self._run(), name="changelog-follower")

    @property
    def is_caught_up(self) -> bool:
        """Whether every sink has reached the end once since :meth:`follow`."""
        return self._caught_up.is_set()

    async def wait_caught_up(self) -> None:
        """Wait until every sink has reached the end once since :meth:`follow`."""
        await self._caught_up.wait()

    async def stop(self) -> None:
        """Stop following."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        delay = 0.5
        while sinks := {tp: s for tp, s in self._sinks.items() if tp not in self._left_out}:
            try:
                async with changelog_consumer(self._settings) as consumer:
                    await seek_to_sinks(consumer, sinks)
                    while True:
                        if self.is_caught_up and all(sink.is_whole for sink in sinks.values()):
                            await poll(consumer, sinks, FOLLOW_MS)
                        else:
                            await self._catch_up(consumer, sinks)
                        delay = 0.5
            except ForeignChangelogError as exc:
                # A worker that restores the partition ends with the same line.
                log.error("no longer following a changelog: %s", exc)
                self._left_out.add(TP(exc.topic, exc.partition))
            except ChangelogError as exc:
                self._give_up(exc)
                return
            except Exception as exc:  # noqa: BLE001 - following continues after any error
                log.warning("following changelogs: %r; again in %.1f s", exc, delay)
                await asyncio.sleep(delay)
                delay = min(2 * delay, 10.0)
        self._caught_up.set()

    async def _catch_up(
        self, consumer: AIOKafkaConsumer, sinks: Mapping[TP, ChangelogSink]
    ) -> None:
        async def ends_of(tps: Iterable[TP]) -> dict[TP, int]:
            ends = await consumer.end_offsets([TopicPartition(*tp) for tp in tps])
            return {TP(*tp): end for tp, end in ends.items()}

        ends, again = await ends_of(sinks), set[TP]()
        while ends:
            left = await remaining(consumer, ends)
            for tp in ends.keys() & again - left.keys():
                await sinks[tp].caught_up()
                del ends[tp]
            # Compaction may remove a record before it is read, because of a newer one after the
            # first end. That one is before the second end.
            reached = ends.keys() - again - left.keys()
            again |= reached
            ends |= await ends_of(reached) if reached else {}
            if left:
                await poll(consumer, sinks)
        self._caught_up.set()
