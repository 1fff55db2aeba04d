"""The app whose tables are moved, and the one that they are moved to: names and tables."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from streaming.kafka.metadata import Right
from streaming.kafka.topic_specs import Role, changelog_topic
from topology import all_topics, topology

if TYPE_CHECKING:
    from collections.abc import Sequence

    from settings import Settings
    from streaming.kafka.topic_specs import TopicSpec
    from tables.layout import StoreFormat
    from tables.sliced import SlicedTable


#: Input, dead letters and viral videos are others' too: nobody deletes them here.
_OF_ONE_APP = {Role.INTERNAL, Role.ORDER, Role.CHANGELOG}


@dataclass(frozen=True)
class MovedTable:
    """One table on both sides."""

    name: str
    old_changelog: str
    new_changelog: str
    old_format: StoreFormat
    new_format: StoreFormat
    has_ids: bool
    """Whether its rows hold ids with the stream time at which they were applied."""


@dataclass(frozen=True)
class Sides:
    """Both apps."""

    old: Settings
    new: Settings
    tables: Sequence[MovedTable]

    @classmethod
    def of(
        cls, old: Settings, new: Settings, tables: Sequence[SlicedTable[Any]], with_ids: str
    ) -> Sides:
        """Name what both apps have of ``tables``; the one named ``with_ids`` holds event ids."""
        return cls(
            old,
            new,
            [
                MovedTable(
                    table.name,
                    table.changelog_topic_name,
                    changelog_topic(new, table.name),
                    table.layout,
                    replace(table.layout, partitions=new.partitions),
                    has_ids=table.name == with_ids,
                )
                for table in tables
            ],
        )

    def new_specs(self) -> list[TopicSpec]:
        """Return the topics of the new app that are its alone."""
        return [s for s in all_topics(self.new, topology(self.new)) if s.role in _OF_ONE_APP]

    def old_topics(self) -> list[str]:
        """Return the topics of the old app that are its alone."""
        specs = all_topics(self.old, topology(self.old))
        return [spec.name for spec in specs if spec.role in _OF_ONE_APP]

    @property
    def between_tasks(self) -> set[str]:
        """The old app's topics from task to task, which have to be read to their ends."""
        deltas = {entry.deltas for entry in topology(self.old) if entry.deltas is not None}
        return {*deltas, self.old.repartition_topic}

    def read_topics(self) -> list[str]:
        """Return the old app's topics that are read."""
        changelogs = [table.old_changelog for table in self.tables]
        return [self.old.events_topic, *sorted(self.between_tasks), *changelogs]

    def new_rights(self) -> dict[str, set[Right]]:
        """Return what is done with the new app's topics."""
        specs = self.new_specs()
        rights = {spec.name: {Right.READ} for spec in specs if spec.role is Role.INTERNAL}
        changelogs = (table.new_changelog for table in self.tables)
        return rights | {name: {Right.READ, Right.WRITE} for name in changelogs}

    def deletion_rights(self) -> dict[str, set[Right]]:
        """Return what is done with topics when the old app's are deleted."""
        rights = {name: {Right.DELETE} for name in self.old_topics()}
        changelogs = {table.new_changelog: {Right.READ} for table in self.tables}
        return {self.new.events_topic: {Right.DESCRIBE}} | changelogs | rights

    @property
    def keeps_input(self) -> bool:
        """Whether the new app reads the topic that the old one reads."""
        return self.new.events_topic == self.old.events_topic

    def new_name(self, topic: str) -> str:
        """Return the new app's topic in the place of one of the old app's."""
        if topic == self.old.events_topic:
            return self.new.events_topic
        return f"{self.new.app_id}-{topic.removeprefix(f'{self.old.app_id}-')}"
