"""The event ids of a user that are remembered for a while, to tell duplicates.

A value that held all of them would be written again with each event: at two hundred events an
hour that is 2.4 KB for an event of 12 bytes. So only the newest lie in the user's value. Every 16
of them are sealed into a block, a row of its own that is written once, and leave 16 bits each
behind in the index, a row that is written again with each block. The index is read for every
event, and by it a block is: when an id is in it, and for one new id of 65,536 / n, where n are
sealed.

accelerator.history has all of this compiled, for the usual events.

In the value, little-endian, unpadded:

    u8 version, u8 number of blocks, u8 number of the first of them, u8 number of open ids
    where there are blocks: u32 stream time of the newest id in them
    open ids, oldest first: u64 hash of the event id, u32 stream time in ms modulo 2**32

The index of those blocks, with the key `<user>:i`:

    u8 version, u64 stream time of its newest id in ms
    of each block, oldest first:
        of each id in it, oldest first: u16, the low bits of its hash
        u32 stream time of its newest id

A block, with the key `<user>:<number>`, numbers going round modulo 256:

    u8 version, u64 stream time of its newest id in ms
    ids as above

Blocks past the horizon are dropped when another one is sealed, or when all of them are. Version 2
of a value had in place of the u32 what the index tells of its blocks, first all times, then all
bits; version 1 had all ids open, and their number as u16 in place of the last two bytes.
"""

import struct
from collections.abc import Iterator
from typing import Final, Protocol

from models.counters import USER
from models.errors import CodecError

VERSION: Final = USER.version
INDEXED: Final = 3
"""From this version of a user's value on the index of its blocks is a row of its own."""
BLOCK_VERSION: Final = 0x82
INDEX_VERSION: Final = 0x83
BLOCK_IDS: Final = 16
MAX_BLOCKS: Final = 255
MAX_SEEN: Final = BLOCK_IDS * (MAX_BLOCKS + 1)
"""Most ids remembered of a user: of more within the horizon the oldest 16 are forgotten."""

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
    """Rows of a table by key, as they are now; None: there is none."""

    def get(self, key: bytes, /) -> bytes | None:
        """Return a row."""

    def __setitem__(self, key: bytes, row: bytes | None, /) -> None:
        """Write or (None) delete a row."""


def block_key(key: bytes, number: int) -> bytes:
    """The key of a user's block."""
    return b"%b:%d" % (key, number)


def index_key(key: bytes) -> bytes:
    """The key of the index of a user's blocks."""
    return b"%b:i" % key


def is_sealed_key(key: bytes) -> bool:
    """Whether a key of the users' table is one of a block or of an index."""
    return b":" in key


def pack_block(newest_ms: int, ids: bytes) -> bytes:
    """A block of packed ids, the newest of which was added at a stream time."""
    return _SEALED.pack(BLOCK_VERSION, newest_ms) + ids


def pack_index(newest_ms: int, entries: bytes) -> bytes:
    """The index of a user's blocks, the newest id of which was added at a stream time."""
    return _SEALED.pack(INDEX_VERSION, newest_ms) + entries


def index_entry(ids: bytes) -> bytes:
    """What the index tells of a block with these packed ids."""
    prints = (ids[at : at + _PRINT_SIZE] for at in range(0, _FULL, ID_SIZE))
    return b"".join((*prints, ids[-TIME_SIZE:]))


def size_of(value: bytes) -> int:
    """How many bytes of a user's value are about ids, its header included."""
    return HEADER_SIZE + _sealed_size(value) + ID_SIZE * _opened(value)


def is_sealed(row: bytes) -> bool:
    """Whether a row is a block or an index, and no user's value."""
    return row[0] in {BLOCK_VERSION, INDEX_VERSION}


class SeenIds:
    """The functions on what a user's value tells of ids.

    An id is seen while stream time is at most `horizon_ms` past the stream time at which it was
    added. Times are kept modulo 2**32 ms, 49 days: whoever knows that a user was away for longer
    says so by `forget`.
    """

    __slots__ = ("horizon",)

    def __init__(self, horizon_ms: int) -> None:
        """Bind the setting."""
        if not 0 <= horizon_ms < 2**31:
            raise ValueError(f"the horizon has to be from 0 to 2147483647 ms, not {horizon_ms}")
        self.horizon = horizon_ms

    def add(
        self, rows: Rows, key: bytes, value: bytes, id_hash: int, now_ms: int, *, forget: bool
    ) -> bytes | None:
        """The part about ids of a user's value with one more id; None when it is seen already.

        Blocks and their index are written to and deleted from `rows`, but not when the id is seen.
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
        # More than one only when the value is of version 1.
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
        """Whether the index of a user with this value is read for an event at a stream time."""
        has_index = INDEXED <= value[0] <= VERSION and value[1] > 0
        return has_index and not self._is_past(value, HEADER_SIZE, now_ms)

    def _entries(self, rows: Rows, key: bytes, value: bytes, now_ms: int) -> bytes:
        """What is known of the blocks that have an id within the horizon."""
        if value[0] < INDEXED:
            entries = _entries_of_older(value)
        elif self.asks_index(value, now_ms):
            entries = _row(rows, index_key(key), INDEX_VERSION)
            if len(entries) != ENTRY_SIZE * value[1]:
                raise CodecError(f"the index of event ids {key.decode()}:i is of another value")
        else:
            return b""
        return entries[ENTRY_SIZE * self._past(entries, ENTRY_SIZE, now_ms) :]

    def _past(self, data: bytes, size: int, now_ms: int) -> int:
        """How many entries of a size, each with its time at its end, are past the horizon."""
        at = size - TIME_SIZE
        while at < len(data) and self._is_past(data, at, now_ms):
            at += size
        return at // size

    def _is_past(self, data: bytes, at: int, now_ms: int) -> bool:
        return bool((now_ms - _unpack_time(data, at)[0]) & _CLOCK > self.horizon)

    def _is_in(self, ids: bytes, id_hash: int, now_ms: int) -> bool:
        # Mostly it is not: the search for its bytes, wherever they lie, is quicker than a loop.
        return _pack_hash(id_hash) in ids and any(
            found == id_hash and (now_ms - time) & _CLOCK <= self.horizon
            for found, time in _ID.iter_unpack(ids)
        )

    def _is_in_blocks(
        self, rows: Rows, key: bytes, first: int, entries: bytes, id_hash: int, now_ms: int
    ) -> bool:
        """Whether an id is in one of the blocks, from a number on, that these entries are of."""
        return any(
            self._is_in(_row(rows, _block_key(key, first + block), BLOCK_VERSION), id_hash, now_ms)
            for block in _candidates(entries, id_hash)
        )

    def is_past(self, value: bytes, now_ms: int) -> bool:
        """Whether none of a value's ids is seen any more: the newest one is open."""
        ids = _open_ids(value)
        return not ids or self._is_past(ids, len(ids) - TIME_SIZE, now_ms)

    def is_past_sealed(self, row: bytes, now_ms: int) -> bool:
        """Whether none of the ids of a block, or of an index, is seen any more."""
        newest: int = _SEALED.unpack_from(row)[1]
        return now_ms - newest > self.horizon


def _block_key(key: bytes, number: int) -> bytes:
    return block_key(key, number % _NUMBERS)


def _open_ids(value: bytes) -> bytes:
    first = HEADER_SIZE + _sealed_size(value)
    return value[first : first + ID_SIZE * _opened(value)]


def _opened(value: bytes) -> int:
    """How many ids are open."""
    return value[2] | value[3] << 8 if value[0] == 1 else value[3]


def _sealed_size(value: bytes) -> int:
    """How many bytes of a value are about sealed ids."""
    version = value[0]
    if INDEXED <= version <= VERSION:
        return TIME_SIZE if value[1] else 0
    if version not in USER.older:
        raise CodecError(f"a user's value has the unknown version {version}")
    return ENTRY_SIZE * value[1] if version == 2 else 0  # noqa: PLR2004


def _entries_of_older(value: bytes) -> bytes:
    """What an index tells of blocks, from a value that tells it itself."""
    if value[0] == 1:
        return b""
    prints_at = HEADER_SIZE + TIME_SIZE * value[1]
    return b"".join(
        value[prints_at + block * _PRINTS_SIZE :][:_PRINTS_SIZE]
        + value[HEADER_SIZE + block * TIME_SIZE :][:TIME_SIZE]
        for block in range(value[1])
    )


def _last_time(data: bytes, now_ms: int) -> int:
    """The stream time in ms, not modulo any more, that is at the end of ids or entries."""
    (time,) = _unpack_time(data, len(data) - TIME_SIZE)
    return int(now_ms - ((now_ms - time) & _CLOCK))


def _candidates(entries: bytes, id_hash: int) -> Iterator[int]:
    """The blocks that know a hash's low bits."""
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


def _row(rows: Rows, key: bytes, version: int) -> bytes:
    """What a block or an index has behind its header."""
    row = rows.get(key)
    if row is None or row[0] != version:
        found = "are missing" if row is None else f"have the unknown version {row[0]}"
        raise CodecError(f"the sealed event ids {key.decode()} {found}")
    return row[SEALED_HEADER_SIZE:]
