"""Why there is no export."""


class ExportError(Exception):
    """The export cannot be made; the text is one line for the user."""
