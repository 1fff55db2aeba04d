"""Tests in several processes (``pytest -n``), and tests that need the whole machine.

Each process has its own Kafka, and runs whole files. A test marked ``alone`` measures something
that others on the same cores would change: it starts when every running test has ended, and no
other test starts before its end.
"""

from __future__ import annotations

import fcntl
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

#: Folders whose tests wait for processes most of the time.
WAITING = {"benchmarks", "browser", "embedded", "faults", "integration", "monitoring"}


def is_side_by_side(config: pytest.Config) -> bool:
    """Whether this process is one of several."""
    return hasattr(config, "workerinput")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run tests that need no broker first: they fail in milliseconds.

    With several processes they run last: a file that takes minutes must not start last, and short
    tests let all processes end at about the same time.
    """
    if not is_side_by_side(config):
        items.sort(key=_needs_broker)
        return
    waiting = {item.path for item in items if _needs_broker(item)}
    waiting |= {item.path for item in items if item.path.parent.name in WAITING}
    items.sort(key=lambda item: item.path not in waiting)


def _needs_broker(item: pytest.Item) -> bool:
    return "broker" in getattr(item, "fixturenames", ())


# Outermost, also outside of pytest-timeout's clock: waiting here must not fail a test.
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Run a test with others, or alone."""
    if not is_side_by_side(item.config):
        return (yield)
    # Each process has its own folder inside the run's folder.
    folder = Path(item.config.option.basetemp).parent
    with _turn(folder, alone=item.get_closest_marker("alone") is not None):
        return (yield)


@contextmanager
def _turn(folder: Path, *, alone: bool) -> Iterator[None]:
    """Wait for a share of the machine, or for all of it.

    A test that waits for the whole machine holds the door: otherwise tests that need only a share
    could follow one another without end.
    """
    with (folder / "door").open("w") as door, (folder / "machine").open("w") as machine:
        fcntl.flock(door, fcntl.LOCK_EX)
        fcntl.flock(machine, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(door, fcntl.LOCK_UN)
        yield
