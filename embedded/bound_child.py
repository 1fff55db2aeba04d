"""Become another program that dies with the process that started it.

Run as a script, ``python bound_child.py PARENT_PID PROGRAM [ARGUMENT ...]``: it asks Linux for a
SIGKILL at the parent's death, and then executes the program. It is a script and not a
``preexec_fn``, because Python code between fork and exec can deadlock in a process with threads.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> None:
    """Replace this process by ``command``; exit with 1 if ``parent`` is dead already."""
    # On other systems only the parent's exit handler stops the child, so a killed parent does not.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(1)
    os.execv(command[0], command)  # noqa: S606 - no shell wanted


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
