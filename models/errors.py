"""What a stored or received value may be wrong about."""


class CodecError(ValueError):
    """A packed value that this version cannot read."""
