"""A worker writes to its own data directory and nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bootstrap import create_app
from settings import load
from streaming.errors import StartError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from streaming.runtime.app import App


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    app = create_app(load({"APP_DATADIR": str(tmp_path / "data")}))
    yield app
    if app._lock is not None:
        app._lock.close()


class TestLockFile:
    def test_keeps_the_id_of_the_directory(self, app: App) -> None:
        first = app.lock_data_directory()
        assert app._lock is not None
        app._lock.close()
        assert app.lock_data_directory() == first

    @pytest.mark.parametrize("target", ["other", "missing"])
    def test_follows_no_link(self, app: App, tmp_path: Path, target: str) -> None:
        (tmp_path / "other").write_text("kept")
        app.conf.appdir.mkdir(parents=True)
        (app.conf.appdir / "lock").symlink_to(tmp_path / target)
        with pytest.raises(StartError, match="is a link, and workers do not follow it") as caught:
            app.lock_data_directory()
        assert "\n" not in str(caught.value)
        assert (tmp_path / "other").read_text() == "kept"
        assert not (tmp_path / "missing").exists()
