"""The environment variables: their names, defaults, allowed values and meanings."""

from __future__ import annotations

from dataclasses import dataclass, replace

import setting_kinds as kinds

SASL_PROTOCOLS = ("SASL_PLAINTEXT", "SASL_SSL")
TLS_PROTOCOLS = ("SSL", "SASL_SSL")
OAUTH, MSK_IAM = "OAUTHBEARER", "AWS_MSK_IAM"
PASSWORD_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
#: The app whose topic names have no prefix.
DEFAULT_APP_ID = "reels"


class SettingsError(ValueError):
    """An invalid setting. The message is one line: the variable, its value, what is allowed."""

    def __init__(self, variable: Variable, value: str | None, allowed: str) -> None:
        """Refuse ``value`` (None: unset) of ``variable``; ``allowed`` describes valid values."""
        shown = "is not set" if value is None else f"= {variable.redact(value)!r} is wrong"
        super().__init__(f"{variable.name} {shown}: allowed is {allowed}")


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable."""

    name: str
    attribute: str
    kind: kinds.SettingKind
    default: str | None
    help: str
    secret: bool = False
    #: Whether it names a topic that only this app writes; its default then depends on the app id.
    own_topic: bool = False

    @property
    def file_name(self) -> str:
        """The variable that names a file with the value; only secrets have one."""
        return f"{self.name}_FILE"

    @property
    def file_variable(self) -> Variable:
        """That variable as a :class:`Variable`; its value is a path, which is not secret."""
        return replace(self, name=self.file_name, secret=False)

    def default_for(self, app_id: str) -> str | None:
        """Return the default for an app with this id."""
        if not self.own_topic or app_id == DEFAULT_APP_ID:
            return self.default
        return f"{app_id}-{self.default}"

    def redact(self, text: str) -> str:
        """Return ``text`` with secrets replaced by ``***``."""
        if self.secret:
            return "***"
        is_address = "//" in text or self.name.endswith("_URL")
        return kinds.hide_login(text) if is_address else text


_NAME = kinds.topic()
_BROKER = kinds.broker_url()
_CERTIFICATES = kinds.certificates()
_TEXT = kinds.matching("(?s).+", "any text")
_TOKEN = kinds.matching("[!-~]+", "printable ASCII characters without spaces")
# Answers over HTTP have sizes and steps in whole seconds.
_WINDOW = kinds.duration("8760h", "1s", whole="1s")
_COMMIT = kinds.number(10.0, "seconds, above 0 and up to 10")
_SESSION = kinds.number(1800.0, "seconds, above 0 and up to 1800")
_MECHANISM = kinds.one_of(*PASSWORD_MECHANISMS, OAUTH, MSK_IAM)
_TOKEN_URL = kinds.token_url()
_SCOPE = kinds.matching(r"[!#-\[\]-~]+(?: [!#-\[\]-~]+)*", "scopes separated by single spaces")
_REGION = kinds.matching("[a-z0-9-]{1,40}", "the name of an AWS region such as eu-central-1")
_KEY = kinds.file()
_HOST = kinds.matching("[A-Za-z0-9.:_-]+", "a host name or an IP address")

VARIABLES: tuple[Variable, ...] = (
    Variable("BROKER_URL", "broker_url", _BROKER, "kafka://127.0.0.1:9092", "The brokers."),
    Variable(
        "REELS_APP_ID",
        "app_id",
        kinds.topic(200),
        DEFAULT_APP_ID,
        "Consumer group, and prefix of the app's own topics and transactional ids.",
    ),
    Variable("REELS_EVENTS_TOPIC", "events_topic", _NAME, "engagement-events", "Input topic."),
    Variable(
        "REELS_DEAD_LETTER_TOPIC",
        "dead_letter_topic",
        _NAME,
        "engagement-events-dead-letter",
        "Topic of rejected events. With another `REELS_APP_ID`, the default begins with it.",
        own_topic=True,
    ),
    Variable(
        "REELS_VIRAL_TOPIC",
        "viral_topic",
        _NAME,
        "viral-videos",
        "Output topic, for one app only. With another `REELS_APP_ID`, the default begins with it.",
        own_topic=True,
    ),
    Variable(
        "TOPIC_PARTITIONS", "partitions", kinds.integer(1, 1024), "8", "Partitions per topic."
    ),
    Variable(
        "TOPIC_REPLICATION_FACTOR",
        "replication_factor",
        kinds.integer(1, 100),
        "1",
        "Copies of each partition at the brokers.",
    ),
    Variable(
        "TABLE_STANDBY_REPLICAS",
        "standby_replicas",
        kinds.integer(0, 100),
        "0",
        "Number of other workers that keep a copy of each partition's tables.",
    ),
    Variable(
        "BROKER_COMMIT_INTERVAL",
        "commit_interval",
        _COMMIT,
        "0.1",
        "Time between commits; up to 70 ms less if records for other workers wait, and up to 0.5 s "
        "under load.",
    ),
    Variable(
        "BROKER_SESSION_TIMEOUT",
        "session_timeout",
        _SESSION,
        "10",
        "Time without a heartbeat after which a worker's partitions move to others.",
    ),
    Variable(
        "CONSUMER_GROUP_INSTANCE_ID",
        "group_instance_id",
        _NAME,
        None,
        "Permanent name of this worker: its partitions wait for it during a restart.",
    ),
    Variable("APP_DATADIR", "data_dir", kinds.folder(), None, "Folder of a worker's tables."),
    Variable("WEB_BIND", "web_bind", _HOST, "127.0.0.1", "Address of the web server."),
    Variable("WEB_PORT", "web_port", kinds.integer(1, 65535), "6066", "Port of the web server."),
    Variable(
        "NODE_CANONICAL_URL",
        "canonical_url",
        kinds.web_address(),
        None,
        "Address of this worker for other workers; unset: WEB_BIND and WEB_PORT.",
    ),
    Variable("REELS_USER_WINDOW", "user_window", _WINDOW, "24h", "Size of a user's window."),
    Variable("REELS_USER_STEP", "user_step", _WINDOW, "15m", "Step of a user's window."),
    Variable("REELS_VIDEO_WINDOW", "video_window", _WINDOW, "2h", "Size of a video's windows."),
    Variable("REELS_VIDEO_STEP", "video_step", _WINDOW, "5m", "Step of the rolling window."),
    Variable(
        "REELS_DEDUP_HORIZON",
        "dedup_horizon",
        kinds.duration("24h"),
        "1h",
        "Event time for which a repeated event is recognised as a duplicate.",
    ),
    Variable(
        "REELS_MAX_FUTURE_SKEW",
        "max_future_skew",
        kinds.duration("24h"),
        "5m",
        "Longest time by which an event's timestamp may be ahead of the clock.",
    ),
    Variable(
        "REELS_VIRAL_COEFFICIENT",
        "viral_coefficient",
        kinds.number(1e9, "a number above 0"),
        "1.5",
        "A viral video has more shares and comments per view than this.",
    ),
    Variable(
        "REELS_VIRAL_MIN_VIEWS",
        "viral_min_views",
        kinds.integer(1, 10**12),
        "1000",
        "A viral video has at least this many views.",
    ),
    Variable(
        "REELS_SECURITY_PROTOCOL",
        "security_protocol",
        kinds.one_of("PLAINTEXT", "SSL", *SASL_PROTOCOLS),
        None,
        "Protocol of the brokers; unset: PLAINTEXT.",
    ),
    Variable(
        *("REELS_SASL_MECHANISM", "sasl_mechanism", _MECHANISM, None),
        "Login mechanism; PLAIN if REELS_SECURITY_PROTOCOL is a SASL protocol.",
    ),
    Variable("REELS_SASL_USERNAME", "sasl_username", _TEXT, None, "Login name."),
    Variable("REELS_SASL_PASSWORD", "sasl_password", _TEXT, None, "Login password.", secret=True),
    Variable(
        "REELS_SASL_OAUTH_TOKEN_URL",
        "sasl_oauth_token_url",
        _TOKEN_URL,
        None,
        "Endpoint of OAUTHBEARER tokens, by the client credentials grant.",
    ),
    Variable(
        "REELS_SASL_OAUTH_CLIENT_ID",
        "sasl_oauth_client_id",
        _TEXT,
        None,
        "Client id at the token endpoint.",
    ),
    Variable(
        "REELS_SASL_OAUTH_CLIENT_SECRET",
        "sasl_oauth_client_secret",
        _TEXT,
        None,
        "Client secret at the token endpoint.",
        secret=True,
    ),
    Variable(
        "REELS_SASL_OAUTH_SCOPE", "sasl_oauth_scope", _SCOPE, None, "Scope of the tokens, if any."
    ),
    Variable(
        "REELS_AWS_REGION", "aws_region", _REGION, None, "Region of the cluster, for AWS_MSK_IAM."
    ),
    Variable("REELS_SSL_CAFILE", "ssl_cafile", _CERTIFICATES, None, "Certificates to trust."),
    Variable(
        "REELS_SSL_CERTFILE",
        "ssl_certfile",
        _CERTIFICATES,
        None,
        "Client certificate with its chain, for brokers that ask for one.",
    ),
    Variable(
        "REELS_SSL_KEYFILE",
        "ssl_keyfile",
        _KEY,
        None,
        "Private key of the client certificate; unset: in the same file.",
    ),
    Variable(
        "REELS_SSL_KEY_PASSWORD",
        "ssl_key_password",
        _TEXT,
        None,
        "Password of an encrypted private key.",
        secret=True,
    ),
    Variable(
        "REELS_HTTP_TOKEN", "http_token", _TOKEN, None, "Bearer token for reads.", secret=True
    ),
    Variable(
        "REELS_READY_LAG",
        "ready_lag",
        kinds.duration("8760h"),
        "10m",
        "A worker with a larger lag is not ready.",
    ),
    Variable(
        "REELS_WRITE_BUFFERS",
        "write_buffers",
        kinds.size("1MiB", "1024GiB"),
        "128MiB",
        "Memory for table writes, shared by a worker's partitions.",
    ),
    Variable(
        "REELS_LOG_FORMAT", "log_format", kinds.one_of("text", "json"), "text", "Format of the log."
    ),
    Variable(
        "REELS_ACCELERATOR",
        "accelerator",
        kinds.one_of("auto", "on", "off"),
        "auto",
        "Use the compiled form of the hot path: if it was built, always, or never.",
    ),
    Variable(
        "REELS_CREATORS",
        "creators",
        kinds.one_of("on", "off"),
        "on",
        "Keep the table of creators, with its topics and its cost.",
    ),
)


def variable_of(attribute: str) -> Variable:
    """Return the variable with the value of an attribute of the settings."""
    return next(each for each in VARIABLES if each.attribute == attribute)
