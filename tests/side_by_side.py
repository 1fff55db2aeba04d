"""Tests in several processes side by side (``pytest -n``), and those that have the machine alone.

Each process has a Kafka of its own, and runs whole files. A test marked ``alone`` measures
something that others on the same cores would change: it starts when every test that runs has
ended, and no other starts before it has ended.
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
    """Run what needs no broker first: it fails in milliseconds.

    Side by side, it comes last: a file that takes minutes may not be the last to begin, and what
    takes milliseconds lets all processes end together.
    """
    if not is_side_by_side(config):
        items.sort(key=_needs_broker)
        return
    waiting = {item.path for item in items if _needs_broker(item)}
    waiting |= {item.path for item in items if item.path.parent.name in WAITING}
    items.sort(key=lambda item: item.path not in waiting)


def _needs_broker(item: pytest.Item) -> bool:
    return "broker" in getattr(item, "fixturenames", ())


# Outside of all else, pytest-timeout's clock among it: waiting here is nobody's fault.
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Let tests run together, or alone."""
    if not is_side_by_side(item.config):
        return (yield)
    # Each process has a folder of its own in that of the run.
    folder = Path(item.config.option.basetemp).parent
    with _turn(folder, alone=item.get_closest_marker("alone") is not None):
        return (yield)


@contextmanager
def _turn(folder: Path, *, alone: bool) -> Iterator[None]:
    """Wait for the machine, for a share of it or for all of it.

    The door is closed by who waits for all of it: those who only want a share would otherwise
    follow one another for as long as there are any.
    """
    with (folder / "door").open("w") as door, (folder / "machine").open("w") as machine:
        fcntl.flock(door, fcntl.LOCK_EX)
        fcntl.flock(machine, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(door, fcntl.LOCK_UN)
        yield
