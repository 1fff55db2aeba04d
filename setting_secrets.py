"""Secrets from files: ``REELS_SASL_PASSWORD_FILE`` instead of ``REELS_SASL_PASSWORD``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from setting_variables import SettingsError, Variable

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_SECRET_BYTES: Final = 64 << 10


def read_secret(variable: Variable, environ: Mapping[str, str]) -> Any:
    """Return the value of ``variable`` from the file that ``environ`` names.

    A trailing newline is removed. Raises SettingsError, which shows only the path.
    """
    path = environ[variable.file_name]

    def refusal(allowed: str) -> SettingsError:
        return SettingsError(variable.file_variable, path, allowed)

    if environ.get(variable.name):
        raise refusal(f"no value as long as {variable.name} is set")
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_SECRET_BYTES + 1)
    except (OSError, ValueError) as exc:
        reason = getattr(exc, "strerror", None) or exc
        raise refusal(f"the path of a file that can be read ({reason})") from None
    try:
        if len(content) > MAX_SECRET_BYTES:
            raise ValueError
        text = content.decode().removesuffix("\n").removesuffix("\r")
        return variable.kind.parse(text)
    except ValueError:
        kinds = variable.kind.allowed
        raise refusal(f"a file that holds {kinds}, in UTF-8 and up to 64 KiB") from None
