"""A child process that ends with its parent, on Linux even if the parent is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_BOUND_CHILD = Path(__file__).resolve().with_name("bound_child.py")


class BoundProcess:
    """A program in its own session, so that the terminal's Ctrl-C does not reach it.

    A separate thread starts the program and waits for it: for Linux, a child's parent is dead
    when the *thread* that started the child is.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        output: Path,
        env: Mapping[str, str],
        folder: Path | None = None,
    ) -> None:
        """Prepare the program; its stdout and stderr are appended to the file ``output``.

        ``folder``: its working directory; None: the folder of ``output``.
        """
        self._command = [
            *(sys.executable, "-I", "-S", str(_BOUND_CHILD), str(os.getpid())),
            *command,
        ]
        self._output = output
        self._folder = folder or output.parent
        self._env = dict(env)
        self._popen: subprocess.Popen[bytes] | None = None
        self._error: OSError | None = None
        self._thread = threading.Thread(target=self._run, name="embedded-kafka", daemon=True)
        self._launched = threading.Event()
        self._ended = threading.Event()

    def start(self) -> None:
        """Start the program.

        Raises OSError if the operating system cannot start it.
        """
        self._thread.start()
        self._launched.wait()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            with self._output.open("ab") as output:
                self._popen = subprocess.Popen(  # noqa: S603 - no shell, and our own command
                    self._command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    cwd=self._folder,
                    env=self._env,
                    start_new_session=True,
                )
            self._launched.set()
            self._popen.wait()
        except OSError as error:
            self._error = error
        finally:
            self._ended.set()
            self._launched.set()

    @property
    def pid(self) -> int | None:
        """The process id of the program; None before it is known."""
        return self._popen.pid if self._popen is not None else None

    @property
    def exit_code(self) -> int | None:
        """Its exit code, None while it runs; negative: the signal that ended it."""
        return self._popen.returncode if self._popen and self._ended.is_set() else None

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._thread.ident is not None and not self._ended.is_set()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until it has ended; return whether it has."""
        return self._ended.wait(timeout_s)

    def terminate(self, timeout_s: float) -> None:
        """End the program with SIGTERM, or with SIGKILL if that takes over ``timeout_s``."""
        self._send(signal.SIGTERM)
        if self.running and not self.wait(timeout_s):
            self.kill()

    def kill(self) -> None:
        """End the program with SIGKILL."""
        self._send(signal.SIGKILL)
        if self.running:
            self.wait()

    def _send(self, number: signal.Signals) -> None:
        if self.running:
            # An exception in start, such as Ctrl-C, may have left the thread still launching.
            self._launched.wait()
            if self._popen is not None and self.running:
                self._popen.send_signal(number)
