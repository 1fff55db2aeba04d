"""The settings: read once from the environment, checked, and frozen.

``VARIABLES`` is the whole truth about them: names, defaults and allowed values. Reading, printing
and documenting all go by that table.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import setting_kinds as kinds

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_PANES = 1440

_SASL_PROTOCOLS = ("SASL_PLAINTEXT", "SASL_SSL")
_TLS_PROTOCOLS = ("SSL", "SASL_SSL")


class SettingsError(ValueError):
    """A setting is wrong. The message is one line: which variable, its value, what is allowed."""

    def __init__(self, variable: Variable, value: str | None, allowed: str) -> None:
        """Say that ``variable``, which reads ``value`` (None: unset), has to be ``allowed``."""
        shown = "is not set" if value is None else f"= {variable.redact(value)!r} is wrong"
        super().__init__(f"{variable.name} {shown}: allowed is {allowed}")


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set. Names with no unit in this text speak for themselves."""

    broker_url: str
    app_id: str
    events_topic: str
    dead_letter_topic: str
    viral_topic: str
    partitions: int
    replication_factor: int
    standby_replicas: int
    commit_interval: float
    """Seconds."""
    session_timeout: float
    """Seconds."""
    group_instance_id: str | None
    data_dir: str | None
    web_bind: str
    web_port: int
    canonical_url: str | None
    user_window: int
    """Milliseconds, as the other windows, steps, horizon and skew."""
    user_step: int
    video_window: int
    video_step: int
    dedup_horizon: int
    max_future_skew: int
    viral_coefficient: float
    viral_min_views: int
    security_protocol: str | None
    sasl_mechanism: str | None
    sasl_username: str | None
    sasl_password: str | None
    ssl_cafile: str | None
    http_token: str | None
    ready_lag: int
    """Milliseconds."""
    write_buffers: int
    """Bytes, shared by all partitions of a worker."""
    log_format: str
    accelerator: str

    @property
    def deltas_topic(self) -> str:
        """The topic between the users' partitions and the videos'."""
        return f"{self.app_id}-video-deltas"

    @property
    def repartition_topic(self) -> str:
        """The topic through which events reach their users' partition that lay in another one."""
        return f"{self.app_id}-events-repartition"

    @property
    def order_topic(self) -> str:
        """The topic that says in which order a partition counted what lay in two topics."""
        return f"{self.app_id}-events-order"

    @property
    def bootstrap_servers(self) -> list[str]:
        """The brokers as ``host:port``, as Kafka clients other than Faust take them."""
        return kinds.broker_addresses(self.broker_url)

    def __repr__(self) -> str:
        """Show the settings as ``describe`` does: a log may not hold secrets."""
        return f"Settings({', '.join(f'{name}={text}' for name, text in describe(self))})"


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable."""

    name: str
    attribute: str
    kind: kinds.Kind
    default: str | None
    help: str
    secret: bool = False

    def redact(self, text: str) -> str:
        """``text`` with what is secret in it replaced by ``***``."""
        if self.secret:
            return "***"
        is_address = "//" in text or self.name.endswith("_URL")
        return kinds.hide_login(text) if is_address else text


_NAME = kinds.topic()
_BROKER = kinds.broker_url()
_CERTIFICATES = kinds.certificates()
_TEXT = kinds.matching("(?s).+", "any text")
_TOKEN = kinds.matching("[!-~]+", "printable ASCII characters without spaces")
# The answers over HTTP give sizes and steps in whole seconds.
_WINDOW = kinds.duration("8760h", "1s", whole="1s")
_COMMIT = kinds.number(10.0, "seconds, above 0 and up to 10")
_SESSION = kinds.number(1800.0, "seconds, above 0 and up to 1800")
_MECHANISM = kinds.one_of("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_HOST = kinds.matching("[A-Za-z0-9.:_-]+", "a host name or an IP address")

VARIABLES: tuple[Variable, ...] = (
    Variable("BROKER_URL", "broker_url", _BROKER, "kafka://127.0.0.1:9092", "The brokers."),
    Variable("REELS_APP_ID", "app_id", kinds.topic(200), "reels", "Consumer group, name prefix."),
    Variable("REELS_EVENTS_TOPIC", "events_topic", _NAME, "engagement-events", "Input topic."),
    Variable(
        "REELS_DEAD_LETTER_TOPIC",
        "dead_letter_topic",
        _NAME,
        "engagement-events-dead-letter",
        "Topic of the rejected events.",
    ),
    Variable("REELS_VIRAL_TOPIC", "viral_topic", _NAME, "viral-videos", "Output topic."),
    Variable("TOPIC_PARTITIONS", "partitions", kinds.integer(1, 1024), "8", "Partitions a topic."),
    Variable(
        "TOPIC_REPLICATION_FACTOR",
        "replication_factor",
        kinds.integer(1, 100),
        "1",
        "Copies of a topic.",
    ),
    Variable(
        "TABLE_STANDBY_REPLICAS",
        "standby_replicas",
        kinds.integer(0, 100),
        "0",
        "Other workers that keep a copy of each partition's tables.",
    ),
    Variable("BROKER_COMMIT_INTERVAL", "commit_interval", _COMMIT, "0.1", "Time between commits."),
    Variable(
        "BROKER_SESSION_TIMEOUT",
        "session_timeout",
        _SESSION,
        "10",
        "After this long without a sign of life, a worker's partitions go to another.",
    ),
    Variable(
        "CONSUMER_GROUP_INSTANCE_ID",
        "group_instance_id",
        _NAME,
        None,
        "A name of this worker that lasts over restarts: its partitions wait for it.",
    ),
    Variable("APP_DATADIR", "data_dir", kinds.folder(), None, "Where a worker keeps its tables."),
    Variable("WEB_BIND", "web_bind", _HOST, "127.0.0.1", "Address of the web server."),
    Variable("WEB_PORT", "web_port", kinds.integer(1, 65535), "6066", "Port of the web server."),
    Variable(
        "NODE_CANONICAL_URL",
        "canonical_url",
        kinds.web_address(),
        None,
        "Where other workers find this one; unset: WEB_BIND and WEB_PORT.",
    ),
    Variable("REELS_USER_WINDOW", "user_window", _WINDOW, "24h", "Size of a user's window."),
    Variable("REELS_USER_STEP", "user_step", _WINDOW, "15m", "By what a user's window hops."),
    Variable("REELS_VIDEO_WINDOW", "video_window", _WINDOW, "2h", "Size of a video's windows."),
    Variable("REELS_VIDEO_STEP", "video_step", _WINDOW, "5m", "By what the rolling window moves."),
    Variable(
        "REELS_DEDUP_HORIZON",
        "dedup_horizon",
        kinds.duration("24h"),
        "1h",
        "How far back, in event time, an event is known again.",
    ),
    Variable(
        "REELS_MAX_FUTURE_SKEW",
        "max_future_skew",
        kinds.duration("24h"),
        "5m",
        "How far ahead of the clock an event's timestamp may be.",
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
        "A viral video has at least so many views.",
    ),
    Variable(
        "REELS_SECURITY_PROTOCOL",
        "security_protocol",
        kinds.one_of("PLAINTEXT", "SSL", *_SASL_PROTOCOLS),
        None,
        "How to talk to the brokers; unset is PLAINTEXT.",
    ),
    Variable("REELS_SASL_MECHANISM", "sasl_mechanism", _MECHANISM, None, "How to log in."),
    Variable("REELS_SASL_USERNAME", "sasl_username", _TEXT, None, "The name to log in with."),
    Variable("REELS_SASL_PASSWORD", "sasl_password", _TEXT, None, "Its password.", secret=True),
    Variable("REELS_SSL_CAFILE", "ssl_cafile", _CERTIFICATES, None, "Certificates to trust."),
    Variable("REELS_HTTP_TOKEN", "http_token", _TOKEN, None, "Bearer token of reads.", secret=True),
    Variable(
        "REELS_READY_LAG",
        "ready_lag",
        kinds.duration("8760h"),
        "10m",
        "A worker that is further behind than this is not ready.",
    ),
    Variable(
        "REELS_WRITE_BUFFERS",
        "write_buffers",
        kinds.size("1MiB", "1024GiB"),
        "128MiB",
        "Memory for writing the tables, shared by a worker's partitions.",
    ),
    Variable(
        "REELS_LOG_FORMAT", "log_format", kinds.one_of("text", "json"), "text", "The log's look."
    ),
    Variable(
        "REELS_ACCELERATOR",
        "accelerator",
        kinds.one_of("auto", "on", "off"),
        "auto",
        "The compiled form of the hot path: where it was built, always, or never.",
    ),
)


def is_loopback(host: str) -> bool:
    """Whether only programs on this machine can reach a server bound to ``host``."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def load(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read all settings; an empty variable counts as unset. Raises SettingsError."""
    values: dict[str, Any] = {}
    for variable in VARIABLES:
        text = environ.get(variable.name) or variable.default
        try:
            values[variable.attribute] = None if text is None else variable.kind.parse(text)
        except ValueError:
            raise SettingsError(variable, text, variable.kind.allowed) from None
    settings = Settings(**values)
    _check_windows(settings)
    _check_topics(settings)
    _check_access(settings)
    return settings


def describe(settings: Settings) -> list[tuple[str, str]]:
    """Each variable's name and its value as text, secrets hidden; unset ones read ``-``."""
    return [(each.name, _shown(settings, each)) for each in VARIABLES]


def _shown(settings: Settings, variable: Variable) -> str:
    value = getattr(settings, variable.attribute)
    return "-" if value is None else variable.redact(variable.kind.show(value))


def _variable(attribute: str) -> Variable:
    return next(each for each in VARIABLES if each.attribute == attribute)


def _reject(settings: Settings, attribute: str, allowed: str) -> SettingsError:
    variable = _variable(attribute)
    value = getattr(settings, attribute)
    return SettingsError(variable, None if value is None else variable.kind.show(value), allowed)


def _check_windows(settings: Settings) -> None:
    for name in ("user", "video"):
        size, step = getattr(settings, f"{name}_window"), getattr(settings, f"{name}_step")
        if size % step or size // step > MAX_PANES:
            prefix = f"REELS_{name.upper()}"
            raise _reject(
                settings,
                f"{name}_window",
                f"1 to {MAX_PANES} times {prefix}_STEP, which is {kinds.show_duration(step)}",
            )


def _check_topics(settings: Settings) -> None:
    """Refuse that two topics are one: records of one kind would be read as another."""
    names = ("events_topic", "dead_letter_topic", "viral_topic")
    own = ("deltas_topic", "repartition_topic", "order_topic")
    uses = Counter(getattr(settings, name) for name in (*names, *own))
    for name in names:
        if uses[getattr(settings, name)] > 1:
            raise _reject(settings, name, "a name that no other topic of the program has")


def _check_access(settings: Settings) -> None:
    if settings.security_protocol in _SASL_PROTOCOLS:
        for name in ("sasl_mechanism", "sasl_username", "sasl_password"):
            if getattr(settings, name) is None:
                protocol = settings.security_protocol
                allowed = f"a value, because REELS_SECURITY_PROTOCOL is {protocol}"
                raise _reject(settings, name, allowed)
    needed = {"sasl_mechanism": _SASL_PROTOCOLS, "ssl_cafile": _TLS_PROTOCOLS}
    for name, protocols in needed.items():
        # Without this, a password would never be asked for, or be sent in the clear.
        if getattr(settings, name) is not None and settings.security_protocol not in protocols:
            allowed = f"{' or '.join(protocols)}, because {_variable(name).name} is set"
            raise _reject(settings, "security_protocol", allowed)
    if not is_loopback(settings.web_bind) and settings.http_token is None:
        allowed = "127.0.0.0/8, ::1 or localhost as long as REELS_HTTP_TOKEN is not set"
        raise _reject(settings, "web_bind", allowed)
