"""A token endpoint (RFC 6749) that issues signed tokens, and serves the key to verify them."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from contextlib import contextmanager
from threading import Thread
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from embedded.probe import HOST

if TYPE_CHECKING:
    from collections.abc import Iterator

CLIENT_ID = "reels: stream/1"
CLIENT_SECRET = "s%cr+t w=rd:é&9"
SCOPE = "kafka read"
AUDIENCE = "kafka-brokers"
KEY_ID = "key-1"


class TokenEndpoint:
    """Issues RS256 tokens to one client; ``lifetime`` and ``failure`` may be changed while it runs.

    ``asked`` holds the form of each request that got a token.
    """

    def __init__(self) -> None:
        """Make a key; the endpoint does not listen yet."""
        self._key = rsa.generate_private_key(65537, 2048)
        self.lifetime = 3600
        self.audience = AUDIENCE
        self.failure: web.Response | None = None
        #: Whether the login is read from the body instead of the header.
        self.in_body = False
        self.asked: list[dict[str, str]] = []
        self.base = ""

    @property
    def url(self) -> str:
        """The address that issues tokens."""
        return f"{self.base}/token"

    @property
    def jwks_url(self) -> str:
        """The address of the public key, for brokers."""
        return f"{self.base}/jwks"

    def environment(self, **changes: str) -> dict[str, str]:
        """Return the program's settings for this endpoint."""
        return {
            "REELS_SASL_MECHANISM": "OAUTHBEARER",
            "REELS_SASL_OAUTH_TOKEN_URL": self.url,
            "REELS_SASL_OAUTH_CLIENT_ID": CLIENT_ID,
            "REELS_SASL_OAUTH_CLIENT_SECRET": CLIENT_SECRET,
            "REELS_SASL_OAUTH_SCOPE": SCOPE,
            **changes,
        }

    async def _issue(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        if self.failure is not None:
            text, status = self.failure.text, self.failure.status
            return web.Response(text=text, status=status, headers=self.failure.headers.copy())
        if self._login(request, form) != (CLIENT_ID, CLIENT_SECRET):
            return web.json_response({"error": "invalid_client"}, status=401)
        if form.get("scope") != SCOPE:
            return web.json_response({"error": "invalid_scope"}, status=400)
        if form.get("grant_type") != "client_credentials":
            return web.json_response({"error": "unsupported_grant_type"}, status=400)
        self.asked.append(form)
        answer = {"access_token": self._token(), "token_type": "Bearer"}
        return web.json_response({**answer, "expires_in": self.lifetime})

    def _login(self, request: web.Request, form: dict[str, str]) -> tuple[str, ...]:
        if self.in_body:
            return form.get("client_id", ""), form.get("client_secret", "")
        encoded = request.headers.get("Authorization", "").removeprefix("Basic ")
        return tuple(map(unquote_plus, base64.b64decode(encoded).decode().split(":", 1)))

    def _token(self) -> str:
        now = int(time.time())
        header = {"alg": "RS256", "typ": "JWT", "kid": KEY_ID}
        claims = {
            "sub": CLIENT_ID,
            "aud": self.audience,
            "scope": SCOPE,
            "iat": now,
            "exp": now + self.lifetime,
        }
        signed = f"{_encode(json.dumps(header))}.{_encode(json.dumps(claims))}"
        return f"{signed}.{_encode(self._key.sign(signed.encode(), padding.PKCS1v15(), SHA256()))}"

    async def _keys(self, _request: web.Request) -> web.Response:
        numbers = self._key.public_key().public_numbers()
        key = {
            "kty": "RSA",
            "use": "sig",
            "alg": "RS256",
            "kid": KEY_ID,
            "n": _number(numbers.n),
            "e": _number(numbers.e),
        }
        return web.json_response({"keys": [key]})

    async def start(self) -> web.AppRunner:
        """Listen on a free port of this machine."""
        application = web.Application()
        application.add_routes([web.post("/token", self._issue), web.get("/jwks", self._keys)])
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, HOST, 0).start()
        self.base = "http://{}:{}".format(*runner.addresses[0])
        return runner


@contextmanager
def token_endpoint() -> Iterator[TokenEndpoint]:
    """Run an endpoint in a thread of its own."""
    endpoint = TokenEndpoint()
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever)
    thread.start()
    try:
        runner = asyncio.run_coroutine_threadsafe(endpoint.start(), loop).result(10)
        yield endpoint
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def _encode(content: str | bytes) -> str:
    raw = content.encode() if isinstance(content, str) else content
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _number(value: int) -> str:
    return _encode(value.to_bytes((value.bit_length() + 7) // 8, "big"))
