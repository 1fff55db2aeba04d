"""``POST /users/query``, ``GET /users?ids=`` and the like: many keys in one request."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from aiohttp import web

from models.schema import Metadata
from models.windows import from_iso
from tables.rocks import RocksStore
from views import batch_limits
from views.batch_parameters import MAX_BATCH_BODY_BYTES, MAX_IDS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterable

    from tests.views.conftest import Answer, Listening, MakeWorker, Worker


AT = "2025-01-15T14:30:45.123Z"
TOKEN = "a-token-of-some-length"
VIEWS = [("video_view", AT, 45_000)] * 3
LIKE = ("like", AT, 0)
COUNTS = (AT, 1000, 7, 900, 800)


def batch(
    worker: Worker, ids: Iterable[int], table: str = "users", **fields: Any
) -> Coroutine[Any, Any, Answer]:
    return worker.ask(f"/{table}/query", "POST", json={"ids": list(ids), **fields})


def users_of(worker: Worker, partition: int, count: int = 1) -> list[int]:
    keys = (key for key in range(10_000) if worker.users.partition(key) == partition)
    return [next(keys) for _ in range(count)]


class TestAnswers:
    async def test_rows_are_those_of_single_reads_in_the_order_asked(self, worker: Worker) -> None:
        worker.put_user(5, *VIEWS, LIKE)
        worker.put_user(2**63 - 1, LIKE)
        worker.put_user(0, *VIEWS)
        answer = await batch(worker, [2**63 - 1, 7, 5, 0, 5, 6])
        singles = [(await worker.ask(f"/users/{key}")).json for key in (2**63 - 1, 5, 0)]
        assert answer.status == 200
        assert answer.json == {"users": singles, "unknown": [7, 6], "unavailable": []}
        assert list(answer.json["users"][0]) == list(singles[0])
        assert "Retry-After" not in answer.headers

    async def test_videos_have_both_windows(self, worker: Worker) -> None:
        worker.put_video(8, COUNTS)
        worker.put_video(9, (AT, 0, 3, 0, 0))
        answer = await batch(worker, [9, 8], "videos")
        singles = [(await worker.ask(f"/videos/{key}")).json for key in (9, 8)]
        assert answer.json == {"videos": singles, "unknown": [], "unavailable": []}
        assert [video["viral"] for video in answer.json["videos"]] == [False, True]

    @pytest.mark.parametrize("fields", [{"window": "1h"}, {"at": "2025-01-15T20:00:00+02:00"}])
    async def test_a_window_and_a_time_are_those_of_single_reads(
        self, worker: Worker, fields: dict[str, str]
    ) -> None:
        worker.put_user(1, ("video_view", "2025-01-15T12:00:00Z", 60_000), *VIEWS)
        query = "&".join(f"{k}={v}" for k, v in fields.items()).replace("+", "%2B")
        answer = await batch(worker, [1], **fields)
        assert answer.json["users"] == [(await worker.ask(f"/users/1?{query}")).json]

    async def test_a_query_asks_for_a_hundred(self, worker: Worker) -> None:
        for key in (1, 2):
            worker.put_user(key, *VIEWS)
            worker.put_video(key, COUNTS)
            worker.put_creator(key, ("like", AT, Metadata()))
        for table in ("users", "videos", "creators"):
            asked = ",".join(map(str, [2, 1, *range(100, 198)]))
            answer = await worker.ask(f"/{table}?ids={asked}&window=1h")
            assert [row[f"{table[:-1]}_id"] for row in answer.json[table]] == [2, 1]
            assert answer.json["unknown"] == list(range(100, 198))

    async def test_what_nothing_counts_of_any_more_is_unknown(self, worker: Worker) -> None:
        worker.put_user(1, LIKE)
        await worker.open(at="2025-01-18T12:00:00Z")
        assert (await batch(worker, [1])).json["unknown"] == [1]

    async def test_nobody_is_known_where_nothing_has_happened_yet(
        self, make_worker: MakeWorker
    ) -> None:
        worker = await make_worker()
        await worker.open(at=None)
        assert (await batch(worker, [1, 2])).json["unknown"] == [1, 2]

    async def test_values_on_disk_and_in_memory_make_one_answer(
        self, worker: Worker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ids = list(range(1, 2501))
        for key in ids:
            worker.put_user(key, *VIEWS[: 1 + key % 3])
        for partition in (0, 1):
            state = worker.users.data.partitions[partition]
            state.freeze()
            state.post_commit(1)
            await state.flush()
            state.layers.evict(0, 0)
        for key in ids[::5]:
            worker.put_user(key, LIKE)
        answer = await batch(worker, ids)
        assert [row["user_id"] for row in answer.json["users"]] == ids
        assert [row["likes"] for row in answer.json["users"]] == [key % 5 == 1 for key in ids]
        expected = [0 if key % 5 == 1 else 1 + key % 3 for key in ids]
        assert [row["total_videos_watched"] for row in answer.json["users"]] == expected
        # The disk is not read a second time.
        monkeypatch.setattr(RocksStore, "get_many", None)
        assert (await batch(worker, ids)).json == answer.json


class TestRefusals:
    @pytest.mark.parametrize(
        ("body", "code", "named"),
        [
            (b"", "invalid_body", "JSON"),
            (b"{", "invalid_body", "JSON"),
            (b"[1]", "invalid_body", "object"),
            (b'{"ids":[1],"id":2}', "invalid_body", "'id'"),
            (b"{}", "invalid_ids", "ids"),
            (b'{"ids":[]}', "invalid_ids", "1 to 10000"),
            (b'{"ids":7}', "invalid_ids", "ids"),
            (b'{"ids":[1,"2"]}', "invalid_id", "'2'"),
            (b'{"ids":[1,true]}', "invalid_id", "True"),
            (b'{"ids":[1.0]}', "invalid_id", "1.0"),
            (b'{"ids":[-1]}', "invalid_id", "-1"),
            (b'{"ids":[9223372036854775808]}', "invalid_id", "9223372036854775808"),
            (b'{"ids":[1],"window":"7m"}', "invalid_window", "7m"),
            (b'{"ids":[1],"window":60}', "invalid_window", "60"),
            (b'{"ids":[1],"at":"now"}', "invalid_time", "now"),
            (b'{"ids":[1],"at":null}', "invalid_time", "None"),
            (b'{"ids":[1],"stale":"ok"}', "invalid_stale", "ok"),
        ],
    )
    async def test_a_wrong_body_is_named(
        self, worker: Worker, body: bytes, code: str, named: str
    ) -> None:
        answer = await worker.ask("/users/query", "POST", data=body)
        assert (answer.status, answer.code) == (400, code)
        message = answer.json["error"]["message"]
        assert named in message
        assert "\n" not in message

    async def test_videos_have_no_window_to_ask_for(self, worker: Worker) -> None:
        answer = await batch(worker, [1], "videos", window="1h")
        assert (answer.status, answer.code) == (400, "invalid_body")
        assert "'window'" in answer.json["error"]["message"]

    async def test_more_ids_than_allowed_are_refused(self, worker: Worker) -> None:
        assert (await batch(worker, range(MAX_IDS))).status == 200
        assert (await batch(worker, range(MAX_IDS + 1))).code == "invalid_ids"
        hundred = ",".join(map(str, range(101)))
        assert (await worker.ask(f"/users?ids={hundred}")).code == "invalid_ids"

    @pytest.mark.parametrize(
        ("query", "code"),
        [
            ("", "invalid_ids"),
            ("ids=", "invalid_ids"),
            ("ids=1,,2", "invalid_id"),
            ("ids=1,x", "invalid_id"),
            ("ids=1&window=7m", "invalid_window"),
            ("ids=1&at=now", "invalid_time"),
            ("ids=1&stale=yes", "invalid_stale"),
        ],
    )
    async def test_a_wrong_query_is_named(self, worker: Worker, query: str, code: str) -> None:
        answer = await worker.ask(f"/users?{query}")
        assert (answer.status, answer.code) == (400, code)

    @pytest.mark.parametrize("table", ["users", "videos", "creators"])
    async def test_a_window_that_is_kept_no_more_is_refused(
        self, worker: Worker, table: str
    ) -> None:
        worker.put_user(1, LIKE)
        worker.put_video(1, COUNTS)
        worker.put_creator(1, ("like", AT, Metadata()))
        answer = await batch(worker, [1], table, at="2020-01-01T00:00:00Z")
        assert (answer.status, answer.code) == (400, "window_not_kept")

    async def test_a_body_above_the_limit_is_refused(self, worker: Worker) -> None:
        large = b" " * (MAX_BATCH_BODY_BYTES + 1)
        answer = await worker.ask("/users/query", "POST", data=large)
        assert (answer.status, answer.code) == (413, "payload_too_large")

        async def pieces() -> AsyncIterator[bytes]:
            for at in range(0, len(large), 1 << 16):
                yield large[at : at + (1 << 16)]

        answer = await worker.ask("/users/query", "POST", data=pieces())
        assert (answer.status, answer.code) == (413, "payload_too_large")

    async def test_other_methods_are_not_allowed(self, worker: Worker) -> None:
        assert (await worker.ask("/users/query", "PUT")).status == 405
        assert (await worker.ask("/users", "POST")).status == 405

    async def test_too_many_keys_at_a_time_are_asked_to_come_again(
        self, make_worker: MakeWorker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("views.application.MAX_KEYS", 10)
        worker = await make_worker()
        await worker.open()
        answer = await batch(worker, range(11))
        assert (answer.status, answer.code) == (429, "too_many_requests")
        assert answer.headers["Retry-After"] == "1"
        assert (await batch(worker, range(10))).status == 200

    async def test_too_many_bytes_at_a_time_are_asked_to_come_again(
        self, make_worker: MakeWorker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("views.application.MAX_BODIES_BYTES", 20)
        worker = await make_worker()
        await worker.open()
        assert (await worker.ask("/users/query", "POST", data=b'{"ids":[1]}')).status == 200
        answer = await batch(worker, range(20))
        assert (answer.status, answer.headers["Retry-After"]) == (429, "1")

    def test_a_budget_is_given_back(self) -> None:
        budget = batch_limits.Budget(5, "keys")
        with budget.take(5):
            assert budget.used == 5
        assert budget.used == 0


async def pair(make_worker: MakeWorker, **environ: str) -> tuple[Worker, Worker]:
    """Two workers: the first owns partition 0, the second partition 1."""
    first, second = await make_worker(**environ), await make_worker(**environ)
    await first.open(0)
    await second.open(1)
    for worker in (first, second):
        worker.owns({first.url: [0], second.url: [1]})
    return first, second


class TestSeveralWorkers:
    @pytest.mark.parametrize("environ", [{}, {"REELS_HTTP_TOKEN": TOKEN}])
    async def test_any_worker_answers_for_all_keys(
        self, make_worker: MakeWorker, environ: dict[str, str]
    ) -> None:
        workers = await pair(make_worker, **environ)
        ids = list(range(40))
        for key in ids[:30]:
            owner = workers[workers[0].users.partition(key)]
            owner.put_user(key, *VIEWS)
            owner.put_video(key, COUNTS)
            owner.put_creator(key, ("like", AT, Metadata()))
        headers = {"Authorization": f"Bearer {TOKEN}"}
        for table in ("users", "videos", "creators"):
            for worker in workers:
                answer = await worker.ask(
                    f"/{table}/query", "POST", json={"ids": ids[::-1]}, headers=headers
                )
                assert answer.status == 200
                rows = [row[f"{table[:-1]}_id"] for row in answer.json[table]]
                assert rows == ids[29::-1]
                assert answer.json["unknown"] == ids[:29:-1]
                assert answer.json["unavailable"] == []

    async def test_a_worker_that_is_gone_makes_its_ids_unavailable(
        self, make_worker: MakeWorker
    ) -> None:
        first, second = await pair(make_worker)
        here, there = users_of(first, 0, 2), users_of(first, 1, 2)
        first.put_user(here[0], LIKE)
        await second.listener.stop()
        answer = await batch(first, [there[1], *here, there[0]])
        assert answer.status == 200
        assert [row["user_id"] for row in answer.json["users"]] == [here[0]]
        assert answer.json["unknown"] == [here[1]]
        assert answer.json["unavailable"] == [there[1], there[0]]
        assert answer.headers["Retry-After"] == "1"

    async def test_a_partition_that_moves_makes_its_ids_unavailable(
        self, make_worker: MakeWorker
    ) -> None:
        first, second = await pair(make_worker)
        second.users.data.partitions[1].readable = False
        (key,) = users_of(first, 1)
        for worker in (first, second):
            answer = await batch(worker, [key])
            assert answer.json == {"users": [], "unknown": [], "unavailable": [key]}
            assert answer.headers["Retry-After"] == "1"

    async def test_an_owners_refusal_is_passed_back(self, make_worker: MakeWorker) -> None:
        first, second = await pair(make_worker)
        (key,) = users_of(first, 1)
        second.put_user(key, LIKE)
        answer = await batch(first, [key], at="2020-01-01T00:00:00Z")
        assert (answer.status, answer.code) == (400, "window_not_kept")

    async def test_copies_answer_when_they_are_allowed_to(self, make_worker: MakeWorker) -> None:
        first, second = await pair(make_worker)
        here, there = users_of(first, 0)[0], users_of(first, 1)[0]
        first.put_user(here, LIKE)
        await first.open(1)
        first.put_user(there, LIKE)
        first.users.data.partitions[1].readable = False
        await second.listener.stop()
        third = await make_worker()
        third.owns({first.url: [0], second.url: [1]})
        for worker in (first, third):
            refused = await batch(worker, [there, here])
            assert refused.json["unavailable"] == [there]
            answer = await batch(worker, [there, here], stale=True)
            rows = answer.json["users"]
            assert [row["user_id"] for row in rows] == [there, here]
            assert [row.get("stale", False) for row in rows] == [True, False]
            assert answer.json["unavailable"] == []
            asked = await worker.ask(f"/users?ids={there},{here}&stale=ok")
            assert asked.json == answer.json

    @pytest.mark.parametrize(
        "said", [b"", b"{", b"[]", b'{"users":[],"unknown":[],"unavailable":[]}']
    )
    async def test_an_answer_that_is_none_makes_ids_unavailable(
        self, worker: Worker, listening: Listening, said: bytes
    ) -> None:
        async def owner(_: web.Request) -> web.Response:
            return web.Response(body=said)

        url = await listening(owner)
        worker.owns({worker.url: [0], url: [1]})
        worker.users.data.partitions[1].readable = False
        (key,) = users_of(worker, 1)
        answer = await batch(worker, [key])
        assert answer.json == {"users": [], "unknown": [], "unavailable": [key]}

    async def test_all_workers_are_asked_at_the_same_time_once(
        self, worker: Worker, listening: Listening
    ) -> None:
        arrived, seen = asyncio.Barrier(2), []

        async def owner(request: web.Request) -> web.Response:
            ids = orjson.loads(await request.read())["ids"]
            seen.append(ids)
            # Neither answers before both requests have arrived.
            async with asyncio.timeout(10):
                await arrived.wait()
            return web.json_response({"users": [], "unknown": ids, "unavailable": []})

        urls = [await listening(owner), await listening(owner)]
        worker.owns({urls[0]: [0], urls[1]: [1]})
        for state in worker.users.data.partitions.values():
            state.readable = False
        answer = await batch(worker, range(20))
        assert answer.json["unknown"] == list(range(20))
        assert len(seen) == 2


class TestTurns:
    async def test_ten_thousand_cold_keys_let_others_have_their_turn(self, worker: Worker) -> None:
        ids = list(range(MAX_IDS))
        for key in ids:
            worker.put_user(key, *VIEWS[:1])
        for state in worker.users.data.partitions.values():
            state.freeze()
            state.post_commit(1)
            await state.flush()
            state.layers.evict(0, 0)
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        counting = asyncio.create_task(count())
        # At least once per slice, of which there are ten, both while reading and while rendering.
        answer = await batch(worker, ids)
        counting.cancel()
        assert len(answer.json["users"]) == MAX_IDS
        assert turns >= 20

    async def test_what_changes_while_the_disk_is_read_is_in_the_answer(
        self, worker: Worker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ids = users_of(worker, 0, 100)
        for key in ids:
            worker.put_user(key, LIKE)
        state = worker.users.data.partitions[0]
        state.freeze()
        state.post_commit(1)
        await state.flush()
        state.layers.evict(0, 0)
        loop, read = asyncio.get_running_loop(), state.store.get_many

        def slow(keys: list[bytes]) -> list[bytes | None]:
            found: list[bytes | None] = read(keys)
            asyncio.run_coroutine_threadsafe(change(), loop).result(10)
            return found

        async def change() -> None:
            worker.put_user(ids[3], *VIEWS)
            state.stream_time = from_iso("2025-01-15T14:31:00Z")

        monkeypatch.setattr(state.store, "get_many", slow)
        answer = await batch(worker, ids)
        assert answer.json["users"][3]["total_videos_watched"] == 3
        assert {row["as_of"] for row in answer.json["users"]} == {"2025-01-15T14:31:00Z"}
