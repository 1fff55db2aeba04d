"""An export's columns are the fields of the routes' JSON."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from exporting.columns import SummedMetrics, UserMetrics, VideoMetrics
from exporting.errors import ExportError
from models.columns import ColumnKind
from models.counters import USER
from models.event import Metadata
from models.user import UserWindows, describe_user
from models.video import VideoWindows
from models.viral import ViralRule
from models.windows import Slices, to_iso
from settings import load
from tests.models.older import make_version_1, make_version_2
from topology import topology
from views.videos import describe_video_window

if TYPE_CHECKING:
    from exporting.columns import Metrics
    from tests.views.conftest import Worker


HOUR = 3_600_000
AT = 1_736_951_445_123
EXPORTED = {entry.entity.plural: entry.exported for entry in topology(load({}))}


def adds(kind: str, watch_ms: int = 0) -> tuple[int, ...]:
    return USER.increments(kind, Metadata(view_duration_ms=watch_ms, video_position=0.25))


def flat(fields: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in fields.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{name}_")
        else:
            found[prefix + name] = value
    return found


def row_of(metrics: Metrics, key: int, value: Any, complete_from: int = 0) -> dict[str, Any]:
    values = metrics.values([key], [value], AT, complete_from)
    columns = [np.asarray(each, object).tolist() for each in values]
    shown: dict[str, Any] = {}
    for column, (cell,) in zip(metrics.columns, columns, strict=True):
        is_time = column.kind is ColumnKind.TIME and cell is not None
        shown[column.name] = to_iso(cell) if is_time else cell
    return shown


def test_a_users_columns_are_the_fields_of_the_route() -> None:
    """Names, order and values, also of a window smaller than the table's."""
    windows = UserWindows(Slices(24 * HOUR, HOUR // 4), HOUR)
    rows: dict[bytes, bytes | None] = {}
    for number, kind in enumerate(["video_view", "video_view", "like"]):
        windows.apply(rows, b"5", adds(kind, 1500), AT - number * HOUR, number, AT)
    for size in (None, 2 * HOUR):
        counts = windows.metrics(rows[b"5"], AT, size)
        expected = flat(describe_user(5, AT, counts, HOUR // 4))
        found = row_of(UserMetrics(windows, size), 5, rows[b"5"])
        assert list(found.items()) == list(expected.items())


async def test_a_creators_columns_are_the_fields_of_the_route(worker: Worker) -> None:
    """Also of a smaller window, and of a table that was begun within the window."""
    viewed = ("video_view", to_iso(AT), Metadata(1500, 0.25))
    worker.put_creator(3, viewed, ("follow", to_iso(AT - 3 * HOUR), Metadata()))
    state = worker.creators.state(3)
    for complete_from in (0, AT - 4 * HOUR):
        state.complete_from = complete_from
        for size, query in ((None, ""), (2 * HOUR, "&window=2h")):
            answer = await worker.ask(f"/creators/3?at={to_iso(AT)}{query}")
            metrics = SummedMetrics(worker.creator_windows, size)
            found = row_of(metrics, 3, state.get(b"3"), complete_from)
            assert list(found.items()) == list(flat(answer.json).items())
    assert not any(SummedMetrics(worker.creator_windows, None).known([state.get(b"3")], AT * 2))


def test_a_videos_columns_are_the_fields_of_the_route() -> None:
    """A coefficient without views is missing in the export, and null in the route's answer."""
    windows, rule = VideoWindows(Slices(2 * HOUR, HOUR // 12)), ViralRule(1.5, 2)
    for value in (None, windows.apply(None, AT * 12 // HOUR, (2, 1, 3, 4, 1, 500_000_000), AT)):
        rolling, tumbling = windows.rolling(value, AT), windows.tumbling(value, AT)
        expected = flat(
            {
                "video_id": 7,
                "as_of": to_iso(AT),
                "rolling": describe_video_window(rolling),
                "tumbling": describe_video_window(tumbling),
                "viral": rule.is_viral(rolling),
            }
        )
        found = row_of(VideoMetrics(windows, rule), 7, value)
        assert list(found.items()) == list(expected.items())


@pytest.mark.parametrize(
    ("word", "window", "reason"),
    [
        ("users", "7m", "--window 7m is wrong: allowed is a multiple of 15m up to 24h"),
        ("users", "48h", "--window 48h is wrong: allowed is a multiple of 15m up to 24h"),
        ("creators", "7m", "--window 7m is wrong: allowed is a multiple of 15m up to 24h"),
        ("videos", "1h", "--window is not for videos: their windows have fixed sizes"),
    ],
)
def test_a_window_that_a_table_has_not_is_refused(word: str, window: str, reason: str) -> None:
    table: Any = SimpleNamespace(changelog_topic_name="t", layout=None)
    with pytest.raises(ExportError, match=reason):
        EXPORTED[word].source(load({}), word, table, window)


def test_a_window_may_be_as_mixed_as_in_a_read() -> None:
    table: Any = SimpleNamespace(changelog_topic_name="t", layout=None)
    metrics = EXPORTED["users"].source(load({}), "users", table, "22h45m").metrics
    assert metrics.first_pane(AT) == metrics.slices.window_at(AT, (22 * 60 + 45) * 60_000)[0]


@pytest.mark.parametrize("large", [(), (2**53, 2**63)], ids=["usual", "beyond 2**53"])
@pytest.mark.parametrize("steps", [1, 4])
def test_users_read_by_the_batch_are_what_they_are_one_by_one(
    large: tuple[int, ...], steps: int
) -> None:
    """All versions of values, with sealed ids, without events in the window, by a coarser step."""
    rng, now = random.Random(29), AT
    rows: dict[bytes, bytes | None] = {}
    slices = Slices(24 * HOUR, HOUR // 4 * steps)
    windows = UserWindows(slices, HOUR, HOUR // 4)
    for number in range(3000):
        key, t = b"%d" % rng.randrange(40), AT - rng.randrange(24) * HOUR
        kind = rng.choice(["video_view", "like", "share"])
        windows.apply(rows, key, adds(kind, rng.randrange(10_000)), t, number, AT)
    for number, make_older in enumerate([make_version_1, make_version_2]):
        make_older(rows, b"%d" % number)
    for watch_ms in large:
        windows.apply(rows, b"99%d" % watch_ms, adds("video_view", watch_ms), AT, 1, AT)
    windows.apply(rows, b"77", adds("like"), AT - 30 * HOUR, 1, AT - 30 * HOUR)
    users = {int(key): row for key, row in rows.items() if row and b":" not in key}
    metrics = UserMetrics(UserWindows(slices, HOUR), 2 * HOUR).in_units(HOUR // 4)
    values, ids = list(users.values()), list(range(len(users)))
    assert list(metrics.known(values, now)) == [not windows.is_expired(v, now) for v in values]
    assert len(set(metrics.known(values, now))) == 2
    columns = dict(
        zip([c.name for c in metrics.columns], metrics.values(ids, values, now), strict=True)
    )
    for place, value in enumerate(values):
        found = windows.metrics(value, now, 2 * HOUR)
        for name in ("likes", "total_engagement_minutes", "engagement_rate", "average_completion"):
            assert columns[name][place] == getattr(found, name)
        assert columns["total_videos_watched"][place] == found.views
