"""Low priorities for threads of Kafka.

If Linux shares cores by session (autogroup), such threads yield to Kafka's other threads only,
because Kafka has its own session.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

#: Compaction takes a whole core for a third of a second at a time, even if its limit on bytes per
#: second makes it rare. Linux keeps the first 15 characters of a thread's name.
COMPACTION = "kafka-log-cleaner-thread"[:15]

_LOWEST = 19


def let_wait(pid: int, name: str) -> None:
    """Give the threads called ``name`` of the process ``pid`` the lowest priority.

    Does nothing if there are no such threads, or on other systems than Linux.
    """
    for task in Path(f"/proc/{pid}/task").glob("*/comm"):
        with suppress(OSError):  # the thread may have ended
            if task.read_text().rstrip("\n") == name:
                os.setpriority(os.PRIO_PROCESS, int(task.parent.name), _LOWEST)
