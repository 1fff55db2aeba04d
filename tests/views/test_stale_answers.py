"""``?stale=ok``: a copy, which may be behind, answers if the owner of a key cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.views.conftest import MakeWorker, Worker


LIKE = ("like", "2025-01-15T14:30:45.123Z", 0)
VIEWS = ("2025-01-15T14:30:00Z", 3, 0, 0, 0)


def key_of(worker: Worker, partition: int) -> int:
    return next(key for key in range(1000) if worker.users.partition(key) == partition)


@pytest.fixture
async def pair(make_worker: MakeWorker) -> tuple[Worker, Worker, int]:
    """Two workers: the first owns partition 0 but is not ready, and the second has a copy of it."""
    first, second = await make_worker(), await make_worker()
    key = key_of(first, 0)
    for worker in (first, second):
        worker.owns({first.url: [0], second.url: [1]})
        await worker.open(0)
        worker.put_user(key, LIKE)
        worker.put_video(key, VIEWS)
        for table in (worker.users, worker.videos):
            table.data.partitions[0].readable = False
    return first, second, key


@pytest.mark.parametrize("path", ["/users/{}", "/users/{}/series", "/videos/{}"])
class TestStaleAnswers:
    async def test_without_the_word_nobody_answers_from_a_copy(
        self, pair: tuple[Worker, Worker, int], path: str
    ) -> None:
        first, second, key = pair
        for worker in (first, second):
            answer = await worker.ask(path.format(key))
            assert answer.status == 503
            assert answer.headers["Retry-After"] == "1"

    async def test_a_partition_that_recovers_answers_as_far_as_it_is(
        self, pair: tuple[Worker, Worker, int], path: str
    ) -> None:
        first, _, key = pair
        answer = await first.ask(path.format(key) + "?stale=ok")
        assert answer.status == 200
        assert answer.json["stale"] is True
        assert answer.json["as_of"].startswith("2025-01-15T14:30")

    async def test_a_standby_answers_when_the_owner_is_gone(
        self, pair: tuple[Worker, Worker, int], path: str
    ) -> None:
        first, second, key = pair
        await first.listener.stop()
        answer = await second.ask(path.format(key) + "?stale=ok")
        assert (answer.status, answer.json["stale"]) == (200, True)

    async def test_a_worker_without_a_copy_finds_one(
        self, pair: tuple[Worker, Worker, int], path: str, make_worker: MakeWorker
    ) -> None:
        first, second, key = pair
        third = await make_worker()
        third.owns({first.url: [0], second.url: [1]})
        await first.listener.stop()
        answer = await third.ask(path.format(key) + "?stale=ok")
        assert (answer.status, answer.json["stale"]) == (200, True)

    async def test_a_copy_that_is_built_from_nothing_does_not_answer(
        self, pair: tuple[Worker, Worker, int], path: str
    ) -> None:
        """It lacks keys until it is complete: the standby that has them answers."""
        first, second, key = pair
        for table in (first.users, first.videos):
            await table.data.partitions[0].reset()
            table.data.partitions[0].layers.clear()
        for worker in (first, second):
            answer = await worker.ask(path.format(key) + "?stale=ok")
            assert (answer.status, answer.json["stale"]) == (200, True)

    async def test_an_owner_that_is_ready_answers_as_ever(
        self, pair: tuple[Worker, Worker, int], path: str
    ) -> None:
        first, second, key = pair
        for table in (first.users, first.videos):
            table.data.partitions[0].readable = True
        for worker in (first, second):
            answer = await worker.ask(path.format(key) + "?stale=ok")
            assert answer.status == 200
            assert "stale" not in answer.json

    async def test_nobody_with_a_copy_is_told_to_come_again(
        self, pair: tuple[Worker, Worker, int], path: str, make_worker: MakeWorker
    ) -> None:
        first, second, key = pair
        third = await make_worker()
        third.owns({first.url: [0], second.url: [1]})
        for worker in (first, second):
            await worker.listener.stop()
        answer = await third.ask(path.format(key) + "?stale=ok")
        assert (answer.status, answer.code) == (503, "unavailable")

    async def test_another_word_is_refused(
        self, pair: tuple[Worker, Worker, int], path: str
    ) -> None:
        first, _, key = pair
        answer = await first.ask(path.format(key) + "?stale=yes")
        assert (answer.status, answer.code) == (400, "invalid_stale")
