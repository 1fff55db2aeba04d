"""``faust -A app topics``: make the topics, or check those that are there.

Importing this module registers the command. A worker does the same at its start; apart, it serves
set-ups in which workers may not create topics.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import TYPE_CHECKING, Any, NoReturn, cast

import click
from aiokafka.errors import KafkaError
from faust.cli.base import AppCommand, option

from streaming.errors import StartError
from streaming.topics import ensure_topics, topic_specs

if TYPE_CHECKING:
    from streaming.app import App


class topics(AppCommand):  # noqa: N801 - the class's name is the command's
    """Create the topics with the program's settings, or check those that exist."""

    options: list[Any] = [  # noqa: RUF012 - as Faust's commands have it
        option("--wait", type=float, default=0.0, help="Seconds to wait for a broker.")
    ]

    def __init__(self, ctx: click.Context, *args: Any, wait: float, **kwargs: Any) -> None:
        """Read the options."""
        super().__init__(ctx, *args)
        self._wait = wait

    def __call__(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Run without Faust's worker around it: there is no app to start."""
        # What it has to say arrives as exceptions, and is one line then.
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
        try:
            asyncio.run(self._ensure(self._wait))
        except StartError as exc:
            click.echo(f"error: {exc}", err=True)
            sys.exit(1)
        sys.exit(0)

    async def _ensure(self, wait: float) -> None:
        """Create or check, and list what there is. Raises StartError."""
        app = cast("App", self.app)
        parts = app.task_parts
        specs = topic_specs(parts.settings, (t.changelog_topic_name for t in parts.tables))
        deadline = asyncio.get_running_loop().time() + wait
        while True:
            try:
                await ensure_topics(parts.client_settings, specs, parts.settings.replication_factor)
                break
            except (KafkaError, OSError) as exc:
                if asyncio.get_running_loop().time() >= deadline:
                    url = parts.settings.broker_url
                    raise StartError(f"no broker answers at {url} ({exc})") from exc
                await asyncio.sleep(1.0)
        for spec in specs:
            self.say(f"{spec.name}: {spec.partitions} partitions")
