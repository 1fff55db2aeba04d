"""Errors that a caller can act on."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class ReelsError(Exception):
    """The service refuses a request, or does not answer."""

    def __init__(self, status: int, code: str, message: str) -> None:
        """Set the HTTP status (0 for an invalid answer), the code and the message."""
        super().__init__(message)
        self.status = status
        self.code = code


class Unavailable(ReelsError):  # noqa: N818 - the name is part of the contract
    """Some ids had no answer within the deadline."""

    def __init__(self, ids: Sequence[int], reason: str = "") -> None:
        """Set the ids without an answer, in the order asked."""
        few = ", ".join(map(str, ids[:5])) + (", …" if len(ids) > 5 else "")  # noqa: PLR2004
        because = f": {reason}" if reason else ""
        super().__init__(503, "unavailable", f"no answer for {len(ids)} ids ({few}){because}")
        self.ids = list(ids)
