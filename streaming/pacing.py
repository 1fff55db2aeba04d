"""When a task commits: at even distances, and less often the longer its commits take."""

from __future__ import annotations

#: How many times as long as commits take, the pause after one is at least: what committing takes
#: of the worker stays bounded, however slow it gets under load.
COMMIT_REST = 1.5

#: Seconds to which that stretches the commit interval at most.
LONGEST_COMMIT_INTERVAL = 1.0

#: Multiples of it, modulo 1, lie as far from each other as can be.
GOLDEN_RATIO = 0.618034


def first_pause(partition: int, interval_s: float) -> float:
    """Return how many seconds a task waits for its first commit, less than ``interval_s``.

    Tasks that begin together do not commit together: their bursts would add up.
    """
    return interval_s * (partition * GOLDEN_RATIO % 1.0)


def pause_after(commit_s: float, one_before_s: float, interval_s: float) -> float:
    """Return how many seconds to wait after a commit for the next one to begin.

    Commits begin at even distances. The longer they take, the longer the pause, so that more events
    share one; but not after a single slow one: what a passing hiccup kept has waited already.

    Arguments:
        commit_s: how long the commit took, in seconds.
        one_before_s: how long the one before it took.
        interval_s: the pause between commits that take their usual time, at least.
    """
    usual_s = min(commit_s, one_before_s)
    rest_s = min(COMMIT_REST * usual_s, LONGEST_COMMIT_INTERVAL)
    return max(interval_s + usual_s - commit_s, rest_s)
