"""The settings: read once from the environment, checked, and frozen.

``VARIABLES`` (setting_variables.py) defines names, defaults and allowed values. Parsing, output and
documentation are derived from it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import setting_checks as checks
from setting_kinds import is_loopback
from setting_secrets import read_secret
from setting_values import Settings, describe_settings
from setting_variables import SASL_PROTOCOLS, VARIABLES, SettingsError, Variable, variable_of

if TYPE_CHECKING:
    from collections.abc import Mapping

_APP_ID = variable_of("app_id")

__all__ = [
    "VARIABLES",
    "Settings",
    "SettingsError",
    "Variable",
    "describe_settings",
    "is_loopback",
    "load",
]


def load(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read all settings; an empty variable counts as unset. Raises SettingsError."""
    app_id = _value(_APP_ID, environ, _APP_ID.default)
    values = {each.attribute: _value(each, environ, each.default_for(app_id)) for each in VARIABLES}
    if values["security_protocol"] in SASL_PROTOCOLS:
        values["sasl_mechanism"] = values["sasl_mechanism"] or "PLAIN"
    settings = Settings(**values)
    checks.check_windows(settings)
    checks.check_topics(settings)
    checks.check_login(settings)
    checks.check_certificate(settings)
    checks.check_web(settings)
    return settings


def _value(variable: Variable, environ: Mapping[str, str], default: str | None) -> Any:
    if variable.secret and environ.get(variable.file_name):
        return read_secret(variable, environ)
    text = environ.get(variable.name) or default
    try:
        return None if text is None else variable.kind.parse(text)
    except ValueError:
        raise SettingsError(variable, text, variable.kind.allowed) from None
