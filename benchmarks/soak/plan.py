"""The plan of a soak: its length, its parts, its load, and the time of each trouble."""

from __future__ import annotations

from dataclasses import dataclass

import settings as program_settings
from benchmarks.rig.filling import FILLED_UNTIL_MS, Filling
from benchmarks.rig.live_load import LiveLoad

#: Parts of the run, of ten minutes in an hour; the verdict compares the last with the second.
PARTS = 6

#: Seconds of the load after the measured ones: the probes of the last minute need events.
COOL_DOWN_S = 10.0

#: Fractions of all records.
INVALID, DUPLICATES, LATE = 0.0005, 0.01, 0.0005

_MINUTE_S = 60.0
_SAMPLE_S = 5.0
_LONGEST_DOWN_S = 15.0
#: Event time between the load's end and the moment when filled sessions begin to leave the window.
_MARGIN_MS = 300_000
#: Bytes on disk of an event in the input, compressed, and of a user's values with all copies.
_EVENT_BYTES, _USER_BYTES = 150, 1500


@dataclass(frozen=True, slots=True)
class Plan:
    """A soak of ``seconds`` at ``rate`` events/s of ``users`` users.

    The tables start with one session per user. All these sessions lie within one step of the users'
    window, and leave the window just after the load ends. So the tables stay large during the load,
    and the audit, which knows only the input topic, does not miss these sessions.
    """

    seconds: float = 3600.0
    rate: int = 50_000
    users: int = 10_000_000

    @property
    def minutes_per_part(self) -> int:
        """Number of measured minutes in a part; those of a short run are shorter or longer."""
        return max(1, round(self.seconds / PARTS / _MINUTE_S))

    @property
    def minutes(self) -> int:
        """Number of measured minutes."""
        return PARTS * self.minutes_per_part

    @property
    def minute_s(self) -> float:
        """Seconds of a measured minute: 60 if the run has whole minutes."""
        return self.seconds / self.minutes

    @property
    def samples_per_minute(self) -> int:
        """Number of samples in a measured minute."""
        return max(2, round(self.minute_s / _SAMPLE_S))

    @property
    def restarts_at_s(self) -> float:
        """When worker ``b`` is restarted, outside of the parts that are compared."""
        return 0.4 * self.seconds

    @property
    def killed_at_s(self) -> float:
        """When worker ``b`` is killed."""
        return 0.6 * self.seconds

    @property
    def down_s(self) -> float:
        """How long it stays down: longer than its session, so that the other takes over."""
        return min(_LONGEST_DOWN_S, self.seconds / 10)

    @property
    def disk_bytes(self) -> int:
        """Estimated disk space of the run."""
        return round(self.seconds * self.rate * _EVENT_BYTES + self.users * _USER_BYTES)

    def filling(self) -> Filling:
        """Return the state at the beginning."""
        return Filling(self.users, spread_ms=program_settings.load({}).user_step)

    def closes_ms(self) -> int:
        """Return the event time at which all of the filled state has left the users' window.

        A session may have ended right at the state's stream time, which begins a step.
        """
        return FILLED_UNTIL_MS + program_settings.load({}).user_window

    def load(self) -> LiveLoad:
        """Return the load."""
        seconds = self.seconds + COOL_DOWN_S
        first_leaves_ms = self.closes_ms() - program_settings.load({}).user_step
        start_ms = first_leaves_ms - round(1000 * seconds) - _MARGIN_MS
        return LiveLoad(
            *(self.rate, seconds, self.users, start_ms),
            invalid=INVALID,
            duplicates=DUPLICATES,
            late=LATE,
        )
