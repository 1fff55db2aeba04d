"""``faust -A app kafka``: the embedded Kafka in the foreground.

Importing this module registers the command. It is a plain click command and no AppCommand: it
comes before any broker, so it must not start a Faust worker around itself.
"""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - part of the command's signature

from faust.cli.base import cli

from embedded import foreground


@cli.command("kafka")
@foreground.port_option
@foreground.data_dir_option
def kafka(port: int, data_dir: Path | None) -> None:
    """Run the embedded Kafka in the foreground until Ctrl-C."""
    foreground.run(port, data_dir)
