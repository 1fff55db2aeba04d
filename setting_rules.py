"""The rules: settings that must be the same on all workers of an app, as they determine counts."""

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
    """Return the rules with these attributes as text, by variable name."""
    return {
        each.name: each.kind.show(getattr(settings, each.attribute))
        for each in _VARIABLES
        if each.attribute in of
    }


def different_rules(
    mine: Mapping[str, str], theirs: Mapping[str, str]
) -> dict[str, tuple[str, str]]:
    """Return both values of each rule that differs; rules known to only one side are ignored.

    Releases may know different rules.
    """
    return {
        name: (value, theirs[name])
        for name, value in mine.items()
        if name in theirs and theirs[name] != value
    }
