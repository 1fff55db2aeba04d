"""Settings: defaults, refusals in one line, and no secret in any text."""

from __future__ import annotations

import dataclasses
import sys
from typing import TYPE_CHECKING

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from setting_names import unknown_variables
from settings import VARIABLES, Settings, SettingsError, describe_settings, is_loopback, load

if TYPE_CHECKING:
    from pathlib import Path

    from setting_variables import Variable


TOKEN = "a-token-of-some-length"
SASL = {
    "REELS_SECURITY_PROTOCOL": "SASL_SSL",
    "REELS_SASL_MECHANISM": "SCRAM-SHA-512",
    "REELS_SASL_USERNAME": "reels",
    "REELS_SASL_PASSWORD": "hunter2 and more",
}
OAUTH = {
    "REELS_SECURITY_PROTOCOL": "SASL_SSL",
    "REELS_SASL_MECHANISM": "OAUTHBEARER",
    "REELS_SASL_OAUTH_TOKEN_URL": "https://login.example.com/oauth2/token",
    "REELS_SASL_OAUTH_CLIENT_ID": "reels",
    "REELS_SASL_OAUTH_CLIENT_SECRET": "hunter2 and more",
}
MSK = {
    "REELS_SECURITY_PROTOCOL": "SASL_SSL",
    "REELS_SASL_MECHANISM": "AWS_MSK_IAM",
    "REELS_AWS_REGION": "eu-central-1",
}
SECRETS = [each.name for each in VARIABLES if each.secret]


def refusal(**environ: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load(environ)
    return str(caught.value)


class TestDefaults:
    def test_an_empty_environment_gives_the_documented_defaults(self) -> None:
        assert load({}) == Settings(
            broker_url="kafka://127.0.0.1:9092",
            app_id="reels",
            events_topic="engagement-events",
            dead_letter_topic="engagement-events-dead-letter",
            viral_topic="viral-videos",
            partitions=8,
            replication_factor=1,
            standby_replicas=0,
            commit_interval=0.1,
            session_timeout=10.0,
            group_instance_id=None,
            data_dir=None,
            web_bind="127.0.0.1",
            web_port=6066,
            canonical_url=None,
            user_window=86_400_000,
            user_step=900_000,
            video_window=7_200_000,
            video_step=300_000,
            dedup_horizon=3_600_000,
            max_future_skew=300_000,
            viral_coefficient=1.5,
            viral_min_views=1000,
            security_protocol=None,
            sasl_mechanism=None,
            sasl_username=None,
            sasl_password=None,
            sasl_oauth_token_url=None,
            sasl_oauth_client_id=None,
            sasl_oauth_client_secret=None,
            sasl_oauth_scope=None,
            aws_region=None,
            ssl_cafile=None,
            ssl_certfile=None,
            ssl_keyfile=None,
            ssl_key_password=None,
            http_token=None,
            ready_lag=600_000,
            write_buffers=128 << 20,
            log_format="text",
            accelerator="auto",
            creators="on",
        )

    @pytest.mark.parametrize("variable", VARIABLES, ids=lambda each: each.name)
    def test_an_empty_variable_counts_as_unset(self, variable: Variable) -> None:
        assert load({variable.name: ""}) == load({})

    def test_unknown_variables_are_left_alone(self) -> None:
        assert load({"PATH": "/bin", "REELS_CACHE": "x"}) == load({})

    def test_the_settings_cannot_be_changed(self) -> None:
        with pytest.raises(dataclasses.FrozenInstanceError):
            load({}).partitions = 9  # type: ignore[misc]

    def test_every_setting_has_exactly_one_variable(self) -> None:
        fields = [field.name for field in dataclasses.fields(Settings)]
        assert sorted(each.attribute for each in VARIABLES) == sorted(fields)
        assert len({each.name for each in VARIABLES}) == len(VARIABLES)

    def test_the_programs_own_topics_follow_the_app_id(self) -> None:
        settings = load({"REELS_APP_ID": "clips"})
        assert settings.deltas_topic == "clips-video-deltas"
        assert settings.repartition_topic == "clips-events-repartition"
        assert settings.order_topic == "clips-events-order"
        assert settings.dead_letter_topic == "clips-engagement-events-dead-letter"
        assert settings.viral_topic == "clips-viral-videos"
        assert settings.events_topic == "engagement-events"

    def test_a_topic_that_is_set_keeps_its_name_whatever_the_app_id(self) -> None:
        settings = load({"REELS_APP_ID": "clips", "REELS_VIRAL_TOPIC": "viral-videos"})
        assert settings.viral_topic == "viral-videos"


class TestNamesThatAreNone:
    def test_a_typo_is_named_with_the_nearest_setting_and_without_its_value(self) -> None:
        (line,) = unknown_variables({"REELS_VIRAL_MINVIEWS": "7", "REELS_APP_ID": "clips"})
        assert line == (
            "REELS_VIRAL_MINVIEWS is set, but there is no such setting: "
            "did you mean REELS_VIRAL_MIN_VIEWS?"
        )

    def test_a_name_far_from_all_settings_leads_to_their_list(self) -> None:
        (line,) = unknown_variables({"REELS_XYZ\n": "7"})
        assert "REELS_XYZ\\n is set" in line
        assert "docs/configuration.md" in line

    def test_settings_files_of_secrets_and_other_programs_variables_are_no_typos(self) -> None:
        names = [each.name for each in VARIABLES] + [f"{name}_FILE" for name in SECRETS]
        assert unknown_variables([*names, "REELS_CACHE_DIR", "PATH", "DEMO_DIR"]) == []


class TestReading:
    @pytest.mark.parametrize(
        ("name", "text", "attribute", "value"),
        [
            ("BROKER_COMMIT_INTERVAL", "1.5", "commit_interval", 1.5),
            ("BROKER_COMMIT_INTERVAL", "10", "commit_interval", 10.0),
            ("BROKER_SESSION_TIMEOUT", "6", "session_timeout", 6.0),
            ("CONSUMER_GROUP_INSTANCE_ID", "worker-1", "group_instance_id", "worker-1"),
            ("REELS_DEDUP_HORIZON", "100ms", "dedup_horizon", 100),
            ("REELS_DEDUP_HORIZON", "24h", "dedup_horizon", 86_400_000),
            ("REELS_USER_WINDOW", "1h", "user_window", 3_600_000),
            ("REELS_VIDEO_STEP", "10m", "video_step", 600_000),
            ("REELS_WRITE_BUFFERS", "1GiB", "write_buffers", 1 << 30),
            ("REELS_WRITE_BUFFERS", "1048576", "write_buffers", 1 << 20),
            ("REELS_LOG_FORMAT", "json", "log_format", "json"),
            ("WEB_PORT", "1", "web_port", 1),
            ("NODE_CANONICAL_URL", "http://[::1]:80/a", "canonical_url", "http://[::1]:80/a"),
            ("TOPIC_PARTITIONS", "1024", "partitions", 1024),
        ],
    )
    def test_a_value_is_read_in_its_own_units(
        self, name: str, text: str, attribute: str, value: float | str
    ) -> None:
        assert getattr(load({name: text}), attribute) == value

    @pytest.mark.parametrize(
        ("url", "servers"),
        [
            ("kafka://a:9092", ["a:9092"]),
            ("kafka://a:9092,b:9093", ["a:9092", "b:9093"]),
            ("kafka://a:9092;kafka://b:9093", ["a:9092", "b:9093"]),
            ("kafka://[::1]:9092", ["[::1]:9092"]),
            ("kafka://a", ["a:9092"]),
            ("kafka://a,b:9093", ["a:9092", "b:9093"]),
        ],
    )
    def test_several_brokers_can_be_named(self, url: str, servers: list[str]) -> None:
        settings = load({"BROKER_URL": url})
        assert (settings.broker_url, settings.bootstrap_servers) == (url, servers)

    def test_a_broker_needs_no_scheme(self) -> None:
        settings = load({"BROKER_URL": "a:9093,b"})
        assert settings.broker_url == "kafka://a:9093,b"
        assert settings.bootstrap_servers == ["a:9093", "b:9092"]

    def test_a_login_can_be_set(self, tmp_path: Path) -> None:
        certificates = tmp_path / "ca.pem"
        trustme.CA().cert_pem.write_to_path(certificates)
        settings = load({**SASL, "REELS_SSL_CAFILE": str(certificates)})
        assert settings.sasl_password == "hunter2 and more"
        assert settings.ssl_cafile == str(certificates)


class TestRefusals:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("BROKER_URL", "kafka://"),
            ("BROKER_URL", "kafka://a:0"),
            ("BROKER_URL", "kafka://a:65536"),
            ("BROKER_URL", "http://a:9092"),
            ("BROKER_URL", "kafka://a:"),
            ("BROKER_URL", "ssl://a:9092"),
            ("BROKER_URL", "kafka://a:9092,"),
            ("TOPIC_PARTITIONS", "0"),
            ("TOPIC_PARTITIONS", "1025"),
            ("TOPIC_PARTITIONS", "8.0"),
            ("TOPIC_REPLICATION_FACTOR", "0"),
            ("TABLE_STANDBY_REPLICAS", "-1"),
            ("BROKER_COMMIT_INTERVAL", "0"),
            ("BROKER_COMMIT_INTERVAL", "10.1"),
            ("BROKER_COMMIT_INTERVAL", "nan"),
            ("BROKER_COMMIT_INTERVAL", "100ms"),
            ("BROKER_SESSION_TIMEOUT", "inf"),
            ("CONSUMER_GROUP_INSTANCE_ID", "a b"),
            ("WEB_PORT", "0"),
            ("WEB_PORT", "65536"),
            ("WEB_PORT", "http"),
            ("WEB_BIND", "not a host"),
            ("NODE_CANONICAL_URL", "worker-1:6066"),
            ("NODE_CANONICAL_URL", "http://"),
            ("NODE_CANONICAL_URL", "http://joe:secret@worker-1:6066"),
            ("NODE_CANONICAL_URL", "http://worker-1:6066/?a=b"),
            ("NODE_CANONICAL_URL", "http://worker-1:65536"),
            ("APP_DATADIR", "x" * 256),
            ("REELS_APP_ID", "a/b"),
            ("REELS_EVENTS_TOPIC", ".."),
            ("REELS_EVENTS_TOPIC", "x" * 250),
            ("REELS_EVENTS_TOPIC", "engagement-events-dead-letter"),
            ("REELS_VIRAL_TOPIC", "reels-video-deltas"),
            ("REELS_VIRAL_TOPIC", "reels-creator-deltas"),
            ("REELS_VIRAL_TOPIC", "reels-events-repartition"),
            ("REELS_EVENTS_TOPIC", "reels-user_metrics-changelog"),
            ("REELS_EVENTS_TOPIC", "reels-events-order"),
            ("REELS_USER_WINDOW", "a day"),
            ("REELS_USER_WINDOW", "20m"),
            ("REELS_USER_STEP", "48h"),
            ("REELS_USER_STEP", "1500ms"),
            ("REELS_USER_STEP", "1m30s"),
            ("REELS_VIDEO_WINDOW", "2h30s"),
            ("REELS_DEDUP_HORIZON", "25h"),
            ("REELS_DEDUP_HORIZON", "0s"),
            ("REELS_MAX_FUTURE_SKEW", "-5m"),
            ("REELS_VIRAL_COEFFICIENT", "much"),
            ("REELS_VIRAL_COEFFICIENT", "nan"),
            ("REELS_VIRAL_MIN_VIEWS", "0"),
            ("REELS_SECURITY_PROTOCOL", "TLS"),
            ("REELS_SASL_MECHANISM", "GSSAPI"),
            ("REELS_SASL_OAUTH_TOKEN_URL", "login.example.com/token"),
            ("REELS_SASL_OAUTH_TOKEN_URL", "file:///etc/passwd"),
            ("REELS_SASL_OAUTH_TOKEN_URL", "https:///token"),
            ("REELS_SASL_OAUTH_TOKEN_URL", "https://a:70000/token"),
            ("REELS_SASL_OAUTH_TOKEN_URL", "https://joe:secret@a/token"),
            ("REELS_SASL_OAUTH_SCOPE", "two  spaces"),
            ("REELS_AWS_REGION", "Frankfurt am Main"),
            ("REELS_SSL_CERTFILE", "/no/such/file"),
            ("REELS_SSL_KEYFILE", "/no/such/file"),
            ("REELS_SSL_CAFILE", "/no/such/file"),
            ("REELS_HTTP_TOKEN", "letters and a space"),
            ("REELS_HTTP_TOKEN", "lettérs"),
            ("REELS_WRITE_BUFFERS", "1MB"),
            ("REELS_WRITE_BUFFERS", "1KiB"),
            ("REELS_LOG_FORMAT", "xml"),
        ],
    )
    def test_a_wrong_value_is_refused_in_one_line_that_names_it(
        self, name: str, value: str
    ) -> None:
        text = refusal(**{name: value})
        prefix = "_".join(name.split("_")[:2])
        assert text.startswith(prefix)
        assert "allowed is " in text
        assert "\n" not in text

    def test_the_line_shows_the_value_and_what_is_allowed(self) -> None:
        assert refusal(WEB_PORT="http\n") == (
            r"WEB_PORT = 'http\n' is wrong: allowed is an integer from 1 to 65535"
        )

    def test_a_window_has_to_be_a_multiple_of_its_step(self) -> None:
        assert refusal(REELS_VIDEO_STEP="7m") == (
            "REELS_VIDEO_WINDOW = '2h' is wrong: "
            "allowed is 1 to 1440 times REELS_VIDEO_STEP, which is 7m"
        )

    def test_a_window_has_at_most_1440_panes(self) -> None:
        assert load({"REELS_USER_STEP": "1m"}).user_step == 60_000
        assert refusal(REELS_USER_STEP="30s").startswith("REELS_USER_WINDOW = '24h' is wrong")

    def test_the_usual_mechanism_is_plain(self) -> None:
        environ = {key: value for key, value in SASL.items() if key != "REELS_SASL_MECHANISM"}
        assert load(environ).sasl_mechanism == "PLAIN"
        assert load({}).sasl_mechanism is None

    @pytest.mark.parametrize(
        ("login", "name", "allowed"),
        [
            (SASL, "REELS_SASL_OAUTH_SCOPE", "OAUTHBEARER"),
            (SASL, "REELS_AWS_REGION", "AWS_MSK_IAM"),
            (OAUTH, "REELS_SASL_USERNAME", "PLAIN or SCRAM-SHA-256 or SCRAM-SHA-512"),
            (MSK, "REELS_SASL_PASSWORD", "PLAIN or SCRAM-SHA-256 or SCRAM-SHA-512"),
        ],
    )
    def test_a_setting_of_another_mechanism_is_refused(
        self, login: dict[str, str], name: str, allowed: str
    ) -> None:
        mechanism = login["REELS_SASL_MECHANISM"]
        assert refusal(**login, **{name: "x"}) == (
            f"REELS_SASL_MECHANISM = {mechanism!r} is wrong: allowed is {allowed}, "
            f"because {name} is set"
        )

    @pytest.mark.parametrize("name", [*OAUTH, *MSK, *SASL])
    def test_a_setting_of_a_login_needs_a_protocol(self, name: str) -> None:
        value = ({**SASL, **MSK} | OAUTH)[name]
        if name != "REELS_SECURITY_PROTOCOL":
            assert refusal(**{name: value}) == (
                "REELS_SECURITY_PROTOCOL is not set: allowed is SASL_PLAINTEXT or SASL_SSL, "
                f"because {name} is set"
            )

    @pytest.mark.parametrize("missing", ["USERNAME", "PASSWORD"])
    def test_a_login_has_to_be_complete(self, missing: str) -> None:
        name = f"REELS_SASL_{missing}"
        environ = {key: value for key, value in SASL.items() if key != name}
        assert refusal(**environ) == (
            f"{name} is not set: allowed is a value, because REELS_SECURITY_PROTOCOL is SASL_SSL"
        )

    def test_a_file_without_certificates_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "ca.pem"
        path.touch()
        assert refusal(REELS_SSL_CAFILE=str(path)).startswith("REELS_SSL_CAFILE = ")

    @pytest.mark.parametrize("protocol", ["", "PLAINTEXT", "SASL_PLAINTEXT"])
    def test_certificates_without_tls_are_a_mistake(self, tmp_path: Path, protocol: str) -> None:
        path = tmp_path / "ca.pem"
        trustme.CA().cert_pem.write_to_path(path)
        login = SASL if protocol.startswith("SASL") else {}
        environ = {"REELS_SECURITY_PROTOCOL": protocol, "REELS_SSL_CAFILE": str(path)}
        assert refusal(**login | environ).endswith(
            "allowed is SSL or SASL_SSL, because REELS_SSL_CAFILE is set"
        )

    @pytest.mark.parametrize("protocol", ["", "PLAINTEXT", "SSL"])
    @pytest.mark.parametrize("name", ["MECHANISM", "USERNAME", "PASSWORD", "OAUTH_CLIENT_SECRET"])
    def test_a_login_that_would_not_be_used_is_a_mistake(self, protocol: str, name: str) -> None:
        name = f"REELS_SASL_{name}"
        value = (SASL | OAUTH)[name]
        assert refusal(**{"REELS_SECURITY_PROTOCOL": protocol, name: value}).endswith(
            f"allowed is SASL_PLAINTEXT or SASL_SSL, because {name} is set"
        )

    def test_a_file_is_no_data_folder(self, tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.touch()
        assert refusal(APP_DATADIR=str(path)).startswith("APP_DATADIR = ")
        assert load({"APP_DATADIR": str(tmp_path / "new")}).data_dir == str(tmp_path / "new")


class TestReach:
    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org", "127.0.0.1.x"])
    def test_a_server_that_others_reach_needs_a_token(self, host: str) -> None:
        assert not is_loopback(host)
        assert "REELS_HTTP_TOKEN" in refusal(WEB_BIND=host)
        assert load({"WEB_BIND": host, "REELS_HTTP_TOKEN": TOKEN}).web_bind == host

    @pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
    def test_a_server_on_this_machine_needs_none(self, host: str) -> None:
        assert is_loopback(host)
        assert load({"WEB_BIND": host}).http_token is None


class TestTokenLogins:
    @pytest.mark.parametrize("login", [OAUTH, MSK], ids=["OAUTHBEARER", "AWS_MSK_IAM"])
    def test_they_need_no_name_and_no_password(self, login: dict[str, str]) -> None:
        settings = load(login)
        assert settings.sasl_mechanism == login["REELS_SASL_MECHANISM"]
        assert settings.sasl_username is None

    @pytest.mark.parametrize(
        ("login", "missing"),
        [
            (OAUTH, f"REELS_SASL_OAUTH_{name}")
            for name in ("TOKEN_URL", "CLIENT_ID", "CLIENT_SECRET")
        ]
        + [(MSK, "REELS_AWS_REGION")],
    )
    def test_they_have_to_be_complete(self, login: dict[str, str], missing: str) -> None:
        environ = {key: value for key, value in login.items() if key != missing}
        mechanism = login["REELS_SASL_MECHANISM"]
        assert refusal(**environ) == (
            f"{missing} is not set: allowed is a value, because REELS_SASL_MECHANISM is {mechanism}"
        )

    def test_a_scope_is_optional(self) -> None:
        assert load(OAUTH).sasl_oauth_scope is None
        scope = "api://kafka/.default offline"
        assert load({**OAUTH, "REELS_SASL_OAUTH_SCOPE": scope}).sasl_oauth_scope == scope

    def test_amazons_tokens_are_sent_over_tls_alone(self) -> None:
        assert refusal(**MSK | {"REELS_SECURITY_PROTOCOL": "SASL_PLAINTEXT"}) == (
            "REELS_SECURITY_PROTOCOL = 'SASL_PLAINTEXT' is wrong: "
            "allowed is SASL_SSL, because REELS_SASL_MECHANISM is AWS_MSK_IAM"
        )

    def test_what_to_install_for_amazons_tokens_is_said(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # None makes the import fail.
        monkeypatch.setitem(sys.modules, "aws_msk_iam_sasl_signer", None)
        text = refusal(**MSK)
        assert text.startswith("REELS_SASL_MECHANISM = 'AWS_MSK_IAM' is wrong")
        assert "pip install aws-msk-iam-sasl-signer-python" in text


@pytest.fixture
def client_files(tmp_path: Path) -> dict[str, str]:
    """A certificate, its key, the same key encrypted, another's key, and both in one file."""
    authority = trustme.CA()
    own, other = authority.issue_cert("worker.example"), authority.issue_cert("other.example")
    (own_pem,) = own.cert_chain_pems

    def encrypted(pem: trustme.Blob) -> bytes:
        key = load_pem_private_key(pem.bytes(), None)
        encryption = BestAvailableEncryption(b"open sesame")
        return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)

    contents = {
        "certificate": own_pem.bytes(),
        "key": own.private_key_pem.bytes(),
        "encrypted": encrypted(own.private_key_pem),
        "other": other.private_key_pem.bytes(),
        "other encrypted": encrypted(other.private_key_pem),
        "both": own.private_key_and_cert_chain_pem.bytes(),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    return {name: str(tmp_path / name) for name in contents}


class TestClientCertificates:
    """REELS_SSL_CERTFILE, REELS_SSL_KEYFILE and REELS_SSL_KEY_PASSWORD."""

    @staticmethod
    def environ(certificate: str, key: str = "", password: str = "") -> dict[str, str]:
        return {
            "REELS_SECURITY_PROTOCOL": "SSL",
            "REELS_SSL_CERTFILE": certificate,
            "REELS_SSL_KEYFILE": key,
            "REELS_SSL_KEY_PASSWORD": password,
        }

    def test_a_key_may_lie_in_the_same_file_or_another_and_be_encrypted(
        self, client_files: dict[str, str]
    ) -> None:
        files = client_files
        load(self.environ(files["both"]))
        load(self.environ(files["certificate"], files["key"]))
        settings = load(self.environ(files["certificate"], files["encrypted"], "open sesame"))
        assert settings.ssl_keyfile == files["encrypted"]
        assert "open sesame" not in repr(settings)

    @pytest.mark.parametrize(
        ("key", "password", "variable"),
        [
            ("", "", "REELS_SSL_CERTFILE"),
            ("other", "", "REELS_SSL_KEYFILE"),
            ("certificate", "", "REELS_SSL_KEYFILE"),
            ("encrypted", "", "REELS_SSL_KEY_PASSWORD"),
            ("encrypted", "wrong one", "REELS_SSL_KEY_PASSWORD"),
            ("encrypted", "x" * 2000, "REELS_SSL_KEY_PASSWORD"),
            ("other encrypted", "open sesame", "REELS_SSL_KEYFILE"),
        ],
    )
    def test_a_key_that_does_not_fit_is_refused(
        self, client_files: dict[str, str], key: str, password: str, variable: str
    ) -> None:
        key_file = client_files[key] if key else ""
        text = refusal(**self.environ(client_files["certificate"], key_file, password))
        assert text.startswith(f"{variable} ")
        assert "wrong one" not in text
        assert "\n" not in text

    @pytest.mark.parametrize("name", ["REELS_SSL_KEYFILE", "REELS_SSL_KEY_PASSWORD"])
    def test_a_key_needs_a_certificate(self, client_files: dict[str, str], name: str) -> None:
        assert refusal(**{"REELS_SECURITY_PROTOCOL": "SSL", name: client_files["key"]}) == (
            f"REELS_SSL_CERTFILE is not set: allowed is a value, because {name} is set"
        )

    def test_a_certificate_without_tls_is_a_mistake(self, client_files: dict[str, str]) -> None:
        assert refusal(REELS_SSL_CERTFILE=client_files["both"]).endswith(
            "allowed is SSL or SASL_SSL, because REELS_SSL_CERTFILE is set"
        )


class TestSecretsInFiles:
    def test_each_secret_can_be_in_a_file(self) -> None:
        assert set(SECRETS) >= {
            *("REELS_SASL_PASSWORD", "REELS_HTTP_TOKEN", "REELS_SSL_KEY_PASSWORD"),
            "REELS_SASL_OAUTH_CLIENT_SECRET",
        }

    @pytest.mark.parametrize("end", ["", "\n", "\r\n"])
    def test_a_newline_at_the_end_is_no_part_of_it(self, tmp_path: Path, end: str) -> None:
        path = tmp_path / "token"
        path.write_bytes(f"{TOKEN}{end}".encode())
        settings = load({"REELS_HTTP_TOKEN_FILE": str(path)})
        assert settings.http_token == TOKEN
        assert ("REELS_HTTP_TOKEN", "***") in describe_settings(settings)

    def test_spaces_and_letters_of_all_kinds_are_part_of_it(self, tmp_path: Path) -> None:
        path = tmp_path / "password"
        path.write_text(" pass wörd \n\n", encoding="utf-8")
        environ = {**SASL, "REELS_SASL_PASSWORD": "", "REELS_SASL_PASSWORD_FILE": str(path)}
        assert load(environ).sasl_password == " pass wörd \n"

    @pytest.mark.parametrize("name", SECRETS)
    def test_a_secret_that_is_set_twice_is_refused(self, tmp_path: Path, name: str) -> None:
        path = tmp_path / "secret"
        path.write_text("from-the-file")
        text = refusal(**{name: "from-the-variable", f"{name}_FILE": str(path)})
        assert text == (
            f"{name}_FILE = '{path}' is wrong: allowed is no value as long as {name} is set"
        )

    @pytest.mark.parametrize("name", SECRETS)
    @pytest.mark.parametrize(
        ("content", "words"),
        [(None, "(No such file or directory)"), (b"", "a file that holds"), (b"\xff", "UTF-8")],
        ids=["no file", "empty", "not UTF-8"],
    )
    def test_a_file_that_holds_no_secret_is_refused_in_one_line(
        self, tmp_path: Path, name: str, content: bytes | None, words: str
    ) -> None:
        path = tmp_path / "secret"
        if content is not None:
            path.write_bytes(content)
        text = refusal(**{f"{name}_FILE": str(path)})
        assert text.startswith(f"{name}_FILE = '{path}' is wrong: allowed is ")
        assert words in text
        assert "\n" not in text

    def test_what_is_wrong_in_a_file_is_not_shown(self, tmp_path: Path) -> None:
        path = tmp_path / "token"
        path.write_text("tiny one")
        assert "tiny" not in refusal(REELS_HTTP_TOKEN_FILE=str(path))

    def test_a_huge_file_is_not_read_whole(self) -> None:
        assert "up to 64 KiB" in refusal(REELS_HTTP_TOKEN_FILE="/dev/zero")


class TestSecrets:
    def test_no_text_about_the_settings_holds_a_secret(self) -> None:
        settings = load({**SASL, "REELS_HTTP_TOKEN": TOKEN})
        for text in (repr(settings), str(settings), str(describe_settings(settings))):
            assert TOKEN not in text
            assert "hunter2" not in text
            assert "***" in text

    def test_a_refused_secret_is_not_shown(self) -> None:
        assert "tiny" not in refusal(REELS_HTTP_TOKEN="tiny one")

    @pytest.mark.parametrize("login", ["joe:hunter2", "joe:hun/ter2", "joe:h@hunter2"])
    def test_a_password_in_the_broker_url_is_refused_and_not_shown(self, login: str) -> None:
        text = refusal(BROKER_URL=f"kafka://{login}@a:9092")
        assert "***@a:9092" in text
        assert "ter2" not in text

    @pytest.mark.parametrize("name", ["BROKER_URL", "NODE_CANONICAL_URL"])
    @pytest.mark.parametrize(
        "address",
        [
            *("joe:hunter2@a:9092", "kafka:joe:hunter2@a:9092", "http:/joe:hunter2@a:1"),
            *("kafka://a:9092,kafka://joe:hunter2@b:9092", "kafka://joe:hunter2@a:1;joe:x@b:2"),
            *("http://joe:hun\nhunter2@a:1", "http://a:1?password=hunter2", "joe://hunter2@a"),
            *("joe:x://hunter2@a", "http://joe:hunter2@a:6066/#hunter2"),
        ],
    )
    def test_a_login_in_an_address_is_refused_and_not_shown(self, name: str, address: str) -> None:
        text = refusal(**{name: address})
        assert "***" in text
        assert "hunter2" not in text


class TestDescription:
    def test_what_is_printed_can_be_read_again(self) -> None:
        environ = {"REELS_USER_WINDOW": "90m", "REELS_WRITE_BUFFERS": "3MiB", "WEB_PORT": "1"}
        settings = load(environ)
        printed = {name: text for name, text in describe_settings(settings) if text != "-"}
        assert load(printed) == settings
        assert {name: printed[name] for name in environ} == environ

    def test_each_variable_is_listed_in_the_order_of_the_table(self) -> None:
        names = [name for name, _ in describe_settings(load({}))]
        assert names == [each.name for each in VARIABLES]

    def test_unset_variables_read_as_a_dash(self) -> None:
        assert ("REELS_HTTP_TOKEN", "-") in describe_settings(load({}))
