"""Detection of misspelled variables, which would silently leave a default in force."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from setting_variables import VARIABLES

if TYPE_CHECKING:
    from collections.abc import Iterable

PREFIX: Final = "REELS_"

#: Read by the embedded Kafka, which has no other settings.
_OTHERS: Final = ("REELS_CACHE_DIR",)

KNOWN: Final = (
    *(each.name for each in VARIABLES),
    *(each.file_name for each in VARIABLES if each.secret),
    *_OTHERS,
)


def unknown_variables(environ: Iterable[str]) -> list[str]:
    """Return a line for each name in ``environ`` that looks like a setting but is not.

    The line names the most similar setting, if there is one, and shows no value.
    """
    unknown = sorted(name for name in environ if name.startswith(PREFIX) and name not in KNOWN)
    return [_line(name) for name in unknown]


def _line(name: str) -> str:
    near = get_close_matches(name.upper(), KNOWN, n=1)
    advice = f"did you mean {near[0]}?" if near else "docs/configuration.md lists all settings"
    return f"{ascii(name)[1:-1]} is set, but there is no such setting: {advice}"
