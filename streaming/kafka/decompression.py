"""Streaming decompression with bounded memory.

Decompressed content may be a thousand times as large as the compressed one. A library call that
returns all of it would need that much memory; these readers need the requested bytes and the
codec's window.
"""

from __future__ import annotations

import struct
import zlib
from threading import Lock
from typing import TYPE_CHECKING, Final, Protocol

import cramjam
import lz4.frame
import zstandard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Largest window of zstd in bytes, that of level 22: the limit of its decoders, also in brokers.
MAX_WINDOW_BYTES: Final = 128 << 20

#: Bytes of compressed content passed to a decoder per call: it copies the part that it leaves.
FEED_BYTES: Final = 64 << 10

#: Maximum bytes of a frame header.
_ZSTD_HEADER_SIZE: Final = 18

#: Header of xerial's snappy framing (``snappy-java``): magic, version, compatible version.
_XERIAL: Final = b"\x82SNAPPY\x00" + struct.pack(">ii", 1, 1)
_XERIAL_MAGIC_SIZE: Final = 8
_BLOCK_SIZE: Final = struct.Struct(">I")

#: Maximum compression ratio of snappy: a copy of 64 bytes takes three.
_SNAPPY_COPY: Final = 64 // 3 + 1


class Content(Protocol):
    """Decompressed content."""

    @property
    def held(self) -> int:
        """Maximum bytes of memory of the decoder, without the returned bytes."""

    def read(self, size: int) -> bytes:
        """Return the next ``size`` bytes, fewer only at the end.

        Raises:
            ValueError: the content is damaged.
        """


class UnknownCompressionError(ValueError):
    """No decoder here knows the compression of a batch."""


def open_content(compression: int, data: memoryview) -> Content:
    """Return the content of ``data``; ``compression`` is Kafka's codec number, 0 for none.

    Raises:
        UnknownCompressionError: the codec number is unknown.
        ValueError: the content is damaged.
    """
    try:
        return _CONTENTS[compression](data)
    except KeyError:
        raise UnknownCompressionError(f"compression {compression}") from None


class _Plain:
    held = 0

    def __init__(self, data: memoryview) -> None:
        self._data = data

    def read(self, size: int) -> bytes:
        part, self._data = self._data[:size], self._data[size:]
        return bytes(part)


class _Fed:
    """Feeds a decoder in parts, for gzip and lz4."""

    def __init__(self, data: memoryview) -> None:
        self._data = data

    def feed(self) -> bytes:
        part, self._data = self._data[:FEED_BYTES], self._data[FEED_BYTES:]
        return bytes(part)


class _Gzip(_Fed):
    held = 64 << 10

    def __init__(self, data: memoryview) -> None:
        super().__init__(data)
        self._decoder = zlib.decompressobj(wbits=31)

    def read(self, size: int) -> bytes:
        parts, left = [], size
        try:
            while left:
                ahead = self._decoder.unconsumed_tail or self._decoder.unused_data or self.feed()
                if self._decoder.eof and ahead:
                    self._decoder = zlib.decompressobj(wbits=31)  # the next of several members
                if not ahead:
                    break
                part = self._decoder.decompress(ahead, left)
                left -= len(part)
                parts.append(part)
        except zlib.error as exc:
            raise ValueError(str(exc)) from exc
        return parts[0] if len(parts) == 1 else b"".join(parts)


class _Lz4(_Fed):
    held = 8 << 20
    """Two blocks of the maximum size."""

    def __init__(self, data: memoryview) -> None:
        super().__init__(data)
        self._decoder = lz4.frame.LZ4FrameDecompressor()

    def read(self, size: int) -> bytes:
        parts, left = [], size
        try:
            while left and not self._decoder.eof:
                ahead = self.feed() if self._decoder.needs_input else b""
                if self._decoder.needs_input and not ahead:
                    break
                part = self._decoder.decompress(ahead, left)
                left -= len(part)
                parts.append(part)
        except RuntimeError as exc:
            raise ValueError(str(exc)) from exc
        return parts[0] if len(parts) == 1 else b"".join(parts)


class _Zstd:
    def __init__(self, data: memoryview) -> None:
        self._data = data
        decoder = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES)
        self._reader = decoder.stream_reader(data, read_across_frames=True)

    @property
    def held(self) -> int:
        """The largest window of its frames, or the maximum if they cannot be parsed."""
        try:
            return max(_zstd_windows(self._data), default=0)
        except zstandard.ZstdError:
            return MAX_WINDOW_BYTES

    def read(self, size: int) -> bytes:
        try:
            return self._reader.read(size)
        except zstandard.ZstdError as exc:
            raise ValueError(str(exc)) from exc


def _zstd_windows(data: memoryview) -> Iterator[int]:
    """Yield the window of each frame; skippable frames have none (RFC 8878, 3.1)."""
    at = 0
    while at < len(data):
        frame = zstandard.get_frame_parameters(data[at : at + _ZSTD_HEADER_SIZE])
        yield frame.window_size
        at += zstandard.frame_header_size(data[at : at + _ZSTD_HEADER_SIZE])
        is_last = False
        while not is_last and at < len(data):
            block = int.from_bytes(data[at : at + 3], "little")
            is_last, is_repeated = bool(block & 1), block >> 1 & 3 == 1
            at += 3 + (1 if is_repeated else block >> 3)
        at += 4 * frame.has_checksum


class _Snappy:
    """Reads by block: snappy has no streaming. Xerial's blocks have 32 KiB; others are whole."""

    def __init__(self, data: memoryview) -> None:
        is_framed = data[:_XERIAL_MAGIC_SIZE] == _XERIAL[:_XERIAL_MAGIC_SIZE]
        self._blocks = _framed_blocks(data) if is_framed else iter([data])
        self._block = memoryview(b"")
        self.held = FEED_BYTES if is_framed else _snappy_size(data)

    def read(self, size: int) -> bytes:
        parts: list[memoryview] = []
        while size:
            if not self._block:
                packed = next(self._blocks, None)
                if packed is None:
                    break
                self._block = memoryview(_decompress_block(packed))
            part, self._block = self._block[:size], self._block[size:]
            size -= len(part)
            parts.append(part)
        return b"".join(parts)


def _framed_blocks(data: memoryview) -> Iterator[memoryview]:
    at = len(_XERIAL)
    while at < len(data):
        if len(data) - at < _BLOCK_SIZE.size:
            raise ValueError("a snappy block ends in its size")
        end = at + _BLOCK_SIZE.size + _BLOCK_SIZE.unpack_from(data, at)[0]
        if end > len(data):
            raise ValueError("a snappy block is shorter than it says")
        yield data[at + _BLOCK_SIZE.size : end]
        at = end


def _snappy_size(block: memoryview) -> int:
    try:
        size = int(cramjam.snappy.decompress_raw_len(block))
    except (cramjam.DecompressionError, OverflowError) as exc:
        raise ValueError(str(exc)) from exc
    if size > _SNAPPY_COPY * len(block):
        raise ValueError(f"a snappy block of {len(block)} bytes cannot hold {size}")
    return size


def _decompress_block(block: memoryview) -> cramjam.Buffer:
    _snappy_size(block)
    try:
        return cramjam.snappy.decompress_raw(block)
    except cramjam.DecompressionError as exc:
        raise ValueError(str(exc)) from exc


_CONTENTS: Final[dict[int, Callable[[memoryview], Content]]] = {
    0: _Plain,
    1: _Gzip,
    2: _Snappy,
    3: _Lz4,
    4: _Zstd,
}


class Decoders:
    """The total memory of active decoders."""

    def __init__(self, most: int) -> None:
        """Allow ``most`` bytes; a single decoder may use more."""
        self._most = most
        self._held: list[int] = []
        # Different threads read events and changelogs.
        self._lock = Lock()

    def enter(self, held: int) -> bool:
        """Reserve ``held`` bytes for a decoder, and return whether the others leave the space."""
        with self._lock:
            has_room = not self._held or sum(self._held) + held <= self._most
            if has_room:
                self._held.append(held)
            return has_room

    def leave(self, held: int) -> None:
        """Release the bytes of a decoder."""
        with self._lock:
            self._held.remove(held)


#: The decoders of this process.
DECODERS: Final = Decoders(MAX_WINDOW_BYTES)
