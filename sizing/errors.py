"""The error of this folder."""


class SizingError(Exception):
    """A load cannot be sized, or a file of costs cannot be read; the text is for the user."""
