"""RocksDB for one partition of one table: opening, batched reads, atomic writes."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from rocksdict import Rdict, WriteBatch

from tables.layers import SortedEntries
from tables.layout import INTERNAL_PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from models import _protocols
    from tables.rocks_options import RocksMemory

#: Faust's own key of the changelog offset up to which a database is written.
OFFSET_KEY = b"__faust\0offset__"

#: Key of the changelog topic's id to which that offset belongs.
CHANGELOG_ID_KEY = b"__reels\0changelog_id__"

#: Key that a database has from its first end of the changelog on. Until then it lacks keys: a
#: compacted changelog has most of them in no order of time.
WHOLE_KEY = b"__reels\0whole__"


class WritePace(NamedTuple):
    """Pace of a write. rocksdict holds the GIL while RocksDB writes."""

    chunk: int
    """Keys per write."""
    rest_s: float
    """Seconds between two writes, during which other threads get the GIL."""


#: Holds the GIL for about five milliseconds at a time.
FULL_PACE = WritePace(2000, 0.0)

#: Holds the GIL for half a millisecond at a time, for writes that nothing waits for. The cost per
#: key is 50 % higher.
SLOW_PACE = WritePace(250, 0.001)


class StoreLockedError(Exception):
    """Another process has the database open."""


class StoreCorruptError(Exception):
    """RocksDB reports damaged files in the database."""


def _is_corruption(exc: Exception) -> bool:
    return "orruption" in str(exc)


class RocksStore:
    """One partition of one table on disk. Keys and values are bytes.

    The last batch of every write also sets the changelog offset up to which the database is
    written, atomically. So the database always equals the changelog up to a known offset, except
    that a crash may leave values of an unfinished write. These are in the changelog after that
    offset, so a replay from there overwrites them.

    RocksDB verifies each block that it reads. Damage raises :class:`StoreCorruptError`, and
    :meth:`close` then sets the database aside.
    """

    def __init__(self, path: Path, memory: RocksMemory) -> None:
        """Open or create the database in ``path``.

        Raises:
            StoreLockedError: another process has it open.
            StoreCorruptError: its files are damaged; see :meth:`set_aside`.
        """
        self.path = path
        #: Damage found since the database was opened.
        self.damage: StoreCorruptError | None = None
        self._memory = memory
        path.parent.mkdir(parents=True, exist_ok=True)
        self._open()

    def _open(self) -> None:
        try:
            options = self._memory.options
            # Set for the column family as well: rocksdict would open an existing one with the
            # options of its OPTIONS file, which does not name a filter that rocksdict can create.
            self._db = Rdict(str(self.path), options=options, column_families={"default": options})
            offset = self._db.get(OFFSET_KEY)
            is_marked = self._db.get(WHOLE_KEY) is not None
        except Exception as exc:
            text = str(exc)
            # Checked first, because RocksDB also reports "block checksum mismatch".
            if _is_corruption(exc):
                raise StoreCorruptError(text) from exc
            if "lock" in text.lower():
                raise StoreLockedError(text) from exc
            raise
        self._offset = None if offset is None else int(offset)
        # Without a row, the changelog was empty then, but need not be now.
        self._is_whole = is_marked and offset is not None

    @property
    def offset(self) -> int | None:
        """Changelog offset of the last record in the database; None if there is none."""
        return self._offset

    @property
    def changelog_id(self) -> str:
        """Id of the changelog topic to which :attr:`offset` belongs; empty if it is unknown."""
        return (self.get(CHANGELOG_ID_KEY) or b"").decode()

    def set_changelog_id(self, topic_id: str, offset: int | None = None) -> None:
        """Set the id of the changelog topic, and ``offset`` in it (None: unchanged)."""
        batch = WriteBatch(raw_mode=True)
        batch.put(CHANGELOG_ID_KEY, topic_id.encode())
        if offset is not None:
            batch.put(OFFSET_KEY, b"%d" % offset)
            self._offset = offset
        self._db.write(batch)

    @property
    def is_whole(self) -> bool:
        """Whether the database has had all rows of its changelog once."""
        return self._is_whole

    def set_whole(self) -> None:
        """Set :attr:`is_whole`."""
        self._db.put(WHOLE_KEY, b"1")
        self._is_whole = True

    @staticmethod
    def set_aside(path: Path) -> Path:
        """Move a damaged database away; an earlier one set aside is deleted."""
        aside = path.with_name(path.name + ".damaged")
        shutil.rmtree(aside, ignore_errors=True)
        path.rename(aside)
        return aside

    def _judge(self, exc: Exception) -> Exception:
        """Return the exception to raise for ``exc``, and record damage."""
        if not _is_corruption(exc):
            return exc
        self.damage = StoreCorruptError(f"{self.path.name} is damaged: {exc}")
        return self.damage

    def get(self, key: bytes) -> bytes | None:
        """Return the value of ``key``."""
        try:
            value: bytes | None = self._db.get(key)
        except Exception as exc:
            raise self._judge(exc) from exc
        return value

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the values of ``keys`` in their order. Releases the GIL during the read."""
        try:
            return cast("list[bytes | None]", self._db.get(list(keys)))
        except Exception as exc:
            raise self._judge(exc) from exc

    def write(
        self,
        changes: Any,
        offset: int,
        in_order: Callable[[Any], _protocols.SortedEntries] = SortedEntries,
        pace: WritePace = FULL_PACE,
    ) -> int:
        """Put or (for None) delete values, and in the last batch set the changelog offset.

        Arguments:
            changes: values by key.
            offset: changelog offset of the last of them.
            in_order: sorts them by key. Sorted insertion into a memtable takes two thirds of the
                time, because each position is near the previous one.
            pace: number of keys per write, and the pause between writes.

        Returns:
            The bytes written, including keys and RocksDB's overhead.
        """
        left = in_order(changes)
        size, is_last = 0, False
        while not is_last:
            batch = WriteBatch(raw_mode=True)
            is_last = not left.put_into(batch, pace.chunk)
            if is_last:
                batch.put(OFFSET_KEY, b"%d" % offset)
            size += batch.size_in_bytes()
            try:
                self._db.write(batch)
            except Exception as exc:
                raise self._judge(exc) from exc
            if pace.rest_s and not is_last:
                time.sleep(pace.rest_s)
        self._offset = offset
        return size

    def items(
        self, after: bytes | None = None, limit: int = sys.maxsize
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield up to ``limit`` keys and values after ``after``, in key order."""
        # Rdict.items() would be slightly faster, but at damage it ends as if that were the end.
        items = self._db.iter()
        try:
            if after is None:
                items.seek_to_first()
            else:
                items.seek(after)
            while limit > 0 and items.valid():
                key, value = bytes(items.key()), bytes(items.value())
                if key != after and not key.startswith(INTERNAL_PREFIX):
                    limit -= 1
                    yield key, value
                items.next()
            items.status()
        except Exception as exc:
            raise self._judge(exc) from exc

    def batches(self, size: int) -> Iterator[tuple[list[bytes], list[bytes]]]:
        """Yield all keys, in order, and their values in batches of ``size``.

        Takes half the time of :meth:`items`, because it does not create a tuple per row.
        """
        items = self._db.iter()
        valid, key_of, value_of, advance = items.valid, items.key, items.value, items.next
        try:
            items.seek_to_first()
            while valid():
                keys: list[bytes] = []
                values: list[bytes] = []
                while len(keys) < size and valid():
                    key = bytes(key_of())
                    if not key.startswith(INTERNAL_PREFIX):
                        keys.append(key)
                        values.append(bytes(value_of()))
                    advance()
                if keys:
                    yield keys, values
            items.status()
        except Exception as exc:
            raise self._judge(exc) from exc

    @property
    def estimated_keys(self) -> int:
        """RocksDB's estimate of the number of keys."""
        return self._db.property_int_value("rocksdb.estimate-num-keys") or 0

    def property(self, name: str) -> int:
        """Return one of RocksDB's integer properties, such as ``rocksdb.total-sst-files-size``."""
        return self._db.property_int_value(name) or 0

    def clear(self) -> None:
        """Delete everything and continue with an empty database."""
        self._close()
        shutil.rmtree(self.path, ignore_errors=True)
        self.damage = None
        self._open()

    def close(self) -> None:
        """Flush, close and unlock the database; a damaged one is set aside."""
        self._close()
        if self.damage is not None:
            self.set_aside(self.path)

    def _close(self) -> None:
        try:
            self._db.close()
        except Exception as exc:
            # Rows that cannot be flushed any more will be restored from the changelog.
            if not _is_corruption(exc):
                raise
