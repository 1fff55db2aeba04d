"""``faust -A app replay-dead-letters``: rejected events are counted anew, once each.

Importing this module registers the command.

How far the dead letters of a reason are replayed is kept as the offsets of a group of its own,
committed in the same transaction as the events: a run that is killed and repeated, or repeated for
no reason, sends nothing twice. One transactional id a reason: of two runs at once, the later one
fences the other.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, NoReturn, cast

import click
from aiokafka.errors import KafkaError
from faust.cli.base import AppCommand, option
from faust.types import TP

from auditing import AuditError
from auditing.dead_letters import number_of
from auditing.reading import open_topics
from commands.progress import ProgressBar
from models.event import Rejected, decode
from models.partitioner import partition_of
from models.schema import REASONS
from streaming.errors import ConfigurationError, FencedError, TransactionFailedError
from streaming.kafka.metadata import Right
from streaming.kafka.producer import TransactionalProducer
from streaming.kafka.record_bounds import CUT, ORIGINAL_HEADER, size_of
from streaming.kafka.records import OutRecord
from streaming.kafka.topic_limits import Limits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditing.reading import Topics
    from settings import Settings
    from streaming.kafka.records import Record
    from streaming.runtime.app import App


class Replay:
    """Sends the dead letters of one reason to be judged anew."""

    def __init__(
        self,
        topics: Topics,
        settings: Settings,
        reason: str,
        limits: Limits,
        progress: ProgressBar,
        *,
        to_input: bool,
    ) -> None:
        """Read through ``topics``, whose group holds how far the replay is.

        Events go to the program's own topic, each to its user's partition; or, with ``to_input``,
        to the partition of the input that they came from. ``limits`` know what those topics take.
        """
        self.found: Counter[str] = Counter()
        """Dead letters not replayed so far, by reason."""
        self.sent = 0
        self.stay = 0
        """Those of the reason that were cut, or are too large for where they are sent."""
        self.foreign = 0
        """Dead letters that do not say which partition they come from: no worker writes such."""
        self.first_foreign = ""
        self._topics = topics
        self._dead_letters = settings.dead_letter_topic
        self._sources = {settings.events_topic, settings.repartition_topic}
        self._target = settings.events_topic if to_input else settings.repartition_topic
        self._is_to_input = to_input
        self._reason = reason
        self._limits = limits.of(self._target)
        self._progress = progress

    async def run(self, producer: TransactionalProducer | None) -> None:
        """Go through all there is now; send through ``producer``, or (None) only count."""
        topic, topics = self._dead_letters, self._topics
        committed, begins = await topics.committed(topic), await topics.begins(topic)
        # What is rejected again lies behind these ends: that is for another run to replay.
        ends = await topics.ends(topic)
        targets = len(await topics.partitions(self._target))
        for partition, end in ends.items():
            start = max(committed[partition], begins[partition])
            self._progress.begin(f"dead letters of partition {partition}", end - start)
            at = start
            async for records in topics.read(topic, partition, start, end):
                if not records:
                    continue
                chosen = self._choose(partition, records, targets)
                if producer is not None:
                    await self._send(producer, partition, records[-1].offset + 1, chosen)
                self._progress.advance(records[-1].offset + 1 - at)
                at = records[-1].offset + 1

    def _pass_over(self, partition: int, record: Record) -> None:
        if not self.foreign:
            self.first_foreign = f"{self._dead_letters}-{partition} at offset {record.offset}"
        self.foreign += 1

    def _choose(
        self, partition: int, records: Sequence[Record], targets: int
    ) -> list[tuple[int, OutRecord]]:
        """Return those of the reason, each with the partition to send it to."""
        chosen = []
        for record in records:
            headers = dict(record.headers)
            # The topic may be shared with other programs.
            if headers.get("source.topic", b"").decode(errors="replace") not in self._sources:
                continue
            reason = headers.get("reason", b"").decode(errors="replace")
            self.found[reason] += 1
            if reason != self._reason:
                continue
            source = number_of(headers, "source.partition")
            if source is None:
                self._pass_over(partition, record)
                continue
            target, original = self._place(_original(record), source % targets, targets)
            if CUT & headers.keys() or size_of(original) > self._limits.batch_bytes:
                self.stay += 1
            else:
                chosen.append((target, original))
        return chosen

    def _place(self, record: OutRecord, source: int, targets: int) -> tuple[int, OutRecord]:
        event = Rejected("", "") if self._is_to_input else decode(record.value)
        if isinstance(event, Rejected):
            return source, record
        home = partition_of(event.user_id, targets)
        return home, record._replace(key=b"%d" % event.user_id)

    async def _send(
        self,
        producer: TransactionalProducer,
        partition: int,
        position: int,
        chosen: list[tuple[int, OutRecord]],
    ) -> None:
        by_target: dict[int, list[OutRecord]] = defaultdict(list)
        for target, record in chosen:
            by_target[target].append(record)
        async with producer.transaction() as transaction:
            for target, records in by_target.items():
                await transaction.send_records(self._target, target, records)
            await transaction.delivered()
            transaction.send_offsets({TP(self._dead_letters, partition): position})
            await transaction.delivered()
        self.sent += len(chosen)


def _original(record: Record) -> OutRecord:
    """Return what was rejected, with the headers that it had."""
    headers = tuple(
        (name.removeprefix(ORIGINAL_HEADER), value)
        for name, value in record.headers
        if name.startswith(ORIGINAL_HEADER)
    )
    return OutRecord(record.key, record.value, headers)


class replay_dead_letters(AppCommand):  # noqa: N801 - the class's name is the command's
    """Have the events that were rejected for a reason judged anew, once each.

    Each dead letter goes, with its bytes and headers, to its user's partition of the program's own
    repartition topic: nobody else sees it. With --to-input it goes back to the partition of the
    input that it came from, with its key, where every program on the input sees it. One that was
    cut, or that is too large for the topic, stays. How far that is done is kept in Kafka, by
    reason, in the same transaction as the events: the command can be repeated, and killed at any
    moment, and sends nothing twice. What is rejected again becomes a new dead letter, which the
    next run would send again.
    """

    name = "replay-dead-letters"
    options: list[Any] = [  # noqa: RUF012 - as Faust's commands have it
        option(
            "--reason",
            type=click.Choice(REASONS),
            required=True,
            help="Which dead letters: those with this reason.",
        ),
        option("--dry-run", is_flag=True, help="Only count what would be sent."),
        option("--to-input", is_flag=True, help="Send to the input topic, for all who read it."),
    ]

    def __init__(
        self,
        ctx: click.Context,
        *args: Any,
        reason: str,
        dry_run: bool,
        to_input: bool,
        **kwargs: Any,
    ) -> None:
        """Read the options."""
        super().__init__(ctx, *args)
        self._reason = reason
        self._dry_run = dry_run
        self._to_input = to_input

    def __call__(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Run without Faust's worker around it: there is no app to start."""
        # What it has to say about brokers comes as an exception, and is one line then.
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
        app = cast("App", self.app)
        try:
            replay = asyncio.run(self._replay(app))
        except (AuditError, ConfigurationError) as exc:
            reason = str(exc)
        except FencedError:
            reason = f"another run replays the dead letters of reason {self._reason}"
        except TransactionFailedError as exc:
            reason = f"Kafka did not take the events, run it again: {exc}"
        except (KafkaError, OSError) as exc:
            reason = f"no broker answers at {app.task_context.settings.broker_url}: {exc}"
        else:
            self._print(replay)
            sys.exit(0)
        click.echo(f"error: {reason}", err=True)
        sys.exit(2)

    async def _replay(self, app: App) -> Replay:
        parts = app.task_context
        settings = parts.settings
        group = f"{settings.app_id}-replay-{self._reason}"
        async with open_topics(parts.client_settings, group) as topics:
            target = settings.events_topic if self._to_input else settings.repartition_topic
            names = settings.dead_letter_topic, target
            rights = dict(zip(names, (Right.READ, Right.WRITE), strict=True))
            await topics.require(rights, writer=None if self._dry_run else group)
            for name in names:
                await topics.partitions(name)
            limits = Limits(parts.client_settings, [target])
            await limits.refresh()
            # Not before there is a broker: only what is started is stopped.
            producer = (
                None
                if self._dry_run
                else TransactionalProducer(group, group, parts.client_settings, limits=limits)
            )
            try:
                if producer is not None:
                    # Before the offsets are read: an earlier run's transaction ends by that.
                    await producer.start()
                with ProgressBar(quiet=self.quiet) as progress:
                    replay = Replay(
                        topics, settings, self._reason, limits, progress, to_input=self._to_input
                    )
                    await replay.run(producer)
            finally:
                if producer is not None:
                    await producer.stop()
        return replay

    def _print(self, replay: Replay) -> None:
        count = replay.found[self._reason] - replay.foreign
        others = replay.found.total() - replay.found[self._reason]
        if self._dry_run:
            count -= replay.stay
            click.echo(f"{count:,} dead letters of reason {self._reason} would be sent again")
        else:
            click.echo(f"sent {replay.sent:,} dead letters of reason {self._reason} again")
        click.echo(f"passed over {others:,} of other reasons")
        if replay.stay:
            click.echo(f"passed over {replay.stay:,} that were cut, or are too large for the topic")
        if replay.foreign:
            click.echo(
                f"passed over {replay.foreign:,} that no worker has written: their header "
                f"source.partition is no number, the first in {replay.first_foreign}",
                err=True,
            )
