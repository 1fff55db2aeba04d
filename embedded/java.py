"""Starts of Kafka's Java programs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from embedded.process import BoundProcess

if TYPE_CHECKING:
    from collections.abc import Sequence

    from embedded.distribution import Distribution
    from embedded.folder import DataFolder

_LOG4J2 = Path(__file__).resolve().with_name("log4j2.properties")
#: Kafka 3 logs with log4j 1.
_LOG4J = Path(__file__).resolve().with_name("log4j.properties")

#: With this heap and two cores, G1 started 0.7 s later and took 40 MB more.
_COLLECTOR = "-XX:+UseSerialGC"

#: Flags that must be the same when the archive of classes is made and when it is used.
ARCHIVED_FLAGS = (_COLLECTOR, "--enable-native-access=ALL-UNNAMED")

_FLAGS = (
    *ARCHIVED_FLAGS,
    "-Xms64m",
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:-UsePerfData",
    "-Djava.awt.headless=true",
    # Kafka uses sun.misc.Unsafe, and Java 25 warns about that at each start.
    "--sun-misc-unsafe-memory-access=allow",
)

#: Java adds the options in these to every command line, but only tested options may apply.
_JAVA_VARIABLES = {"JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS", "CLASSPATH"}


def java_process(
    kafka: Distribution,
    folder: DataFolder,
    log: str,
    program: Sequence[str],
    flags: Sequence[str] = (),
) -> BoundProcess:
    """Return a Java program of Kafka, not started yet, that writes only into ``folder``.

    ``log``: name of its logs, ``….log`` for Kafka's and ``….out`` for stdout and stderr.
    ``program``: main class and arguments. ``flags`` override those above.
    """
    archive = [f"-XX:SharedArchiveFile={kafka.archive}"] if kafka.archive.exists() else []
    command = [
        str(kafka.java),
        *_FLAGS,
        *archive,
        f"-Djava.io.tmpdir={folder.path / 'tmp'}",
        f"-XX:ErrorFile={folder.logs / 'java-crash.log'}",
        f"-Dembedded.log={folder.logs / log}",
        f"-Dlog4j2.configurationFile={_LOG4J2}",
        f"-Dlog4j.configuration={_LOG4J.as_uri()}",
        *flags,
        *("-cp", kafka.classpath),
        *program,
    ]
    return BoundProcess(command, output=folder.logs / f"{log}.out", env=java_environment())


def java_environment() -> dict[str, str]:
    """Return this process's environment without the variables that affect Java."""
    return {name: value for name, value in os.environ.items() if name not in _JAVA_VARIABLES}
