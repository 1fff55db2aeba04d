"""Connection settings of aiokafka's clients."""

from __future__ import annotations

import ssl
from functools import cache
from typing import TYPE_CHECKING, Any

import faust

from setting_variables import MSK_IAM, OAUTH
from streaming.kafka.token_sources import AwsIam, ClientCredentials
from streaming.kafka.tokens import TokenProvider

if TYPE_CHECKING:
    from settings import Settings

#: Milliseconds after which a request without an answer fails.
REQUEST_TIMEOUT_MS = 10_000


def ssl_context(settings: Settings) -> ssl.SSLContext | None:
    """Return the TLS context, None without TLS."""
    if "SSL" not in (settings.security_protocol or "").split("_"):
        return None
    context = ssl.create_default_context(cafile=settings.ssl_cafile)
    if settings.ssl_certfile:
        # Without a password, OpenSSL would prompt for one on the terminal.
        password = settings.ssl_key_password or ""
        context.load_cert_chain(settings.ssl_certfile, settings.ssl_keyfile, password)
    return context


@cache
def token_provider(settings: Settings) -> TokenProvider | None:
    """Return the token provider for logins, shared by all clients; None without tokens."""
    if settings.sasl_mechanism == OAUTH:
        return TokenProvider(
            ClientCredentials(settings),
            "REELS_SASL_OAUTH_TOKEN_URL, REELS_SASL_OAUTH_CLIENT_ID and REELS_SASL_OAUTH_SCOPE",
        )
    if settings.sasl_mechanism == MSK_IAM:
        return TokenProvider(
            AwsIam(str(settings.aws_region)), "REELS_AWS_REGION and the rights of the AWS identity"
        )
    return None


def client_settings(settings: Settings) -> dict[str, Any]:
    """Return aiokafka's connection settings, for any kind of client."""
    sasl: dict[str, Any] = {}
    if tokens := token_provider(settings):
        sasl = {"sasl_mechanism": OAUTH, "sasl_oauth_token_provider": tokens}
    elif settings.sasl_mechanism:
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
    """Return the same settings as Faust's credentials, None for plain text."""
    context = ssl_context(settings)
    if tokens := token_provider(settings):
        return faust.OAuthCredentials(oauth_cb=tokens, ssl_context=context)
    if settings.sasl_mechanism:
        return faust.SASLCredentials(
            mechanism=settings.sasl_mechanism,
            username=settings.sasl_username,
            password=settings.sasl_password,
            ssl_context=context,
        )
    return faust.SSLCredentials(context) if context else None
