"""Errors of exports."""


class ExportError(Exception):
    """The export is impossible; the text is one line for the user."""
