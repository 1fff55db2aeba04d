"""The embedded Kafka in the foreground, for both command lines."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from embedded.broker import EmbeddedKafka
from embedded.distribution import KAFKA_VERSION
from embedded.errors import EmbeddedKafkaError

if TYPE_CHECKING:
    from types import FrameType

DEFAULT_PORT = 9092

port_option = click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=DEFAULT_PORT,
    show_default=True,
    help="Port for clients on 127.0.0.1; 0 picks a free port.",
)
data_dir_option = click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="Keep the data in this folder. Without it, the data is deleted at the end.",
)


def say(line: str) -> None:
    """Print progress to stderr: it is no part of the output."""
    click.echo(line, err=True)


def run(port: int, data_dir: Path | None) -> None:
    """Run the node until Ctrl-C, SIGTERM or SIGHUP; a second signal kills it.

    Raises click.ClickException, exit code 1, if it does not start or ends by itself.
    """
    kafka = EmbeddedKafka(port, data_dir, progress=say)

    def on_first(_number: int, _frame: FrameType | None) -> None:
        for each in signals:
            signal.signal(each, on_second)
        raise KeyboardInterrupt

    def on_second(_number: int, _frame: FrameType | None) -> None:
        kafka.kill()

    signals = [signal.SIGINT, signal.SIGTERM]
    # nohup ignores it, and it must stay ignored.
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signals.append(signal.SIGHUP)
    for each in signals:
        signal.signal(each, on_first)
    try:
        with kafka:
            fate = f"data in {kafka.data_dir}" if data_dir else "data deleted at the end"
            click.echo(
                f"Kafka {KAFKA_VERSION} is ready on {kafka.bootstrap}, {fate}. Ctrl-C stops it."
            )
            kafka.wait()
            raise kafka.explain_end()
    except EmbeddedKafkaError as error:
        raise complaint(error) from error
    except KeyboardInterrupt:
        say("Kafka has stopped.")


def complaint(error: EmbeddedKafkaError) -> click.ClickException:
    """Return the error for the command line, and print the last lines of Kafka's log."""
    for note in getattr(error, "__notes__", ()):
        say(f"  {note}")
    return click.ClickException(str(error))
