"""With TLS and a login all works as without; a refused login is reported with its reason."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
import trustme
from aiohttp import web

from embedded.probe import HOST
from tests.integration.stream import event
from tests.secured import MUTUAL, PASSWORD, TOKENS, secured_broker
from tests.token_endpoint import AUDIENCE, CLIENT_SECRET
from tests.worker import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.cluster import Cluster
    from tests.secured import SecuredBroker


TOKEN = "a-token-of-its-own-91b7"
#: Not one of the generator's users.
USER_ID = 10**15
HELP = [["--help"], ["worker", "--help"], ["generate", "--help"]]
WAYS = [
    ("SSL", None),
    ("SASL_PLAINTEXT", "SCRAM-SHA-256"),
    ("SASL_SSL", "PLAIN"),
    ("SASL_SSL", "SCRAM-SHA-256"),
    ("SASL_SSL", "SCRAM-SHA-512"),
    (MUTUAL, None),
    (TOKENS, None),
]


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredBroker]:
    with secured_broker(tmp_path_factory.mktemp("secured")) as broker:
        yield broker


@pytest.fixture(scope="module")
def make_secured_cluster(
    secured: SecuredBroker, make_shared_cluster: Callable[..., Cluster]
) -> Callable[..., Cluster]:
    """Return a factory of programs on a secured listener; the tests themselves use the open one."""

    def make(protocol: str = "SASL_SSL", **changes: str) -> Cluster:
        cluster = make_shared_cluster(bootstrap=secured.kafka.bootstrap)
        cluster.environment |= secured.environment(protocol, **changes)
        return cluster

    return make


@pytest.mark.parametrize(("protocol", "mechanism"), WAYS)
def test_the_topics_can_be_made_by_every_way_of_logging_in(
    make_secured_cluster: Callable[..., Cluster], protocol: str, mechanism: str | None
) -> None:
    changes = {"REELS_SASL_MECHANISM": mechanism} if mechanism else {}
    cluster = make_secured_cluster(protocol, **changes)
    done = cluster.command("topics")
    assert done.returncode == 0, done.stderr
    assert f"{cluster.events}: 4 partitions" in done.stdout


@pytest.fixture(scope="module")
def secured_cluster(make_secured_cluster: Callable[..., Cluster]) -> Cluster:
    cluster = make_secured_cluster(REELS_HTTP_TOKEN=TOKEN)
    cluster.environment["BROKER_SESSION_TIMEOUT"] = "6"
    return cluster


@pytest.fixture(scope="module")
def said(secured_cluster: Cluster) -> list[str]:
    """The output of all processes, and the answers of the worker."""
    cluster = secured_cluster
    worker = cluster.worker().start()
    said = [str(cluster.command("generate", "--count", "5000", "--rate", "0", "--seed", "1"))]
    now = time.time_ns() // 1_000_000
    with cluster.producer() as producer:
        producer.produce(cluster.events, event(USER_ID, 1, now, 1), b"%d" % USER_ID)
    cluster.wait_until_applied()
    said += [str(cluster.command("audit"))]
    said += [str(cluster.command(*words)) for words in HELP]
    said += [worker.text(path) for path in ("/metrics", "/overview", f"/users/{USER_ID}")]
    assert worker.terminate() == 0
    return [*said, worker.output()]


class TestEverything:
    """A worker, the generator and the audit over TLS and SCRAM."""

    def test_what_was_sent_is_counted(self, said: list[str]) -> None:
        assert "5,000 events" in said[0]
        assert '"total_videos_watched":1' in said[-2]

    def test_the_audit_finds_no_difference(self, said: list[str]) -> None:
        assert "returncode=0" in said[1]
        assert "recounted 5,001 records" in said[1]

    def test_a_worker_ends_in_order(self, said: list[str]) -> None:
        assert "Traceback" not in said[-1]

    def test_no_secret_is_told(self, said: list[str]) -> None:
        """No log, metric, help text or list of settings contains a secret."""
        everything = "\n".join(said)
        assert "REELS_SASL_PASSWORD = ***" in everything
        assert "REELS_HTTP_TOKEN = ***" in everything
        for secret in (PASSWORD, PASSWORD[-6:], TOKEN):
            assert secret not in everything


@pytest.fixture
def short_lived_tokens(secured: SecuredBroker) -> Iterator[None]:
    """Tokens and logins live for four seconds; the broker ends each connection with its token."""
    secured.tokens.lifetime = 4
    yield
    secured.tokens.lifetime = 3600


class TestTokens:
    """A listener that requires tokens."""

    def test_renewed_tokens_and_logins_go_unnoticed(
        self,
        make_secured_cluster: Callable[..., Cluster],
        secured: SecuredBroker,
        short_lived_tokens: None,
    ) -> None:
        """A worker keeps counting while tokens and connections expire, and the audit agrees."""
        cluster = make_secured_cluster(TOKENS)
        worker = cluster.worker().start()
        done = cluster.command("generate", "--count", "2000", "--rate", "0", "--seed", "1")
        assert "sent 2,000 events" in done.stdout, done.stderr
        renewed = len(secured.tokens.asked) + 2
        sent = 0
        with cluster.producer() as producer:
            while len(secured.tokens.asked) < renewed:
                sent += 1
                now = time.time_ns() // 1_000_000
                producer.produce(cluster.events, event(USER_ID, sent, now, sent), b"%d" % USER_ID)
                producer.flush()
                time.sleep(0.1)
        cluster.wait_until_applied()
        assert worker.get(f"/users/{USER_ID}")["total_videos_watched"] == sent
        secured.tokens.lifetime = 3600
        audit = cluster.command("audit")
        assert audit.returncode == 0, audit
        assert f"recounted {2000 + sent:,} records" in audit.stdout
        replay = cluster.command("replay-dead-letters", "--reason", "late")
        assert "sent 0 dead letters" in replay.stdout, replay.stderr
        assert worker.terminate() == 0
        output = worker.output()
        assert "Traceback" not in output
        # Each part of a token starts with these letters.
        assert not any(secret in output for secret in (CLIENT_SECRET, "eyJ"))

    def test_a_login_in_the_body_is_tried_where_the_header_is_refused(
        self, make_secured_cluster: Callable[..., Cluster], secured: SecuredBroker
    ) -> None:
        secured.tokens.in_body = True
        try:
            done = make_secured_cluster(TOKENS).command("topics")
        finally:
            secured.tokens.in_body = False
        assert done.returncode == 0, done.stderr


REFUSED_TOKENS = [
    ("wrong secret", {"REELS_SASL_OAUTH_CLIENT_SECRET": "another-8d2e"}, "OAUTH_CLIENT_SECRET"),
    ("wrong client", {"REELS_SASL_OAUTH_CLIENT_ID": "somebody"}, "OAUTH_CLIENT_ID"),
    ("wrong scope", {"REELS_SASL_OAUTH_SCOPE": "write"}, "OAUTH_SCOPE"),
    (
        "nobody there",
        {"REELS_SASL_OAUTH_TOKEN_URL": "http://127.0.0.1:1/token"},
        "OAUTH_TOKEN_URL",
    ),
]


class TestRefusedTokens:
    @pytest.mark.parametrize(
        ("changes", "variable"),
        [each[1:] for each in REFUSED_TOKENS],
        ids=[each[0] for each in REFUSED_TOKENS],
    )
    def test_who_gets_no_token_is_told_in_one_line(
        self, make_secured_cluster: Callable[..., Cluster], changes: dict[str, str], variable: str
    ) -> None:
        done = make_secured_cluster(TOKENS, **changes).command("generate")
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert line.lower().startswith("error: the token endpoint ")
        assert f"REELS_SASL_{variable}" in line
        assert "another-8d2e" not in line

    def test_another_address_of_the_endpoint_is_named(
        self, make_secured_cluster: Callable[..., Cluster], secured: SecuredBroker
    ) -> None:
        changes = {"REELS_SASL_OAUTH_TOKEN_URL": f"{secured.tokens.url}/of/another"}
        done = make_secured_cluster(TOKENS, **changes).command("topics")
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert "status 404" in line
        assert line.endswith("check REELS_SASL_OAUTH_TOKEN_URL")

    @pytest.mark.parametrize("command", ["topics", "worker"])
    def test_a_token_that_the_broker_refuses_ends_the_program(
        self, make_secured_cluster: Callable[..., Cluster], secured: SecuredBroker, command: str
    ) -> None:
        """aiokafka treats such a login as accepted."""
        cluster = make_secured_cluster(TOKENS)
        secured.tokens.audience = "another cluster"
        try:
            if command == "worker":
                worker = cluster.worker().launch()
                assert worker.wait_exit() == 1
                output = worker.output()
            else:
                output = cluster.command(command).stderr
        finally:
            secured.tokens.audience = AUDIENCE
        assert "Traceback" not in output
        (line,) = [line for line in output.splitlines() if "error: " in line]
        assert "refuses the login" in line
        assert "invalid_token" in line
        assert "REELS_SASL_OAUTH_TOKEN_URL" in line

    def test_a_worker_waits_for_a_token_endpoint_that_is_away(
        self, make_secured_cluster: Callable[..., Cluster], secured: SecuredBroker
    ) -> None:
        worker = make_secured_cluster(TOKENS).worker()
        secured.tokens.failure = web.Response(status=503, text="later")
        try:
            worker.launch()
            wait_until(lambda: "does not issue tokens" in worker.output(), "it says so")
        finally:
            secured.tokens.failure = None
        worker.wait_ready()
        assert worker.terminate() == 0
        assert "Traceback" not in worker.output()


class TestCertificates:
    """A listener that requires a client's certificate."""

    def test_a_worker_counts_and_the_audit_agrees(
        self, make_secured_cluster: Callable[..., Cluster]
    ) -> None:
        cluster = make_secured_cluster(MUTUAL)
        worker = cluster.worker().start()
        done = cluster.command("generate", "--count", "1000", "--rate", "0", "--seed", "1")
        assert "sent 1,000 events" in done.stdout, done.stderr
        cluster.wait_until_applied()
        audit = cluster.command("audit")
        assert audit.returncode == 0, audit
        assert "recounted 1,000 records" in audit.stdout
        assert worker.terminate() == 0
        assert PASSWORD not in worker.output()

    @pytest.mark.parametrize(
        ("command", "which"), [("topics", "none"), ("worker", "somebody else's")]
    )
    def test_a_certificate_that_is_not_accepted_is_told_in_one_line(
        self, make_secured_cluster: Callable[..., Cluster], tmp_path: Path, which: str, command: str
    ) -> None:
        files = {"REELS_SSL_CERTFILE": "", "REELS_SSL_KEYFILE": "", "REELS_SSL_KEY_PASSWORD": ""}
        if which != "none":
            both = tmp_path / "both.pem"
            trustme.CA().issue_cert("x.example").private_key_and_cert_chain_pem.write_to_path(both)
            files["REELS_SSL_CERTFILE"] = str(both)
        cluster = make_secured_cluster(MUTUAL, **files)
        if command == "worker":
            worker = cluster.worker().launch()
            assert worker.wait_exit() == 1
            output = worker.output()
        else:
            output = cluster.command(command).stderr
        (line,) = [line for line in output.splitlines() if "error: " in line]
        assert "REELS_SSL_CERTFILE" in line
        assert "does not accept this client's certificate" in line


REFUSALS = [
    ("wrong password", {"REELS_SASL_PASSWORD": "another-8d2e"}, "REELS_SASL_PASSWORD"),
    (
        "wrong password, PLAIN",
        {"REELS_SASL_PASSWORD": "another-8d2e", "REELS_SASL_MECHANISM": "PLAIN"},
        "REELS_SASL_PASSWORD",
    ),
    ("wrong name", {"REELS_SASL_USERNAME": "somebody"}, "REELS_SASL_USERNAME"),
    ("no certificates", {"REELS_SSL_CAFILE": ""}, "REELS_SSL_CAFILE"),
    ("no such file", {"REELS_SSL_CAFILE": "/no/such/file"}, "REELS_SSL_CAFILE"),
    ("no certificate in the file", {"REELS_SSL_CAFILE": __file__}, "REELS_SSL_CAFILE"),
]


class TestRefusals:
    @pytest.mark.parametrize(
        ("changes", "variable"), [each[1:] for each in REFUSALS], ids=[each[0] for each in REFUSALS]
    )
    @pytest.mark.parametrize("command", ["topics", "generate"])
    def test_who_is_not_let_in_is_told_in_one_line(
        self,
        make_secured_cluster: Callable[..., Cluster],
        command: str,
        changes: dict[str, str],
        variable: str,
    ) -> None:
        done = make_secured_cluster(**changes).command(command)
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert line.lower().startswith("error: ")
        assert variable in line
        assert "another-8d2e" not in line

    def test_the_certificates_of_somebody_else_are_of_no_use(
        self, make_secured_cluster: Callable[..., Cluster], secured: SecuredBroker
    ) -> None:
        done = make_secured_cluster(REELS_SSL_CAFILE=str(secured.stranger)).command("topics")
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert "is not trusted" in line
        assert "REELS_SSL_CAFILE" in line

    @pytest.mark.parametrize(
        ("changes", "variable"),
        [REFUSALS[0][1:], REFUSALS[3][1:]],
        ids=["wrong password", "no certificates"],
    )
    def test_a_worker_that_is_not_let_in_ends(
        self, make_secured_cluster: Callable[..., Cluster], changes: dict[str, str], variable: str
    ) -> None:
        worker = make_secured_cluster(**changes).worker().launch()
        assert worker.wait_exit() == 1
        output = worker.output()
        assert "Traceback" not in output
        (line,) = [line for line in output.splitlines() if "error: " in line]
        assert variable in line

    def test_the_audit_of_somebody_who_is_not_let_in_is_one_line(
        self, make_secured_cluster: Callable[..., Cluster]
    ) -> None:
        done = make_secured_cluster(REELS_SASL_PASSWORD="another-8d2e").command("audit")
        assert done.returncode == 2
        (line,) = done.stderr.splitlines()
        assert "REELS_SASL_PASSWORD" in line

    @pytest.mark.parametrize(
        ("protocol", "listener"),
        [("PLAINTEXT", "SASL_SSL"), ("PLAINTEXT", "SASL_PLAINTEXT"), ("SSL", "BROKER")],
    )
    def test_a_protocol_that_the_listener_does_not_speak_is_named(
        self,
        make_secured_cluster: Callable[..., Cluster],
        secured: SecuredBroker,
        protocol: str,
        listener: str,
    ) -> None:
        cluster = make_secured_cluster("SSL")
        cluster.environment["BROKER_URL"] = f"kafka://{HOST}:{secured.ports[listener]}"
        cluster.environment["REELS_SECURITY_PROTOCOL"] = protocol
        if protocol == "PLAINTEXT":
            del cluster.environment["REELS_SSL_CAFILE"]
        done = cluster.command("topics")
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert f"REELS_SECURITY_PROTOCOL={protocol}" in line
