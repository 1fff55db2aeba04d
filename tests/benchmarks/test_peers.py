"""The case ``peers``: its packages are pinned, and no window closes within a run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from benchmarks.__main__ import CASES, main
from benchmarks.peers import PEERS, flink, quix, start_ms, streams
from embedded.distribution import read_manifest

if TYPE_CHECKING:
    from types import ModuleType


HOUR_MS = 3_600_000


@pytest.mark.parametrize("peer", [streams, flink])
def test_the_jars_of_a_peer_are_pinned_in_the_version_of_its_row(peer: ModuleType) -> None:
    pinned = {jar.coordinate for jar in read_manifest(peer.MANIFEST)}

    assert set(peer.ROOTS) <= pinned
    assert {each.version for each in peer.PEERS} == {peer.VERSION}


def test_the_packages_of_quix_are_pinned_in_the_version_of_its_row() -> None:
    lock = (quix.FOLDER / "requirements.lock").read_text()

    assert re.findall(r"^quixstreams==(\S+)", lock, re.MULTILINE) == [quix.VERSION]
    assert lock.count("==") <= lock.count("--hash=sha256:")


def test_events_begin_in_the_second_hour_of_a_window_of_a_video_that_is_not_over() -> None:
    start = start_ms(now_ms := 1_800_000_000_123)

    assert start % HOUR_MS == 0
    assert start // HOUR_MS % 2 == 1
    assert 0 < now_ms - start <= 3 * HOUR_MS


def test_a_row_of_quix_without_a_window_has_no_views() -> None:
    (views_of,) = {peer.views_of for peer in quix.PEERS}

    assert views_of(b'{"views":3,"likes":1,"watch_ms":9}') == 3
    assert views_of(b"1736951445123") == 0


def test_peers_run_only_if_they_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert "peers" not in CASES
    with pytest.raises(SystemExit, match="there is no such peer: streams"):
        main(["peers", "--kinds", "nobody"])
    assert len({peer.kind for peer in PEERS}) == len(PEERS)
