"""Tables of an earlier release, which wrote ``tables.json`` and ``databases.tar.xz``.

That release wrote users of version 3 (two of them older still), videos and deltas of version 1.
Rows are in hex, next to that release's answers.
"""

from __future__ import annotations

import json
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from models.deltas import unpack_deltas
from models.rows import foreign_sums, foreign_users
from models.user import UserWindows, describe_user
from models.video import VideoWindows
from models.windows import Slices
from tables.layout import LAYOUT_KEY, LayoutError
from tables.rocks import RocksStore
from tables.rocks_options import RocksMemory
from tables.state import PartitionState
from tables.summed import summed_layout
from tables.users import user_layout
from views.videos import describe_video_window as describe_video

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from models.rows import Rows
    from tables.layout import StoreFormat

    Get = Callable[[bytes], bytes | None]
    OpenState = Callable[[str, str], PartitionState]

FOLDER = Path(__file__).parent
MINUTE, HOUR = 60_000, 3_600_000
USERS = UserWindows(Slices(24 * HOUR, 15 * MINUTE), HOUR)
VIDEOS = VideoWindows(Slices(2 * HOUR, 5 * MINUTE))
EARLIER = json.loads((FOLDER / "tables.json").read_text())
NOW = EARLIER["stream_time"]


def rows_of(table: str) -> Rows:
    """Return the rows of a table by key."""
    return {key.encode(): bytes.fromhex(row) for key, row in EARLIER[table]["rows"].items()} | {
        LAYOUT_KEY: EARLIER[table]["layout"].encode()
    }


def says(answer: dict[str, Any], earlier: dict[str, Any]) -> bool:
    """Whether an answer contains everything that an earlier release answered."""
    return answer | earlier == answer


def check_users(get: Get) -> None:
    for size, answers in ((None, "answers"), (HOUR, "answers_1h")):
        for earlier in EARLIER["users"][answers]:
            user_id = earlier["user_id"]
            metrics = USERS.metrics(get(b"%d" % user_id), NOW, size)
            assert says(describe_user(user_id, NOW, metrics, USERS.slices.step), earlier)
    for user_id, panes in EARLIER["users"]["panes"].items():
        found = USERS.series(get(user_id.encode()), NOW)
        assert all(map(says, (pane._asdict() for pane in found), panes))
        assert len(found) == len(panes)


def check_videos(get: Get) -> None:
    for video_id, earlier in EARLIER["videos"]["answers"].items():
        value = get(video_id.encode())
        assert says(describe_video(VIDEOS.rolling(value, NOW)), earlier["rolling"])
        assert says(describe_video(VIDEOS.tumbling(value, NOW)), earlier["tumbling"])
        assert VIDEOS.detected_at(value) == earlier["detected_at"]
        found = VIDEOS.series(value, NOW)
        panes = EARLIER["videos"]["panes"][video_id]
        assert all(map(says, (pane._asdict() for pane in found), panes))
        assert len(found) == len(panes)


CHECKS: dict[str, tuple[Callable[[Get], None], StoreFormat, str]] = {
    "users": (check_users, user_layout(USERS, foreign_users, 8), "user_metrics-0.db"),
    "videos": (check_videos, summed_layout(VIDEOS, foreign_sums, 8), "video_metrics-0.db"),
}


@pytest.fixture
def open_state(tmp_path: Path) -> Iterator[OpenState]:
    """Return a function that opens a database as a table's store does."""
    memory = RocksMemory.create(1 << 20)
    stores: list[RocksStore] = []

    def open_at(table: str, folder: str) -> PartitionState:
        stores.append(RocksStore(tmp_path / folder, memory))
        layout = CHECKS[table][1]
        return PartitionState(table, layout, stores[-1], executor)

    with ThreadPoolExecutor(1) as executor:
        yield open_at
        for store in stores:
            store.close()


@pytest.mark.parametrize("table", CHECKS)
def test_rows_of_an_earlier_release_read_alike(table: str) -> None:
    """Values that an earlier release wrote give the same answers."""
    CHECKS[table][0](rows_of(table).get)


@pytest.mark.parametrize("table", CHECKS)
async def test_a_changelog_of_an_earlier_release_is_restored(
    table: str, open_state: OpenState
) -> None:
    """A partition built from an earlier release's changelog gives the same answers."""
    state = open_state(table, "new.db")
    await state.apply(rows_of(table), 41)
    assert state.known_time() == NOW
    CHECKS[table][0](state.get)


@pytest.mark.parametrize("table", CHECKS)
def test_a_data_directory_of_an_earlier_release_is_opened(
    table: str, open_state: OpenState, tmp_path: Path
) -> None:
    """A database that an earlier release wrote opens, and gives the same answers."""
    with tarfile.open(FOLDER / "databases.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    check, _, folder = CHECKS[table]
    state = open_state(table, folder)
    assert (state.offset, state.known_time()) == (41, NOW)
    check(state.get)


@pytest.mark.parametrize("table", CHECKS)
async def test_a_table_of_a_later_release_is_refused_in_one_line(
    table: str, open_state: OpenState
) -> None:
    """Going back to an older release is refused before anything is read or written."""
    version = CHECKS[table][1].version
    later = json.loads(EARLIER[table]["layout"]) | {"version": version + 1}
    state = open_state(table, "new.db")
    await state.apply({LAYOUT_KEY: json.dumps(later).encode()}, 41)
    with pytest.raises(LayoutError, match=f"has version {version + 1}, but this program writes"):
        state.reset_to_committed()


def test_deltas_of_an_earlier_release_are_read() -> None:
    """Deltas that wait in their topic during an upgrade can be read."""
    for earlier in EARLIER["deltas"]:
        source, stream_time, rows = unpack_deltas(bytes.fromhex(earlier["value"]))
        assert (source, stream_time) == (earlier["source"], earlier["stream_time"])
        assert [list(row)[: len(old)] for row, old in zip(rows, earlier["rows"], strict=True)] == (
            earlier["rows"]
        )
