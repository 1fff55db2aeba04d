"""The interval of commits, which grows with load and with the backlog."""

from __future__ import annotations

from math import inf

#: If a record is urgent, the next commit starts up to this many seconds before the end of the
#: interval, but never before this fraction of it. The first limit is in seconds, so that a long
#: interval, which an operator chose, stays long.
MAX_EARLY_S, MIN_PART = 0.07, 1 / 3

#: If no record is urgent, commits take at most this fraction of the time, but are at most this many
#: seconds apart for that reason. Processing waits while a commit is prepared.
MAX_COMMIT_SHARE, MAX_QUIET_S = 1 / 4, 0.5

#: Part of the interval from an exchange of deltas to the next one.
EXCHANGE_PART = 1 / 4

#: The shortest pause after a commit, as a multiple of the usual commit time. It bounds the share of
#: time that commits take under load.
COMMIT_REST = 0.5

#: The longest pause after a commit, in seconds, that load or a backlog causes.
MAX_COMMIT_INTERVAL_S = 1.0

#: Seconds between two checks of an idle worker for work without records, such as expired rows.
IDLE_INTERVAL_S = 0.25

#: Seconds before a retry: the first pause, doubled at each failure, and the longest.
FIRST_RETRY_S, MAX_RETRY_S = 0.5, 10.0

#: Seconds without a failure after which the next failure counts as the first. Commits between two
#: failures of one record do not show that the record is accepted.
CALM_S = 30.0


class CommitPace:
    """The pauses between a worker's commits."""

    def __init__(self, interval_s: float) -> None:
        """Start with the shortest pause; ``interval_s`` as in :func:`pause_after`."""
        #: Seconds until the next commit may start, if a record is urgent.
        self.pause_s = shortest_distance_s(interval_s)
        self._configured_s = interval_s
        #: Seconds from the start of a commit to the next, if no record is urgent.
        self.interval_s = interval_s
        #: Seconds from an exchange of deltas to the next one.
        self.exchange_s = exchange_after(interval_s, 0.0)
        self._commit_s = 0.0
        self._rate = 0.0

    def committed(self, commit_s: float, processed: int, elapsed_s: float, behind: int) -> None:
        """Set the next pause after a commit.

        Arguments:
            commit_s: duration of the commit, in seconds.
            processed: records processed since the previous commit.
            elapsed_s: seconds since the previous commit.
            behind: records in Kafka at the start of the commit.
        """
        rate = processed / elapsed_s
        # The shorter of two: one slow commit must not delay the next, as its events have waited.
        usual_s, self._commit_s = min(commit_s, self._commit_s), commit_s
        usual_rate, self._rate = max(rate, self._rate), rate
        # Without processed records, as at the start, the time for the backlog is unknown.
        behind_s = behind / usual_rate if usual_rate > 0 else 0.0
        self.pause_s = pause_after(commit_s, usual_s, self._configured_s, behind_s)
        self.interval_s = interval_after(usual_s, self._configured_s)
        self.exchange_s = exchange_after(self._configured_s, behind_s)


class Retries:
    """The pauses between retries."""

    def __init__(self) -> None:
        """Begin without failures."""
        self._pause_s = 0.0
        self._failed_at = -inf

    def next_pause(self, now: float) -> float:
        """Return the seconds to wait after a failure at ``now`` (monotonic clock)."""
        calm = now - self._failed_at > CALM_S
        self._pause_s = FIRST_RETRY_S if calm else min(2 * self._pause_s, MAX_RETRY_S)
        self._failed_at = now
        return self._pause_s


def shortest_distance_s(interval_s: float) -> float:
    """Return the shortest time from the start of a commit to the next, in seconds."""
    return max(interval_s * MIN_PART, interval_s - MAX_EARLY_S)


def interval_after(usual_s: float, interval_s: float) -> float:
    """Return the time from the start of a commit to the next, in seconds, if no record is urgent.

    Answers do not wait for such a commit. Under load commits take longer; with more time between
    them, more events of a key share a write. Arguments as of :func:`pause_after`.
    """
    return max(interval_s, min(usual_s / MAX_COMMIT_SHARE, MAX_QUIET_S))


def exchange_after(interval_s: float, behind_s: float) -> float:
    """Return the time from an exchange of deltas to the next; arguments as of pause_after."""
    return MAX_COMMIT_INTERVAL_S if behind_s > MAX_COMMIT_INTERVAL_S else EXCHANGE_PART * interval_s


def pause_after(commit_s: float, usual_s: float, interval_s: float, behind_s: float) -> float:
    """Return the pause between a commit and the next, in seconds.

    Commits start at regular intervals: the shortest distance, or twice the usual commit time, at
    most ``interval_s``. If commits take more than two thirds of that, the pause grows, so that more
    events share a commit. If the backlog takes longer than :data:`MAX_COMMIT_INTERVAL_S`, the pause
    is that long: answers are older anyway, and events of a key that share a commit cost less.

    Arguments:
        commit_s: duration of the commit, in seconds.
        usual_s: usual duration of commits.
        interval_s: configured time from the start of a commit to the next.
        behind_s: time needed to process the records that wait in Kafka.
    """
    if behind_s > MAX_COMMIT_INTERVAL_S:
        return max(interval_s - commit_s, MAX_COMMIT_INTERVAL_S)
    distance_s = min(interval_s, max(shortest_distance_s(interval_s), 2 * usual_s))
    return max(distance_s - commit_s, min(COMMIT_REST * usual_s, MAX_COMMIT_INTERVAL_S))
