"""``faust -A app topics``: create the topics, or check existing ones.

Importing this module registers the command. A worker does the same at its start; the command
serves set-ups in which workers may not create topics.
"""

from __future__ import annotations

import asyncio
import sys
from collections import defaultdict
from typing import TYPE_CHECKING, Any, NoReturn, cast

from aiokafka.errors import KafkaError
from faust.cli.base import AppCommand, option

from commands import shapes
from commands.running import run_or_exit
from streaming.errors import StartError
from streaming.kafka.broker_check import unreachable
from streaming.kafka.topic_settings import SettingVerdict, TopicConfigs, judge_topics
from streaming.kafka.topics import admin_client, ensure_topics, look_up

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

    import click

    from streaming.kafka.metadata import TopicMetadata
    from streaming.kafka.topic_settings import Finding
    from streaming.kafka.topic_specs import TopicSpec
    from streaming.runtime.app import App


class topics(AppCommand):  # noqa: N801 - the class's name is the command's
    """Create the topics with the program's settings, or check those that exist."""

    options: list[Any] = [  # noqa: RUF012 - as in Faust's commands
        option("--wait", type=float, default=0.0, help="Seconds to wait for a broker."),
        option(
            "--check",
            is_flag=True,
            help="Create nothing: compare the settings of existing topics with the program's.",
        ),
    ]

    def __init__(
        self, ctx: click.Context, *args: Any, wait: float, check: bool, **kwargs: Any
    ) -> None:
        """Read the options."""
        super().__init__(ctx, *args)
        self._wait = wait
        self._check = check
        self._parts = cast("App", self.app).task_context

    def __call__(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Run the command outside of a Faust worker: there is no app to start."""
        run_or_exit(self._run(), self._parts.settings.broker_url)
        sys.exit(0)

    async def _run(self) -> None:
        """Create or check; retry for ``--wait`` seconds if no broker answers. Raises StartError."""
        specs = self._parts.topics
        deadline = asyncio.get_running_loop().time() + self._wait
        while True:
            try:
                await (self._compare(specs) if self._check else self._ensure(specs))
            except (KafkaError, OSError) as exc:
                if asyncio.get_running_loop().time() >= deadline:
                    raise StartError(unreachable(self._parts.settings.broker_url, exc)) from exc
                await asyncio.sleep(1.0)
            else:
                return

    async def _ensure(self, specs: Sequence[TopicSpec]) -> None:
        """Create missing topics, check the others, and list all."""
        found = await ensure_topics(
            self._parts.client_settings, specs, self._parts.settings.replication_factor
        )
        if self.json:
            topics = [
                shapes.TopicStatus(
                    s.name, exists=True, partitions=found[s.name].partitions, settings=[]
                )
                for s in specs
            ]
            shapes.print_json(shapes.Topics(well=True, topics=topics))
            return
        for spec in specs:
            self.say(f"{spec.name}: {found[spec.name].partitions} partitions")

    async def _compare(self, specs: Sequence[TopicSpec]) -> None:
        """Print each setting with its verdict. Raises StartError if a worker would not start."""
        async with admin_client(self._parts.client_settings) as admin:
            found = await look_up(admin, specs)
            configs = await TopicConfigs.read(admin, found)
        findings = list(judge_topics(specs, found, configs.values, self._parts.settings))
        if self.json:
            self._print_json(specs, found, findings, is_complete=not configs.forbidden)
        else:
            self._print_text(specs, found, findings)
        if configs.forbidden:
            names = ", ".join(sorted(configs.forbidden))
            raise StartError(
                f"the settings of {names} cannot be read: grant the right DescribeConfigs on them "
                "(docs/security.md)"
            )
        if wrong := [each for each in findings if each.verdict is SettingVerdict.WRONG]:
            raise StartError(f"a worker would not start (wrong settings: {len(wrong)})")

    def _print_text(
        self, specs: Sequence[TopicSpec], found: Container[str], findings: Sequence[Finding]
    ) -> None:
        for spec in specs:
            if spec.name not in found:
                self.say(f"{spec.name}: missing (a worker creates it)")
        for each in findings:
            line = f"{each.topic}: {each.setting}={each.value}: {each.verdict.value}"
            is_right = each.verdict is SettingVerdict.RIGHT
            command = each.command(self._parts.settings)
            self.say(line if is_right else f"{line}: {each.reason}\n  {command}")

    def _print_json(
        self,
        specs: Sequence[TopicSpec],
        found: Mapping[str, TopicMetadata],
        findings: Sequence[Finding],
        *,
        is_complete: bool,
    ) -> None:
        settings: dict[str, list[shapes.TopicSetting]] = defaultdict(list)
        for each in findings:
            is_right = each.verdict is SettingVerdict.RIGHT
            settings[each.topic].append(
                shapes.TopicSetting(
                    each.setting,
                    each.value,
                    each.verdict.value,
                    None if is_right else each.reason,
                    None if is_right else each.command(self._parts.settings),
                )
            )
        well = is_complete and all(each.verdict is not SettingVerdict.WRONG for each in findings)
        topics = [
            shapes.TopicStatus(
                name=spec.name,
                exists=spec.name in found,
                partitions=found[spec.name].partitions if spec.name in found else spec.partitions,
                settings=settings[spec.name],
            )
            for spec in specs
        ]
        shapes.print_json(shapes.Topics(well=well, topics=topics))
