"""The values of all settings, and how they are shown."""

from __future__ import annotations

from dataclasses import dataclass

import setting_kinds as kinds
from setting_variables import VARIABLES, Variable


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings. Units are given where the name does not imply one."""

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
    """Milliseconds, like the other windows, steps, horizon and skew."""
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
    sasl_oauth_token_url: str | None
    sasl_oauth_client_id: str | None
    sasl_oauth_client_secret: str | None
    sasl_oauth_scope: str | None
    aws_region: str | None
    ssl_cafile: str | None
    ssl_certfile: str | None
    ssl_keyfile: str | None
    ssl_key_password: str | None
    http_token: str | None
    ready_lag: int
    """Milliseconds."""
    write_buffers: int
    """Bytes, shared by all partitions of a worker."""
    log_format: str
    accelerator: str
    creators: str

    @property
    def deltas_topic(self) -> str:
        """The topic from the users' partitions to the videos'."""
        return f"{self.app_id}-video-deltas"

    @property
    def has_creators(self) -> bool:
        """Whether the table of creators is kept."""
        return self.creators == "on"

    @property
    def creator_deltas_topic(self) -> str:
        """The topic from the users' partitions to the creators'."""
        return f"{self.app_id}-creator-deltas"

    @property
    def repartition_topic(self) -> str:
        """The topic through which misplaced events reach their own partition."""
        return f"{self.app_id}-events-repartition"

    @property
    def order_topic(self) -> str:
        """The topic with the order in which a partition counted its input and passed-on events."""
        return f"{self.app_id}-events-order"

    @property
    def bootstrap_servers(self) -> list[str]:
        """The brokers as ``host:port``, for Kafka clients other than Faust."""
        return kinds.broker_addresses(self.broker_url)

    def __repr__(self) -> str:
        """Return what ``describe_settings`` does, because logs must not contain secrets."""
        return f"Settings({', '.join(f'{name}={text}' for name, text in describe_settings(self))})"


def describe_settings(settings: Settings) -> list[tuple[str, str]]:
    """Return each variable's name and value as text, secrets hidden; unset ones read ``-``."""
    return [(each.name, _shown(settings, each)) for each in VARIABLES]


def _shown(settings: Settings, variable: Variable) -> str:
    value = getattr(settings, variable.attribute)
    return "-" if value is None else variable.redact(variable.kind.show(value))
