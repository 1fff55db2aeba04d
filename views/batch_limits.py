"""How much is read for batches at a time, for all requests together."""

from __future__ import annotations

from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from aiohttp import hdrs

from views.answers import RETRY_AFTER, HttpError

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Keys that are being read. Of a few hundred bytes each, they and their rows take some 100 MiB.
MAX_KEYS: Final = 50_000

#: Bytes of bodies that have not been answered yet.
MAX_BODIES: Final = 32 << 20


class Budget:
    """So much may be under way; who comes when it is used up is asked to come again."""

    def __init__(self, most: int, what: str) -> None:
        """Allow ``most``, counted in ``what``."""
        self._most = most
        self._what = what
        self._used = 0

    @property
    def used(self) -> int:
        """How much is under way."""
        return self._used

    @contextmanager
    def take(self, amount: int) -> Iterator[None]:
        """Use so much of it for a while.

        Raises:
            HttpError: there is not so much left.
        """
        if self._used + amount > self._most:
            raise HttpError(
                HTTPStatus.TOO_MANY_REQUESTS,
                "too_many_requests",
                f"{self._used} {self._what} are being worked on, {self._most} are allowed, this "
                f"request has {amount}: try again, or ask another worker",
                {hdrs.RETRY_AFTER: RETRY_AFTER},
            )
        self._used += amount
        try:
            yield
        finally:
            self._used -= amount
