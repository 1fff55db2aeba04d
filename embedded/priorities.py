"""Threads of Kafka's that are to wait for a free core.

Where Linux shares cores out by session (autogroup) they wait for the other threads of Kafka only,
which has a session of its own.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

#: Compaction takes all of a core for a third of a second at a time, however seldom its bound on
#: bytes a second lets it. Linux keeps the first 15 characters of a thread's name.
COMPACTION = "kafka-log-cleaner-thread"[:15]

_LOWEST = 19


def let_wait(pid: int, name: str) -> None:
    """Give the threads called ``name`` of the process ``pid`` the lowest priority.

    Where there are no such threads, or (elsewhere than on Linux) no way to tell, nothing happens.
    """
    for task in Path(f"/proc/{pid}/task").glob("*/comm"):
        with suppress(OSError):  # it may have ended meanwhile
            if task.read_text().rstrip("\n") == name:
                os.setpriority(os.PRIO_PROCESS, int(task.parent.name), _LOWEST)
