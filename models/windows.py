"""Windows cut into slices: durations, panes, and the panes of a window.

A window that hops by a step is a union of panes of one step each. So an event changes one pane,
whatever the window's size (Li et al. 2005, "No pane, no gain: efficient evaluation of
sliding-window aggregates over data streams", SIGMOD Record 34:1). Times are milliseconds since the
epoch; pane p covers [p * step, (p + 1) * step).
"""

import re
from dataclasses import dataclass
from typing import Final

from models.timestamps import from_iso, to_iso

__all__ = [
    "MAX_PANES",
    "WHOLE_STEP_MS",
    "Slices",
    "format_duration",
    "format_mixed",
    "from_iso",
    "parse_duration",
    "parse_mixed",
    "to_iso",
]

#: Most panes per window: a key's value must stay a small record.
MAX_PANES: Final = 65_535

#: Steps are multiples of this. Pane numbers have 32 bits: with a step of one second they last until
#: the year 2106, with steps of up to 0.4 s they have run out already.
WHOLE_STEP_MS: Final = 1000

_UNITS: Final = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_DURATION: Final = re.compile(r"([0-9]{1,15})(ms|s|m|h|d)")
_MIXED: Final = re.compile("".join(rf"(?:([0-9]{{1,15}}){unit})?" for unit in _UNITS))


def parse_duration(text: str) -> int:
    """Return the ms of ``100ms``, ``90s``, ``15m``, ``24h`` or ``7d``; ValueError otherwise."""
    match = _DURATION.fullmatch(text)
    amount = int(match[1]) if match else 0
    if match is None or amount == 0:
        raise ValueError(
            f"not a duration: {text!r:.40}; allowed is a whole number above 0 with a unit, "
            "ms, s, m, h or d, such as 100ms, 15m or 24h"
        )
    return amount * _UNITS[match[2]]


def format_duration(ms: int) -> str:
    """Format 86,400,000 ms as ``24h``: the largest unit that divides it, up to hours."""
    for unit in ("h", "m", "s"):
        if ms and ms % _UNITS[unit] == 0:
            return f"{ms // _UNITS[unit]}{unit}"
    return f"{ms}ms"


def parse_mixed(text: str) -> int:
    """Return the ms of ``22h45m`` or of a text for parse_duration; ValueError otherwise."""
    match = _MIXED.fullmatch(text)
    amounts = match.groups("0") if match else ()
    lengths = _UNITS.values() if match else ()
    total = sum(int(each) * length for each, length in zip(amounts, lengths, strict=True))
    return total or parse_duration(text)


def format_mixed(ms: int) -> str:
    """Format hours, minutes, seconds and ms as parse_mixed reads them: ``22h45m``."""
    found = []
    for unit in ("h", "m", "s", "ms"):
        amount, ms = divmod(ms, _UNITS[unit])
        if amount:
            found.append(f"{amount}{unit}")
    return "".join(found)


@dataclass(frozen=True, slots=True)
class Slices:
    """A window of ``size`` that hops by ``step``, both in milliseconds."""

    size: int
    step: int

    def __post_init__(self) -> None:
        """Validate the size and the step."""
        if self.step <= 0:
            raise ValueError(f"the step must be above 0, not {self.step} ms")
        if self.size <= 0 or self.size % self.step:
            raise ValueError(
                f"the window of {format_duration(self.size)} must be a multiple of "
                f"its step of {format_duration(self.step)}"
            )
        if self.size // self.step > MAX_PANES:
            raise ValueError(
                f"a window of {format_duration(self.size)} by {format_duration(self.step)} "
                f"has {self.size // self.step} panes, but at most {MAX_PANES} are allowed"
            )

    @property
    def panes(self) -> int:
        """The number of panes in a window."""
        return self.size // self.step

    @property
    def end_ms(self) -> int:
        """The first time whose pane number does not fit in its 32 bits."""
        return self.step * 2**32

    def pane_of(self, t_ms: int) -> int:
        """Return the pane of a time."""
        return t_ms // self.step

    def window_at(self, t_ms: int, size: int | None = None) -> tuple[int, int]:
        """Panes [first, end) of the hopping window at a time: [floor(t) + step - size, + size).

        A smaller size, any multiple of the step, gives the latest part of the window.
        """
        if size is None:
            panes = self.size // self.step
        elif 0 < size <= self.size and size % self.step == 0:
            panes = size // self.step
        else:
            raise ValueError(
                f"a window must be a multiple of {format_duration(self.step)} "
                f"up to {format_duration(self.size)}, not {format_duration(size)}"
            )
        end = t_ms // self.step + 1
        return end - panes, end

    def tumbling_at(self, t_ms: int) -> tuple[int, int]:
        """Panes [first, end) of the tumbling window at a time: [floor(t, size), + size)."""
        panes = self.size // self.step
        first = t_ms // self.size * panes
        return first, first + panes

    def kept_from(self, stream_time_ms: int) -> int:
        """Return the first pane of the window at the stream time; older panes are closed."""
        return stream_time_ms // self.step + 1 - self.size // self.step


def units_of(slices: Slices, unit_ms: int) -> int:
    """Return the number of ``unit_ms`` panes per step; ValueError if it is not an integer."""
    if slices.step % unit_ms:
        raise ValueError(
            f"a step of {format_duration(slices.step)} is not a multiple of "
            f"{format_duration(unit_ms)}"
        )
    return slices.step // unit_ms


def complete_since(start_ms: int, complete_from_ms: int) -> int | None:
    """Return the time from which a window at ``start_ms`` is complete; None: from its start."""
    return complete_from_ms if complete_from_ms > start_ms else None


def window_fields(start_ms: int, end_ms: int, step_ms: int) -> dict[str, str | int]:
    """Return a window that hops by a step, as answers show it."""
    return {
        "start": to_iso(start_ms),
        "end": to_iso(end_ms),
        "size_s": (end_ms - start_ms) // 1000,
        "step_s": step_ms // 1000,
    }
