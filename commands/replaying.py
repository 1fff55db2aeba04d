"""Replay of dead letters: those of one reason are sent to be judged again, once each.

The offsets of a separate group (``auditing/replayed.py``) record which ones were sent. They are
committed in the events' transaction, so a repeated run sends nothing twice, also after a kill.
There is one transactional id per reason: of two concurrent runs, the later one fences the other.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from faust.types import TP

from auditing import AuditError
from auditing.dead_letters import event_id_of, number_of
from models.event import Rejected, decode
from models.partitioner import partition_of
from streaming.kafka.record_bounds import CUT, ORIGINAL_HEADER, size_of
from streaming.kafka.records import OutRecord

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from auditing.reading import Topics
    from auditing.replayed import Done
    from commands.progress import ProgressBar
    from settings import Settings
    from streaming.kafka.producer import TransactionalProducer
    from streaming.kafka.records import Record
    from streaming.kafka.topic_limits import Limits

#: Advice for reasons by which the same bytes are rejected again.
SAME_AGAIN = {
    **dict.fromkeys(
        ("malformed_json", "not_an_object", "missing_field", "invalid_field", "too_large"),
        "the same bytes are rejected again: correct them, and send them with --from",
    ),
    "unknown_event_type": "they are rejected again unless this release knows more types: correct "
    "them, and send them with --from",
    "late": "in this app the events are still older than every open window of their users: they "
    "count only after `faust -A app rebuild` with a larger REELS_USER_WINDOW",
}

#: Partition and offset of a dead letter.
Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Selection:
    """The dead letters to replay: all of one reason, or some of them."""

    reason: str
    since_ms: int | None = None
    ids: frozenset[str] = frozenset()
    """Event ids; empty: any."""
    corrected: Mapping[Place, bytes] = field(default_factory=dict)
    """Events that replace dead letters, by place; empty: the dead letters are sent."""

    @property
    def is_single(self) -> bool:
        """Whether dead letters are selected one by one."""
        return bool(self.ids or self.corrected)


class _LinePlace(msgspec.Struct):
    topic: str
    partition: int
    offset: int


class _Line(msgspec.Struct):
    place: _LinePlace
    value: msgspec.Raw


def read_corrected(path: Path, topic: str) -> dict[Place, bytes]:
    """Read corrected events and the places of their dead letters in ``topic``, one per line.

    A value is an event in JSON, or a string that contains JSON, as ``dead-letters --json`` prints.

    Raises:
        AuditError: a line has another form, an invalid event, or a wrong or repeated place.
    """
    found: dict[Place, bytes] = {}
    for number, text in enumerate(path.read_bytes().splitlines(), 1):
        if not text.strip():
            continue
        try:
            line = msgspec.json.decode(text, type=_Line)
            raw = bytes(line.value)
            value = msgspec.json.decode(raw, type=str).encode() if raw[:1] == b'"' else raw
        except (msgspec.MsgspecError, RecursionError, UnicodeError) as exc:
            raise AuditError(
                f"{path} line {number} is not a line of dead-letters --json with place and "
                f"value: {exc}"
            ) from exc
        place = line.place.partition, line.place.offset
        if line.place.topic != topic:
            raise AuditError(f"{path} line {number}: its place is not in {topic}")
        if isinstance(event := decode(value), Rejected):
            raise AuditError(
                f"{path} line {number} would be rejected again: {event.reason}, {event.detail}"
            )
        if place in found:
            raise AuditError(f"{path} line {number}: an earlier line has the same place")
        found[place] = value
    return found


class Replay:
    """Sends dead letters of one reason, or their corrections, to be judged again."""

    def __init__(
        self,
        topics: Topics,
        settings: Settings,
        selection: Selection,
        limits: Limits,
        progress: ProgressBar,
        *,
        to_input: bool,
    ) -> None:
        """Prepare the replay of ``selection``; ``topics`` reads the dead letters.

        Events go to their users' partitions of the repartition topic. With ``to_input`` they go to
        the input topic: corrected ones to their users' partitions, others to the partition that
        they came from. ``limits`` knows how large a batch these topics accept.
        """
        self.found: Counter[str] = Counter()
        """Dead letters in the read range that no earlier run has replayed, by reason."""
        self.before = 0
        """Selected dead letters that an earlier run has sent."""
        self.missing = set(selection.corrected)
        """Selected places where no dead letter of the reason was found."""
        self.chosen = 0
        """Dead letters to send."""
        self.sent = 0
        self.stay = 0
        """Selected dead letters that were cut, or are too large for the target topic."""
        self.foreign = 0
        """Selected dead letters without a source partition: no worker writes such records."""
        self.first_foreign = ""
        self._topics = topics
        self._dead_letters = settings.dead_letter_topic
        self._sources = {settings.events_topic, settings.repartition_topic}
        self._target = settings.events_topic if to_input else settings.repartition_topic
        self._is_to_input = to_input
        self._selection = selection
        self._app_id = settings.app_id
        self._limits = limits.of(self._target)
        self._progress = progress

    async def run(self, producer: TransactionalProducer | None) -> Replay:
        """Read all present dead letters, and send the selected ones; without a producer only count.

        Returns:
            This replay, with its counts.
        """
        topic, topics = self._dead_letters, self._topics
        all_done, begins = (
            await topics.replayed(topic, self._selection.reason),
            await self._begins(),
        )
        # Events that are rejected again become dead letters after these ends, for a later run.
        ends = await topics.ends(topic)
        targets = len(await topics.partitions(self._target))
        for partition, end in ends.items():
            done = all_done[partition]
            at = (
                begins[partition]
                if self._selection.corrected
                else max(begins[partition], done.position)
            )
            if not self._selection.is_single and self._selection.since_ms is None:
                # Those before are deleted.
                done = done.up_to(at)
            self._progress.begin(f"dead letters of partition {partition}", max(0, end - at))
            async for records in topics.read(topic, partition, at, end):
                if not records:
                    continue
                chosen, stayed = self._choose(partition, records, targets, done)
                behind = records[-1].offset + 1
                done = self._done(done, (at, behind), chosen, stayed)
                if producer is not None and (chosen or not self._selection.is_single):
                    await self._send(producer, partition, done, chosen)
                self.chosen += len(chosen)
                self._progress.advance(behind - at)
                at = behind
        return self

    async def _begins(self) -> Mapping[int, int]:
        since, topic = self._selection.since_ms, self._dead_letters
        if since is None:
            return await self._topics.begins(topic)
        return await self._topics.since(topic, since)

    def _done(
        self, done: Done, read: tuple[int, int], chosen: Sequence[_Chosen], stayed: Sequence[int]
    ) -> Done:
        """Return ``done`` with the ``chosen`` records, or with all ``read`` but ``stayed``."""
        if self._selection.is_single:
            return done.with_stretches((each.offset, each.offset + 1) for each in chosen)
        start, end = read
        begins, ends = (start, *(offset + 1 for offset in stayed)), (*stayed, end)
        without = done.with_stretches(zip(begins, ends, strict=True))
        # A later run tries again what stayed, unless it is too much to note.
        if without.fits:
            return without
        return done.up_to(end) if self._selection.since_ms is None else done.with_stretches([read])

    def _pass_over(self, partition: int, record: Record) -> None:
        if not self.foreign:
            self.first_foreign = f"{self._dead_letters}-{partition} at offset {record.offset}"
        self.foreign += 1

    def _choose(
        self, partition: int, records: Sequence[Record], targets: int, done: Done
    ) -> tuple[list[_Chosen], list[int]]:
        """Return the records to send, and the offsets of those that stay."""
        chosen: list[_Chosen] = []
        stayed: list[int] = []
        for record in records:
            headers = dict(record.headers)
            # The topic may be shared with other programs.
            if headers.get("source.topic", b"").decode(errors="replace") not in self._sources:
                continue
            if headers.get("source.app", self._app_id.encode()) != self._app_id.encode():
                continue
            reason = headers.get("reason", b"").decode(errors="replace")
            place = partition, record.offset
            if reason == self._selection.reason:
                self.missing.discard(place)
            if record.offset in done:
                self.before += reason == self._selection.reason and self._is_named(place, record)
                continue
            self.found[reason] += 1
            if reason != self._selection.reason or not self._is_named(place, record):
                continue
            source = number_of(headers, "source.partition")
            if source is None:
                self._pass_over(partition, record)
                continue
            value = self._selection.corrected.get(place)
            is_cut = value is None and CUT & headers.keys()
            original = _original(record, value)
            target, original = self._place(original, source % targets, targets)
            if is_cut or size_of(original) > self._limits.batch_bytes:
                stayed.append(record.offset)
            else:
                chosen.append(_Chosen(record.offset, target, original))
        self.stay += len(stayed)
        return chosen, stayed

    def _is_named(self, place: Place, record: Record) -> bool:
        selection = self._selection
        if selection.corrected:
            return place in selection.corrected
        return not selection.ids or event_id_of(record.value) in selection.ids

    def _place(self, record: OutRecord, source: int, targets: int) -> tuple[int, OutRecord]:
        as_it_was = self._is_to_input and not self._selection.corrected
        event = Rejected("", "") if as_it_was else decode(record.value)
        if isinstance(event, Rejected):
            return source, record
        home = partition_of(event.user_id, targets)
        return home, record._replace(key=b"%d" % event.user_id)

    async def _send(
        self,
        producer: TransactionalProducer,
        partition: int,
        done: Done,
        chosen: list[_Chosen],
    ) -> None:
        by_target: dict[int, list[OutRecord]] = defaultdict(list)
        for each in chosen:
            by_target[each.target].append(each.record)
        async with producer.transaction() as transaction:
            for target, records in by_target.items():
                await transaction.send_records(self._target, target, records)
            await transaction.delivered()
            position = {TP(self._dead_letters, partition): done.position}
            transaction.send_offsets(position, done.metadata)
            await transaction.delivered()
        self.sent += len(chosen)


class _Chosen(NamedTuple):
    """A record to send for the dead letter at ``offset``."""

    offset: int
    target: int
    record: OutRecord


def _original(record: Record, value: bytes | None) -> OutRecord:
    """Return the rejected record with its own headers, and ``value`` if it is corrected."""
    headers = tuple(
        (name.removeprefix(ORIGINAL_HEADER), value)
        for name, value in record.headers
        if name.startswith(ORIGINAL_HEADER)
    )
    return OutRecord(record.key, record.value if value is None else value, headers)
