"""``faust -A app kafka``: the embedded Kafka in the foreground.

Importing this module registers the command. It is a plain click command, not an AppCommand: it
runs before there is a broker, and an AppCommand would start a Faust worker.
"""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - part of the command's signature

import click
from faust.cli.base import cli

from embedded import foreground
from settings import is_loopback, load


def default_port() -> int:
    """Return the port of BROKER_URL if it names one local broker, else Kafka's default."""
    servers = load().bootstrap_servers
    host, _, port = servers[0].rpartition(":")
    is_here = len(servers) == 1 and is_loopback(host.strip("[]"))
    return int(port) if is_here else foreground.DEFAULT_PORT


@cli.command("kafka")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=default_port,
    show_default="that of BROKER_URL, or 9092",
    help="Port for clients on 127.0.0.1; 0 picks a free port.",
)
@foreground.data_dir_option
def kafka(port: int, data_dir: Path | None) -> None:
    """Run the embedded Kafka in the foreground until Ctrl-C."""
    foreground.run(port, data_dir)
