"""Faust's settings, derived from the program's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streaming.kafka.clients import REQUEST_TIMEOUT_MS, faust_credentials
from streaming.runtime.logs import json_logging

if TYPE_CHECKING:
    from settings import Settings

#: Maximum bytes per partition and fetch: the size of a batch, which limits the memory of a burst.
FETCH_BYTES = 1 << 20

#: aiokafka takes a member that fetches nothing for this long out of the group, and does not let it
#: return: a worker without partitions of its own, a spare or one with standbys only, fetches
#: nothing. The program itself notices a worker that is stuck.
_UNLIMITED_S = 10 * 365 * 86_400.0


def host_in_urls(bind: str) -> str | None:
    """Return the host in URLs of a server bound to ``bind``, None for the machine's name."""
    if bind in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound to
        return None
    return f"[{bind}]" if ":" in bind else bind


def faust_settings(settings: Settings) -> dict[str, Any]:
    """Return the arguments of :class:`faust.App`."""
    optional = {"datadir": settings.data_dir} if settings.data_dir else {}
    return {
        "broker": [f"kafka://{server}" for server in settings.bootstrap_servers],
        "broker_credentials": faust_credentials(settings),
        "broker_commit_interval": settings.commit_interval,
        "broker_session_timeout": settings.session_timeout,
        # A member learns of a rebalance at its next heartbeat, and all others wait for it.
        "broker_heartbeat_interval": settings.session_timeout / 20,
        # Faust requires at least the session time-out.
        "broker_request_timeout": max(REQUEST_TIMEOUT_MS / 1000, settings.session_timeout),
        "broker_check_crcs": False,
        "broker_max_poll_interval": _UNLIMITED_S,
        "consumer_group_instance_id": settings.group_instance_id,
        "consumer_max_fetch_size": FETCH_BYTES,
        "consumer_auto_offset_reset": "earliest",
        "producer_request_timeout": REQUEST_TIMEOUT_MS / 1000,
        "topic_partitions": settings.partitions,
        "topic_replication_factor": settings.replication_factor,
        # Nothing here runs only on the leader, and its topic would need creation and checks.
        "topic_disable_leader": True,
        # Topics exist before Faust starts (streaming/kafka/topics.py), and a worker may lack the
        # right to create them.
        "topic_allow_declare": False,
        "table_standby_replicas": settings.standby_replicas,
        "web_bind": settings.web_bind,
        "web_port": settings.web_port,
        "web_host": host_in_urls(settings.web_bind),
        "logging_config": json_logging() if settings.log_format == "json" else None,
        **optional,
    }
