"""``GET /users/{user_id}``: the answers, and when there is none."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.views.conftest import MakeWorker, Worker


BEFORE = ("video_view", "2025-01-15T12:00:00Z", 60_000)
VIEWS = [("video_view", "2025-01-15T14:30:45Z", 45_000)] * 4
LIKE = ("like", "2025-01-15T14:30:45.123Z", 0)


class TestAnswers:
    async def test_the_answer_is_what_the_contract_says(self, worker: Worker) -> None:
        worker.put_user(1, *VIEWS, LIKE)
        answer = await worker.ask("/users/1")
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.body == (
            b'{"user_id":1,"as_of":"2025-01-15T14:30:45.123Z",'
            b'"window":{"start":"2025-01-14T14:45:00Z","end":"2025-01-15T14:45:00Z",'
            b'"size_s":86400,"step_s":900},'
            b'"total_videos_watched":4,"total_engagement_minutes":3.0,"likes":1,'
            b'"engagement_rate":0.25,"average_completion":null}'
        )

    async def test_a_user_who_watched_nothing_has_zeros_that_are_floats(
        self, worker: Worker
    ) -> None:
        worker.put_user(1, LIKE)
        answer = await worker.ask("/users/1")
        assert b'"total_engagement_minutes":0.0,"likes":1,"engagement_rate":0.0' in answer.body

    async def test_the_largest_id_is_an_id(self, worker: Worker) -> None:
        worker.put_user(2**63 - 1, LIKE)
        answer = await worker.ask(f"/users/{2**63 - 1}")
        assert answer.json["user_id"] == 2**63 - 1

    async def test_what_is_not_committed_counts_already(self, worker: Worker) -> None:
        state = worker.users.state(1)
        worker.put_user(1, *VIEWS)
        assert state.has_changed(b"1")
        assert (await worker.ask("/users/1")).json["total_videos_watched"] == 4

    async def test_unknown_parameters_are_ignored(self, worker: Worker) -> None:
        worker.put_user(1, LIKE)
        assert (await worker.ask("/users/1?pretty=1&window=1h&x")).status == 200


class TestWindows:
    # panes of 15 min   12:00        ...       14:30   14:45
    # events            before                 4 views, like
    # window=1h                 [13:45                 14:45)
    # window=3h  [11:45                                14:45)

    async def test_a_smaller_window_is_the_latest_part(self, worker: Worker) -> None:
        worker.put_user(1, BEFORE, *VIEWS, LIKE)
        hour = (await worker.ask("/users/1?window=1h")).json
        assert hour["window"] == {
            "start": "2025-01-15T13:45:00Z",
            "end": "2025-01-15T14:45:00Z",
            "size_s": 3600,
            "step_s": 900,
        }
        assert hour["total_videos_watched"] == 4
        three_hours = (await worker.ask("/users/1?window=3h")).json
        assert three_hours["total_videos_watched"] == 5

    async def test_a_later_time_rolls_the_window_on(self, worker: Worker) -> None:
        worker.put_user(1, BEFORE, *VIEWS)
        answer = (await worker.ask("/users/1?at=2025-01-16T12:10:00%2B00:00")).json
        assert answer["as_of"] == "2025-01-16T12:10:00Z"
        assert answer["window"]["start"] == "2025-01-15T12:15:00Z"
        assert answer["total_videos_watched"] == 4
        far = (await worker.ask("/users/1?at=9999-12-31T23:59:59Z")).json
        assert far["total_videos_watched"] == 0

    async def test_an_earlier_time_is_fine_while_its_window_is_kept(self, worker: Worker) -> None:
        worker.put_user(1, BEFORE, *VIEWS)
        answer = (await worker.ask("/users/1?window=1h&at=2025-01-15T12:14:59.999Z")).json
        assert answer["as_of"] == "2025-01-15T12:14:59.999Z"
        assert answer["window"]["end"] == "2025-01-15T12:15:00Z"
        assert answer["total_videos_watched"] == 1

    @pytest.mark.parametrize(
        ("query", "status"),
        [
            ("at=2025-01-15T14:30:00Z", 200),
            ("at=2025-01-15T14:29:59.999Z", 400),
            ("window=15m&at=2025-01-14T14:45:00Z", 200),
            ("window=15m&at=2025-01-14T14:44:59Z", 400),
            ("window=1h&at=2025-01-14T15:30:00Z", 200),
            ("window=1h&at=2025-01-14T15:29:59Z", 400),
            ("at=1969-12-31T23:59:59Z", 400),
            ("at=0001-01-01T00:00:00Z", 400),
        ],
    )
    async def test_the_whole_window_has_to_be_kept(
        self, worker: Worker, query: str, status: int
    ) -> None:
        worker.put_user(1, LIKE)
        answer = await worker.ask(f"/users/1?{query}")
        assert answer.status == status
        if status == 400:
            assert answer.code == "window_not_kept"

    @pytest.mark.parametrize("route", ["/users/1", "/users/1/series"])
    async def test_an_hour_ago_is_answered_by_the_window_that_the_refusal_offers(
        self, worker: Worker, route: str
    ) -> None:
        """The message advises the largest window that works, to the step.

        ``14:45 |<------- kept: 24 h ------->| 14:45``, and 13:30 is 75 minutes before the end: the
        window of 24 h that ends there begins too early, and the one of 22h45m begins at 14:45.
        """
        worker.put_user(1, BEFORE, *VIEWS, LIKE)
        at = "at=2025-01-15T13:29:00Z"
        refused = await worker.ask(f"{route}?{at}")
        assert (refused.status, refused.code) == (400, "window_not_kept")
        (advice,) = re.findall(r"\?(window=\w+)", refused.json["error"]["message"])
        assert advice == "window=22h45m"
        taken = await worker.ask(f"{route}?{at}&{advice}")
        assert taken.status == 200, taken.json
        assert taken.json["window"]["start"] == "2025-01-14T14:45:00Z"
        assert (await worker.ask(f"{route}?{at}&window=23h")).status == 400

    async def test_before_all_that_is_kept_no_window_is_offered(self, worker: Worker) -> None:
        worker.put_user(1, LIKE)
        refused = await worker.ask("/users/1?at=2025-01-14T14:44:59Z")
        assert "?window=" not in refused.json["error"]["message"]
        assert "leave out ?at=" in refused.json["error"]["message"]

    async def test_a_time_within_a_step_counts_the_whole_step_and_says_so(
        self, worker: Worker
    ) -> None:
        """``as_of`` is the requested time; ``window`` includes the whole step of that time."""
        worker.put_user(1, BEFORE, *VIEWS, LIKE)
        last = (await worker.ask("/users/1")).json
        within = (await worker.ask("/users/1?at=2025-01-15T14:30:00Z")).json
        assert within["as_of"] == "2025-01-15T14:30:00Z"
        assert within["window"] == last["window"]
        assert within["likes"] == last["likes"] == 1


class TestErrors:
    @pytest.mark.parametrize("user_id", ["abc", "01", "-1", "%31%32x", str(2**63), "1%2F2", "%00"])
    async def test_what_is_no_id(self, worker: Worker, user_id: str) -> None:
        answer = await worker.ask(f"/users/{user_id}")
        assert (answer.status, answer.code) == (400, "invalid_id")

    async def test_what_is_no_window(self, worker: Worker) -> None:
        answer = await worker.ask("/users/1?window=20m")
        assert (answer.status, answer.code) == (400, "invalid_window")

    async def test_what_is_no_time(self, worker: Worker) -> None:
        answer = await worker.ask("/users/1?at=2025-01-15T14:30:45")
        assert (answer.status, answer.code) == (400, "invalid_time")

    async def test_nothing_is_known_of_a_user(self, worker: Worker) -> None:
        answer = await worker.ask("/users/1")
        assert answer.status == 404
        assert answer.json == {
            "error": {"code": "not_found", "message": "nothing is known of user 1"}
        }

    async def test_a_user_of_whom_nothing_counts_any_more_is_not_known(
        self, worker: Worker
    ) -> None:
        worker.put_user(1, BEFORE)
        await worker.open(at="2025-01-17T12:00:00Z")
        assert (await worker.ask("/users/1")).status == 404

    async def test_a_deleted_user_is_not_known(self, worker: Worker) -> None:
        worker.users.state(1).store.write({b"1": b"what was stored"}, 0)
        worker.users.state(1).dirty[b"1"] = None
        assert (await worker.ask("/users/1")).status == 404

    async def test_nobody_is_known_where_nothing_has_happened_yet(
        self, make_worker: MakeWorker
    ) -> None:
        worker = await make_worker()
        await worker.open(at=None)
        assert (await worker.ask("/users/1")).status == 404

    async def test_a_value_that_cannot_be_read_is_logged_and_not_shown(
        self, worker: Worker, caplog: pytest.LogCaptureFixture
    ) -> None:
        worker.users.state(1).dirty[b"1"] = b"\xff" * 40
        answer = await worker.ask("/users/1")
        assert (answer.status, answer.code) == (500, "internal_error")
        assert b"Traceback" not in answer.body
        assert b"version" not in answer.body
        assert "unknown version 255" in caplog.text
