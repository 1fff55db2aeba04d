"""``GET /creators/{creator_id}`` and its series: the answers, and when there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.schema import Metadata
from models.windows import from_iso

if TYPE_CHECKING:
    from tests.views.conftest import MakeWorker, Worker


BEFORE = ("video_view", "2025-01-15T12:00:00Z", Metadata(60_000))
EVENTS = [
    ("video_view", "2025-01-15T14:30:45Z", Metadata(45_000, 0.5)),
    ("video_view", "2025-01-15T14:30:45Z", Metadata(45_000, 1.0)),
    *((kind, "2025-01-15T14:31:00Z", Metadata()) for kind in ("like", "comment", "share")),
    *[("follow", "2025-01-15T14:32:00Z", Metadata())] * 2,
]


async def test_the_answer_is_what_the_contract_says(worker: Worker) -> None:
    """The fields, their order, and that everything counts from the beginning."""
    worker.put_creator(3, BEFORE, *EVENTS)
    answer = await worker.ask("/creators/3")
    assert answer.status == 200
    assert answer.body == (
        b'{"creator_id":3,"as_of":"2025-01-15T14:30:45.123Z",'
        b'"window":{"start":"2025-01-14T14:45:00Z","end":"2025-01-15T14:45:00Z",'
        b'"size_s":86400,"step_s":900},'
        b'"views":3,"likes":1,"comments":1,"shares":1,"follows":2,'
        b'"total_engagement_minutes":2.5,"average_completion":0.75,"complete_since":null}'
    )


async def test_a_smaller_window_and_another_time_are_asked_for_as_of_users(worker: Worker) -> None:
    """An hour excludes earlier events; a window that is not kept is refused."""
    worker.put_creator(3, BEFORE, *EVENTS)
    hour = (await worker.ask("/creators/3?window=1h")).json
    assert (hour["views"], hour["window"]["size_s"]) == (2, 3600)
    later = (await worker.ask("/creators/3?at=2025-01-16T12:15:00Z")).json
    assert later["views"] == 2
    for path in ("/creators/3?at=2025-01-14T12:00:00Z", "/creators/3?window=7m"):
        assert (await worker.ask(path)).status == 400


async def test_the_series_are_the_steps_that_the_metrics_are_the_sums_of(worker: Worker) -> None:
    """Steps without events are left out."""
    worker.put_creator(3, BEFORE, *EVENTS)
    whole, series = [(await worker.ask(f"/creators/3{path}")).json for path in ("", "/series")]
    assert series["window"] == whole["window"]
    assert [pane["start"] for pane in series["panes"]] == [
        *("2025-01-15T12:00:00Z", "2025-01-15T14:30:00Z")
    ]
    for name in ("views", "likes", "comments", "shares", "follows"):
        assert sum(pane[name] for pane in series["panes"]) == whole[name]
    assert sum(pane["watch_ms"] for pane in series["panes"]) == 150_000
    assert series["panes"][1]["average_completion"] == 0.75
    assert series["complete_since"] is None


async def test_answers_say_since_when_all_is_counted_until_the_window_has_passed(
    worker: Worker,
) -> None:
    """A window that begins at that time or later is complete."""
    worker.put_creator(3, BEFORE, *EVENTS)
    since = "2025-01-15T12:15:00Z"
    worker.creators.state(3).complete_from = from_iso(since)
    for path in ("/creators/3", "/creators/3/series", "/creators/3?at=2025-01-16T11:59:00Z"):
        assert (await worker.ask(path)).json["complete_since"] == since
    for path in ("/creators/3?window=1h", "/creators/3?at=2025-01-16T12:00:00Z"):
        assert (await worker.ask(path)).json["complete_since"] is None


async def test_a_creator_of_whom_nothing_is_known_is_not_found(worker: Worker) -> None:
    """An invalid id is refused."""
    assert (await worker.ask("/creators/4")).code == "not_found"
    assert (await worker.ask("/creators/x")).code == "invalid_id"


async def test_without_creators_there_are_no_such_routes(make_worker: MakeWorker) -> None:
    """REELS_CREATORS=off."""
    worker = await make_worker(REELS_CREATORS="off")
    assert (await worker.ask("/creators/3")).code == "not_found"
