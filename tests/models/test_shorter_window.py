"""A window that became shorter answers as if it had never been longer."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from accelerator import UserBackend, layer_backend
from models.chunk import Overlay
from models.counters import VIDEO
from models.user import UserWindows
from models.video import VideoWindows
from models.windows import Slices
from tests.integration.stream import event

if TYPE_CHECKING:
    from tables.layers import LayerBackend


HOUR = 3_600_000
AT = 1_736_951_445_123


class Record:
    timestamp, offset, key, headers = AT, 0, b"5", ()

    def __init__(self, value: bytes) -> None:
        self.value = value


def process(
    form: LayerBackend,
    backend: UserBackend,
    rows: dict[bytes, bytes | None],
    value: bytes,
    now: int,
) -> None:
    chunk = backend.chunk([Record(value)], 0, 1, now)
    loaded = form.find((), chunk.keys)
    loaded.fill([rows.get(key) for key in loaded.missing])
    dirty = form.layer()
    overlay = Overlay(dirty, loaded, form.find((), []), rows.get)
    chunk.apply(backend.windows, overlay, now, backend.accumulator(VIDEO), HOUR)
    rows |= dict(dirty.items())


@pytest.mark.parametrize("accelerated", [False, True])
def test_a_users_longer_window_leaves_nothing_behind(accelerated: bool) -> None:
    """Event by event after the change, with 24 hours of panes in the value, in both forms."""
    rng, now, form = random.Random(3), AT, layer_backend(accelerated=accelerated)
    long, short = (UserWindows(Slices(h * HOUR, HOUR // 4), HOUR) for h in (24, 6))
    changed: dict[bytes, bytes | None] = {}
    always: dict[bytes, bytes | None] = {}
    for number in range(400):
        now += rng.randrange(12 * 60_000)
        t = now - rng.randrange(2 * HOUR)
        value = event(5, 1, t, number, event_type=rng.choice(["video_view", "like"]))
        for rows, windows in ((changed, long if number < 200 else short), (always, short)):
            backend = UserBackend.of(windows, accelerated=accelerated)
            process(form, backend, rows, value, now)
        found = [short.metrics(rows.get(b"5"), now) for rows in (changed, always)]
        assert found[0] == found[1]
    left, usual = changed[b"5"], always[b"5"]
    assert left is not None
    assert usual is not None
    assert len(left) == len(usual)


def test_a_videos_longer_window_leaves_nothing_behind() -> None:
    long, short = (VideoWindows(Slices(h * HOUR, HOUR // 12)) for h in (4, 1))
    changed = always = None
    for number in range(100):
        now = AT + number * 7 * 60_000
        pane = now // (HOUR // 12)
        changed = (long if number < 50 else short).apply(changed, pane, (3, 1, 1, 2, 0, 0), now)
        always = short.apply(always, pane, (3, 1, 1, 2, 0, 0), now)
        assert short.rolling(changed, now) == short.rolling(always, now)
        assert short.tumbling(changed, now) == short.tumbling(always, now)
    assert changed == always
