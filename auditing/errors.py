"""Errors of audits."""

from __future__ import annotations


class AuditError(Exception):
    """The audit is impossible; the text is one line for the user."""
