"""``python -m embedded``: the embedded Kafka without a Faust app."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - click reads the annotation's type at run time

import click

from embedded import distribution, foreground
from embedded.class_archive import make_archive
from embedded.errors import EmbeddedKafkaError
from embedded.pinning import write_manifest


@click.group()
def main() -> None:
    """Run a real Apache Kafka on this machine, for development and tests."""


@main.command()
def prepare() -> None:
    """Download Kafka, verify all of it, and make its starts quick."""
    try:
        kafka = distribution.prepare(full_check=True, progress=foreground.say)
        make_archive(kafka, foreground.say)
    except EmbeddedKafkaError as error:
        raise foreground.complaint(error) from error
    foreground.say(f"Kafka {distribution.KAFKA_VERSION} is verified in {kafka.home}")


@main.command()
@click.argument("version", default=distribution.KAFKA_VERSION)
def pin(version: str) -> None:
    """Write the manifest of a Kafka VERSION, by default the one named in the code."""
    foreground.say(f"{write_manifest(version)} jars in {distribution.manifest_of(version)}")


@main.command()
@foreground.port_option
@foreground.data_dir_option
def run(port: int, data_dir: Path | None) -> None:
    """Run Kafka in the foreground until Ctrl-C."""
    foreground.run(port, data_dir)


if __name__ == "__main__":
    main(prog_name="python -m embedded")
