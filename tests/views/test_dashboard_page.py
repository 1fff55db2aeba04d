"""The dashboard's page: files of its own, nothing from elsewhere, nothing inline."""

from __future__ import annotations

import re

import pytest
import pytest_asyncio

from views.pages import FOLDER, PAGE_POLICY, read_files

FILES = read_files()


@pytest_asyncio.fixture
async def worker(make_worker):
    """No partition is open: what is tested here comes before the tables."""
    return await make_worker()


class TestFiles:
    def test_the_page_loads_only_files_that_are_there(self) -> None:
        page = FILES["index.html"].body.decode()
        loaded = re.findall(r'(?:src|href)="([^"]+)"', page)
        assert {url.removeprefix("static/") for url in loaded if url != "metrics"} <= FILES.keys()
        for name in ("dashboard.js", "api.js", "format.js"):
            for imported in re.findall(r'from "\./([^"]+)"', FILES[name].body.decode()):
                assert imported in FILES

    @pytest.mark.parametrize("name", sorted(FILES))
    def test_nothing_comes_from_another_site(self, name: str) -> None:
        text = FILES[name].body.decode().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?:|//[a-z]+\.", text)

    def test_nothing_is_inline_so_that_the_policy_can_be_strict(self) -> None:
        page = FILES["index.html"].body.decode()
        assert not re.search(r"<style|style=|\son\w+=|<script(?![^>]*\ssrc=)", page)
        assert "unsafe" not in PAGE_POLICY

    @pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".js")])
    def test_what_the_worker_sends_is_shown_as_text_only(self, name: str) -> None:
        text = FILES[name].body.decode()
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text)


class TestRoutes:
    async def test_the_page_is_at_the_root_with_a_policy_of_its_own(self, worker) -> None:
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
        ],
    )
    async def test_its_files_are_under_static(self, worker, name: str, content_type: str) -> None:
        answer = await worker.ask(f"/static/{name}")
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith(content_type)

    @pytest.mark.parametrize(
        "path",
        [
            *("/static/x.js", "/static/index.html", "/static/../app.py", "/static/..%2Fapp.py"),
            *("/static/%2e%2e%2fapp.py", "/static/%2Fetc%2Fpasswd", "/static/.", "/static/"),
        ],
    )
    async def test_no_other_file_is_served(self, worker, path: str) -> None:
        raw = await worker.send_raw(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
        )
        assert raw.startswith(b"HTTP/1.1 404 ")
