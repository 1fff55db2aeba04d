"""Fills the table of users with millions of values, like those after a day of traffic.

It writes the changelog with values in the program's own format, and the worker restores its RocksDB
from that by its own recovery. Measurements afterwards are on the real state.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from struct import calcsize
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from commands.sending import EventSender
from loadgen.workload import EventChunk
from models.counters import USER
from models.dedup import (
    BLOCK_IDS,
    ID_SIZE,
    TIME_SIZE,
    block_key,
    index_entry,
    index_key,
    pack_block,
    pack_index,
)
from models.entity import POSITION_UNITS
from models.partitioner import murmur2_partitions
from tables.layout import LAYOUT_KEY, Position, StoreFormat
from tables.users import NAME as USERS
from tables.users import user_layout, user_windows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

    from benchmarks.rig.cluster import Rig
    from models.user import UserWindows
    from tables.rocks import RocksStore

#: Stream time of a filled state, 2025-01-15T12:00:00Z, from which loads continue.
FILLED_UNTIL_MS = 1_736_942_400_000

#: Like the load generator's sessions: views per session, and milliseconds per view. With likes, a
#: session has 6.6 events.
MEAN_VIEWS, MAX_VIEWS, MS_PER_VIEW = 6.0, 60, 12_000
LIKES_PER_VIEW = 0.1

#: Ranges of what a view adds, by amount, for amounts other than 1.
TYPICAL = {
    "view_duration_ms": (300, 20_000),
    "positions": (1, 2),
    "video_position": (0, POSITION_UNITS),
}

_USERS_PER_BLOCK = 100_000
_SEEN = np.dtype([("hash", "<u8"), ("time", "<u4")])
_ROW = np.dtype(
    [("pane", "<u4"), *((name, f"<u{calcsize(c.code)}") for name, c in USER.counters.items())]
)


class Rows(NamedTuple):
    """Rows of the table: the user, key and value of each."""

    users: npt.NDArray[np.int64]
    keys: list[bytes]
    values: list[bytes]


@dataclass(frozen=True, slots=True)
class Filling:
    """The users of a state, with ids from 1 to ``users``.

    Each had one session, which ended within ``spread_ms`` before the stream time. With ``panes``
    above 1, each was also active in the panes before the session's.
    """

    users: int
    panes: int = 1
    spread_ms: int = 3 * 3_600_000
    seed: int = 1

    def rows(self, windows: UserWindows) -> Iterator[Rows]:
        """Yield the rows of 100,000 users at a time, in random order."""
        rng = np.random.default_rng(self.seed)
        ids = rng.permutation(self.users) + 1
        for first in range(0, self.users, _USERS_PER_BLOCK):
            block = ids[first : first + _USERS_PER_BLOCK]
            yield self._rows(rng, block, windows)

    def _rows(
        self, rng: np.random.Generator, users: npt.NDArray[np.int64], windows: UserWindows
    ) -> Rows:
        count = len(users)
        step = windows.slices.step
        views = np.minimum(rng.geometric(1 / MEAN_VIEWS, count), MAX_VIEWS)
        likes = rng.binomial(views, LIKES_PER_VIEW)
        events = views + likes
        # Sessions begin and end in the same pane, so they have one row each.
        ended = FILLED_UNTIL_MS - rng.integers(0, self.spread_ms, count)
        pane = ended // step
        first_event = np.cumsum(events) - events
        place = np.arange(events.sum()) - np.repeat(first_event, events)
        duration = np.minimum(MS_PER_VIEW * views, ended - pane * step)
        seen = np.empty(len(place), _SEEN)
        seen["hash"] = rng.integers(0, 1 << 64, len(place), np.uint64)
        times = (
            np.repeat(ended, events)
            - np.repeat(duration, events)
            + np.minimum(place * MS_PER_VIEW, np.repeat(duration, events))
        )
        seen["time"] = times & 0xFFFFFFFF

        rows = np.empty((count, self.panes), _ROW)
        rows["pane"] = pane[:, None] - np.arange(self.panes - 1, -1, -1)
        rows["views"] = rng.integers(1, 12, (count, self.panes))
        rows["likes"] = rng.integers(0, 3, (count, self.panes))
        for name, counter in USER.counters.items():
            if counter.amount != "one":
                amounts = rng.integers(*TYPICAL[counter.amount], (count, self.panes))
                rows[name] = rows["views"] * amounts
        rows["views"][:, -1], rows["likes"][:, -1] = views, likes

        ids, panes = seen.tobytes(), rows.tobytes()
        size, row_size = _SEEN.itemsize, _ROW.itemsize * self.panes
        starts = (first_event * size).tolist()
        found: list[tuple[int, bytes, bytes]] = []
        for index, (user, number, start) in enumerate(
            zip(users.tolist(), events.tolist(), starts, strict=True)
        ):
            of_user = ids[start : start + number * size]
            key = b"%d" % user
            sealed = (number - 1) // BLOCK_IDS * BLOCK_IDS * size
            head = bytes((USER.version, 0, 0, number)) + of_user
            if sealed:
                head, blocks = _sealed(key, of_user[:sealed], of_user[sealed:])
                found += [(user, *block) for block in blocks]
            found.append((user, key, head + panes[index * row_size : (index + 1) * row_size]))
        owners, keys, values = zip(*found, strict=True)
        return Rows(np.array(owners), list(keys), list(values))


def _sealed(key: bytes, sealed: bytes, opened: bytes) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """Return the head of a user's value, and the rows of sealed blocks and their index."""
    size = BLOCK_IDS * ID_SIZE
    blocks = [sealed[at : at + size] for at in range(0, len(sealed), size)]
    clocks = np.frombuffer(sealed, _SEEN)["time"][BLOCK_IDS - 1 :: BLOCK_IDS].astype(np.int64)
    newest = (FILLED_UNTIL_MS - (FILLED_UNTIL_MS - clocks) % 2**32).tolist()
    rows = [
        (block_key(key, number), pack_block(ms, ids))
        for number, (ids, ms) in enumerate(zip(blocks, newest, strict=True))
    ]
    rows.append((index_key(key), pack_index(newest[-1], b"".join(map(index_entry, blocks)))))
    header = bytes((USER.version, len(blocks), 0, len(opened) // ID_SIZE))
    return header + sealed[-TIME_SIZE:] + opened, rows


def fill_store(store: RocksStore, filling: Filling, windows: UserWindows) -> None:
    """Write all rows to a database of one partition."""
    for _, keys, values in filling.rows(windows):
        store.write(dict(zip(keys, values, strict=True)), 1)


async def write_changelog(
    rig: Rig, filling: Filling, progress: Callable[[float], None] = lambda _: None
) -> None:
    """Write the changelog of the users of ``filling``."""
    await rig.make_topics()
    settings, windows = rig.settings, user_windows(rig.settings)
    layout, table_id = user_layout(windows), StoreFormat.new_id()
    begin = {settings.events_topic: Position(0, "")}
    stored_layout = layout.encode(FILLED_UNTIL_MS, table_id, begin)
    ids_by_partition = an_id_of_each_partition(settings.partitions)
    layouts = EventChunk(
        [LAYOUT_KEY] * settings.partitions,
        [stored_layout] * settings.partitions,
        ids_by_partition,
        np.zeros(settings.partitions, np.uint8),
    )
    done = 0
    async with EventSender(replace(settings, events_topic=rig.changelog(USERS))) as sender:
        for users, keys, values in filling.rows(windows):
            await sender.send(EventChunk(keys, values, users, np.zeros(len(users), np.uint8)))
            # Like every commit: each part of a changelog must have the layout record.
            await sender.send(layouts)
            done += len(np.unique(users))
            progress(done / filling.users)
            await asyncio.sleep(0)
        await sender.flush()


def an_id_of_each_partition(partitions: int, first: int = 1) -> npt.NDArray[np.int64]:
    """Return one user per partition, whose records go to that partition.

    The ids are from ``first`` to below ``first + 100 * partitions``.
    """
    ids = np.arange(first, first + 100 * partitions)
    _, where = np.unique(murmur2_partitions(ids, partitions), return_index=True)
    return ids[where]
