"""Standbys and global tables follow the changelogs of others, whatever state these are in."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NoReturn, cast

import pytest
from aiokafka.errors import KafkaConnectionError
from faust.types import TP

from streaming.errors import ChangelogError
from streaming.restore.standby import StandbyConsumer
from tables.foreign import ForeignRowError
from tables.layout import ForeignCopyError
from tests.streaming.bench import until
from tests.streaming.faulty import LastCopy, Sink

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from streaming.restore.changelog_fetch import Changes
    from tests.streaming.changelogs import Changelogs


ONE, OTHER = TP("users-changelog", 1), TP("users-changelog", 2)


if TYPE_CHECKING:

    class Follower(StandbyConsumer):
        """A follower with the reasons why it gave up."""

        reasons: list[BaseException]


class ForeignRows(Sink):
    """Finds foreign rows in its changelog."""

    async def apply(self, changes: Changes, offset: int) -> NoReturn:
        raise ForeignRowError(list(changes))


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Skip the pauses of the follower, and return their durations in seconds."""
    pauses: list[float] = []
    sleep = asyncio.sleep

    async def at_once(seconds: float) -> None:
        if seconds >= 0.5:
            pauses.append(seconds)
            seconds = 0
        await sleep(seconds)

    monkeypatch.setattr("streaming.restore.standby.asyncio.sleep", at_once)
    return pauses


@pytest.fixture
async def follower(changelogs: Changelogs) -> AsyncIterator[Follower]:
    for tp in (ONE, OTHER):
        changelogs.add(tp, (b"1", b"first"))
    reasons: list[BaseException] = []
    follower = cast("Follower", StandbyConsumer({}, reasons.append))
    follower.reasons = reasons
    yield follower
    await follower.stop()


async def test_it_has_caught_up_once_all_that_there_was_is_read(follower: Follower) -> None:
    """Then a standby may take over, and the list of viral videos is complete."""
    sinks = {ONE: Sink(), OTHER: Sink()}
    assert not follower.is_caught_up
    await follower.follow(sinks)
    await follower.wait_caught_up()
    assert [sink.rows for sink in sinks.values()] == [{b"1": b"first"}] * 2
    assert all(sink.is_whole for sink in sinks.values())


async def test_a_copy_that_is_built_anew_is_whole_at_its_end(
    follower: Follower, changelogs: Changelogs
) -> None:
    """Until then it lacks keys, so nobody reads from it."""

    class OtherTable(Sink):
        async def apply(self, changes: Changes, offset: int) -> Sequence[tuple[bytes | None, str]]:
            if offset and not self.resets:
                raise ForeignCopyError("the disk has a copy of another table")
            return await super().apply(changes, offset)

    sink = OtherTable()
    await follower.follow({ONE: sink})
    await follower.wait_caught_up()
    changelogs.add(ONE, (b"1", b"second"))
    await until(lambda: sink.resets == 1 and sink.is_whole)
    assert sink.rows == {b"1": b"second"}


async def test_it_goes_on_with_what_comes_later(follower: Follower, changelogs: Changelogs) -> None:
    """It lags by one poll at most."""
    sink = Sink()
    await follower.follow({ONE: sink})
    await follower.wait_caught_up()
    changelogs.add(ONE, (b"1", b"second"))
    await until(lambda: sink.rows == {b"1": b"second"})


async def test_following_the_same_again_goes_on_as_it_is(
    follower: Follower, changelogs: Changelogs
) -> None:
    """A rebalance that changes nothing costs no connection."""
    sinks = {ONE: Sink()}
    for _ in range(2):
        await follower.follow(dict(sinks))
        await follower.wait_caught_up()
    assert changelogs.connections == 1


async def test_following_others_leaves_those_of_before(
    follower: Follower, changelogs: Changelogs
) -> None:
    """Their partition now belongs to another worker."""
    former, sink = Sink(), Sink()
    await follower.follow({ONE: former})
    await follower.wait_caught_up()
    await follower.follow({OTHER: sink})
    await follower.wait_caught_up()
    changelogs.add(ONE, (b"1", b"second"))
    changelogs.add(OTHER, (b"1", b"second"))
    await until(lambda: sink.rows == {b"1": b"second"})
    assert former.rows == {b"1": b"first"}


async def test_nothing_to_follow_has_caught_up(follower: Follower, changelogs: Changelogs) -> None:
    """A worker without standbys is ready without them."""
    await follower.follow({})
    await follower.wait_caught_up()
    assert changelogs.connections == 0


async def test_a_changelog_with_rows_of_others_is_left_and_the_rest_followed(
    follower: Follower, changelogs: Changelogs, caplog: pytest.LogCaptureFixture
) -> None:
    """A worker that restores it stops with the same line; until then others own the partition."""
    bad, good = ForeignRows(), Sink()
    await follower.follow({ONE: bad, OTHER: good})
    await follower.wait_caught_up()
    changelogs.add(OTHER, (b"1", b"second"))
    await until(lambda: good.rows == {b"1": b"second"})
    assert "no longer following a changelog: users-changelog-1" in caplog.text
    assert follower.reasons == []


async def test_brokers_that_are_away_are_asked_again_after_longer_and_longer(
    follower: Follower, changelogs: Changelogs, pauses: list[float]
) -> None:
    """The follower does not read again what it has read before."""
    changelogs.faults = [KafkaConnectionError("away") for _ in range(6)]
    sink = Sink()
    await follower.follow({ONE: sink})
    await follower.wait_caught_up()
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0]
    assert sink.rows == {b"1": b"first"}
    assert follower.reasons == []


async def test_a_changelog_that_is_not_the_copys_own_ends_the_worker(follower: Follower) -> None:
    """A retry would change nothing."""
    await follower.follow({ONE: LastCopy(offset=9)})
    await until(lambda: follower.reasons)
    assert [type(reason) for reason in follower.reasons] == [ChangelogError]
    assert not follower.is_caught_up


async def test_it_reads_nothing_once_it_is_stopped(
    follower: Follower, changelogs: Changelogs
) -> None:
    """Its connection is closed."""
    await follower.follow({ONE: Sink()})
    await follower.wait_caught_up()
    await follower.stop()
    assert not changelogs.is_connected
