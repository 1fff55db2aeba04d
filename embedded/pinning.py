"""Writes the manifest of jars: for upgrades of Kafka, never at run time."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from embedded.distribution import manifest_of, maven_context, sha256_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jgo.maven import Artifact

#: Connects the broker's logging (slf4j 1.7) to log4j 2, and before Kafka 4 to log4j 1.
_LOGGING = "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4"
_OLD_LOGGING = "org.slf4j:slf4j-reload4j:1.7.36"


def roots(version: str) -> tuple[str, ...]:
    """Return the Maven coordinates whose dependencies a broker of ``version`` needs."""
    logging = _OLD_LOGGING if version.startswith("3.") else _LOGGING
    return f"org.apache.kafka:kafka_2.13:{version}", logging


def write_manifest(version: str) -> int:
    """Resolve a Kafka with its dependencies, write its manifest, and return the number of jars."""
    return pin(manifest_of(version), roots(version))


def pin(path: Path, roots: Sequence[str]) -> int:
    """Write to ``path`` the jars of Maven coordinates and dependencies; return their number.

    This trusts Maven's current files: compare the new manifest with the old before committing it.
    """
    with tempfile.TemporaryDirectory() as scratch:
        context = maven_context(Path(scratch))
        # Resolve one root at a time, so that each keeps the versions of its own POM.
        artifacts: set[Artifact] = set()
        for root in roots:
            inputs, needed = context.resolver.resolve([context.create_dependency(root)])
            wanted = [each for each in needed if each.scope in {"compile", "runtime"}]
            artifacts.update(each.artifact for each in [*inputs, *wanted])
        with ThreadPoolExecutor(8) as pool:
            jars = sorted(pool.map(lambda artifact: artifact.resolve(), artifacts), key=str)
        lines = [f"{sha256_of(jar)}  {jar.relative_to(scratch).as_posix()}\n" for jar in jars]
    path.write_text("".join(lines), encoding="ascii")
    return len(lines)
