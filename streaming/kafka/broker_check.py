"""Check of access to the brokers, once, before clients start that would retry forever.

aiokafka's clients log why they cannot connect, and raise an error without the reason. This check
uses the connection below them: ``aiokafka.conn.create_conn`` of aiokafka 0.14.
"""

from __future__ import annotations

import os
import socket
import ssl
from typing import TYPE_CHECKING, Any

from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest

from streaming.errors import NoBrokerError, NoTokenError, StartError, TokenRefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

_REFUSALS = (SaslAuthenticationFailed, UnsupportedSaslMechanismError, IllegalSaslStateError)

#: aiokafka's client settings that also apply to a connection.
_OF_CONNECTIONS = frozenset(
    {
        *("client_id", "request_timeout_ms", "security_protocol", "ssl_context"),
        *("sasl_mechanism", "sasl_plain_username", "sasl_plain_password"),
        "sasl_oauth_token_provider",
    }
)


async def check_access(client_settings: Mapping[str, Any]) -> None:
    """Connect to one of the brokers like every client, and send a request.

    Raises:
        StartError: it refuses the login, or its certificate is not trusted. A retry would not help.
        NoBrokerError: none of them answers as a Kafka broker.
        NoTokenError: no token for the login is issued.
    """
    options = {name: client_settings[name] for name in _OF_CONNECTIONS & client_settings.keys()}
    protocol = client_settings["security_protocol"]
    reason = "no broker is named"
    for host, port, _ in collect_hosts(client_settings["bootstrap_servers"]):
        try:
            await _ask(host, port, options)
        except NoTokenError as exc:
            if isinstance(exc, TokenRefusedError):
                raise StartError(str(exc)) from exc
            raise
        except (ConnectionRefusedError, TimeoutError) as exc:
            reason = _text(exc)
        except socket.gaierror as exc:
            reason = f"the address of {host} is unknown: {exc.strerror}"
        except (KafkaError, OSError) as exc:
            if refusal := _refusal(exc, client_settings):
                raise StartError(f"the broker at {host}:{port} {refusal}") from exc
            # A server listens there, but closes the connection.
            reason = f"{_text(exc)}; is REELS_SECURITY_PROTOCOL={protocol} right for that port?"
        else:
            return
    raise NoBrokerError(reason)


async def _ask(host: str, port: int, options: Mapping[str, Any]) -> None:
    connection = await create_conn(host, port, **options)
    try:
        await connection.send(MetadataRequest([]))
    finally:
        connection.close()


def unreachable(brokers: str, exc: BaseException) -> str:
    """Describe in one line who does not answer: ``brokers``, or the issuer of their tokens."""
    if isinstance(exc, NoTokenError):
        return str(exc)
    return f"no broker answers at {brokers} ({exc})"


def _refusal(exc: BaseException, client_settings: Mapping[str, Any]) -> str | None:
    """Return why a retry would not help, None if it may."""
    if isinstance(exc, _REFUSALS):
        tokens = client_settings.get("sasl_oauth_token_provider")
        login = tokens.settings if tokens else "REELS_SASL_USERNAME and REELS_SASL_PASSWORD"
        return f"refuses the login ({_text(exc)}): check REELS_SASL_MECHANISM, {login}"
    if isinstance(exc, ssl.SSLCertVerificationError):
        return (
            f"shows a certificate that is not trusted ({exc.verify_message}): "
            "REELS_SSL_CAFILE must name a file with the certificates of its authority"
        )
    alert = _alert(exc)
    if "certificate" in alert or alert == "unknown ca":
        return (
            f"does not accept this client's certificate ({alert}): REELS_SSL_CERTFILE and "
            "REELS_SSL_KEYFILE must name one of an authority that it trusts"
        )
    return None


def _alert(exc: BaseException) -> str:
    """Return the TLS alert with which the peer closed the connection, or ``""``.

    In TLS 1.3 it arrives after the client's handshake, as the cause of the first request's failure.
    """
    cause = exc if isinstance(exc, ssl.SSLError) else exc.__cause__
    reason = cause.reason or "" if isinstance(cause, ssl.SSLError) else ""
    return reason.partition("ALERT_")[2].lower().replace("_", " ")


def _text(exc: BaseException) -> str:
    """Return an error's text in one line."""
    if isinstance(exc, KafkaError):
        return " ".join(map(str, exc.args)) or type(exc).__name__
    if isinstance(exc, ssl.SSLError):
        return exc.reason or str(exc)
    if isinstance(exc, TimeoutError):
        return "no answer in time"
    if isinstance(exc, OSError) and exc.errno is not None and exc.errno > 0:
        return os.strerror(exc.errno)
    return " ".join(str(exc).split()) or type(exc).__name__
