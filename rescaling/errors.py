"""Why tables are not moved."""


class RescaleError(Exception):
    """The tables are not moved; the text is one line for the user."""
