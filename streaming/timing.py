"""How long the steps of a commit take."""

from __future__ import annotations

from time import perf_counter

from monitoring import metrics


class CommitTimer:
    """Times the steps of one commit."""

    def __init__(self) -> None:
        """Begin with the first step."""
        self._last = perf_counter()

    def done(self, step: str, at: float | None = None) -> None:
        """End ``step``, now or ``at`` a time of perf_counter(), and begin the next."""
        now = perf_counter() if at is None else at
        metrics.commit_seconds.labels(step).observe(now - self._last)
        self._last = now
