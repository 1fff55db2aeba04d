"""What keeps an audit from being made."""

from __future__ import annotations


class AuditError(Exception):
    """Nothing can be compared; the text is one line for the user."""
