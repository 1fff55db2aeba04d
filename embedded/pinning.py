"""Write the manifest of jars: for an upgrade of Kafka, never at run time."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from embedded.distribution import KAFKA_VERSION, maven_context, sha256_of

if TYPE_CHECKING:
    from jgo.maven import Artifact

#: The broker, and what joins its logging (slf4j 1.7) to log4j; of the version that Kafka has.
ROOTS = (
    f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}",
    "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4",
)


def write_manifest(path: Path) -> int:
    """Resolve ROOTS with all that they need, and write ``path``; return the number of jars.

    Trusts what Maven gives today: compare the new manifest with the old before committing it.
    """
    with tempfile.TemporaryDirectory() as scratch:
        context = maven_context(Path(scratch))
        # One root at a time, so that each keeps the versions that its own POM asks for.
        artifacts: set[Artifact] = set()
        for root in ROOTS:
            inputs, needed = context.resolver.resolve([context.create_dependency(root)])
            wanted = [each for each in needed if each.scope in {"compile", "runtime"}]
            artifacts.update(each.artifact for each in [*inputs, *wanted])
        with ThreadPoolExecutor(8) as pool:
            jars = sorted(pool.map(lambda artifact: artifact.resolve(), artifacts), key=str)
        lines = [f"{sha256_of(jar)}  {jar.relative_to(scratch).as_posix()}\n" for jar in jars]
    path.write_text("".join(lines), encoding="ascii")
    return len(lines)
