"""``GET /videos/{video_id}`` and ``GET /videos/viral``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.views.conftest import Worker


class TestVideo:
    # panes of 5 min   12:00 ... 12:30 ... 12:35 ...  14:00 ... 14:30  14:35
    # counts             a         b                              c
    # rolling                                [12:35                    14:35)
    # tumbling                                         [14:00                       16:00)

    async def test_the_answer_is_what_the_contract_says(self, worker: Worker) -> None:
        worker.put_video(
            7,
            ("2025-01-15T13:00:00Z", 100, 5, 10, 20),
            ("2025-01-15T14:30:45.123Z", 900, 7, 800, 700),
        )
        answer = await worker.ask("/videos/7")
        assert answer.status == 200
        assert answer.body == (
            b'{"video_id":7,"as_of":"2025-01-15T14:30:45.123Z",'
            b'"rolling":{"start":"2025-01-15T12:35:00Z","end":"2025-01-15T14:35:00Z",'
            b'"views":1000,"likes":12,"comments":810,"shares":720,"viral_coefficient":1.53,'
            b'"average_completion":null},'
            b'"tumbling":{"start":"2025-01-15T14:00:00Z","end":"2025-01-15T16:00:00Z",'
            b'"views":900,"likes":7,"comments":800,"shares":700,'
            b'"viral_coefficient":1.6666666666666667,"average_completion":null},"viral":true}'
        )

    async def test_without_views_there_is_no_coefficient(self, worker: Worker) -> None:
        worker.put_video(7, ("2025-01-15T14:30:00Z", 0, 1, 0, 0))
        answer = (await worker.ask("/videos/7")).json
        assert answer["rolling"]["viral_coefficient"] is None
        assert answer["tumbling"]["viral_coefficient"] is None
        assert answer["viral"] is False

    @pytest.mark.parametrize(
        ("views", "shares", "viral"), [(1000, 1500, False), (1000, 1501, True), (999, 9999, False)]
    )
    async def test_viral_goes_by_the_rule_of_the_settings(
        self, worker: Worker, views: int, shares: int, viral: bool
    ) -> None:
        worker.put_video(7, ("2025-01-15T14:30:00Z", views, 0, 0, shares))
        assert (await worker.ask("/videos/7")).json["viral"] is viral

    async def test_a_video_is_viral_at_one_time_and_not_at_another(self, worker: Worker) -> None:
        worker.put_video(7, ("2025-01-15T14:30:00Z", 1000, 0, 0, 1501))
        later = (await worker.ask("/videos/7?at=2025-01-15T16:30:00Z")).json
        assert later["as_of"] == "2025-01-15T16:30:00Z"
        assert later["rolling"]["views"] == later["tumbling"]["views"] == 0
        assert later["viral"] is False

    @pytest.mark.parametrize(
        ("at", "status"),
        [
            ("2025-01-15T14:30:00Z", 200),
            ("2025-01-15T14:29:59Z", 400),
            ("2025-01-15T13:59:59Z", 400),
            ("2025-01-16T00:00:00Z", 200),
        ],
    )
    async def test_both_windows_have_to_be_kept(self, worker: Worker, at: str, status: int) -> None:
        worker.put_video(7, ("2025-01-15T14:30:00Z", 1, 0, 0, 0))
        answer = await worker.ask(f"/videos/7?at={at}")
        assert answer.status == status
        if status == 400:
            assert answer.code == "window_not_kept"

    async def test_nothing_is_known_of_a_video(self, worker: Worker) -> None:
        worker.put_video(7, ("2025-01-15T12:30:00Z", 1, 0, 0, 0))
        for video_id in (7, 8):
            answer = await worker.ask(f"/videos/{video_id}")
            assert (answer.status, answer.code) == (404, "not_found")

    @pytest.mark.parametrize("video_id", ["abc", "01", "virals", "-0"])
    async def test_what_is_no_id(self, worker: Worker, video_id: str) -> None:
        answer = await worker.ask(f"/videos/{video_id}")
        assert (answer.status, answer.code) == (400, "invalid_id")


class TestViral:
    async def test_the_highest_coefficient_is_first_then_the_lowest_id(
        self, worker: Worker
    ) -> None:
        for video_id, coefficient in ((5, 1.75), (3, 2.5), (4, 2.5), (2**63 - 1, 9.5)):
            await worker.flag_viral(video_id, coefficient)
        await worker.catch_up()
        answer = (await worker.ask("/videos/viral")).json
        assert [video["video_id"] for video in answer["videos"]] == [2**63 - 1, 3, 4, 5]
        assert answer["videos"][1] == {
            "video_id": 3,
            "viral_coefficient": 2.5,
            "views": 1000,
            "shares": 800,
            "comments": 1700,
            "detected_at": "2025-01-15T14:20:00Z",
        }

    async def test_there_may_be_none(self, worker: Worker) -> None:
        await worker.catch_up()
        assert (await worker.ask("/videos/viral")).body == b'{"videos":[]}'

    async def test_a_limit_cuts_the_list(self, worker: Worker) -> None:
        for video_id in range(60):
            await worker.flag_viral(video_id, 2.0)
        await worker.catch_up()
        assert len((await worker.ask("/videos/viral")).json["videos"]) == 50
        assert len((await worker.ask("/videos/viral?limit=60")).json["videos"]) == 60
        assert len((await worker.ask("/videos/viral?limit=1")).json["videos"]) == 1

    @pytest.mark.parametrize("limit", ["0", "1001", "x", ""])
    async def test_what_is_no_limit(self, worker: Worker, limit: str) -> None:
        answer = await worker.ask(f"/videos/viral?limit={limit}")
        assert (answer.status, answer.code) == (400, "invalid_limit")

    async def test_there_is_no_answer_before_the_whole_list_is_read(self, worker: Worker) -> None:
        answer = await worker.ask("/videos/viral")
        assert (answer.status, answer.code) == (503, "unavailable")
        assert answer.headers["Retry-After"] == "1"
