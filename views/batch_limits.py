"""Limits of batches in progress, over all requests."""

from __future__ import annotations

from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from aiohttp import hdrs

from views.answers import RETRY_AFTER, HttpError

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Keys in progress. At a few hundred bytes each, they and their rows take about 100 MiB.
MAX_KEYS: Final = 50_000

#: Bytes of the bodies of requests in progress.
MAX_BODIES_BYTES: Final = 32 << 20


class Budget:
    """A limit of work in progress; requests beyond it must retry later."""

    def __init__(self, most: int, what: str) -> None:
        """Allow at most ``most``; ``what`` is the unit in messages."""
        self._most = most
        self._what = what
        self._used = 0

    @property
    def used(self) -> int:
        """The amount in progress."""
        return self._used

    @contextmanager
    def take(self, amount: int) -> Iterator[None]:
        """Use ``amount`` of it within a ``with`` block.

        Raises:
            HttpError: less than that is left.
        """
        if self._used + amount > self._most:
            raise HttpError(
                HTTPStatus.TOO_MANY_REQUESTS,
                "too_many_requests",
                f"{self._used} of at most {self._most} {self._what} are in progress, and this "
                f"request has {amount}: try again, or ask another worker",
                {hdrs.RETRY_AFTER: RETRY_AFTER},
            )
        self._used += amount
        try:
            yield
        finally:
            self._used -= amount
