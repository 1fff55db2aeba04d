"""Comparison of everything that the program shows with the oracle."""

from __future__ import annotations

import hashlib
from collections import Counter
from fractions import Fraction
from typing import TYPE_CHECKING

import msgspec
from rocksdict import AccessType, Options, Rdict

from models.counters import CREATOR
from models.dedup import is_sealed_key
from models.pane_windows import PaneWindows
from models.user import UserWindows
from models.video import VideoWindows
from models.windows import Slices, from_iso
from settings import load
from tables.creators import creator_windows
from tables.layout import LAYOUT_KEY
from tables.rocks import CHANGELOG_ID_KEY, OFFSET_KEY, WHOLE_KEY
from tables.users import user_windows
from tables.videos import video_windows
from tests.oracle import DeadLetter, Oracle, Rules, hopping_window, in_order
from tests.oracle_events import partition_of

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence
    from pathlib import Path

    from tests.cluster import Cluster
    from tests.oracle import Record, UserCounts, VideoCounts
    from tests.worker import Json, Worker

HEADERS = ["reason", "detail", "source.topic", "source.partition", "source.offset", "source.app"]


def ask_oracle(cluster: Cluster, rules: Rules, replayed: int = 0) -> Oracle:
    """Feed the oracle with the input and the passed on events as they are now.

    The passed on records must equal the misplaced ones, record by record; ``replayed`` dead letters
    are in that topic as well. Records that an earlier release passed on are in the input.
    """
    oracle = Oracle(rules, cluster.events)
    oracle.users_have_positions = cluster.users_have_positions
    sent, passed_on = cluster.read(cluster.events), cluster.read(cluster.repartition)
    for record, is_passed_on in in_order(sent, passed_on, cluster.read(cluster.order)):
        oracle.feed(record, cluster.repartition if is_passed_on else None)
    # Timestamps and headers that the topic refuses are replaced; a header says so.
    altered = {_content(record) for record in passed_on if _is_altered(record)}
    found = _comparable(passed_on, altered)
    expected = _comparable(oracle.passed_on.elements(), altered)
    lacking = expected - found
    assert found.total() == (expected - lacking).total() + replayed
    if cluster.was_taken_over:
        lacking -= _comparable(sent, altered)
    assert not lacking
    return oracle


def _content(record: Record) -> tuple[int, bytes | None, bytes | None]:
    return record.partition, record.key, record.value


def _is_altered(record: Record) -> bool:
    return any(name.startswith("original.") for name, _ in record.headers)


def _comparable(records: Iterable[Record], altered: Container[object]) -> Counter[Record]:
    """Count records of any partition; ignore timestamp and headers of those ``altered``."""
    return Counter(
        record._replace(offset=0, timestamp=0, headers=())
        if _content(record) in altered
        else record._replace(offset=0)
        for record in records
    )


def check_all(cluster: Cluster, *workers: Worker) -> None:
    """Check that all output of the workers matches the oracle."""
    oracle = ask_oracle(cluster, Rules(cluster.partitions))
    check_dead_letters(cluster, oracle)
    check_changelogs(cluster, oracle)
    for worker in workers:
        worker.wait_ready()
        check_users_over_http(worker, oracle, sorted(oracle.of_user))
        check_videos_over_http(worker, oracle, sorted(oracle.of_video))
        if not cluster.was_taken_over:
            check_creators_over_http(worker, oracle, sorted(oracle.of_creator))


def check_dead_letters(cluster: Cluster, oracle: Oracle) -> None:
    """Check that each reject is there once, with the same key, value and headers, and no others."""
    check_dead_letter_records(cluster.read(cluster.dead_letters), oracle)


def check_dead_letter_records(records: Sequence[Record], oracle: Oracle) -> None:
    """Check dead letters that were already read."""
    whole = {each[3:]: each for each in oracle.dead_letters}
    found: Counter[DeadLetter] = Counter()
    for record in records:
        headers = dict(record.headers)
        assert [name for name, _ in record.headers][: len(HEADERS)] == HEADERS
        assert len(record.headers) == len(headers)
        assert headers["detail"].decode()
        place = (
            headers["source.topic"].decode(),
            *(int(headers["source.partition"]), int(headers["source.offset"])),
        )
        notes = {name: value for name, value in headers.items() if name not in HEADERS}
        found[
            DeadLetter(
                _restored(record.key, whole[place].key, "original.key", notes),
                _restored(record.value, whole[place].value, "original", notes),
                headers["reason"].decode(),
                *place,
            )
        ] += 1
        assert not notes
    expected = Counter(oracle.dead_letters)
    assert found.total() == expected.total()
    assert found == expected


def _restored(
    part: bytes | None, whole: bytes | None, name: str, notes: dict[str, bytes]
) -> bytes | None:
    """Return a key or a value as it was before it was cut, if its headers say that it was."""
    size = notes.pop(f"{name}.size", None)
    if size is None:
        return part
    assert part is not None
    assert whole is not None
    assert whole.startswith(part)
    assert len(part) < len(whole) == int(size)
    assert notes.pop(f"{name}.sha256") == hashlib.sha256(whole).hexdigest().encode()
    return whole


# -- the tables' values, from any source


def check_user_values(values: dict[bytes, bytes], oracle: Oracle) -> None:
    """Check each user's value against the oracle: the whole window and its last hour."""
    rules = oracle.rules
    windows = UserWindows(Slices(rules.user_window, rules.user_step), rules.horizon)
    users = {int(key): value for key, value in values.items() if not is_sealed_key(key)}
    assert users.keys() <= oracle.of_user.keys()
    for user_id in oracle.of_user:
        as_of = oracle.as_of(user_id)
        assert as_of is not None
        for size in (None, rules.user_step):
            found = windows.metrics(users.get(user_id), as_of, size)
            expected = oracle.user(user_id, as_of, size)
            assert (
                *(found.start_ms, found.end_ms),
                *(found.views, found.likes, found.watch_ms),
            ) == expected[:5], f"user {user_id}"
            if oracle.users_have_positions:
                check_completion(found.average_completion, expected.completion)


def check_video_values(values: dict[bytes, bytes], oracle: Oracle) -> None:
    """Check each video's value against the oracle, in both windows."""
    rules = oracle.rules
    windows = VideoWindows(Slices(rules.video_window, rules.video_step))
    videos = {int(key): value for key, value in values.items()}
    latest = oracle.latest()
    assert latest is not None
    assert videos.keys() <= oracle.of_video.keys()
    for video_id in oracle.of_video:
        value = videos.get(video_id)
        for found, expected in (
            (windows.rolling(value, latest), oracle.rolling(video_id, latest)),
            (windows.tumbling(value, latest), oracle.tumbling(video_id, latest)),
        ):
            assert found[:6] == expected[:6]
            check_completion(found.average_completion, expected.completion)


def check_creator_values(values: dict[bytes, bytes], oracle: Oracle) -> None:
    """Check each creator's value against the oracle: the whole window and its last step."""
    rules = oracle.rules
    windows = PaneWindows(CREATOR, Slices(rules.user_window, rules.user_step))
    creators = {int(key): value for key, value in values.items()}
    latest = oracle.latest()
    assert latest is not None
    assert creators.keys() <= oracle.of_creator.keys()
    for creator_id in oracle.of_creator:
        for size in (None, rules.user_step):
            found = windows.rolling(creators.get(creator_id), latest, size)
            expected = oracle.creator(creator_id, latest, size)
            assert found[:8] == expected[:8], f"creator {creator_id}"
            check_completion(found.average_completion, expected.completion)


def check_completion(found: float | None, expected: Fraction | None) -> None:
    """Check that a mean position equals the oracle's to one billionth."""
    assert (found is None) == (expected is None)
    assert found is None or abs(Fraction(found) - (expected or 0)) <= Fraction(1, 10**9)


def check_changelogs(cluster: Cluster, oracle: Oracle) -> None:
    """Check that the replayed changelogs hold the oracle's values and stream times."""
    for topic, check in (
        (cluster.user_changelog, check_user_values),
        (cluster.video_changelog, check_video_values),
        (cluster.creator_changelog, check_creator_values),
    ):
        if topic == cluster.creator_changelog and not cluster.has_topic(topic):
            continue
        # An earlier release had no creators; they are counted from the next release on.
        is_whole = True
        values: dict[bytes, bytes] = {}
        for record in cluster.read(topic):
            assert record.key is not None
            if record.key == LAYOUT_KEY:
                values[b"%d:" % record.partition + LAYOUT_KEY] = record.value or b""
            else:
                # The keys of a user's sealed ids start with the user's key.
                owner = int(record.key.partition(b":")[0])
                assert record.partition == partition_of(owner, cluster.partitions)
                if record.value is None:
                    values.pop(record.key, None)
                else:
                    values[record.key] = record.value
        for partition in range(cluster.partitions):
            layout = values.pop(b"%d:" % partition + LAYOUT_KEY, None)
            found = msgspec.json.decode(layout) if layout else {}
            if topic == cluster.user_changelog:
                assert found.get("stream_time") == oracle.stream_times.get(partition)
            is_whole = is_whole and not found.get("complete_from")
        if is_whole:
            check(values, oracle)


def check_databases(
    cluster: Cluster, folders: Sequence[Path], *, deletions_are_kept: bool = True
) -> None:
    """Check that each database equals its changelog up to its offset; the latest is complete.

    A worker that lost a partition keeps its copy, which falls behind. If the changelog does not
    keep its deletions, the copy may contain rows that were deleted since: expired rows.
    """
    settings = load(cluster.environment)
    for table, topic, windows in (
        ("user_metrics", cluster.user_changelog, user_windows(settings)),
        ("video_metrics", cluster.video_changelog, video_windows(settings)),
        ("creator_metrics", cluster.creator_changelog, creator_windows(settings)),
    ):
        if not cluster.has_topic(topic):
            continue
        records = cluster.read(topic)
        for partition in range(cluster.partitions):
            changes = [record for record in records if record.partition == partition]
            offsets = []
            for path in (p for f in folders for p in f.glob(f"**/{table}-{partition}.db")):
                content = read_database(path)
                # A worker may have stopped before it read anything of a new partition.
                offset = int(content.pop(OFFSET_KEY, b"-1"))
                for key in (CHANGELOG_ID_KEY, WHOLE_KEY):
                    content.pop(key, None)
                offsets.append(offset)
                replayed = {r.key: r.value for r in changes if r.offset <= offset}
                if not deletions_are_kept and LAYOUT_KEY in content:
                    now = msgspec.json.decode(content[LAYOUT_KEY])["stream_time"]
                    forgotten = [content.pop(key) for key in content.keys() - replayed.keys()]
                    assert all(windows.is_expired(value, now) for value in forgotten)
                assert content == {
                    key: value for key, value in replayed.items() if value is not None
                }
            if changes:
                assert max(offsets) == changes[-1].offset


def read_database(path: Path) -> dict[bytes, bytes]:
    """Return the content of a RocksDB database."""
    options = Options(raw_mode=True)
    database = Rdict(str(path), options, access_type=AccessType.read_only())
    try:
        return {bytes(key): value for key, value in database.items()}  # type: ignore[arg-type]
    finally:
        database.close()


# -- HTTP


def check_users_over_http(
    worker: Worker, oracle: Oracle, user_ids: Sequence[int], window: int | None = None
) -> None:
    """Check each user's answer; a user without events in the window may be unknown."""
    query = "" if window is None else f"?window={window // 1000}s"
    answers = worker.get_all([f"/users/{user_id}{query}" for user_id in user_ids])
    for user_id, (status, found) in zip(user_ids, answers, strict=True):
        as_of = oracle.as_of(user_id)
        assert as_of is not None
        start, _ = hopping_window(as_of, oracle.rules.user_window, oracle.rules.user_step)
        if status == 404 and all(each.t < start for each in oracle.of_user[user_id]):
            continue
        assert status == 200, (user_id, found)
        assert found["user_id"] == user_id
        assert from_iso(found["as_of"]) == as_of
        expected = oracle.user(user_id, as_of, window)
        _check_user(found, expected, oracle.rules.user_step)
        if oracle.users_have_positions:
            check_completion(found["average_completion"], expected.completion)


def _check_user(found: Json, expected: UserCounts, step: int) -> None:
    assert found["window"] == {
        "start": found["window"]["start"],
        "end": found["window"]["end"],
        "size_s": (expected.end - expected.start) // 1000,
        "step_s": step // 1000,
    }
    assert from_iso(found["window"]["start"]) == expected.start
    assert from_iso(found["window"]["end"]) == expected.end
    assert found["total_videos_watched"] == expected.views
    assert found["likes"] == expected.likes
    assert found["total_engagement_minutes"] == expected.watched / 60_000
    rate = expected.likes / expected.views if expected.views else 0.0
    assert found["engagement_rate"] == rate


def check_videos_over_http(worker: Worker, oracle: Oracle, video_ids: Sequence[int]) -> None:
    """Check each video's answer; a video without events in its windows may be unknown."""
    latest = oracle.latest()
    assert latest is not None
    step = oracle.rules.video_step
    answers = worker.get_all([f"/videos/{video_id}" for video_id in video_ids])
    start, _ = hopping_window(latest, oracle.rules.video_window, step)
    for video_id, (status, found) in zip(video_ids, answers, strict=True):
        if status == 404 and all(each.t < start for each in oracle.of_video[video_id]):
            continue
        assert status == 200, (video_id, found)
        as_of = from_iso(found["as_of"])
        # A video knows the step of the latest event, but not its exact millisecond.
        assert latest // step == as_of // step
        assert as_of <= latest
        rolling = oracle.rolling(video_id, latest)
        assert found["video_id"] == video_id
        assert found["viral"] is oracle.is_viral(rolling)
        _check_video(found["rolling"], rolling)
        _check_video(found["tumbling"], oracle.tumbling(video_id, latest))


def _check_video(found: Json, expected: VideoCounts) -> None:
    assert from_iso(found["start"]) == expected.start
    assert from_iso(found["end"]) == expected.end
    for name in ("views", "likes", "comments", "shares"):
        assert found[name] == getattr(expected, name)
    reactions = expected.shares + expected.comments
    coefficient = reactions / expected.views if expected.views else None
    assert found["viral_coefficient"] == coefficient
    check_completion(found["average_completion"], expected.completion)


def check_creators_over_http(
    worker: Worker, oracle: Oracle, creator_ids: Sequence[int], window: int | None = None
) -> None:
    """Check each creator's answer; a creator without events in the window may be unknown."""
    latest = oracle.latest()
    assert latest is not None
    step = oracle.rules.user_step
    query = "" if window is None else f"?window={window // 1000}s"
    answers = worker.get_all([f"/creators/{creator_id}{query}" for creator_id in creator_ids])
    start, _ = hopping_window(latest, oracle.rules.user_window, step)
    for creator_id, (status, found) in zip(creator_ids, answers, strict=True):
        if status == 404 and all(each.t < start for each in oracle.of_creator[creator_id]):
            continue
        assert status == 200, (creator_id, found)
        as_of = from_iso(found["as_of"])
        # Like a video, a creator knows the step of the latest event, but not its exact millisecond.
        assert latest // step == as_of // step
        assert as_of <= latest
        expected = oracle.creator(creator_id, latest, window)
        assert found["creator_id"] == creator_id
        assert from_iso(found["window"]["start"]) == expected.start
        assert from_iso(found["window"]["end"]) == expected.end
        assert found["window"]["size_s"] == (expected.end - expected.start) // 1000
        assert found["window"]["step_s"] == step // 1000
        for name in ("views", "likes", "comments", "shares", "follows"):
            assert found[name] == getattr(expected, name), (creator_id, name)
        assert found["total_engagement_minutes"] == expected.watched / 60_000
        check_completion(found["average_completion"], expected.completion)
        assert found["complete_since"] is None


# -- viral videos


def viral_rows(videos: dict[int, VideoCounts]) -> list[tuple[float, int, int, int, int]]:
    """Return the rows of the oracle's viral videos, highest coefficient first."""
    return sorted(
        (
            (-(each.shares + each.comments) / each.views, each.views, each.shares, each.comments, i)
            for i, each in videos.items()
        ),
    )


def viral_list(worker: Worker) -> list[tuple[float, int, int, int, int]]:
    """Return a worker's list of viral videos in the same form, in the worker's order."""
    return [
        (
            *(-each["viral_coefficient"], each["views"], each["shares"], each["comments"]),
            each["video_id"],
        )
        for each in worker.get("/videos/viral?limit=1000")["videos"]
    ]


def viral_topic(cluster: Cluster) -> dict[int, tuple[int, int, int, int, int]]:
    """Replay the viral topic; return the window and the counts of each video."""
    return viral_flags(cluster.replay(cluster.viral))


def viral_flags(values: dict[bytes, bytes]) -> dict[int, tuple[int, int, int, int, int]]:
    """Return the same from values that were already replayed."""
    found = {}
    for key, value in values.items():
        flag = msgspec.json.decode(value)
        assert set(flag) == {
            *("video_id", "viral_coefficient", "views", "shares", "comments"),
            *("detected_at", "window_start", "window_end"),
        }
        assert int(key) == flag["video_id"]
        assert flag["viral_coefficient"] == (flag["shares"] + flag["comments"]) / flag["views"]
        found[int(key)] = (
            *(from_iso(flag["window_start"]), from_iso(flag["window_end"])),
            *(flag["views"], flag["comments"], flag["shares"]),
        )
    return found


def viral_topic_of(videos: dict[int, VideoCounts]) -> dict[int, tuple[int, int, int, int, int]]:
    """Return the expected content of the viral topic."""
    return {
        video_id: (each.start, each.end, each.views, each.comments, each.shares)
        for video_id, each in videos.items()
    }
