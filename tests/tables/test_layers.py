"""A partition's state reads like a plain dict, whatever the order of operations.

The model is two dicts, the processed and the committed rows, and a list as changelog.
"""

from __future__ import annotations

import asyncio
import itertools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from accelerator import layer_backend
from models.windows import Slices
from tables.layout import StoreFormat
from tables.rocks import RocksStore
from tables.rocks_options import RocksMemory
from tables.state import PartitionState

KEYS = [b"%d" % n for n in range(6)]
SLICES = Slices(24 * 3_600_000, 3_600_000)

#: What happens to RocksDB while a thread reads from it.
SETTLING = ["no", "is being written", "is written"]

keys = st.sampled_from(KEYS)
values = st.sampled_from([None, b"v", b"w" * 300])
change = st.tuples(st.just("change"), keys, values)
steps = st.lists(
    st.one_of(
        change,
        change,
        st.tuples(st.sampled_from(["commit", "freeze", "post_commit", "flush", "evict", "crash"])),
        st.tuples(st.sampled_from(["remember", "remember"])),
        st.tuples(st.just("flush_while"), keys, values),
        st.tuples(st.just("load"), keys, values, st.booleans(), st.sampled_from(SETTLING)),
    ),
    min_size=10,
    max_size=60,
)


class Subject:
    """A partition's state, its changelog, and the rows that both should hold."""

    def __init__(self, folder: Path, executor: ThreadPoolExecutor, accelerated: bool) -> None:
        self.memory = RocksMemory.create(1 << 20)
        self.executor = executor
        self.accelerated = accelerated
        self.store = RocksStore(folder / "table.db", self.memory)
        self.changelog: list[tuple[bytes, bytes | None]] = []
        self.processed: dict[bytes, bytes | None] = {}
        self.frozen: dict[bytes, bytes | None] = {}
        self.committed: dict[bytes, bytes | None] = {}
        self.freezes = False
        self.versions = itertools.count()
        self.open()

    def open(self) -> None:
        self.state = PartitionState(
            "table",
            StoreFormat.of(1, SLICES),
            self.store,
            self.executor,
            layer_backend(accelerated=self.accelerated),
        )
        self.state.reset_to_committed()
        self.state.readable = True

    def change(self, key: bytes, value: bytes | None) -> None:
        value = value and value + b"%d" % next(self.versions)
        self.state.dirty[key] = self.processed[key] = value

    def freeze(self) -> None:
        if not self.freezes:
            self.frozen_changes = dict(self.state.freeze().items())
            self.frozen, self.freezes = dict(self.processed), True

    def post_commit(self) -> None:
        if self.freezes and self.frozen_changes:
            self.changelog += self.frozen_changes.items()
            self.state.post_commit(len(self.changelog) - 1)
            self.committed = self.frozen
        self.freezes = False

    async def flush(self) -> None:
        await self.state.flush()
        assert self.state.offset == (len(self.changelog) - 1 if self.changelog else None)

    def evict(self) -> None:
        self.state.layers.evict(0, 0)

    def read(self) -> tuple[list[bytes], list[bytes | None]]:
        missing = self.state.layers.find(KEYS).missing
        return missing, self.store.get_many(missing)

    def remember(self) -> None:
        self.state.remember(*self.read())

    def commit(self) -> None:
        self.freeze()
        self.post_commit()

    async def flush_while(self, key: bytes, value: bytes | None) -> None:
        """Commit, and evict rows, while an earlier commit is flushed.

        Rows read before the flush are remembered once it has begun.
        """
        read = self.read()
        flushing = asyncio.create_task(self.state.flush())
        await asyncio.sleep(0)
        self.evict()
        self.state.remember(*read)
        self.change(key, value)
        self.commit()
        self.check()
        await flushing

    async def load(self, key: bytes, value: bytes | None, keep: bool, flushing: str) -> None:
        """Freeze, commit or even flush while a thread reads from RocksDB.

        Rows in ``dirty`` override the loaded ones: processing looks there first.
        """
        with patch("tables.state.MIN_KEYS_FOR_THREAD", 1):
            written: asyncio.Future[None] = asyncio.ensure_future(asyncio.sleep(0))
            loading = asyncio.create_task(self.state.load(KEYS))
            await asyncio.sleep(0)
            # Otherwise all rows were in memory, and the answer is complete.
            if not loading.done():
                self.change(key, value)
                self.freeze()
                if keep:
                    self.post_commit()
                if flushing == "is written":
                    await self.flush()
                    self.evict()
                elif flushing == "is being written":
                    written = asyncio.create_task(self.flush())
                    await asyncio.sleep(0)
            answer = dict(zip(KEYS, await loading, strict=True))
            answer |= dict(self.state.dirty.items())
            await written
        assert {key: answer[key] for key in KEYS} == {key: self.processed.get(key) for key in KEYS}

    async def crash(self) -> None:
        self.processed = dict(self.committed)
        self.freezes = False
        behind = self.changelog[0 if self.state.offset is None else self.state.offset + 1 :]
        self.open()
        if behind:
            await self.state.apply(dict(behind), len(self.changelog) - 1)
            self.state.reset_to_committed()

    def check(self) -> None:
        assert {key: self.state.get(key) for key in KEYS} == {
            key: self.processed.get(key) for key in KEYS
        }
        there = {key: value for key, value in self.processed.items() if value is not None}
        items = list(self.state.items())
        assert sorted(items) == sorted(there.items())


@settings(max_examples=200, deadline=None)
@given(steps=steps, accelerated=st.booleans())
def test_a_state_reads_like_a_dict_whatever_is_done_to_it(
    steps: list[tuple[Any, ...]], accelerated: bool
) -> None:
    async def run(folder: Path, executor: ThreadPoolExecutor) -> None:
        subject = Subject(folder, executor, accelerated)
        for name, *arguments in steps:
            done = getattr(subject, name)(*arguments)
            if asyncio.iscoroutine(done):
                await done
            subject.check()
        await subject.flush()
        on_disk = {key: value for key, value in subject.committed.items() if value is not None}
        assert dict(subject.store.items()) == on_disk
        subject.store.close()

    with TemporaryDirectory() as folder, ThreadPoolExecutor(2) as executor:
        asyncio.run(run(Path(folder), executor))
