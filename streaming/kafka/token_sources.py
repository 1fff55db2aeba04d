"""Sources of tokens: OAuth's client credentials grant (RFC 6749, section 4.4), and AWS IAM."""

from __future__ import annotations

import base64
import http.client
import json
import os
import ssl
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote_plus, urlencode

from streaming.errors import NoTokenError, TokenRefusedError
from streaming.kafka.tokens import Token

if TYPE_CHECKING:
    from settings import Settings

#: Seconds for each step of a request.
ANSWER_TIMEOUT_S: Final = 10.0
#: Lifetime of a token in seconds if its issuer does not state one.
DEFAULT_LIFETIME_S: Final = 300.0
#: Maximum bytes of an issuer's answer.
MAX_ANSWER_BYTES: Final = 1 << 20

_URL, _SCOPE = "REELS_SASL_OAUTH_TOKEN_URL", "REELS_SASL_OAUTH_SCOPE"
_CLIENT = "REELS_SASL_OAUTH_CLIENT_ID and REELS_SASL_OAUTH_CLIENT_SECRET"
#: The settings to check, by the error of a token endpoint.
_CAUSES: Final = {
    "invalid_client": _CLIENT,
    "unauthorized_client": "REELS_SASL_OAUTH_CLIENT_ID",
    "invalid_scope": _SCOPE,
}
_LOGIN_REFUSED: Final = frozenset({400, 401, 403})
_MAY_PASS: Final = frozenset({408, 425, 429})


class ClientCredentials:
    """Requests tokens from a token endpoint with a client's credentials."""

    def __init__(self, settings: Settings) -> None:
        """Configure from ``settings``; nothing is sent before the first call."""
        self._url = str(settings.sasl_oauth_token_url)
        self._login = str(settings.sasl_oauth_client_id), str(settings.sasl_oauth_client_secret)
        self._fields = {"grant_type": "client_credentials"}
        if settings.sasl_oauth_scope:
            self._fields["scope"] = settings.sasl_oauth_scope
        trusted = ssl.create_default_context()
        if settings.ssl_cafile:
            trusted.load_verify_locations(settings.ssl_cafile)
        self._opener = urllib.request.build_opener(
            urllib.request.HTTPSHandler(context=trusted), _NoRedirects
        )
        self._in_body = False

    def __call__(self) -> Token:
        """Return a new token. Raises NoTokenError, or TokenRefusedError."""
        try:
            return self._ask(self._request())
        except _LoginRefusedError as exc:
            # Some issuers accept the credentials only in the body, against the RFC.
            if self._in_body:
                raise
            self._in_body = True
            try:
                return self._ask(self._request())
            except NoTokenError:
                self._in_body = False
                raise exc from None

    def _request(self) -> urllib.request.Request:
        fields, headers = dict(self._fields), {"Accept": "application/json"}
        if self._in_body:
            fields["client_id"], fields["client_secret"] = self._login
        else:
            # The RFC requires both parts in the encoding of form fields.
            login = ":".join(map(quote_plus, self._login))
            headers["Authorization"] = "Basic " + base64.b64encode(login.encode()).decode()
        # The settings accept only URLs of http or https.
        return urllib.request.Request(  # noqa: S310
            self._url, urlencode(fields).encode(), headers, method="POST"
        )

    def _ask(self, request: urllib.request.Request) -> Token:
        try:
            with self._opener.open(request, timeout=ANSWER_TIMEOUT_S) as answer:
                content = answer.read(MAX_ANSWER_BYTES)
        except urllib.error.HTTPError as exc:
            with exc:
                raise self._refusal(exc.code, _object(_read(exc))) from None
        except (OSError, http.client.HTTPException) as exc:
            raise self._failure(exc) from exc
        fields = _object(content)
        text = fields.get("access_token")
        if not isinstance(text, str) or not text.isascii() or not text.isprintable() or not text:
            raise TokenRefusedError(
                f"the token endpoint {self._url} answers without an access_token: check {_URL}"
            )
        return Token(text, _lifetime(fields.get("expires_in")))

    def _refusal(self, status: int, fields: dict[str, Any]) -> NoTokenError:
        error = str(fields.get("error", ""))[:100]
        said = " ".join(f"{error} {fields.get('error_description', '')}".split())[:200]
        reason = f"status {status}" + (f", {said}" if said else "")
        if status >= http.client.INTERNAL_SERVER_ERROR or status in _MAY_PASS:
            return NoTokenError(
                f"the token endpoint {self._url} does not issue tokens ({reason}): check {_URL}"
            )
        is_login = status in _LOGIN_REFUSED
        settings = _CAUSES.get(error) or (f"{_URL}, {_CLIENT}" if is_login else _URL)
        kind = _LoginRefusedError if is_login else TokenRefusedError
        return kind(
            f"the token endpoint {self._url} refuses to issue a token ({reason}): check {settings}"
        )

    def _failure(self, exc: BaseException) -> NoTokenError:
        cause = exc.reason if isinstance(exc, urllib.error.URLError) else exc
        if isinstance(cause, ssl.SSLCertVerificationError):
            return TokenRefusedError(
                f"the certificate of the token endpoint {self._url} is not trusted "
                f"({cause.verify_message}): REELS_SSL_CAFILE must name a file with the "
                "certificates of its authority"
            )
        reason = str(cause) or type(cause).__name__
        if isinstance(cause, OSError) and (cause.errno or 0) > 0:
            reason = os.strerror(cause.errno or 0)
        return NoTokenError(
            f"the token endpoint {self._url} does not answer ({reason}): check {_URL}"
        )


class AwsIam:
    """Signs tokens for Amazon MSK with the AWS credentials of this process."""

    def __init__(self, region: str) -> None:
        """Sign for a cluster in ``region``."""
        self._region = region

    def __call__(self) -> Token:
        """Return a new token. Raises NoTokenError."""
        # An optional dependency; the settings refuse the mechanism if it is not installed.
        from aws_msk_iam_sasl_signer import MSKAuthTokenProvider  # noqa: PLC0415

        try:
            text, expires_ms = MSKAuthTokenProvider.generate_auth_token(self._region)
        # Missing credentials raise AttributeError; other failures raise many errors of botocore.
        except Exception as exc:
            reason = " ".join(str(exc).split())
            if isinstance(exc, AttributeError):
                reason = "no credentials found"
            raise NoTokenError(
                f"AWS credentials for signing a token are missing ({reason}): set "
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine or pod a role"
            ) from exc
        return Token(text, expires_ms / 1000 - time.time())


class _LoginRefusedError(TokenRefusedError):
    """The client's credentials are wrong, or expected in another part of the request."""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Follows no redirects, which would receive the client's secret."""

    def redirect_request(self, *_args: Any) -> None:
        return None


def _read(answer: urllib.error.HTTPError) -> bytes:
    try:
        return answer.read(MAX_ANSWER_BYTES)
    except (OSError, http.client.HTTPException):
        return b""


def _object(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _lifetime(text: object) -> float:
    """Return ``expires_in`` in seconds; some issuers write it as a string."""
    try:
        seconds = float(text)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return DEFAULT_LIFETIME_S
    return seconds if seconds > 0 else DEFAULT_LIFETIME_S
