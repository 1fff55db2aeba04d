"""Watch for topics that are deleted, created again or extended while workers run.

One request every few seconds looks up all topics. docs/fault-tolerance.md has a table of the
consequences for each topic.
"""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from mode import Service

from streaming.errors import StartError, TopicLostError
from streaming.kafka.metadata import find_topics
from streaming.kafka.rights import missing_rights, refuse_without
from streaming.kafka.topic_specs import Role
from streaming.kafka.topics import create_topics, partitions_advice

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from streaming.kafka.metadata import TopicMetadata, TopicsMetadata
    from streaming.kafka.topic_specs import TopicSpec

log = logging.getLogger(__name__)

#: Seconds between two lookups, and between those that confirm a finding.
INTERVAL_S, CONFIRM_INTERVAL_S = 2.0, 0.5

#: Consecutive lookups that confirm the loss of one topic, and of all topics: a broker that just
#: started may not know any topics yet.
MIN_LOOKS, MIN_LOOKS_WITHOUT_TOPICS = 4, 12

_CONSEQUENCES: Final = {
    Role.INPUT: (
        "events in it that were not counted are lost, and a recreated topic is another topic: "
        "start over with another REELS_APP_ID"
    ),
    Role.INTERNAL: (
        "records between tasks are lost with it, so counts would lack them: start over with "
        "another REELS_APP_ID, which counts all events that {source} still holds again"
    ),
    Role.VIRAL: ("restart all workers: they recreate it with all videos that are viral then"),
    Role.CHANGELOG: (
        "the data directories now hold the only copy of this table: keep them, and rewrite the "
        "topic with `faust -A app restore-changelog`"
    ),
}

#: Topics that are created again, and the data that is lost.
_REMADE: Final = {
    Role.DEAD_LETTERS: "the rejected events in it",
    Role.ORDER: "the order of counted events, which an audit now lacks",
}


class TopicWatch(Service):
    """Ends the worker if an essential topic is lost; creates other topics again."""

    def __init__(
        self,
        client_settings: Mapping[str, Any],
        specs: Sequence[TopicSpec],
        found: Mapping[str, TopicMetadata],
        replication_factor: int,
        give_up: Callable[[BaseException], None],
        **kwargs: Any,
    ) -> None:
        """Watch topics once started.

        Arguments:
            client_settings: aiokafka's connection settings.
            specs: the topics of the program.
            found: the topics as of the start, by name.
            replication_factor: replicas of topics that are created again.
            give_up: called once, with the reason, if the worker cannot continue.
            kwargs: arguments of :class:`mode.Service`.
        """
        super().__init__(**kwargs)
        self._client_settings = client_settings
        self._replication_factor = replication_factor
        self._give_up = give_up
        self._specs = specs
        self._partitions = {name: topic.partitions for name, topic in found.items()}
        self._known = {name: topic.id for name, topic in found.items()}
        self._source = next(spec.name for spec in specs if spec.role is Role.INPUT)
        #: Consecutive lookups that found a topic missing or replaced, by its name.
        self._looks: Counter[str] = Counter()
        #: Consecutive lookups that found a right missing.
        self._refusals = 0
        #: Why topics keep the worker from being ready, None if they do not.
        self.obstacle: str | None = None

    @Service.task
    async def _watch(self) -> None:
        while not self.should_stop:
            admin = AIOKafkaAdminClient(**self._client_settings)
            try:
                await admin.start()
                while not self.should_stop:
                    await self._look(admin)
                    is_doubtful = self._looks or self._refusals
                    await self.sleep(CONFIRM_INTERVAL_S if is_doubtful else INTERVAL_S)
            except (KafkaError, OSError, TimeoutError) as exc:
                log.debug("topics cannot be looked up: %r", exc)
                await self.sleep(INTERVAL_S)
            except (StartError, TopicLostError) as exc:
                self._give_up(exc)
                return
            finally:
                await admin.close()

    async def _look(self, admin: AIOKafkaAdminClient) -> None:
        found = await find_topics(admin, [spec.name for spec in self._specs])
        lost = self._believed(found)
        self._check_lost([spec for spec in lost if spec.role not in _REMADE], found)
        if found.topics:
            for spec in lost:
                await self._restore(admin, spec, found)
        self._check_rights(found)
        self._check_partitions(found)

    def _believed(self, found: TopicsMetadata) -> list[TopicSpec]:
        """Return the topics that several lookups found missing or replaced."""
        gone = [
            spec
            for spec in self._specs
            if spec.name not in found.forbidden
            and self._known[spec.name]
            != (topic.id if (topic := found.topics.get(spec.name)) is not None else None)
        ]
        names = {spec.name for spec in gone}
        self._looks = Counter({name: self._looks[name] + 1 for name in names})
        return [spec for spec in gone if self._looks[spec.name] >= MIN_LOOKS]

    def _check_lost(self, lost: Sequence[TopicSpec], found: TopicsMetadata) -> None:
        """Refuse to continue without essential topics. Raises TopicLostError."""
        if not found.topics and not found.forbidden:
            if min(self._looks.values(), default=0) < MIN_LOOKS_WITHOUT_TOPICS:
                return
            raise TopicLostError(
                "the brokers no longer have any of the program's topics: their data is lost, or "
                "BROKER_URL now leads to another cluster. Keep the data directories: they hold the "
                "only copy of the tables"
            )
        for spec in lost:
            anew = " and recreated" * (spec.name in found.topics)
            consequence = _CONSEQUENCES[spec.role].format(source=self._source)
            raise TopicLostError(f"the topic {spec.name} was deleted{anew}: {consequence}")

    async def _restore(
        self, admin: AIOKafkaAdminClient, spec: TopicSpec, found: TopicsMetadata
    ) -> None:
        topic = found.topics.get(spec.name)
        if topic is None:
            await create_topics(admin, [spec], self._replication_factor)
            topic = (await find_topics(admin, [spec.name])).topics.get(spec.name)
        if topic is not None:
            if topic.partitions < self._partitions[spec.name]:
                raise TopicLostError(
                    f"the topic {spec.name} was recreated with fewer partitions: restart the worker"
                )
            log.error(
                "the topic %s was deleted, with %s: creating it again",
                *(spec.name, _REMADE[spec.role]),
            )
            self._known[spec.name] = topic.id

    def _check_rights(self, found: TopicsMetadata) -> None:
        """Refuse to continue without a right that the program had. Raises StartError."""
        missing = [f"Describe on topic {name}" for name in sorted(found.forbidden)]
        missing += missing_rights(self._specs, found.topics)
        self._refusals = self._refusals + 1 if missing else 0
        if self._refusals >= MIN_LOOKS:
            refuse_without(missing)

    def _check_partitions(self, found: TopicsMetadata) -> None:
        """Log once that partitions have no reader; the worker is unready while that is so."""
        fixed = [spec for spec in self._specs if spec.fixed and spec.name in found.topics]
        grown = [spec for spec in fixed if found.topics[spec.name].partitions > spec.partitions]
        obstacle = None
        if grown:
            advice = partitions_advice(self._specs, found.topics)
            obstacle = f"partitions were added that no worker reads: {advice}"
        if obstacle != self.obstacle and obstacle is not None:
            log.error("%s", obstacle)
        self.obstacle = obstacle
