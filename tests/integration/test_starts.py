"""A worker's start: its arguments take effect, and it warns of risky settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cluster import Cluster


def test_the_data_directory_of_the_command_line_goes_before_the_variable(
    make_cluster: Callable[..., Cluster], tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    cluster = make_cluster(APP_DATADIR=str(elsewhere))
    worker = cluster.worker().start()
    assert list(worker.data_dir.glob("**/user_metrics-*.db"))
    assert not elsewhere.exists()
    assert worker.terminate() == 0


def test_the_settings_listed_at_the_start_are_those_in_use(
    make_cluster: Callable[..., Cluster], tmp_path: Path
) -> None:
    """The command line takes precedence over environment variables, in the list as well."""
    cluster = make_cluster(APP_DATADIR=str(tmp_path / "elsewhere"), WEB_PORT=6066)
    worker = cluster.worker().start()
    listed = [line.partition("] ")[2] for line in worker.output().splitlines()]
    text = "\n".join(listed)
    assert f"WEB_PORT = {worker.port} " in text
    assert f"APP_DATADIR = {worker.data_dir} " in text
    assert worker.terminate() == 0


def test_a_token_that_can_be_guessed_is_warned_of(make_cluster: Callable[..., Cluster]) -> None:
    worker = make_cluster(REELS_HTTP_TOKEN="s3cret").worker().start()
    assert "REELS_HTTP_TOKEN has 6 characters" in worker.output()
    assert "s3cret" not in worker.output()
    assert worker.terminate() == 0


@pytest.mark.parametrize(("chosen", "is_uvloop"), [({}, True), ({"FAUST_LOOP": "aio"}, False)])
def test_event_loops_are_uvloops_unless_others_are_chosen(
    make_cluster: Callable[..., Cluster], chosen: dict[str, str], is_uvloop: bool
) -> None:
    worker = make_cluster().worker().start(**chosen)
    # The library is mapped once it is imported, and only the choice of event loop imports it.
    assert ("uvloop" in Path(f"/proc/{worker.pid}/maps").read_text()) == is_uvloop
    assert worker.terminate() == 0
