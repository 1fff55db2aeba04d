"""The rules that all workers of an app have to share: by others, each would count differently."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from setting_variables import VARIABLES

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from settings import Settings

_ATTRIBUTES: Final = frozenset(
    {
        *("user_window", "user_step", "video_window", "video_step"),
        *("dedup_horizon", "max_future_skew", "viral_coefficient", "viral_min_views", "creators"),
    }
)
_VARIABLES: Final = tuple(each for each in VARIABLES if each.attribute in _ATTRIBUTES)


def rules_of(settings: Settings, of: Container[str] = _ATTRIBUTES) -> dict[str, str]:
    """Return the rules ``of`` these attributes as text, by the names of their variables."""
    return {
        each.name: each.kind.show(getattr(settings, each.attribute))
        for each in _VARIABLES
        if each.attribute in of
    }


def different_rules(
    mine: Mapping[str, str], theirs: Mapping[str, str]
) -> dict[str, tuple[str, str]]:
    """Return my value and theirs of each rule that differs; a rule that one does not know does not.

    Releases do not know the same rules.
    """
    return {
        name: (value, theirs[name])
        for name, value in mine.items()
        if name in theirs and theirs[name] != value
    }
