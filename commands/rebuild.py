"""``faust -A app rebuild``: recount the retained input beside the running app.

Importing this module registers the command.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, NoReturn, cast

import click
from faust.cli.base import AppCommand, option

from auditing.reading import open_topics
from commands.children import last_words, own_command
from commands.parsed import like_setting
from commands.progress import ProgressBar
from commands.running import run_or_exit
from embedded.probe import free_ports
from models.windows import to_iso
from rescaling.catching_up import Backlog, left
from rescaling.errors import RescaleError
from setting_checks import check_topics
from setting_variables import variable_of
from streaming.kafka.stopped_groups import require_stopped
from streaming.kafka.topics import admin_client

if TYPE_CHECKING:
    from auditing.reading import Topics
    from embedded.process import BoundProcess
    from settings import Settings
    from streaming.runtime.app import App

#: Seconds between two checks, and for how many seconds the worker must have caught up.
POLL_S, CURRENT_S = 0.5, 5.0

#: Seconds after which a worker that does not end is killed.
STOP_TIMEOUT_S = 30.0


def own_topic(old: Settings, app_id: str, attribute: str) -> str:
    """Return the new app's topic: its default where possible, but never the old app's topic."""
    name: str = getattr(old, attribute)
    variable = variable_of(attribute)
    default = variable.default_for(app_id)
    is_chosen = name != variable.default_for(old.app_id)
    return f"{name}-{app_id}" if is_chosen or default is None else default


class rebuild(AppCommand):  # noqa: N801 - the class's name is the command's
    """Count all events of the input again, under another app id, beside the running app.

    Run it with the new settings, such as other windows or steps. The command starts its own worker,
    which ends once it has caught up. It prints how to start the workers from then on, and from
    which time answers are complete. It may be killed and run again.
    """

    options: list[Any] = [  # noqa: RUF012 - as in Faust's commands
        option(
            "--to-app-id",
            type=like_setting("app_id"),
            required=True,
            help="REELS_APP_ID of the new tables.",
        ),
        option(
            "--to-viral-topic",
            type=like_setting("viral_topic"),
            default=None,
            help="REELS_VIRAL_TOPIC of the new app. Default: the default of that app id.",
        ),
        option(
            "--to-datadir",
            type=click.Path(file_okay=False, path_type=Path),
            default=None,
            help="Data directory of the worker. Default: the new app id with -data.",
        ),
    ]

    def __init__(
        self,
        ctx: click.Context,
        *args: Any,
        to_app_id: str,
        to_viral_topic: str | None,
        to_datadir: Path | None,
        **kwargs: Any,
    ) -> None:
        """Read the options."""
        super().__init__(ctx, *args)
        old = cast("App", self.app).task_context.settings
        self._old = old
        self._new = replace(
            old,
            app_id=to_app_id,
            viral_topic=to_viral_topic or own_topic(old, to_app_id, "viral_topic"),
            # Its events were rejected before: the running app's topic must not get them again.
            dead_letter_topic=own_topic(old, to_app_id, "dead_letter_topic"),
        )
        self._folder = to_datadir or Path(f"{to_app_id}-data")

    def __call__(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Run the command outside of a Faust worker; the rebuild's worker is a child process."""
        run_or_exit(self._run(), self._old.broker_url)
        sys.exit(0)

    async def _run(self) -> None:
        old, new = self._old, self._new
        if new.app_id == old.app_id:
            raise RescaleError("--to-app-id must differ from REELS_APP_ID")
        check_topics(new)
        client_settings = cast("App", self.app).task_context.client_settings
        async with open_topics(client_settings, new.app_id) as topics:
            async with admin_client(client_settings) as admin:
                await require_stopped(admin, new.app_id)
            backlog = await Backlog.of(topics, new.events_topic)
            self._say_when_complete(backlog, new)
            worker = self._worker()
            try:
                await self._follow(worker, topics)
            finally:
                await asyncio.to_thread(worker.terminate, STOP_TIMEOUT_S)
        names = [f"REELS_APP_ID={new.app_id}"]
        if new.viral_topic != variable_of("viral_topic").default_for(new.app_id):
            names.append(f"REELS_VIRAL_TOPIC={new.viral_topic}")
        if new.dead_letter_topic != variable_of("dead_letter_topic").default_for(new.app_id):
            names.append(f"REELS_DEAD_LETTER_TOPIC={new.dead_letter_topic}")
        click.echo(
            f"caught up. Start the workers with {' '.join(names)} and all other settings of this "
            f"rebuild. Give one of them --datadir {self._folder}, which has the tables. Then "
            "switch the readers to them"
        )

    def _say_when_complete(self, backlog: Backlog, new: Settings) -> None:
        complete = backlog.complete_from(new)
        if complete is None:
            click.echo("the input is complete: answers are complete once the rebuild has caught up")
        else:
            click.echo(
                "older events of the input were deleted: answers are complete for stream times "
                f"from {to_iso(complete)} on"
            )

    def _worker(self) -> BoundProcess:
        folder = self._folder.absolute()
        folder.mkdir(parents=True, exist_ok=True)
        (self._port,) = free_ports(1)
        self._log = folder / "rebuild.log"
        worker = own_command(
            self.state.app or "app",
            [
                *("--datadir", str(folder), "worker", "-l", "warn"),
                *("--web-port", str(self._port)),
            ],
            self._log,
            # Only the readiness check may reach the worker: its tables are incomplete.
            WEB_BIND="127.0.0.1",
            REELS_APP_ID=self._new.app_id,
            REELS_VIRAL_TOPIC=self._new.viral_topic,
            REELS_DEAD_LETTER_TOPIC=self._new.dead_letter_topic,
        )
        worker.start()
        return worker

    def _is_ready(self) -> bool:
        # urllib would use a proxy from the environment.
        connection = HTTPConnection("127.0.0.1", self._port, timeout=CURRENT_S)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == HTTPStatus.OK
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()

    async def _follow(self, worker: BoundProcess, topics: Topics) -> None:
        """Show progress until the worker has caught up.

        The worker must be ready, with at most 1 % of the backlog left, for ``CURRENT_S`` seconds.

        Raises:
            RescaleError: the worker has ended.
        """
        with ProgressBar(quiet=self.quiet) as progress:
            waiting = total = await left(topics, self._new.events_topic)
            progress.begin(f"counting {self._new.events_topic} again", total)
            current_since: float | None = None
            while current_since is None or monotonic() - current_since < CURRENT_S:
                if not worker.running:
                    ended = last_words(self._log, worker.exit_code)
                    raise RescaleError(f"the worker ({self._log}) {ended}")
                await asyncio.sleep(POLL_S)
                before, waiting = waiting, await left(topics, self._new.events_topic)
                progress.advance(max(0, before - waiting))
                # A worker that does not answer may be about to refuse the tables.
                if waiting > total // 100 or not await asyncio.to_thread(self._is_ready):
                    current_since = None
                elif current_since is None:
                    current_since = monotonic()
