"""Errors of moves."""


class RescaleError(Exception):
    """The move is impossible or incomplete; the text is one line for the user."""
