"""Typed records of the program's output for people and other programs."""

from __future__ import annotations

from types import new_class
from typing import TYPE_CHECKING, Annotated, Any

import faust
import msgspec
import orjson
from msgspec import Meta

from models.errors import CodecError
from models.timestamps import parse_rfc3339, to_iso

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.entity import Entity, Format

Count = Annotated[int, Meta(ge=0)]
VideoId = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Coefficient = Annotated[float, Meta(ge=0, le=2**64)]


def metrics_view(
    of: Entity[Any], window: Callable[[bytes | None, int], Any]
) -> Callable[[int, bytes | None, int], faust.Record]:
    """Return a function that makes a record from a key, its packed value and a time in ms.

    ``window`` returns the counts of a value at a time. A record has the id, ``window_start`` and
    ``window_end`` (RFC 3339), and the fields of an answer.
    """
    make = _record(of)

    def view(key: int, value: bytes | None, at: int) -> faust.Record:
        counts = window(value, at)
        start, end = to_iso(counts.start_ms), to_iso(counts.end_ms)
        return make(**{of.key: key}, window_start=start, window_end=end, **of.describe(counts))

    return view


def _record(of: Entity[Any]) -> type[faust.Record]:
    fields = {of.key: int, "window_start": str, "window_end": str}
    fields |= {shown.name: _type_of(shown.format) for shown in of.answer}
    name = f"{of.name.title()}MetricsRecord"

    def fill(namespace: dict[str, Any]) -> None:
        namespace["__annotations__"] = fields
        namespace["__module__"] = __name__
        namespace["__doc__"] = f"The counts of a {of.name} in one window."

    return new_class(name, (faust.Record,), {"serializer": "json"}, fill)


def _type_of(shown: Format) -> Any:
    found = int if shown.is_whole else float
    return found | None if shown.is_nullable else found


class _StoredViral(msgspec.Struct):
    video_id: VideoId
    viral_coefficient: Coefficient
    views: Count
    shares: Count
    comments: Count
    detected_at: str
    window_start: str
    window_end: str


_decode_viral = msgspec.json.Decoder(_StoredViral).decode


class ViralVideo(faust.Record, serializer="json"):  # type: ignore[call-arg]
    """A viral video, as in the output topic; times are RFC 3339."""

    video_id: int
    viral_coefficient: float
    views: int
    shares: int
    comments: int
    detected_at: str
    window_start: str
    window_end: str

    def encode(self) -> bytes:
        """Return the record's value in the topic."""
        return orjson.dumps(self.asdict())

    @classmethod
    def decode(cls, value: bytes) -> ViralVideo:
        """Decode a record's value; unknown fields are ignored.

        Raises:
            CodecError: the value is not a viral video of this program.
        """
        try:
            found = _decode_viral(value)
            for text in (found.detected_at, found.window_start, found.window_end):
                parse_rfc3339(text)
        except (msgspec.MsgspecError, ValueError) as exc:
            raise CodecError(f"not a viral video: {exc}") from exc
        return cls(**msgspec.structs.asdict(found))
