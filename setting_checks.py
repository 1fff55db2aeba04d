"""Checks that involve more than one setting."""

from __future__ import annotations

import ssl
from collections import Counter
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

import setting_kinds as kinds
from models.windows import format_duration
from setting_variables import (
    MSK_IAM,
    OAUTH,
    PASSWORD_MECHANISMS,
    SASL_PROTOCOLS,
    TLS_PROTOCOLS,
    SettingsError,
    variable_of,
)

if TYPE_CHECKING:
    from setting_values import Settings

MAX_STEPS: Final = 1440

_PASSWORD_LOGIN = ("sasl_username", "sasl_password")
#: Settings that a mechanism requires.
_NEEDED: Final = {
    OAUTH: ("sasl_oauth_token_url", "sasl_oauth_client_id", "sasl_oauth_client_secret"),
    MSK_IAM: ("aws_region",),
}
_OAUTH_LOGIN = (*_NEEDED[OAUTH], "sasl_oauth_scope")
#: Settings that other mechanisms would ignore.
_MECHANISMS_OF: Final = {
    _PASSWORD_LOGIN: PASSWORD_MECHANISMS,
    _OAUTH_LOGIN: (OAUTH,),
    ("aws_region",): (MSK_IAM,),
}
#: Settings that other protocols would ignore, or would send in the clear.
_PROTOCOLS_OF: Final = {
    **dict.fromkeys(
        ("sasl_mechanism", *_PASSWORD_LOGIN, *_OAUTH_LOGIN, "aws_region"), SASL_PROTOCOLS
    ),
    "ssl_cafile": TLS_PROTOCOLS,
    "ssl_certfile": TLS_PROTOCOLS,
}


def check_windows(settings: Settings) -> None:
    """Refuse a window that is not a multiple of its step, or has too many steps."""
    for name in ("user", "video"):
        size, step = getattr(settings, f"{name}_window"), getattr(settings, f"{name}_step")
        if size % step or size // step > MAX_STEPS:
            prefix = f"REELS_{name.upper()}"
            raise _reject(
                settings,
                f"{name}_window",
                f"1 to {MAX_STEPS} times {prefix}_STEP, which is {format_duration(step)}",
            )


def check_topics(settings: Settings) -> None:
    """Refuse two topics with the same name: records of one kind would be read as another."""
    names = ("events_topic", "dead_letter_topic", "viral_topic")
    own = ("deltas_topic", "creator_deltas_topic", "repartition_topic", "order_topic")
    uses = Counter(getattr(settings, name) for name in (*names, *own))
    for name in names:
        topic = getattr(settings, name)
        is_changelog = topic.startswith(f"{settings.app_id}-") and topic.endswith("-changelog")
        if is_changelog or uses[topic] > 1:
            raise _reject(settings, name, "a name that differs from the program's other topics")


def check_login(settings: Settings) -> None:
    """Refuse an incomplete login, or one that the protocol does not use."""
    _check_nothing_is_ignored(settings)
    protocol, mechanism = settings.security_protocol, settings.sasl_mechanism
    if mechanism in _NEEDED:
        for name in _NEEDED[mechanism]:
            _require(settings, name, f"REELS_SASL_MECHANISM is {mechanism}")
    elif mechanism is not None:
        for name in _PASSWORD_LOGIN:
            _require(settings, name, f"REELS_SECURITY_PROTOCOL is {protocol}")
    if mechanism == MSK_IAM:
        if protocol != "SASL_SSL":
            allowed = f"SASL_SSL, because REELS_SASL_MECHANISM is {MSK_IAM}"
            raise _reject(settings, "security_protocol", allowed)
        if find_spec("aws_msk_iam_sasl_signer") is None:
            allowed = (
                "another mechanism, or this one after "
                "pip install aws-msk-iam-sasl-signer-python (the extra `msk`)"
            )
            raise _reject(settings, "sasl_mechanism", allowed)


def _check_nothing_is_ignored(settings: Settings) -> None:
    protocol, mechanism = settings.security_protocol, settings.sasl_mechanism
    for names, mechanisms in _MECHANISMS_OF.items():
        for name in names:
            if getattr(settings, name) is not None and mechanism not in {None, *mechanisms}:
                allowed = f"{' or '.join(mechanisms)}, because {variable_of(name).name} is set"
                raise _reject(settings, "sasl_mechanism", allowed)
    for name, protocols in _PROTOCOLS_OF.items():
        if getattr(settings, name) is not None and protocol not in protocols:
            allowed = f"{' or '.join(protocols)}, because {variable_of(name).name} is set"
            raise _reject(settings, "security_protocol", allowed)


def check_certificate(settings: Settings) -> None:
    """Refuse a client certificate without its private key, or with a key that cannot be opened."""
    if settings.ssl_certfile is None:
        for name in ("ssl_keyfile", "ssl_key_password"):
            if getattr(settings, name) is not None:
                _require(settings, "ssl_certfile", f"{variable_of(name).name} is set")
        return
    asked_for_password = False

    def password() -> str:
        nonlocal asked_for_password
        asked_for_password = True
        return settings.ssl_key_password or ""

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(
            settings.ssl_certfile, settings.ssl_keyfile, password
        )
    # A password that is too long raises ValueError.
    except (OSError, ValueError) as exc:
        variable = "ssl_keyfile" if settings.ssl_keyfile else "ssl_certfile"
        allowed = (
            "a file with the private key, in PEM format, of the certificate in REELS_SSL_CERTFILE"
            if settings.ssl_keyfile
            else "a file that also has the private key, unless REELS_SSL_KEYFILE is set"
        )
        is_other_key = isinstance(exc, ssl.SSLError) and exc.reason == "KEY_VALUES_MISMATCH"
        if asked_for_password and not is_other_key:
            allowed = f"the password of the private key in {variable_of(variable).name}"
            variable = "ssl_key_password"
        raise _reject(settings, variable, allowed) from None


def check_web(settings: Settings) -> None:
    """Refuse an address that other machines can reach if there is no token."""
    if not kinds.is_loopback(settings.web_bind) and settings.http_token is None:
        allowed = "127.0.0.0/8, ::1 or localhost as long as REELS_HTTP_TOKEN is not set"
        raise _reject(settings, "web_bind", allowed)


def _require(settings: Settings, attribute: str, reason: str) -> None:
    if getattr(settings, attribute) is None:
        raise _reject(settings, attribute, f"a value, because {reason}")


def _reject(settings: Settings, attribute: str, allowed: str) -> SettingsError:
    variable = variable_of(attribute)
    value = getattr(settings, attribute)
    return SettingsError(variable, None if value is None else variable.kind.show(value), allowed)
