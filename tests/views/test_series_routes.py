"""``GET /users/{user_id}/series`` and ``GET /videos/{video_id}/series``: metrics, step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.views.conftest import MakeWorker, Worker


BEFORE = ("video_view", "2025-01-15T12:00:00Z", 60_000)
VIEWS = [("video_view", "2025-01-15T14:30:45Z", 45_000)] * 4
LIKE = ("like", "2025-01-15T14:30:45.123Z", 0)


def sums_of_user(series: dict[str, Any]) -> dict[str, Any]:
    views, likes = (sum(pane[name] for pane in series["panes"]) for name in ("views", "likes"))
    return {
        "total_videos_watched": views,
        "total_engagement_minutes": sum(pane["watch_ms"] for pane in series["panes"]) / 60_000,
        "likes": likes,
        "engagement_rate": likes / views if views else 0.0,
        "average_completion": None,
    }


def sums_of_video(series: dict[str, Any], window: str) -> dict[str, Any]:
    bounds = series[window]
    # Times in the same format compare as text.
    inside = [p for p in series["panes"] if bounds["start"] <= p["start"] < bounds["end"]]
    names = ("views", "likes", "comments", "shares")
    return {name: sum(pane[name] for pane in inside) for name in names} | {
        "average_completion": None
    }


class TestUser:
    async def test_the_answer_has_the_steps_with_anything_in_them(self, worker: Worker) -> None:
        worker.put_user(1, BEFORE, *VIEWS, LIKE)
        answer = await worker.ask("/users/1/series?window=3h")
        assert answer.status == 200
        assert answer.body == (
            b'{"user_id":1,"as_of":"2025-01-15T14:30:45.123Z",'
            b'"window":{"start":"2025-01-15T11:45:00Z","end":"2025-01-15T14:45:00Z",'
            b'"size_s":10800,"step_s":900},'
            b'"panes":[{"start":"2025-01-15T12:00:00Z","views":1,"likes":0,"watch_ms":60000,'
            b'"positions":0,"average_completion":null},'
            b'{"start":"2025-01-15T14:30:00Z","views":4,"likes":1,"watch_ms":180000,'
            b'"positions":0,"average_completion":null}]}'
        )

    @pytest.mark.parametrize(
        "query",
        [
            *("", "?window=1h", "?window=15m", "?at=2025-01-16T12:10:00%2B00:00"),
            *("?window=1h&at=2025-01-15T12:14:59.999Z", "?at=9999-12-31T23:59:59Z"),
        ],
    )
    async def test_its_sums_are_the_plain_answer(self, worker: Worker, query: str) -> None:
        worker.put_user(1, BEFORE, *VIEWS, LIKE)
        plain = (await worker.ask(f"/users/1{query}")).json
        series = (await worker.ask(f"/users/1/series{query}")).json
        assert {k: series[k] for k in ("user_id", "as_of", "window")} | sums_of_user(
            series
        ) == plain


class TestVideo:
    # panes of 5 min   12:35 ... 13:00 ...  14:00 ... 14:30  14:35 ... 16:00
    # counts                       a                    b
    # rolling          [12:35                                14:35)
    # tumbling                              [14:00                       16:00)

    async def test_the_answer_has_the_steps_of_both_windows(self, worker: Worker) -> None:
        worker.put_video(
            7,
            ("2025-01-15T13:00:00Z", 100, 5, 10, 20),
            ("2025-01-15T14:30:45.123Z", 900, 7, 800, 700),
        )
        answer = await worker.ask("/videos/7/series")
        assert answer.status == 200
        assert answer.body == (
            b'{"video_id":7,"as_of":"2025-01-15T14:30:45.123Z","step_s":300,'
            b'"rolling":{"start":"2025-01-15T12:35:00Z","end":"2025-01-15T14:35:00Z"},'
            b'"tumbling":{"start":"2025-01-15T14:00:00Z","end":"2025-01-15T16:00:00Z"},'
            b'"panes":[{"start":"2025-01-15T13:00:00Z","views":100,"likes":5,"comments":10,'
            b'"shares":20,"positions":0,"average_completion":null},'
            b'{"start":"2025-01-15T14:30:00Z","views":900,"likes":7,"comments":800,'
            b'"shares":700,"positions":0,"average_completion":null}]}'
        )

    @pytest.mark.parametrize("at", ["", "?at=2025-01-15T14:50:00Z", "?at=2025-01-15T16:30:00Z"])
    async def test_its_sums_are_the_plain_answer_for_both_windows(
        self, worker: Worker, at: str
    ) -> None:
        worker.put_video(
            7,
            ("2025-01-15T13:00:00Z", 100, 5, 10, 20),
            ("2025-01-15T14:20:00Z", 1, 2, 3, 4),
            ("2025-01-15T14:30:45.123Z", 900, 7, 800, 700),
            # Ahead of the partition's stream time: in the tumbling window only.
            ("2025-01-15T14:55:00Z", 5, 5, 5, 5),
        )
        plain = (await worker.ask(f"/videos/7{at}")).json
        series = (await worker.ask(f"/videos/7/series{at}")).json
        assert (series["video_id"], series["as_of"]) == (plain["video_id"], plain["as_of"])
        for window in ("rolling", "tumbling"):
            del plain[window]["viral_coefficient"]
            bounds = series[window]
            assert bounds | sums_of_video(series, window) == plain[window]


class TestErrors:
    @pytest.mark.parametrize(
        "path",
        [
            *("/users/01/series", "/users/-1/series", "/users/1/series?window=20m"),
            *("/users/1/series?at=2025-01-15T14:30:45", "/users/2/series"),
            "/users/1/series?at=2025-01-15T14:29:59.999Z",
            *("/videos/x/series", "/videos/viral/series", "/videos/2/series"),
            *("/videos/7/series?at=yesterday", "/videos/7/series?at=2025-01-15T14:29:59Z"),
        ],
    )
    async def test_they_are_those_of_the_plain_route(self, worker: Worker, path: str) -> None:
        worker.put_user(1, LIKE)
        worker.put_video(7, ("2025-01-15T14:30:00Z", 1, 0, 0, 0))
        series = await worker.ask(path)
        assert series.status in {400, 404}
        if "viral" in path:
            assert series.code == "invalid_id"
            return
        plain = await worker.ask(path.replace("/series", ""))
        assert (series.status, series.body) == (plain.status, plain.body)

    async def test_a_partition_that_recovers_is_asked_for_again_later(
        self, make_worker: MakeWorker
    ) -> None:
        worker = await make_worker()
        for path in ("/users/1/series", "/videos/1/series"):
            answer = await worker.ask(path)
            assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
