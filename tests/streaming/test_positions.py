"""The start position, given the positions of tables, group and topic.

::

    begin ------ table ------ end      the group's offset may be anywhere, or missing
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, cast

import pytest
from aiokafka.structs import OffsetAndMetadata
from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from monitoring import metrics
from streaming.errors import PositionError
from streaming.restore.positions import MAX_LOOKS, KnownOffsets, Positions, Start
from tables.layout import Position, TablePositions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streaming.fetch.consumer_thread import BatchConsumerThread


EVENTS, MORE = TP("events", 0), TP("events", 1)
ID, OTHER_ID = "topic-id", "other-id"
CHANGELOG = "users-changelog"


EARLIER = "a release without positions"


def known(
    table: int | str | None = 50,
    group: int | None = 50,
    *,
    begin: int = 10,
    topic_id: str = ID,
    is_claimed: bool = True,
) -> KnownOffsets:
    """Return known offsets; ``table`` is the table's position, or None without a table."""
    stands: dict[int | str | None, dict[str, Position] | None] = {None: None, EARLIER: {}}
    positions = stands.get(table, {EVENTS.topic: Position(cast("int", table), ID)})
    return KnownOffsets(
        EVENTS, TablePositions(CHANGELOG, positions), group, is_claimed, begin, 100, topic_id
    )


class TestStart:
    @given(st.integers(0, 100), st.one_of(st.none(), st.integers(0, 200)))
    def test_nothing_before_the_tables_position_is_read_again(
        self, table: int, group: int | None
    ) -> None:
        start = known(table, group, begin=0).start()
        assert start.offset >= table
        assert start.offset - table == start.skipped
        assert (start.note is None) == (group == table)

    @given(st.integers(0, 100), st.integers(0, 200))
    def test_only_an_operator_who_moves_the_group_ahead_within_the_topic_is_followed(
        self, table: int, group: int
    ) -> None:
        start = known(table, group, begin=0).start()
        assert start.offset == (group if table < group <= 100 else table)

    def test_a_topic_with_another_id_is_another_topic(self) -> None:
        with pytest.raises(PositionError, match=f"id {OTHER_ID}.*id {ID}"):
            known(topic_id=OTHER_ID).start()

    def test_brokers_without_ids_are_taken_at_their_word(self) -> None:
        assert known(topic_id="").start() == Start(50)

    def test_a_table_behind_the_end_of_its_topic_is_refused(self) -> None:
        with pytest.raises(PositionError, match=r"offset 101 .* beyond the end of the topic, 100"):
            known(101, 50).start()

    def test_what_it_says_to_do_helps(self) -> None:
        """The group's offsets count only if the tables have no positions."""
        advice = "set the group's offsets"
        with pytest.raises(PositionError, match="another REELS_APP_ID") as refused:
            known(101, 50).start()
        assert advice not in str(refused.value)
        with pytest.raises(PositionError, match=advice):
            known(None, 101, is_claimed=False).start()

    def test_a_new_app_begins_with_the_oldest_record(self) -> None:
        assert known(None, None, is_claimed=False).start() == Start(10)

    def test_a_new_app_begins_where_an_operator_has_put_its_group(self) -> None:
        assert known(None, 70, is_claimed=False).start() == Start(70)

    def test_a_claimed_partition_whose_changelog_is_empty_is_refused(self) -> None:
        with pytest.raises(PositionError, match=f"{CHANGELOG} is empty.*restore-changelog"):
            known(None, 70).start()

    def test_tables_of_a_release_without_positions_go_by_the_group(self) -> None:
        assert known(EARLIER, 70, is_claimed=False).start() == Start(70)

    def test_tables_of_a_release_without_positions_are_refused_without_the_group(self) -> None:
        with pytest.raises(PositionError, match="kept offsets only with the group"):
            known(EARLIER, None, is_claimed=False).start()

    def test_a_source_that_the_release_before_did_without_is_read_from_its_first_record(
        self,
    ) -> None:
        new = known(EARLIER, None, is_claimed=False)._replace(is_new=True)
        assert new.start() == Start(10)


class Brokers:
    """The consumer thread's answers for a topic with two partitions."""

    def __init__(
        self,
        committed: Mapping[TP, OffsetAndMetadata] | None = None,
        ends: tuple[int, int] = (100, 100),
    ) -> None:
        self.stored = committed or {}
        self.ends = [dict(zip((EVENTS, MORE), ends, strict=True))]
        self.ids = {EVENTS.topic: ID}
        self.begin = 10

    async def committed(self, tps: object) -> Mapping[TP, OffsetAndMetadata]:
        return self.stored

    async def earliest_offsets(self, *tps: TP) -> dict[TP, int]:
        return dict.fromkeys(tps, self.begin)

    async def log_ends(self, tps: object) -> dict[TP, int]:
        return self.ends[0] if len(self.ends) == 1 else self.ends.pop(0)

    async def topic_ids(self, topics: object) -> dict[str, str]:
        return self.ids


def positions_by(brokers: Brokers) -> tuple[Positions, list[float]]:
    """Return positions that ask ``brokers``, and the list of their pauses in seconds."""
    rests: list[float] = []

    async def rest(seconds: float) -> None:
        rests.append(seconds)

    return Positions(
        cast("BatchConsumerThread", brokers), rest, lambda name: name == "claimed"
    ), rests


def tables(first: int, second: int) -> dict[TP, TablePositions]:
    """Return the positions of a table's two partitions."""
    stands = {EVENTS: first, MORE: second}
    return {
        tp: TablePositions(CHANGELOG, {tp.topic: Position(at, ID)}) for tp, at in stands.items()
    }


def skipped(reason: str) -> float:
    count: float = metrics.events_skipped.labels(reason)._value.get()
    return count


class TestStarts:
    async def test_each_fault_of_the_group_is_one_line_for_all_partitions(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        positions, _ = positions_by(Brokers())
        with caplog.at_level(logging.WARNING):
            starts = await positions.starts(tables(50, 60))
        assert starts == {EVENTS: Position(50, ID), MORE: Position(60, ID)}
        (line,) = caplog.messages
        assert "the group's offsets are gone" in line
        assert "events-0: group at None, table at 50" in line
        assert "events-1: group at None, table at 60" in line

    async def test_nothing_is_said_when_all_agree(self, caplog: pytest.LogCaptureFixture) -> None:
        stored = {EVENTS: OffsetAndMetadata(50, ""), MORE: OffsetAndMetadata(60, "")}
        positions, rests = positions_by(Brokers(stored))
        assert await positions.starts(tables(50, 60))
        assert caplog.messages == []
        assert rests == []

    async def test_events_that_an_operator_leaves_out_are_counted(self) -> None:
        before = skipped("moved")
        stored = {EVENTS: OffsetAndMetadata(50, ""), MORE: OffsetAndMetadata(90, "")}
        positions, _ = positions_by(Brokers(stored))
        starts = await positions.starts(tables(50, 60))
        assert starts[MORE].offset == 90
        assert skipped("moved") - before == 30

    async def test_events_that_were_deleted_unread_are_counted(self) -> None:
        before = skipped("deleted")
        stored = {EVENTS: OffsetAndMetadata(4, ""), MORE: OffsetAndMetadata(60, "")}
        positions, _ = positions_by(Brokers(stored))
        starts = await positions.starts(tables(4, 60))
        assert starts[EVENTS].offset == 10
        assert skipped("deleted") - before == 6

    async def test_events_left_out_count_once_however_often_opening_is_tried(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Until a claim is committed, the tables have their positions of before."""
        before = skipped("moved"), skipped("deleted")
        brokers = Brokers({EVENTS: OffsetAndMetadata(6, ""), MORE: OffsetAndMetadata(60, "")})
        positions, _ = positions_by(brokers)
        for begin in (10, 10, 15):
            brokers.begin = begin
            assert (await positions.starts(tables(4, 60)))[EVENTS].offset == begin
        assert await positions.first_kept(EVENTS, 4) == 15
        assert skipped("moved") - before[0] == 2
        assert skipped("deleted") - before[1] == 9
        lost = [line.partition(" were ")[0] for line in caplog.messages if "lost" in line]
        assert lost == ["events-0: offsets 6 to 9", "events-0: offsets 10 to 14"]

    async def test_a_leader_that_does_not_know_its_end_yet_is_asked_again(self) -> None:
        brokers = Brokers({EVENTS: OffsetAndMetadata(50, ""), MORE: OffsetAndMetadata(60, "")})
        brokers.ends = [{EVENTS: 40, MORE: 100}, {EVENTS: 100, MORE: 100}]
        positions, rests = positions_by(brokers)
        assert (await positions.starts(tables(50, 60)))[EVENTS].offset == 50
        assert len(rests) == 1

    async def test_what_stays_impossible_is_refused(self) -> None:
        positions, rests = positions_by(Brokers(ends=(100, 59)))
        with pytest.raises(PositionError, match="offset 60 of events-1 is beyond the end"):
            await positions.starts(tables(50, 60))
        assert len(rests) == MAX_LOOKS - 1

    async def test_a_topic_under_another_name_is_refused(self) -> None:
        positions, _ = positions_by(Brokers())
        table = TablePositions(CHANGELOG, {"former": Position(50, ID)})
        with pytest.raises(
            PositionError, match="built from topic former, but the settings name events"
        ):
            await positions.starts({EVENTS: table})
