"""The dashboard's page: files of its own, nothing from elsewhere, nothing inline."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from views.pages import FOLDER, PAGE_POLICY, read_files

if TYPE_CHECKING:
    from tests.views.conftest import MakeWorker, Worker


FILES = read_files()
OWN_SCRIPTS = [name for name in FILES if name.endswith(".js") and "/" not in name]


@pytest_asyncio.fixture
async def worker(make_worker: MakeWorker) -> Worker:
    """A worker without open partitions: these tests do not reach the tables."""
    return await make_worker()


class TestFiles:
    def test_the_page_loads_only_files_that_are_there(self) -> None:
        page = FILES["index.html"].body.decode()
        loaded = re.findall(r'(?:src|href)="([^"]+)"', page)
        files = {url.removeprefix("static/") for url in loaded if url.startswith("static/")}
        assert files <= FILES.keys()
        assert set(loaded) - {f"static/{name}" for name in files} == {
            *("metrics", "overview", "#lookup-title")
        }
        for name in OWN_SCRIPTS:
            for imported in re.findall(r'from "\./([^"]+)"', FILES[name].body.decode()):
                assert imported in FILES

    def test_no_file_is_without_use(self) -> None:
        page, scripts = FILES["index.html"].body.decode(), [FILES[n] for n in OWN_SCRIPTS]
        imported = {i for s in scripts for i in re.findall(r'from "\./([^"]+)"', s.body.decode())}
        named = set(re.findall(r'"static/([^"]+)"', page))
        assert FILES.keys() - {"index.html"} == named | imported

    @pytest.mark.parametrize("name", sorted(FILES))
    def test_nothing_comes_from_another_site(self, name: str) -> None:
        text = FILES[name].body.decode().replace("http://www.w3.org/2000/svg", "")
        # Third-party code names its source in its first line, a comment.
        text = text.removeprefix("/*! https://github.com/leeoniya/uPlot (v1.6.32) */")
        assert not re.search(r"https?:|//[a-z]+\.", text)

    def test_nothing_is_inline_so_that_the_policy_can_be_strict(self) -> None:
        page = FILES["index.html"].body.decode()
        assert not re.search(r"<style|style=|\son\w+=|<script(?![^>]*\ssrc=)", page)
        assert "unsafe" not in PAGE_POLICY

    @pytest.mark.parametrize("name", OWN_SCRIPTS)
    def test_what_the_worker_sends_is_shown_as_text_only(self, name: str) -> None:
        text = FILES[name].body.decode()
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text)


class TestElements:
    def test_scripts_look_for_elements_that_the_page_has(self) -> None:
        page = FILES["index.html"].body.decode()
        ids = set(re.findall(r'\sid="([^"]+)"', page))
        assert len(ids) == len(re.findall(r'\sid="', page))
        text = "".join(FILES[name].body.decode() for name in OWN_SCRIPTS)
        wanted = set(re.findall(r'(?:byId|show|describe)\("([a-z-]+)"', text))
        assert wanted <= ids
        for name in ("aria-labelledby", "aria-describedby"):
            for value in re.findall(rf'{name}="([^"]+)"', page):
                assert set(value.split()) <= ids


class TestRoutes:
    async def test_the_page_is_at_the_root_with_a_policy_of_its_own(self, worker: Worker) -> None:
        answer = await worker.ask("/")
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert answer.headers["Content-Security-Policy"] == PAGE_POLICY
        assert answer.body == (FOLDER / "index.html").read_bytes()

    @pytest.mark.parametrize(
        ("name", "content_type"),
        [
            ("dashboard.js", "text/javascript"),
            ("dashboard.css", "text/css"),
            ("icon.svg", "image/svg+xml"),
            ("vendor/uPlot.iife.min.js", "text/javascript"),
            ("vendor/uPlot.LICENSE.txt", "text/plain"),
        ],
    )
    async def test_its_files_are_under_static(
        self, worker: Worker, name: str, content_type: str
    ) -> None:
        answer = await worker.ask(f"/static/{name}")
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith(content_type)

    @pytest.mark.parametrize(
        "path",
        [
            *("/static/x.js", "/static/index.html", "/static/../app.py", "/static/..%2Fapp.py"),
            *("/static/vendor/../../app.py", "/static/vendor/README.md", "/static/vendor"),
            *("/static/%2e%2e%2fapp.py", "/static/%2Fetc%2Fpasswd", "/static/.", "/static/"),
        ],
    )
    async def test_no_other_file_is_served(self, worker: Worker, path: str) -> None:
        raw = await worker.send_raw(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
        )
        assert raw.startswith(b"HTTP/1.1 404 ")
