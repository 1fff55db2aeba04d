"""The recent event ids of a user, which identify duplicates.

A value with all ids would be rewritten with each event: at two hundred events per hour that is
2.4 KB for an event of 12 bytes. So the user's value has only the newest ids. Every 16 of them are
sealed into a block, a row of its own that is written once. The index, another row, keeps 16 bits
of each sealed id and is rewritten with each block. An event of a user with sealed ids reads the
index. It reads a block only if the index has the bits of its id: always for a sealed id, and for
one new id in 65,536 / n, where n ids are sealed.

accelerator.user is the compiled form for the usual events.

The value, little-endian, unpadded:

    u8 version, u8 number of blocks, u8 number of the first of them, u8 number of open ids
    if there are blocks: u32 stream time of the newest id in them
    open ids, oldest first: u64 hash of the event id, u32 stream time in ms modulo 2**32

The index of those blocks, with the key `<user>:i`:

    u8 version, u64 stream time of its newest id in ms
    per block, oldest first:
        per id in it, oldest first: u16, the low bits of its hash
        u32 stream time of its newest id

A block, with the key `<user>:<number>`, numbered modulo 256:

    u8 version, u64 stream time of its newest id in ms
    ids as above

Blocks past the horizon are dropped when another one is sealed, or when all are past it. A sweep
deletes rows whose ids are all past it. If the horizon is made longer, ids that were deleted under
the shorter one stay forgotten, although the value may still name their blocks.

In version 2 the value had the index entries in place of the u32: first all times, then all bits. In
version 1 all ids were open, and a u16 with their number took the place of the last two bytes of the
header.
"""

import struct
from collections.abc import Iterator
from typing import Final, Protocol

from models.counters import USER
from models.errors import CodecError

VERSION: Final = USER.version
#: First version of a user's value whose index of blocks is a row of its own.
INDEXED: Final = 3
BLOCK_VERSION: Final = 0x82
INDEX_VERSION: Final = 0x83
BLOCK_IDS: Final = 16
MAX_BLOCKS: Final = 255
#: Most ids remembered per user; with more within the horizon, the oldest 16 are forgotten.
MAX_SEEN: Final = BLOCK_IDS * (MAX_BLOCKS + 1)

HEADER_SIZE: Final = 4
TIME_SIZE: Final = 4
ID_SIZE: Final = 12

_NUMBERS: Final = 256
_CLOCK: Final = 2**32 - 1
ID_FORMAT: Final = "<QI"
SEALED_FORMAT: Final = "<BQ"
_ID: Final = struct.Struct(ID_FORMAT)
_SEALED: Final = struct.Struct(SEALED_FORMAT)
SEALED_HEADER_SIZE: Final = _SEALED.size
_PRINT_SIZE: Final = 2
_PRINTS_SIZE: Final = _PRINT_SIZE * BLOCK_IDS
ENTRY_SIZE: Final = TIME_SIZE + _PRINTS_SIZE
_FULL: Final = BLOCK_IDS * ID_SIZE

_pack_hash: Final = struct.Struct("<Q").pack
_unpack_time: Final = struct.Struct("<I").unpack_from

EMPTY: Final = bytes((VERSION, 0, 0, 0))


class Rows(Protocol):
    """Current rows of a table by key; None: there is no row."""

    def get(self, key: bytes, /) -> bytes | None:
        """Return a row."""

    def __setitem__(self, key: bytes, row: bytes | None, /) -> None:
        """Write a row; None deletes it."""


def block_key(key: bytes, number: int) -> bytes:
    """Return the key of a user's block."""
    return b"%b:%d" % (key, number)


def index_key(key: bytes) -> bytes:
    """Return the key of the index of a user's blocks."""
    return b"%b:i" % key


def is_sealed_key(key: bytes) -> bool:
    """Whether a key of the users' table belongs to a block or to an index."""
    return b":" in key


def pack_block(newest_ms: int, ids: bytes) -> bytes:
    """Pack a block; its newest id was added at the stream time ``newest_ms``."""
    return _SEALED.pack(BLOCK_VERSION, newest_ms) + ids


def pack_index(newest_ms: int, entries: bytes) -> bytes:
    """Pack an index; its newest id was added at the stream time ``newest_ms``."""
    return _SEALED.pack(INDEX_VERSION, newest_ms) + entries


def index_entry(ids: bytes) -> bytes:
    """Return the index entry of a block with these packed ids."""
    prints = (ids[at : at + _PRINT_SIZE] for at in range(0, _FULL, ID_SIZE))
    return b"".join((*prints, ids[-TIME_SIZE:]))


def size_of(value: bytes) -> int:
    """Return the size in bytes of the header and the ids of a user's value."""
    return HEADER_SIZE + _sealed_size(value) + ID_SIZE * _opened(value)


def is_sealed(row: bytes) -> bool:
    """Whether a row is a block or an index, rather than a user's value."""
    return row[0] in {BLOCK_VERSION, INDEX_VERSION}


class DedupIndex:
    """The functions on the ids of a user's value.

    An id is remembered while stream time is at most ``horizon_ms`` past the stream time at which
    it was added. Times are stored modulo 2**32 ms, 49 days. After a longer absence of the user the
    caller must pass ``forget``.
    """

    __slots__ = ("horizon",)

    def __init__(self, horizon_ms: int) -> None:
        """Bind the setting."""
        if not 0 <= horizon_ms < 2**31:
            raise ValueError(f"the horizon must be from 0 to 2147483647 ms, not {horizon_ms}")
        self.horizon = horizon_ms

    def add(
        self, rows: Rows, key: bytes, value: bytes, id_hash: int, now_ms: int, *, forget: bool
    ) -> bytes | None:
        """Return the ids' part of a user's value with one more id; None if it is a duplicate.

        Blocks and their index are written to and deleted from ``rows``, except for a duplicate.
        """
        ids = b"" if forget else _open_ids(value)
        ids = ids[ID_SIZE * self._past(ids, ID_SIZE, now_ms) :]
        first, blocks = (0, 0) if value[0] == 1 else (value[2], value[1])
        entries = b"" if forget else self._entries(rows, key, value, now_ms)
        if self._is_in(ids, id_hash, now_ms):
            return None
        oldest = first + blocks - len(entries) // ENTRY_SIZE
        if entries and self._is_in_blocks(rows, key, oldest, entries, id_hash, now_ms):
            return None
        is_changed = value[0] < INDEXED or not entries
        # More than one only if the value is of version 1.
        while len(ids) >= _FULL:
            sealed, ids = ids[:_FULL], ids[_FULL:]
            rows[_block_key(key, first + blocks)] = pack_block(_last_time(sealed, now_ms), sealed)
            entries += index_entry(sealed)
            blocks += 1
            is_changed = True
        if blocks and is_changed:
            entries = entries[-MAX_BLOCKS * ENTRY_SIZE :]
            gone = blocks - len(entries) // ENTRY_SIZE
            for block in range(gone):
                rows[_block_key(key, first + block)] = None
            rows[index_key(key)] = (
                pack_index(_last_time(entries, now_ms), entries) if entries else None
            )
            first, blocks = (first + gone) % _NUMBERS, blocks - gone
        return b"".join(
            (
                bytes((VERSION, blocks, first, len(ids) // ID_SIZE + 1)),
                entries[-TIME_SIZE:],
                ids,
                _ID.pack(id_hash, now_ms & _CLOCK),
            )
        )

    def asks_index(self, value: bytes, now_ms: int) -> bool:
        """Whether an event at a stream time reads the index of a user with this value."""
        has_index = INDEXED <= value[0] <= VERSION and value[1] > 0
        return has_index and not self._is_past(value, HEADER_SIZE, now_ms)

    def _entries(self, rows: Rows, key: bytes, value: bytes, now_ms: int) -> bytes:
        """Return the index entries of the blocks with an id within the horizon."""
        if value[0] < INDEXED:
            entries = _entries_of_older(value)
        elif self.asks_index(value, now_ms):
            index = _row(rows, index_key(key), INDEX_VERSION)
            if index is not None and len(index) != ENTRY_SIZE * value[1]:
                raise CodecError(
                    f"the index of event ids {key.decode()}:i belongs to another value"
                )
            entries = index or b""
        else:
            return b""
        return entries[ENTRY_SIZE * self._past(entries, ENTRY_SIZE, now_ms) :]

    def _past(self, data: bytes, size: int, now_ms: int) -> int:
        """Count the leading entries past the horizon; the time is at the end of each entry."""
        at = size - TIME_SIZE
        while at < len(data) and self._is_past(data, at, now_ms):
            at += size
        return at // size

    def _is_past(self, data: bytes, at: int, now_ms: int) -> bool:
        return bool((now_ms - _unpack_time(data, at)[0]) & _CLOCK > self.horizon)

    def _is_in(self, ids: bytes, id_hash: int, now_ms: int) -> bool:
        # An id is rarely found: a search for its bytes at any position is faster than a loop.
        return _pack_hash(id_hash) in ids and any(
            found == id_hash and (now_ms - time) & _CLOCK <= self.horizon
            for found, time in _ID.iter_unpack(ids)
        )

    def _is_in_blocks(
        self, rows: Rows, key: bytes, first: int, entries: bytes, id_hash: int, now_ms: int
    ) -> bool:
        """Whether an id is in one of these entries' blocks, of which ``first`` is the first."""
        return any(
            self._is_in(block, id_hash, now_ms)
            for number in _candidates(entries, id_hash)
            if (block := _row(rows, _block_key(key, first + number), BLOCK_VERSION)) is not None
        )

    def is_past(self, value: bytes, now_ms: int) -> bool:
        """Whether all ids are past the horizon; the newest one is always open."""
        ids = _open_ids(value)
        return not ids or self._is_past(ids, len(ids) - TIME_SIZE, now_ms)

    def is_past_sealed(self, row: bytes, now_ms: int) -> bool:
        """Whether all ids of a block or of an index are past the horizon."""
        newest: int = _SEALED.unpack_from(row)[1]
        return now_ms - newest > self.horizon


def _block_key(key: bytes, number: int) -> bytes:
    return block_key(key, number % _NUMBERS)


def _open_ids(value: bytes) -> bytes:
    first = HEADER_SIZE + _sealed_size(value)
    return value[first : first + ID_SIZE * _opened(value)]


def _opened(value: bytes) -> int:
    """Return the number of open ids."""
    return value[2] | value[3] << 8 if value[0] == 1 else value[3]


def _sealed_size(value: bytes) -> int:
    """Return the size in bytes of a value's data on sealed ids."""
    version = value[0]
    if INDEXED <= version <= VERSION:
        return TIME_SIZE if value[1] else 0
    if version not in USER.older:
        raise CodecError(f"a user's value has the unknown version {version}")
    return ENTRY_SIZE * value[1] if version == 2 else 0  # noqa: PLR2004


def _entries_of_older(value: bytes) -> bytes:
    """Return the index entries from a value that contains them itself."""
    if value[0] == 1:
        return b""
    prints_at = HEADER_SIZE + TIME_SIZE * value[1]
    return b"".join(
        value[prints_at + block * _PRINTS_SIZE :][:_PRINTS_SIZE]
        + value[HEADER_SIZE + block * TIME_SIZE :][:TIME_SIZE]
        for block in range(value[1])
    )


def _last_time(data: bytes, now_ms: int) -> int:
    """Return the time at the end of ids or entries in full, as stream time in ms."""
    (time,) = _unpack_time(data, len(data) - TIME_SIZE)
    return int(now_ms - ((now_ms - time) & _CLOCK))


def _candidates(entries: bytes, id_hash: int) -> Iterator[int]:
    """Yield the blocks whose entries have a hash's low bits."""
    wanted = _pack_hash(id_hash)[:_PRINT_SIZE]
    at = entries.find(wanted)
    while at >= 0:
        block, place = divmod(at, ENTRY_SIZE)
        if place < _PRINTS_SIZE and place % _PRINT_SIZE == 0:
            yield block
            at = (block + 1) * ENTRY_SIZE
        else:
            at += 1
        at = entries.find(wanted, at)


def _row(rows: Rows, key: bytes, version: int) -> bytes | None:
    """Return the content of a block or of an index, without its header; None if it was swept."""
    row = rows.get(key)
    if row is None:
        return None
    if row[0] != version:
        raise CodecError(f"the sealed event ids {key.decode()} have the unknown version {row[0]}")
    return row[SEALED_HEADER_SIZE:]
