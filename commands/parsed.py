"""Values of options that functions of the program parse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable


class Parsed(click.ParamType):
    """A value that a function of the program parses."""

    def __init__(self, name: str, parse: Callable[[str], float]) -> None:
        """Parse with ``parse``; the text of its ValueError becomes click's usage error."""
        self.name = name
        self._parse = parse

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number."""
        try:
            return self._parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
