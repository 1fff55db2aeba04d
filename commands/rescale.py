"""``faust -A app rescale``: move all tables to another number of partitions.

Importing this module registers the command.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn, cast

import click
from faust.cli.base import AppCommand, option

from accelerator import WireBackend, is_wanted, layer_backend
from commands.parsed import like_setting
from commands.progress import ProgressBar
from commands.running import AGAIN, run_or_exit
from rescaling.errors import RescaleError
from rescaling.rescale import Rescale
from rescaling.sides import Sides
from streaming.errors import TransactionFailedError
from streaming.kafka.batch_writer import packer
from tables import users

if TYPE_CHECKING:
    from settings import Settings
    from streaming.runtime.app import App


class rescale(AppCommand):  # noqa: N801 - the class's name is the command's
    """Move all tables to another number of partitions, under another app id.

    Stop all workers first, at a lag of 0; producers may continue. Run it with the settings of the
    workers: TOPIC_PARTITIONS is the old number. It prints a plan, moves every row, and prints how
    to start the workers from then on. It may be killed and run again. It does not change the old
    app's topics.
    """

    options: list[Any] = [  # noqa: RUF012 - as in Faust's commands
        option(
            "--partitions",
            type=like_setting("partitions"),
            required=True,
            help="The new number of partitions.",
        ),
        option(
            "--to-app-id",
            type=like_setting("app_id"),
            default=None,
            help="The new REELS_APP_ID. Default: the old one with -N.",
        ),
        option(
            "--to-events-topic",
            type=like_setting("events_topic"),
            default=None,
            help="The new REELS_EVENTS_TOPIC, for fewer partitions: all events of the old one must "
            "be applied.",
        ),
        option("--dry-run", is_flag=True, help="Print the plan and change nothing."),
        option("--alter-input", is_flag=True, help="Add the partitions that the input lacks."),
        option(
            "--delete-old",
            is_flag=True,
            help="In a later run: only delete the topics of the old app.",
        ),
    ]

    def __init__(
        self,
        ctx: click.Context,
        *args: Any,
        partitions: int,
        to_app_id: str | None,
        to_events_topic: str | None,
        dry_run: bool,
        alter_input: bool,
        delete_old: bool,
        **kwargs: Any,
    ) -> None:
        """Read the options."""
        super().__init__(ctx, *args)
        self._partitions = partitions
        self._app_id, self._events_topic = to_app_id, to_events_topic
        self._is_dry, self._alters_input, self._deletes_old = dry_run, alter_input, delete_old

    def __call__(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Run the command outside of a Faust worker: there is no app to start."""
        app = cast("App", self.app)
        texts = {TransactionFailedError: f"Kafka did not accept the rows; none counts, {AGAIN}"}
        run_or_exit(self._run(app), app.task_context.settings.broker_url, texts=texts)
        sys.exit(0)

    async def _run(self, app: App) -> None:
        parts = app.task_context
        sides = Sides.of(
            parts.settings,
            self._new(parts.settings),
            list(parts.tables.values()),
            with_ids=users.NAME,
        )
        accelerated = is_wanted(parts.settings.accelerator)
        with ProgressBar(quiet=self.quiet) as progress:
            move = Rescale(
                sides,
                parts.client_settings,
                layer_backend(accelerated=accelerated).layer,
                packer(WireBackend.of(accelerated=accelerated).pack),
                progress,
            )
            if self._deletes_old:
                if self._is_dry:
                    raise RescaleError("--dry-run has no plan for --delete-old: leave one out")
                for name in await move.delete_old():
                    click.echo(f"deleted {name}")
                return
            plan = await move.plan()
            for line in plan.lines(alters_input=self._alters_input):
                click.echo(line)
            if self._is_dry:
                return
            await move.run(alters_input=self._alters_input)
        if plan.adds_partitions and not self._alters_input:
            click.echo(
                f"next: add partitions to {sides.new.events_topic} until it has "
                f"{sides.new.partitions}, or run this again with --alter-input"
            )
        variables = [
            f"REELS_APP_ID={sides.new.app_id}",
            f"TOPIC_PARTITIONS={sides.new.partitions}",
            f"REELS_VIRAL_TOPIC={sides.new.app_id}-viral-videos",
            f"REELS_DEAD_LETTER_TOPIC={sides.new.dead_letter_topic}",
            *([] if sides.keeps_input else [f"REELS_EVENTS_TOPIC={sides.new.events_topic}"]),
        ]
        click.echo(
            f"moved. Start the workers with {' '.join(variables)} and all other settings of "
            "this move"
        )

    def _new(self, old: Settings) -> Settings:
        partitions = self._partitions
        if partitions == old.partitions:
            raise RescaleError(
                f"the tables already have {partitions} partitions (TOPIC_PARTITIONS): choose "
                "another number"
            )
        app_id = self._app_id or f"{old.app_id}-{partitions}"
        if app_id == old.app_id:
            raise RescaleError("--to-app-id must differ from REELS_APP_ID")
        return replace(
            old,
            app_id=app_id,
            partitions=partitions,
            events_topic=self._events_topic or old.events_topic,
        )
