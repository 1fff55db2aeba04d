"""The event ids of a user that are remembered for a while, to tell duplicates.

A value that held all of them would be written again with each event: at two hundred events an
hour that is 2.4 KB for an event of 12 bytes. So only the newest lie in the user's value. Every 16
of them are sealed into a block, a row of its own that is written once, and leave 16 bits each
behind in the value. By those a block is asked for: when an id is in it, and for one new id of
65,536 / n, where n are sealed.

In the value, little-endian, unpadded:

    u8 version, u8 number of blocks, u8 number of the first of them, u8 number of open ids
    of each block, oldest first: u32 stream time of its newest id
    of each id in a block, oldest first: u16, the low bits of its hash
    open ids, oldest first: u64 hash of the event id, u32 stream time in ms modulo 2**32

A block, with the key `<user>:<number>`, numbers going round modulo 256:

    u8 version, u64 stream time of its newest id in ms
    ids as above

Version 1 of a value had all ids open, and their number as u16 in place of the last two bytes.
"""

import struct
from collections.abc import Iterator
from typing import Final, Protocol

from models.errors import CodecError

VERSION: Final = 2
OLDER: Final = frozenset({1})
"""Versions of values that are read, too; one that is written anew is of VERSION."""
BLOCK_VERSION: Final = 0x82
BLOCK_IDS: Final = 16
MAX_BLOCKS: Final = 255
MAX_SEEN: Final = BLOCK_IDS * (MAX_BLOCKS + 1)
"""Most ids remembered of a user: of more within the horizon the oldest 16 are forgotten."""

HEADER_SIZE: Final = 4
ID_SIZE: Final = 12

_NUMBERS: Final = 256
_CLOCK: Final = 2**32 - 1
_ID: Final = struct.Struct("<QI")
_BLOCK: Final = struct.Struct("<BQ")
_BLOCK_HEAD_SIZE: Final = _BLOCK.size
_TIME_SIZE: Final = 4
_PRINT_SIZE: Final = 2
_PRINTS_SIZE: Final = _PRINT_SIZE * BLOCK_IDS
_IN_VALUE: Final = _TIME_SIZE + _PRINTS_SIZE
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


def pack_block(newest_ms: int, ids: bytes) -> bytes:
    """A block of packed ids, the newest of which was added at a stream time."""
    return _BLOCK.pack(BLOCK_VERSION, newest_ms) + ids


def is_block_key(key: bytes) -> bool:
    """Whether a key of the users' table is one of a block."""
    return b":" in key


def size_of(value: bytes) -> int:
    """How many bytes of a user's value are about ids, its header included."""
    version = value[0]
    if version == VERSION:
        return HEADER_SIZE + _IN_VALUE * value[1] + ID_SIZE * value[3]
    if version == 1:
        return HEADER_SIZE + ID_SIZE * (value[2] | value[3] << 8)
    raise CodecError(f"a user's value has the unknown version {version}")


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

        Blocks are written to and deleted from `rows`, but not when the id is seen.
        """
        first, times, prints, ids = _parts(value)
        blocks = len(times) // _TIME_SIZE
        gone = blocks if forget else self._past(times, _TIME_SIZE, now_ms)
        ids = b"" if forget else ids[ID_SIZE * self._past(ids, ID_SIZE, now_ms) :]

        def key_of(block: int) -> bytes:
            return block_key(key, (first + block) % _NUMBERS)

        if self._is_in(ids, id_hash, now_ms) or any(
            self._is_in(_ids_of(rows, key_of(block)), id_hash, now_ms)
            for block in _candidates(prints, gone, id_hash)
        ):
            return None
        # More than one only when the value is of version 1.
        while len(ids) >= _FULL:
            sealed, ids = ids[:_FULL], ids[_FULL:]
            time = sealed[-_TIME_SIZE:]
            newest_ms = now_ms - ((now_ms - _unpack_time(time)[0]) & _CLOCK)
            rows[key_of(blocks)] = pack_block(newest_ms, sealed)
            times += time
            prints += b"".join(sealed[at : at + _PRINT_SIZE] for at in range(0, _FULL, ID_SIZE))
            blocks += 1
        gone = max(gone, blocks - MAX_BLOCKS)
        for block in range(gone):
            rows[key_of(block)] = None
        kept = blocks - gone
        return b"".join(
            (
                bytes((VERSION, kept, (first + gone) % _NUMBERS, len(ids) // ID_SIZE + 1)),
                times[gone * _TIME_SIZE :],
                prints[gone * _PRINTS_SIZE :],
                ids,
                _ID.pack(id_hash, now_ms & _CLOCK),
            )
        )

    def _past(self, data: bytes, size: int, now_ms: int) -> int:
        """How many entries of a size, each with its time at its end, are past the horizon."""
        at = size - _TIME_SIZE
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

    def is_past(self, value: bytes, now_ms: int) -> bool:
        """Whether none of a value's ids is seen any more."""
        _, times, _, ids = _parts(value)
        newest = ids or times
        return not newest or self._is_past(newest, len(newest) - _TIME_SIZE, now_ms)

    def is_past_block(self, block: bytes, now_ms: int) -> bool:
        """Whether none of a block's ids is seen any more."""
        newest: int = _BLOCK.unpack_from(block)[1]
        return now_ms - newest > self.horizon


def _parts(value: bytes) -> tuple[int, bytes, bytes, bytes]:
    """The number of the first block, the blocks' times, their fingerprints, and the open ids."""
    end = size_of(value)
    if value[0] == 1:
        return 0, b"", b"", value[HEADER_SIZE:end]
    prints_at = HEADER_SIZE + _TIME_SIZE * value[1]
    ids_at = prints_at + _PRINTS_SIZE * value[1]
    return value[2], value[HEADER_SIZE:prints_at], value[prints_at:ids_at], value[ids_at:end]


def _candidates(prints: bytes, first: int, id_hash: int) -> Iterator[int]:
    """The blocks, from one on, with a fingerprint as a hash would leave it."""
    wanted = _pack_hash(id_hash)[:_PRINT_SIZE]
    at = prints.find(wanted, first * _PRINTS_SIZE)
    while at >= 0:
        block = at // _PRINTS_SIZE
        if at % _PRINT_SIZE:
            at += 1
        else:
            yield block
            at = (block + 1) * _PRINTS_SIZE
        at = prints.find(wanted, at)


def _ids_of(rows: Rows, key: bytes) -> bytes:
    block = rows.get(key)
    if block is None or block[0] != BLOCK_VERSION:
        found = "is missing" if block is None else f"has the unknown version {block[0]}"
        raise CodecError(f"the block of event ids {key.decode()} {found}")
    return block[_BLOCK_HEAD_SIZE:]
