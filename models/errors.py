"""Errors of stored and received values."""


class CodecError(ValueError):
    """A packed value that this version cannot read."""
