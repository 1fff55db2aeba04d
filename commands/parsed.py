"""Values of options that functions of the program parse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from setting_variables import variable_of

if TYPE_CHECKING:
    from collections.abc import Callable


class Parsed(click.ParamType):
    """A value that a function of the program parses."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        """Parse with ``parse``; the text of its ValueError becomes click's usage error."""
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the value."""
        try:
            return self._parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def like_setting(attribute: str) -> Parsed:
    """Return the type of an option that takes the place of a setting."""
    kind = variable_of(attribute).kind

    def parse(text: str) -> Any:
        try:
            return kind.parse(text)
        except ValueError:
            raise ValueError(f"{text!r:.40} is not {kind.allowed}") from None

    return Parsed("text", parse)
