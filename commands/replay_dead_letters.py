"""``faust -A app replay-dead-letters``: send rejected events to be judged again, once each.

Importing this module registers the command.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, cast

import click
from faust.cli.base import AppCommand, option

from auditing import AuditError
from auditing.reading import open_topics
from commands.dead_letters import SINCE
from commands.progress import ProgressBar
from commands.replaying import SAME_AGAIN, Replay, Selection, read_corrected
from commands.running import AGAIN, run_or_exit
from models.schema import REASONS
from models.windows import format_duration
from streaming.errors import FencedError, TransactionFailedError
from streaming.kafka.metadata import Right
from streaming.kafka.producer import TransactionalProducer
from streaming.kafka.topic_limits import Limits

if TYPE_CHECKING:
    from streaming.runtime.app import App


class replay_dead_letters(AppCommand):  # noqa: N801 - the class's name is the command's
    """Replay the events that were rejected for one reason, once each.

    Each dead letter goes, with its bytes and headers, to its user's partition of the program's own
    repartition topic, which no other program reads. With --to-input it goes, with its key, to the
    partition of the input that it came from, where every reader of the input sees it. Dead letters
    that were cut, or are too large for the topic, stay. The progress per reason is committed in the
    same transaction as the events: the command can be repeated, and killed at any moment, and sends
    nothing twice. An event that is rejected again becomes a new dead letter, which the next run
    would send again.
    """

    name = "replay-dead-letters"
    options: list[Any] = [  # noqa: RUF012 - as in Faust's commands
        option(
            "--reason",
            type=click.Choice(REASONS),
            required=True,
            help="Replay the dead letters with this reason.",
        ),
        option(
            "--since", type=SINCE, default=None, help="Only from this time on; 2h: two hours ago."
        ),
        option("--id", "ids", multiple=True, help="Only this event_id; may be repeated."),
        option(
            "--from",
            "path",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            default=None,
            help="File of corrected events to send instead: lines of dead-letters --json with the "
            "value corrected. Needs --to-input.",
        ),
        option("--dry-run", is_flag=True, help="Only count what would be sent."),
        option("--to-input", is_flag=True, help="Send to the input topic, for all its readers."),
    ]

    def __init__(
        self,
        ctx: click.Context,
        *args: Any,
        reason: str,
        since: int | None,
        ids: tuple[str, ...],
        path: Path | None,
        dry_run: bool,
        to_input: bool,
        **kwargs: Any,
    ) -> None:
        """Read the options."""
        super().__init__(ctx, *args)
        self._reason = reason
        if path is not None and (ids or since is not None):
            raise click.UsageError("--from names the dead letters: leave out --id and --since")
        if path is not None and not to_input:
            raise click.UsageError(
                "a corrected event is a new event, which audit and rebuild must find in the "
                "input: use --from with --to-input"
            )
        self._selection = Selection(reason, since, frozenset(ids))
        self._path = path
        self._dry_run = dry_run
        self._to_input = to_input

    def __call__(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Run the command outside of a Faust worker: there is no app to start."""
        app = cast("App", self.app)
        if self._path is None and (advice := SAME_AGAIN.get(self._reason)):
            click.echo(f"note: a replay of {self._reason} does not help: {advice}", err=True)
        elif self._path is None and self._reason == "future_timestamp":
            skew = format_duration(app.task_context.settings.max_future_skew)
            click.echo(
                f"note: events that are still more than {skew} ahead of the clock are rejected "
                "again",
                err=True,
            )
        texts = {
            FencedError: f"another run is replaying the dead letters of reason {self._reason}",
            TransactionFailedError: f"Kafka did not accept the events, {AGAIN}",
        }
        brokers = app.task_context.settings.broker_url
        self._print(run_or_exit(self._run(app), brokers, code=2, texts=texts))
        sys.exit(0)

    async def _run(self, app: App) -> Replay:
        if self._path is not None:
            topic = app.task_context.settings.dead_letter_topic
            corrected = read_corrected(self._path, topic)
            self._selection = Selection(self._reason, corrected=corrected)
        return await self._replay(app)

    async def _replay(self, app: App) -> Replay:
        parts = app.task_context
        settings = parts.settings
        group = f"{settings.app_id}-replay-{self._reason}"
        async with open_topics(parts.client_settings, settings.app_id) as topics:
            target = settings.events_topic if self._to_input else settings.repartition_topic
            names = settings.dead_letter_topic, target
            rights = dict(zip(names, ({Right.READ}, {Right.WRITE}), strict=True))
            await topics.require(rights, writer=None if self._dry_run else group)
            for name in names:
                await topics.partitions(name)
            limits = Limits(parts.client_settings, [target])
            await limits.refresh()
            # Created after the checks above, because only ``finally`` below stops it.
            producer = (
                None
                if self._dry_run
                else TransactionalProducer(group, group, parts.client_settings, limits=limits)
            )
            try:
                if producer is not None:
                    # Start before offsets are read: this ends the transaction of an earlier run.
                    await producer.start()
                with ProgressBar(quiet=self.quiet) as progress:

                    def replay() -> Replay:
                        return Replay(
                            *(topics, settings, self._selection, limits, progress),
                            to_input=self._to_input,
                        )

                    if self._path is not None:
                        _require_all(await replay().run(None), self._path)
                    return await replay().run(producer)
            finally:
                if producer is not None:
                    await producer.stop()

    def _print(self, replay: Replay) -> None:
        others = replay.found.total() - replay.found[self._reason]
        count = replay.chosen if self._dry_run else replay.sent
        letters = f"{count:,} dead letter{'s' * (count != 1)} of reason {self._reason}"
        click.echo(f"{letters} would be sent again" if self._dry_run else f"sent {letters} again")
        click.echo(f"skipped {others:,} with other reasons")
        if replay.before:
            click.echo(f"skipped {replay.before:,} that an earlier run sent")
        if replay.stay:
            click.echo(f"skipped {replay.stay:,} that were cut, or are too large for the topic")
        if replay.foreign:
            click.echo(
                f"skipped {replay.foreign:,} that no worker wrote: their header source.partition "
                f"is not a number, the first in {replay.first_foreign}",
                err=True,
            )


def _require_all(replay: Replay, path: Path) -> None:
    """Raise AuditError if a place in the file has no dead letter of the reason."""
    if replay.missing:
        partition, offset = min(replay.missing)
        raise AuditError(
            f"{path} names {len(replay.missing)} places without a dead letter with that reason, "
            f"the first in partition {partition} at offset {offset}; nothing was sent"
        )
