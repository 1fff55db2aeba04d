"""What dead letters say of where they come from; others may write to their topic, too."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_NUMBER = re.compile(rb"[0-9]{1,19}")


def number_of(headers: Mapping[str, bytes | None], name: str) -> int | None:
    """Return the number in a header, None when there is none."""
    text = headers.get(name)
    return None if text is None or _NUMBER.fullmatch(text) is None else int(text)
