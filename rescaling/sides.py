"""Names and tables of both apps of a move: the old one and the new one."""

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


#: Topics that only one app uses. Others may use input, dead letters and viral videos: keep those.
_OF_ONE_APP = {Role.INTERNAL, Role.ORDER, Role.CHANGELOG}


@dataclass(frozen=True)
class MovedTable:
    """One table in both apps."""

    name: str
    old_changelog: str
    new_changelog: str
    old_format: StoreFormat
    new_format: StoreFormat
    has_ids: bool
    """Whether its rows contain event ids with the stream time at which they were applied."""


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
        """Describe ``tables`` in both apps; the one named ``with_ids`` contains event ids."""
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
        """Return the topics that only the new app uses."""
        return [s for s in all_topics(self.new, topology(self.new)) if s.role in _OF_ONE_APP]

    def old_topics(self) -> list[str]:
        """Return the topics that only the old app uses."""
        specs = all_topics(self.old, topology(self.old))
        return [spec.name for spec in specs if spec.role in _OF_ONE_APP]

    @property
    def between_tasks(self) -> set[str]:
        """The old app's topics between tasks, which must be read to their ends."""
        deltas = {entry.deltas for entry in topology(self.old) if entry.deltas is not None}
        return {*deltas, self.old.repartition_topic}

    def read_topics(self) -> list[str]:
        """Return the old app's topics that a move reads."""
        changelogs = [table.old_changelog for table in self.tables]
        return [self.old.events_topic, *sorted(self.between_tasks), *changelogs]

    def new_rights(self) -> dict[str, set[Right]]:
        """Return the rights that a move needs on the new app's topics."""
        specs = self.new_specs()
        rights = {spec.name: {Right.READ} for spec in specs if spec.role is Role.INTERNAL}
        changelogs = (table.new_changelog for table in self.tables)
        return rights | {name: {Right.READ, Right.WRITE} for name in changelogs}

    def deletion_rights(self) -> dict[str, set[Right]]:
        """Return the rights that deletion of the old app's topics needs."""
        rights = {name: {Right.DELETE} for name in self.old_topics()}
        changelogs = {table.new_changelog: {Right.READ} for table in self.tables}
        return {self.new.events_topic: {Right.DESCRIBE}} | changelogs | rights

    @property
    def keeps_input(self) -> bool:
        """Whether both apps read the same input."""
        return self.new.events_topic == self.old.events_topic

    def new_name(self, topic: str) -> str:
        """Return the new app's counterpart of a topic of the old app."""
        if topic == self.old.events_topic:
            return self.new.events_topic
        return f"{self.new.app_id}-{topic.removeprefix(f'{self.old.app_id}-')}"
