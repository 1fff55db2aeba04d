"""The compiled form of the hot path: the same results in a fraction of the time.

Cython builds it at installation if there is a C compiler. Otherwise the plain form runs. Tests
check that both give the same results.
"""

from __future__ import annotations

import sys
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from models import layouts
from models.chunk import Chunk as PlainChunk
from models.delta_chunk import DeltaChunk as PlainDeltaChunk
from models.deltas import DeltaAccumulator as PlainDeltaAccumulator
from models.sums import by_partition as plain_by_partition
from models.sums import pane_sums as plain_pane_sums
from models.sums import user_sums as plain_user_sums
from models.user_rows import Engagement as PlainEngagement
from models.user_rows import UserRows as PlainUserRows
from models.user_rows import usual_engagement as plain_usual_engagement
from tables.foreign import PLAIN_CHECKS, RowChecks
from tables.layers import PLAIN_LAYERS, LayerBackend

try:
    if sys.byteorder != "little":  # like the values' layouts
        raise ImportError("the compiled modules need a little-endian machine")
    from accelerator.counters import LAYOUTS

    if layouts.describe_layouts() != LAYOUTS:
        raise ImportError(
            "the compiled modules do not match this program's layouts: run make setup"
        )
    from accelerator.chunk import Chunk
    from accelerator.deltas import DeltaAccumulator, DeltaChunk, PaneWindows, VideoWindows
    from accelerator.layer import ROW_SIZE, Layer, SortedEntries
    from accelerator.lookup import LookupResult
    from accelerator.packing import pack
    from accelerator.records import Records
    from accelerator.rows import foreign_sums, foreign_users
    from accelerator.sums import by_partition, pane_sums, user_sums
    from accelerator.user import UserWindows
    from accelerator.user_rows import Engagement, UserRows, usual_engagement
except ImportError as exc:  # not built, or for another Python
    REASON = str(exc)
    IS_BUILT = False
# Names that it reads in models/ have changed, or its modules are from different builds.
except (AttributeError, TypeError, ValueError) as exc:
    REASON = f"it was built from other sources ({exc}): run make setup"
    IS_BUILT = False
else:
    REASON = ""
    IS_BUILT = True

if TYPE_CHECKING:
    from collections.abc import Callable

    from models import _protocols, user, video
    from models.entity import Entity
    from models.pane_windows import PaneWindows as PlainPaneWindows
    from models.schema import Event

W = TypeVar("W", bound="PlainPaneWindows[Any]")
F = TypeVar("F", bound="_protocols.PaneWindows")


__all__ = [
    "IS_BUILT",
    "REASON",
    "AcceleratorError",
    "DirectBackend",
    "PaneBackend",
    "ReadBackend",
    "UserBackend",
    "WireBackend",
    "is_wanted",
    "layer_backend",
    "row_checks",
    "start_lines",
]


class AcceleratorError(ValueError):
    """The compiled form is required, but not built."""


class UserBackend(NamedTuple):
    """The classes that apply events to users, in one form."""

    plain_windows: user.UserWindows
    chunk: _protocols.MakeChunk
    windows: _protocols.UserWindows
    """``plain_windows`` in the form that the chunks take."""
    accumulator: Callable[[Entity[Any]], _protocols.DeltaAccumulator]
    """Makes the accumulator of the deltas that the chunks' events add to another table."""

    @classmethod
    def of(cls, windows: user.UserWindows, *, accelerated: bool = IS_BUILT) -> UserBackend:
        """Return the compiled form, or the plain one."""
        if accelerated:
            return cls(windows, Chunk, UserWindows(windows), DeltaAccumulator)
        return cls(windows, PlainChunk, windows, PlainDeltaAccumulator)

    def in_units(self, unit_ms: int) -> UserBackend:
        """Return the same for values whose panes are numbered by another unit of time."""
        windows = self.windows.in_units(unit_ms)
        return self._replace(plain_windows=self.plain_windows.in_units(unit_ms), windows=windows)


class PaneBackend(NamedTuple, Generic[W, F]):
    """The classes that apply deltas to a summed table, in one form."""

    plain_windows: W
    chunk: _protocols.MakeDeltaChunk
    windows: F
    """``plain_windows`` in the form that the chunks take."""

    @classmethod
    def of(
        cls, windows: W, *, accelerated: bool = IS_BUILT
    ) -> PaneBackend[W, _protocols.PaneWindows]:
        """Return the compiled form, or the plain one."""
        if accelerated:
            compiled = PaneWindows(windows)
            return PaneBackend(windows, partial(DeltaChunk, of=windows.entity), compiled)
        return PaneBackend(windows, partial(PlainDeltaChunk, of=windows.entity), windows)

    @classmethod
    def of_videos(
        cls, windows: video.VideoWindows, *, accelerated: bool = IS_BUILT
    ) -> PaneBackend[video.VideoWindows, _protocols.VideoWindows]:
        """Return the same for videos, whose windows also judge which are viral."""
        if accelerated:
            return PaneBackend(windows, DeltaChunk, VideoWindows(windows))
        return PaneBackend(windows, PlainDeltaChunk, windows)

    def in_units(self, unit_ms: int) -> PaneBackend[W, F]:
        """Return the same for values whose panes are numbered by another unit of time."""
        windows = self.windows.in_units(unit_ms)
        return self._replace(plain_windows=self.plain_windows.in_units(unit_ms), windows=windows)


class ReadBackend(NamedTuple):
    """Functions for batch reads, for values from a :func:`layer_backend` of the same form."""

    user_sums: Callable[[user.UserWindows], _protocols.Sums]
    pane_sums: Callable[[PlainPaneWindows[Any]], _protocols.Sums]
    """For a table that receives deltas."""
    by_partition: Callable[[list[int], int], dict[int, list[int]]]

    @classmethod
    def of(cls, *, accelerated: bool = IS_BUILT) -> ReadBackend:
        """Return the compiled form, or the plain one."""
        if accelerated:
            return cls(user_sums, pane_sums, by_partition)
        return cls(plain_user_sums, plain_pane_sums, plain_by_partition)


def layer_backend(*, accelerated: bool = IS_BUILT) -> LayerBackend:
    """Return the layers of a partition's changes, compiled or plain."""
    if not accelerated:
        return PLAIN_LAYERS
    return LayerBackend(
        *(Layer, LookupResult, SortedEntries, Layer.drop, ROW_SIZE), attrgetter("linked_bytes")
    )


def row_checks(*, accelerated: bool = IS_BUILT) -> RowChecks:
    """Return the checks for foreign rows in changelogs, compiled or plain."""
    if not accelerated:
        return PLAIN_CHECKS
    return RowChecks(foreign_users, foreign_sums)


class DirectBackend(NamedTuple):
    """Classes with which the plain functions of reels read and count events."""

    rows: Callable[[user.UserWindows], _protocols.UserRows]
    usual: Callable[[object], _protocols.Engagement | None]
    """Reads a dict with the usual form of an event; None for other values."""
    engagement: Callable[[Event], _protocols.Engagement]
    """Converts any other event, after decoding."""

    @classmethod
    def of(cls, *, accelerated: bool = IS_BUILT) -> DirectBackend:
        """Return the compiled form, or the plain one."""
        if accelerated:
            return cls(UserRows, usual_engagement, Engagement.of)
        return cls(PlainUserRows, plain_usual_engagement, PlainEngagement.of)


class WireBackend(NamedTuple):
    """Readers of fetches and packers of batches; None: aiokafka's own."""

    records: type[Records] | None
    """A sequence of records that stay in the bytes of the fetch."""
    pack: _protocols.PackRecords | None
    """Packs values into batches."""

    @classmethod
    def of(cls, *, accelerated: bool = IS_BUILT) -> WireBackend:
        """Return the compiled form, or the plain one."""
        return cls(Records, pack) if accelerated else cls(None, None)


def start_lines(setting: str) -> tuple[str, str | None]:
    """Return the form that runs, ``compiled`` or ``plain``, and a warning if it is a fallback."""
    if is_wanted(setting):
        return "compiled", None
    if setting == "off":
        return "plain", None
    return "plain", (
        f"the accelerator is not in use ({REASON}); the plain form needs about ten times the "
        "CPU per event: run make setup"
    )


def is_wanted(setting: str) -> bool:
    """Whether to use the compiled form, by ``auto``, ``on`` or ``off``.

    Raises:
        AcceleratorError: the setting is ``on``, but the compiled form is not built.
    """
    if setting == "on" and not IS_BUILT:
        raise AcceleratorError(
            f"REELS_ACCELERATOR = 'on' is wrong: the accelerator is not built ({REASON})"
        )
    return IS_BUILT and setting != "off"
