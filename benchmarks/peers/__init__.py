"""Peers: this program and other stream processors for one job, in the same run.

The job: read a backlog of events from Kafka; per user, count views and likes and sum the watched
time in 24 h windows hopping by 1 h; per video, count views, likes, comments and shares in tumbling
windows of 2 h; count each event exactly once, in the peer's own store. Users are in sessions.
``-panes`` in a peer's name means that it keeps tumbling hours per user instead, and leaves their
sum over 24 h to the reader.

Each run has its own Kafka, on which this program and the peers take turns from empty tables; a
ratio is of one run. They get the same stream of events, but a slow peer only the first part of it
(the column events), because all of it would take hours. Peers are installed from pinned packages
with hashes, at their first run, into the cache folder: this case therefore runs only if named.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.backlog import send, work_off
from benchmarks.peers import flink, quix, streams
from benchmarks.peers.measuring import Measuring
from benchmarks.peers.peer import HOPPING
from benchmarks.rig.figures import Row
from benchmarks.rig.loads import make_load
from benchmarks.rig.worker import BenchError

if TYPE_CHECKING:
    from benchmarks.rig.bench import Bench

PEERS = (*streams.PEERS, *flink.PEERS, *quix.PEERS)

#: The windows of the job, for this program: users' hop by an hour, videos' do not roll.
VARIABLES = {"REELS_USER_STEP": "1h", "REELS_VIDEO_STEP": "2h"}

_HOUR_MS = 3_600_000
#: Between the start of the hour and the first event, because some events come out of order.
_LEAD_MS = 600_000


def run(bench: Bench) -> list[Row]:
    """Measure this program and the selected peers in turn."""
    peers = [peer for peer in PEERS if peer.kind.startswith(bench.size.kinds or ("",))]
    if not peers:
        raise BenchError(f"there is no such peer: {', '.join(peer.kind for peer in PEERS)}")
    commands = {peer.kind: peer.prepare(bench.tell) for peer in peers}
    users = min(bench.size.users)
    events = bench.size.events
    ours = Row({"program": "this program", "kept per user": HOPPING, "events": events})
    rows = {peer.kind: Row({**peer.setting, "events": events // peer.share}) for peer in peers}
    for number in range(bench.size.runs):
        what = f"this program, run {number + 1}"
        hour_ms = start_ms()
        load = partial(make_load, "sessions", 1, users, hour_ms + _LEAD_MS)
        with bench.rig(**VARIABLES) as rig:
            send(bench, rig, load(), events, what)
            figures = work_off(bench, rig, what)
            ours.add(figures)
            for peer in peers:
                what = f"{peer.kind}, run {number + 1}"
                measuring = Measuring(bench, rig, peer, hour_ms + _HOUR_MS)
                theirs = measuring.measure(commands[peer.kind], load(), what)
                rate, cost = "events/s", "worker us/event"
                theirs["our events/s over theirs"] = figures[rate] / theirs[rate]
                theirs["their us/event over ours"] = theirs[cost] / figures[cost]
                rows[peer.kind].add(theirs)
    return [ours, *rows.values()]


def start_ms(now_ms: int | None = None) -> int:
    """Return the start of an hour in the last three, the second of a window of two hours.

    The events of a run are some minutes within this hour, so no window closes meanwhile.
    ``now_ms``: milliseconds since the epoch, by default now.
    """
    now_ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    return now_ms // (2 * _HOUR_MS) * 2 * _HOUR_MS - _HOUR_MS
