"""Starts are quick once the archive of classes is made, and only slower without it.

A shell script replaces Java where the archive is made; ``python -m embedded prepare`` uses the
real one.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from embedded import class_archive, distribution
from embedded.class_archive import make_archive
from embedded.distribution import Distribution

if TYPE_CHECKING:
    from collections.abc import Callable

    from embedded import EmbeddedKafka

MAKES_IT = 'for flag; do case "$flag" in -XX:SharedArchiveFile=*) : > "${flag#*=}"; esac; done'


@pytest.fixture
def make_distribution(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], Distribution]:
    """Return a function that makes a distribution whose Java is a script; no Kafka starts."""
    monkeypatch.setattr(class_archive, "EmbeddedKafka", lambda **_: contextlib.nullcontext())

    def make(script: str) -> Distribution:
        java = tmp_path / "java"
        java.write_text(f"#!/bin/sh\n{script}\n")
        java.chmod(0o755)
        return Distribution(tmp_path, (), java, tmp_path / "classes.jsa")

    return make


def test_it_is_made_once(make_distribution: Callable[[str], Distribution]) -> None:
    said: list[str] = []
    kafka = make_distribution(MAKES_IT)
    make_archive(kafka, said.append)
    make_archive(kafka, said.append)
    assert kafka.archive.exists()
    assert len(said) == 1
    assert sorted(path.name for path in kafka.home.iterdir()) == ["classes.jsa", "java"]


def test_without_it_kafka_still_starts_and_setup_goes_on(
    make_distribution: Callable[[str], Distribution],
) -> None:
    said: list[str] = []
    kafka = make_distribution("exit 3")
    make_archive(kafka, said.append)
    assert not kafka.archive.exists()
    assert "starts 2 s slower" in said[-1]


def test_a_running_kafka_uses_it(kafka: EmbeddedKafka) -> None:
    archive = distribution.prepare().archive
    if not archive.exists():
        pytest.skip("no archive was made on this machine")
    assert str(archive) in Path(f"/proc/{kafka.pid}/maps").read_text()
