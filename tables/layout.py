"""A table's meta data: how its values are laid out, and the stream time that they stand for.

Kept as one more record of each partition, in RocksDB and in the changelog, and written by every
commit that moves stream time: a restart decides late and duplicate as if it had not happened.
"""

from __future__ import annotations

import msgspec

from models.windows import Slices, format_duration

#: Internal keys begin so; the tables' own are decimal numbers.
INTERNAL_PREFIX = b"__"
LAYOUT_KEY = b"__reels\0layout__"


class LayoutError(Exception):
    """The stored table is of another version or step than this worker's settings."""


class Layout(msgspec.Struct, frozen=True):
    """Version of the value codec, window size and step in ms, stream time in ms."""

    version: int
    size: int
    step: int
    stream_time: int | None = None

    @classmethod
    def of(cls, version: int, slices: Slices) -> Layout:
        """The layout that these settings ask for."""
        return cls(version, slices.size, slices.step)

    def encode(self, stream_time: int | None) -> bytes:
        """Return the record's value, as of ``stream_time``."""
        return msgspec.json.encode(msgspec.structs.replace(self, stream_time=stream_time))

    def stored_stream_time(self, table: str, stored: bytes | None) -> int | None:
        """Return the stream time that ``stored`` holds, None when nothing is stored.

        Raises:
            LayoutError: it was written with another version or other slices.
        """
        if stored is None:
            return None
        found = msgspec.json.decode(stored, type=Layout)
        if found.version != self.version:
            raise LayoutError(
                f"table {table} is of version {found.version}, this program writes version "
                f"{self.version}: run the program that wrote it, or start anew with another "
                "REELS_APP_ID"
            )
        if (found.size, found.step) != (self.size, self.step):
            raise LayoutError(
                f"table {table} was built with a window of {format_duration(found.size)} by "
                f"{format_duration(found.step)}, the settings say {format_duration(self.size)} by "
                f"{format_duration(self.step)}: set them back, or start anew with another "
                "REELS_APP_ID"
            )
        return found.stream_time
