"""All clients share one token, renewed in time; if that fails, the old one serves while valid."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import faust
import pytest
from aiohttp import web

from settings import load
from streaming.errors import NoTokenError, TokenRefusedError
from streaming.kafka import tokens as tokens_module
from streaming.kafka.clients import client_settings, faust_credentials, token_provider
from streaming.kafka.token_sources import AwsIam, ClientCredentials
from streaming.kafka.tokens import Token, TokenProvider
from tests.token_endpoint import CLIENT_ID, CLIENT_SECRET, SCOPE, token_endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from settings import Settings
    from tests.token_endpoint import TokenEndpoint


KEY_ID = "AKIAIOSFODNN7EXAMPLE"


class Clock:
    """The provider's clock, which the test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(tokens_module, "time", clock)
    return clock


class Issuer:
    """Issues numbered tokens that live for 100 seconds, or fails."""

    def __init__(self) -> None:
        self.asked = 0
        self.failure: Exception | None = None

    def __call__(self) -> Token:
        self.asked += 1
        if self.failure is not None:
            raise self.failure
        return Token(f"token-{self.asked}", 100.0)


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def provider(clock: Clock, issuer: Issuer) -> TokenProvider:
    return TokenProvider(issuer, "SETTINGS")


class TestRenewal:
    async def test_a_token_is_used_until_four_fifths_of_its_life_are_over(
        self, clock: Clock, issuer: Issuer, provider: TokenProvider
    ) -> None:
        assert await provider.token() == "token-1"
        clock.now += 79.9
        assert await provider.token() == "token-1"
        clock.now += 0.2
        assert await provider.token() == "token-2"
        assert issuer.asked == 2

    async def test_the_old_token_serves_while_no_new_one_is_issued(
        self, clock: Clock, issuer: Issuer, provider: TokenProvider
    ) -> None:
        await provider.token()
        issuer.failure = NoTokenError("away")
        clock.now += 99
        assert await provider.token() == "token-1"
        clock.now += 2
        with pytest.raises(NoTokenError, match="away"):
            await provider.token()

    async def test_an_issuer_that_fails_is_asked_again_after_growing_pauses(
        self, clock: Clock, issuer: Issuer, provider: TokenProvider
    ) -> None:
        issuer.failure = TokenRefusedError("no")
        asked = []
        for _ in range(100):
            with pytest.raises(TokenRefusedError, match="no"):
                await provider.token()
            asked.append(issuer.asked)
            clock.now += 1
        assert asked[:9] == [1, 2, 2, 3, 3, 3, 3, 4, 4]
        assert asked[-1] <= 9
        issuer.failure = None
        clock.now += 30
        assert await provider.token() == f"token-{issuer.asked}"

    def test_the_event_loops_of_several_threads_share_one_token(self) -> None:
        begun = threading.Barrier(4)

        def issue() -> Token:
            assert issued == []
            issued.append("token")
            return Token("token", 100.0)

        def run() -> None:
            begun.wait()
            got.append(asyncio.run(provider.token()))

        issued: list[str] = []
        got: list[str] = []
        provider = TokenProvider(issue, "SETTINGS")
        threads = [threading.Thread(target=run) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert got == ["token"] * 4


@pytest.fixture(scope="module")
def shared_endpoint() -> Iterator[TokenEndpoint]:
    with token_endpoint() as endpoint:
        yield endpoint


@pytest.fixture
def endpoint(shared_endpoint: TokenEndpoint) -> TokenEndpoint:
    """Return an endpoint in its initial state."""
    shared_endpoint.failure = None
    shared_endpoint.in_body = False
    shared_endpoint.asked.clear()
    return shared_endpoint


@pytest.fixture
def settings_of(endpoint: TokenEndpoint) -> Callable[..., Settings]:
    def make(**changes: str) -> Settings:
        return load(
            {"REELS_SECURITY_PROTOCOL": "SASL_PLAINTEXT", **endpoint.environment(**changes)}
        )

    return make


class TestClientCredentials:
    def test_a_token_is_asked_for_by_the_rfc(
        self, endpoint: TokenEndpoint, settings_of: Callable[..., Settings]
    ) -> None:
        token = ClientCredentials(settings_of())()
        assert endpoint.asked == [{"grant_type": "client_credentials", "scope": SCOPE}]
        assert token.lifetime == endpoint.lifetime
        claims = token.text.split(".")[1]
        assert json.loads(base64.urlsafe_b64decode(claims + "=="))["sub"] == CLIENT_ID

    def test_a_login_that_is_taken_in_the_body_alone_is_sent_there_from_then_on(
        self, endpoint: TokenEndpoint, settings_of: Callable[..., Settings]
    ) -> None:
        endpoint.in_body = True
        issue = ClientCredentials(settings_of())
        issue()
        issue()
        login = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
        assert [form.items() >= login.items() for form in endpoint.asked] == [True, True]

    @pytest.mark.parametrize(
        ("answer", "error", "words"),
        [
            ((400, '{"error": "invalid_scope"}'), TokenRefusedError, "REELS_SASL_OAUTH_SCOPE"),
            ((401, "no"), TokenRefusedError, "REELS_SASL_OAUTH_CLIENT_SECRET"),
            ((404, "no"), TokenRefusedError, "REELS_SASL_OAUTH_TOKEN_URL"),
            ((307, ""), TokenRefusedError, "status 307"),
            ((200, "<html>"), TokenRefusedError, "without an access_token"),
            ((200, '["access_token"]'), TokenRefusedError, "without an access_token"),
            ((200, '{"access_token": 1}'), TokenRefusedError, "without an access_token"),
            ((200, '{"access_token": "a\\nb"}'), TokenRefusedError, "without an access_token"),
            ((429, "slower"), NoTokenError, "status 429"),
            ((503, "later"), NoTokenError, "status 503"),
        ],
    )
    def test_what_is_no_token_is_told_in_one_line(
        self,
        endpoint: TokenEndpoint,
        settings_of: Callable[..., Settings],
        answer: tuple[int, str],
        error: type[NoTokenError],
        words: str,
    ) -> None:
        status, text = answer
        headers = {"Location": endpoint.url} if status == 307 else {}
        endpoint.failure = web.Response(status=status, text=text, headers=headers)
        with pytest.raises(error) as caught:
            ClientCredentials(settings_of())()
        assert type(caught.value) is error or issubclass(type(caught.value), TokenRefusedError)
        assert words in str(caught.value)
        assert "REELS_SASL_OAUTH_" in str(caught.value)
        assert "\n" not in str(caught.value)
        assert CLIENT_SECRET not in str(caught.value)

    def test_nobody_at_the_address_may_pass(self, settings_of: Callable[..., Settings]) -> None:
        settings = settings_of(REELS_SASL_OAUTH_TOKEN_URL="http://127.0.0.1:1/token")
        with pytest.raises(NoTokenError, match=r"Connection refused\): check REELS_SASL_OAUTH_TO"):
            ClientCredentials(settings)()

    @pytest.mark.parametrize(("expires_in", "seconds"), [('"60"', 60), ("null", 300), ("-1", 300)])
    def test_a_lifetime_that_is_not_told_is_a_short_one(
        self,
        endpoint: TokenEndpoint,
        settings_of: Callable[..., Settings],
        expires_in: str,
        seconds: int,
    ) -> None:
        text = f'{{"access_token": "abc", "expires_in": {expires_in}}}'
        endpoint.failure = web.Response(text=text)
        assert ClientCredentials(settings_of())() == Token("abc", seconds)

    def test_a_token_is_in_no_text(self, settings_of: Callable[..., Settings]) -> None:
        token = ClientCredentials(settings_of())()
        assert token.text not in repr(token)

    def test_all_clients_share_a_provider(self, settings_of: Callable[..., Settings]) -> None:
        settings = settings_of()
        options, credentials = client_settings(settings), faust_credentials(settings)
        assert options["sasl_mechanism"] == "OAUTHBEARER"
        assert isinstance(credentials, faust.OAuthCredentials)
        assert options["sasl_oauth_token_provider"] is credentials.oauth_cb
        assert credentials.protocol.value == "SASL_PLAINTEXT"


@pytest.fixture
def no_aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Remove all AWS credentials and all ways to request some."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))


MSK = {
    "REELS_SECURITY_PROTOCOL": "SASL_SSL",
    "REELS_SASL_MECHANISM": "AWS_MSK_IAM",
    "REELS_AWS_REGION": "eu-central-1",
}


class TestAwsIam:
    """The token is a presigned request, as Amazon documents it for clients of MSK."""

    async def test_a_token_is_a_signed_request_to_connect(
        self, no_aws: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY_ID)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not a real one")
        monkeypatch.setenv("AWS_SESSION_TOKEN", "of a session")
        provider = token_provider(load(MSK))
        assert provider is not None
        text = await provider.token()
        url = urlsplit(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode())
        fields = {name: value for name, (value,) in parse_qs(url.query).items()}
        assert (url.scheme, url.netloc, url.path) == (
            *("https", "kafka.eu-central-1.amazonaws.com", "/"),
        )
        signed_at = fields["X-Amz-Date"]
        scope = f"{KEY_ID}/{signed_at[:8]}/eu-central-1/kafka-cluster/aws4_request"
        assert fields["X-Amz-Credential"] == scope
        assert fields["Action"] == "kafka-cluster:Connect"
        assert fields["X-Amz-Algorithm"] == "AWS4-HMAC-SHA256"
        assert fields["X-Amz-Expires"] == "900"
        assert fields["X-Amz-Security-Token"] == "of a session"
        assert fields["X-Amz-SignedHeaders"] == "host"
        assert len(bytes.fromhex(fields["X-Amz-Signature"])) == 32

    def test_a_token_lives_for_a_quarter_of_an_hour(
        self, no_aws: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY_ID)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not a real one")
        assert 800 < AwsIam("eu-central-1")().lifetime <= 900

    def test_missing_credentials_are_one_line(self, no_aws: None) -> None:
        with pytest.raises(NoTokenError, match="AWS_ACCESS_KEY_ID") as caught:
            AwsIam("eu-central-1")()
        assert "\n" not in str(caught.value)

    def test_all_clients_log_in_by_tokens(self) -> None:
        settings = load(MSK)
        options, credentials = client_settings(settings), faust_credentials(settings)
        assert options["sasl_mechanism"] == "OAUTHBEARER"
        assert options["ssl_context"] is not None
        assert credentials is not None
        assert credentials.protocol.value == "SASL_SSL"
        assert credentials.oauth_cb is options["sasl_oauth_token_provider"]
