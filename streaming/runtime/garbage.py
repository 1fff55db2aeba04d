"""Python's garbage collector, for processes that keep thousands of records at a time."""

from __future__ import annotations

import gc

#: Allocations between two garbage collections, and collections between two of the next generation.
#: A batch is thousands of live records: with Python's defaults they are scanned again and again,
#: which took a fifth of the time of a worker, and of a command that reads a changelog.
THRESHOLDS = (100_000, 50, 100)


def collect_seldom() -> None:
    """Leave out all present objects from collections, and collect seldom from now on.

    Short commands call it too: a collection before it would take them 50 ms.
    """
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
