"""Changelogs are read from the offset of the copy to their end, if they are the table's own.

::

    begin ------ copy ------ end      a control record takes an offset, but is no row
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from faust.types import TP

from monitoring import metrics
from streaming.errors import ChangelogError, ForeignChangelogError
from streaming.restore.positions import MAX_LOOKS
from streaming.restore.restore import restore
from tables.foreign import ForeignRowError
from tables.layout import ForeignCopyError
from tables.rocks import StoreCorruptError
from tests.streaming.faulty import LastCopy, Sink

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streaming.restore.changelog_fetch import Changes
    from tests.streaming.changelogs import Changelogs


USERS, VIDEOS = TP("users-changelog", 0), TP("videos-changelog", 0)


def rows(*keys: bytes, value: bytes = b"v") -> list[tuple[bytes, bytes]]:
    return [(key, value) for key in keys]


def value_of(name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


class OtherTable(Sink):
    """Finds at the first row that the disk has a copy of another table."""

    fault: Exception = ForeignCopyError("the disk has a copy of another table")

    async def apply(self, changes: Changes, offset: int) -> Sequence[tuple[bytes | None, str]]:
        if not self.resets:
            raise self.fault
        return await super().apply(changes, offset)


class DamagedCopy(OtherTable):
    """Finds at the first write that its database is damaged."""

    fault = StoreCorruptError("users-0.db is damaged")


class StrictSink(Sink):
    """Refuses foreign rows."""

    async def apply(self, changes: Changes, offset: int) -> Sequence[tuple[bytes | None, str]]:
        if foreign := [key for key in changes if key and key.startswith(b"foreign")]:
            raise ForeignRowError(foreign)
        return await super().apply(changes, offset)


class TolerantSink(Sink):
    """Skips foreign rows."""

    async def apply(self, changes: Changes, offset: int) -> Sequence[tuple[bytes | None, str]]:
        await super().apply(changes, offset)
        return [(key, "no flag") for key in changes if key and key.startswith(b"foreign")]


class TestRestoring:
    async def test_a_new_copy_takes_all_rows_to_the_end(self, changelogs: Changelogs) -> None:
        """The last value per key counts; the control record ends the restore, not a time-out."""
        changelogs.add(USERS, *rows(b"1", b"2", b"3"))
        changelogs.add(USERS, (b"1", b"newer"))
        sink = Sink()
        assert await restore({}, {USERS: sink}) == 4
        assert sink.rows == {b"1": b"newer", b"2": b"v", b"3": b"v"}
        assert sink.offset == 4
        assert sink.is_whole
        assert not changelogs.is_connected

    async def test_a_copy_takes_only_what_it_lacks(self, changelogs: Changelogs) -> None:
        """A worker that returns reads seconds of a changelog, not days."""
        changelogs.add(USERS, *rows(b"1", b"2"))
        changelogs.add(USERS, *rows(b"3"))
        sink = Sink(offset=1)
        assert await restore({}, {USERS: sink}) == 1
        assert sink.rows == {b"3": b"v"}
        assert sink.resets == 0

    async def test_a_copy_at_the_end_reads_nothing(self, changelogs: Changelogs) -> None:
        """Only the control record is left."""
        changelogs.add(USERS, *rows(b"1", b"2"))
        assert await restore({}, {USERS: Sink(offset=1)}) == 0

    async def test_a_copy_of_what_the_changelog_has_no_more_is_built_anew(
        self, changelogs: Changelogs
    ) -> None:
        """Rows that were deleted in the meantime would otherwise stay forever."""
        changelogs.add(USERS, *rows(b"8", b"9"), begin=80)
        sink = Sink(offset=5)
        assert await restore({}, {USERS: sink}) == 2
        assert sink.resets == 1
        assert sink.rows == dict(rows(b"8", b"9"))

    async def test_several_changelogs_are_read_side_by_side(self, changelogs: Changelogs) -> None:
        """One consumer reads them over one connection."""
        changelogs.add(USERS, *rows(b"1", b"2", b"3"))
        changelogs.add(VIDEOS, *rows(b"7"))
        sinks = {USERS: Sink(), VIDEOS: Sink()}
        assert await restore({}, sinks) == 4
        assert [len(sink.rows) for sink in sinks.values()] == [3, 1]
        assert changelogs.connections == 1

    async def test_nothing_to_restore_connects_to_nobody(self, changelogs: Changelogs) -> None:
        """A worker without partitions does not wait for brokers."""
        assert await restore({}, {}) == 0
        assert changelogs.connections == 0

    async def test_what_is_left_is_a_metric_and_zero_at_the_end(
        self, changelogs: Changelogs
    ) -> None:
        """Operators see the progress of a restore."""
        changelogs.add(USERS, *rows(b"1", b"2", b"3"))
        await restore({}, {USERS: Sink()})
        assert value_of("reels_recovery_records_remaining", partition="0") == 0
        metrics.keep_partitions(())

    async def test_a_restore_that_is_cut_short_leaves_no_metric(
        self, changelogs: Changelogs
    ) -> None:
        """A rebalance may take the partition away again, and another worker restores it."""
        changelogs.add(USERS, *rows(b"1", b"2", b"3", b"4", b"5"))
        under_way = asyncio.Event()

        class Slow(Sink):
            async def apply(
                self, changes: Changes, offset: int
            ) -> Sequence[tuple[bytes | None, str]]:
                if self.rows:
                    under_way.set()
                    await asyncio.Event().wait()
                return await super().apply(changes, offset)

        sink = Slow()
        restoring = asyncio.create_task(restore({}, {USERS: sink}))
        await under_way.wait()
        assert value_of("reels_recovery_records_remaining", partition="0") == 4
        assert (value_of("reels_recovery_records_per_second") or 0) > 0
        restoring.cancel()
        with pytest.raises(asyncio.CancelledError):
            await restoring
        assert value_of("reels_recovery_records_remaining", partition="0") is None
        assert value_of("reels_recovery_records_per_second") == 0
        assert value_of("reels_recovery_seconds_remaining") == 0
        assert not sink.is_whole


class TestOtherChangelogs:
    async def test_the_last_copy_of_a_table_is_not_given_up_for_a_shorter_changelog(
        self, changelogs: Changelogs
    ) -> None:
        """The refusal names each partition and the command that rewrites the changelog."""
        changelogs.add(USERS, *rows(b"1"))
        sink = LastCopy(offset=9)
        with pytest.raises(ChangelogError, match=r"partition 0 ends .* restore-changelog"):
            await restore({}, {USERS: sink})
        assert sink.resets == 0
        assert len(sink.attached) == MAX_LOOKS

    async def test_a_leader_that_does_not_know_its_end_yet_is_asked_again(
        self, changelogs: Changelogs
    ) -> None:
        """A changelog counts as shorter only after several looks."""
        changelogs.add(USERS, *rows(b"1", b"2"))

        class Impatient(LastCopy):
            async def attach(self, topic_id: str, end: int) -> None:
                if not self.attached:
                    await super().attach(topic_id, end)

        sink = Impatient(offset=0)
        assert await restore({}, {USERS: sink}) == 1

    @pytest.mark.parametrize("kind", [OtherTable, DamagedCopy])
    async def test_a_copy_that_turns_out_to_be_of_no_use_is_built_anew(
        self, changelogs: Changelogs, kind: type[Sink]
    ) -> None:
        """The restore starts again from the begin of the changelog."""
        changelogs.add(USERS, *rows(b"1", b"2", b"3", b"4"))
        sink = kind(offset=1)
        await restore({}, {USERS: sink})
        assert sink.resets == 1
        assert sink.rows == dict(rows(b"1", b"2", b"3", b"4"))

    async def test_a_row_that_the_program_has_not_written_is_named_with_its_place(
        self, changelogs: Changelogs
    ) -> None:
        """Operators can find the record with Kafka's tools."""
        changelogs.add(USERS, *rows(b"1", b"2", b"3", b"foreign"))
        with pytest.raises(ForeignChangelogError, match=r"users-changelog-0 .* offset 3"):
            await restore({}, {USERS: StrictSink()})

    async def test_rows_that_are_passed_over_are_counted(self, changelogs: Changelogs) -> None:
        """They stop nothing if the table can do without the value."""
        counter = metrics.foreign_records.labels(USERS.topic)
        before = counter._value.get()
        changelogs.add(USERS, *rows(b"1", b"foreign", b"3", b"foreign 2"))
        sink = TolerantSink()
        await restore({}, {USERS: sink})
        assert counter._value.get() - before == 2
        assert sink.offset == 3
