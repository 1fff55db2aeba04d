"""Python's garbage collector, for processes that keep thousands of records at a time."""

from __future__ import annotations

import gc

#: Allocations between two garbage collections, and collections between two of the next generation.
#: A batch is thousands of live records: with Python's defaults they are scanned again and again,
#: which took a fifth of the time of a worker, and of a command that reads a changelog.
THRESHOLDS = (100_000, 50, 100)


def collect_seldom() -> None:
    """Exclude all existing objects from garbage collection, and collect seldom from now on.

    It does not collect first, because short commands call it too, and that would cost them 50 ms.
    """
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
