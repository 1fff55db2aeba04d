"""Installation of peers, from pinned packages with hashes, into the cache folder.

Python packages come through pip and Java's through jgo, each with the user's own settings, such as
a mirror. A list of packages is installed once; a stamp marks a complete installation.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from benchmarks.rig.worker import BenchError
from embedded import distribution
from embedded.java import java_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

#: What :func:`java_command` needs beside the peer's own packages: a compiler, and a log.
JAVA_TOOLS = ("org.eclipse.jdt:ecj:3.43.0", "org.slf4j:slf4j-simple:1.7.36")

_TIMEOUT_S = 300.0

#: Without Java's warnings about what libraries of the peers do, and with the peers' own.
_JAVA_FLAGS = (
    "--enable-native-access=ALL-UNNAMED",
    "--sun-misc-unsafe-memory-access=allow",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
)


def python_command(script: Path, tell: Callable[[str], None]) -> list[str]:
    """Install ``requirements.lock`` beside ``script``; return the command that runs the script.

    Raises BenchError if that fails.
    """
    lock = script.with_name("requirements.lock")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    name = f"peer-{script.parent.name}-{version}-{_tag(lock)}"
    home = distribution.cache_folder() / name
    python = home / "bin" / "python"
    if not (home / distribution.STAMP).exists():
        tell(f"installing {script.parent.name} into {home}")
        shutil.rmtree(home, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(home)], os.environ)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--require-hashes"]
        _run([*pip, "--only-binary", ":all:", "--requirement", str(lock)], os.environ)
        (home / distribution.STAMP).touch()
    return [str(python), str(script)]


def java_command(
    source: Path, manifest: Path, flags: Sequence[str], tell: Callable[[str], None]
) -> list[str]:
    """Fetch the jars of ``manifest``, and compile ``source`` with them.

    Return the command that runs its class. Raises BenchError or EmbeddedKafkaError.
    """
    jars = distribution.prepare(manifest=manifest, progress=tell)
    classes = jars.home / f"{source.stem}-{_tag(source)}"
    if not classes.exists():
        tell(f"compiling {source.name}")
        draft = classes.with_suffix(".draft")
        compiler = "org.eclipse.jdt.internal.compiler.batch.Main"
        command = [str(jars.java), "-cp", jars.classpath, compiler, "-21", "-proc:none"]
        _run([*command, "-cp", jars.classpath, "-d", str(draft), str(source)], java_environment())
        draft.rename(classes)
    path = os.pathsep.join((str(classes), jars.classpath))
    return [str(jars.java), *_JAVA_FLAGS, *flags, "-cp", path, source.stem]


def _tag(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def _run(command: Sequence[str], environment: Mapping[str, str]) -> None:
    try:
        subprocess.run(  # noqa: S603 - no shell, and our own command
            command,
            check=True,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            env=environment,
        )
    except subprocess.CalledProcessError as error:
        raise BenchError(f"{error}\n{error.stdout}{error.stderr}") from error
    except subprocess.TimeoutExpired as error:
        raise BenchError(str(error)) from error
