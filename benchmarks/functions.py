"""Functions: the Python API and an obvious implementation, in microseconds and bytes per user.

One thread, processor time, an average of three events per user. Memory is the growth of a process
that does nothing else.
"""

from __future__ import annotations

import gc
import os
import time
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

import reels
from accelerator import IS_BUILT
from benchmarks import obvious
from benchmarks.rig.figures import Row
from benchmarks.rig.filling import FILLED_UNTIL_MS
from benchmarks.rig.loads import make_load
from benchmarks.rig.processes import Usage

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from benchmarks.rig.bench import Bench

_EVENTS = 60_000
_USERS = 20_000


def run(bench: Bench) -> list[Row]:
    """Measure both implementations in turn."""
    lines = _lines()
    rows = {name: Row({"function": name, "accelerator": str(IS_BUILT)}) for name in _NAMES}
    for number in range(bench.size.runs):
        bench.tell(f"run {number + 1}")
        obviously, ours = _measure(obvious, lines), _measure(reels, lines)
        for name, row in rows.items():
            row.add(
                {
                    "ours": ours[name],
                    "obvious": obviously[name],
                    "ours per obvious": ours[name] / obviously[name],
                }
            )
    return list(rows.values())


_NAMES = (
    "parse_event us",
    "update_user_metrics us",
    "get_user_metrics us",
    "detect_viral_videos us/event",
    "memory bytes/user",
)


def _lines() -> list[str]:
    load = make_load("uniform", 5, _USERS, FILLED_UNTIL_MS)
    return [value.decode() for value in load.chunk(_EVENTS).values]


def _measure(functions: ModuleType, lines: list[str]) -> dict[str, float]:
    parsed = [event for event in map(functions.parse_event, lines) if event is not None]
    tracker = functions.UserMetricsTracker()
    _update(tracker, parsed)
    users = {event["user_id"] for event in parsed}
    viral = functions.detect_viral_videos
    figures = (
        _us(lambda: _each(functions.parse_event, lines), len(lines)),
        _us(lambda: _update(functions.UserMetricsTracker(), parsed), len(parsed)),
        _us(lambda: _each(tracker.get_user_metrics, users), len(users)),
        _us(lambda: viral(parsed), len(parsed)),
        _grown(functions.__name__, lines) / len(users),
    )
    return dict(zip(_NAMES, figures, strict=True))


def _grown(name: str, lines: list[str]) -> int:
    """Return the growth in bytes of a process that counts the events of ``lines``."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(_grown_here, name, lines).result()


def _grown_here(name: str, lines: list[str]) -> int:
    functions = import_module(name)
    tracker = functions.UserMetricsTracker()
    gc.collect()
    before = Usage.of(os.getpid()).rss
    for line in lines:
        event = functions.parse_event(line)
        tracker.update_user_metrics(event["user_id"], event)
    return Usage.of(os.getpid()).rss - before


def _each(function: Callable[[Any], Any], given: Any) -> None:
    for one in given:
        function(one)


def _update(tracker: Any, events: list[dict[str, Any]]) -> None:
    update = tracker.update_user_metrics
    for event in events:
        update(event["user_id"], event)


def _us(work: Callable[[], object], times: int) -> float:
    gc.collect()
    begun = time.process_time()
    work()
    return (time.process_time() - begun) / times * 1e6
