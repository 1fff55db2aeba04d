"""Errors of audits."""

from __future__ import annotations

from tempfile import gettempdir


class AuditError(Exception):
    """The audit is impossible; the text is one line for the user."""


class FullFolderError(AuditError):
    """The temporary folder has no room for the counts."""

    def __init__(self, reason: str) -> None:
        """Say what to do; ``reason`` is the operating system's."""
        super().__init__(
            f"the temporary folder {gettempdir()} is full ({reason}): free some space, or choose "
            "another folder with TMPDIR"
        )
