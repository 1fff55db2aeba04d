"""How aiokafka's clients connect, as the settings say."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import faust

if TYPE_CHECKING:
    from settings import Settings

#: Milliseconds until a request without an answer has failed.
REQUEST_TIMEOUT_MS = 10_000


def ssl_context(settings: Settings) -> ssl.SSLContext | None:
    """Return what TLS needs, None when it is not asked for."""
    if "SSL" not in (settings.security_protocol or "").split("_"):
        return None
    return ssl.create_default_context(cafile=settings.ssl_cafile)


def client_settings(settings: Settings) -> dict[str, Any]:
    """Return aiokafka's settings to connect, for any kind of client."""
    sasl: dict[str, Any] = {}
    if settings.sasl_mechanism:
        sasl = {
            "sasl_mechanism": settings.sasl_mechanism,
            "sasl_plain_username": settings.sasl_username,
            "sasl_plain_password": settings.sasl_password,
        }
    return {
        "bootstrap_servers": settings.bootstrap_servers,
        "client_id": settings.app_id,
        "request_timeout_ms": REQUEST_TIMEOUT_MS,
        "security_protocol": settings.security_protocol or "PLAINTEXT",
        "ssl_context": ssl_context(settings),
        **sasl,
    }


def faust_credentials(settings: Settings) -> faust.types.auth.CredentialsT | None:
    """Return the same as Faust's credentials, None for plain text."""
    context = ssl_context(settings)
    if settings.sasl_mechanism:
        return faust.SASLCredentials(
            mechanism=settings.sasl_mechanism,
            username=settings.sasl_username,
            password=settings.sasl_password,
            ssl_context=context,
        )
    return faust.SSLCredentials(context) if context else None
