"""A real browser: Debian's chromium, driven by playwright."""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import ConsoleMessage

ARTIFACTS = Path(__file__).resolve().parents[2] / "test-artifacts"

#: A container's root has no sandbox; chromium must look up neither updates nor names.
ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
TIMEOUT_MS = 20_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Run chromium without a window."""
    executable = shutil.which("chromium")
    if executable is None:
        reason = "there is no chromium; Debian has it as the package chromium"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        yield browser
        browser.close()


class Witness:
    """A page's console errors and warnings, and its requests."""

    def __init__(self, page: Page) -> None:
        self.complaints: list[str] = []
        self.requests: list[str] = []
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(message.text)


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., tuple[Page, Witness]]]:
    """Open pages, each in its own context: ``visit(url, color_scheme="dark")``."""
    opened = []

    def open_page(url: str, **options: Any) -> tuple[Page, Witness]:
        context = browser.new_context(locale="en-US", **options)
        context.set_default_timeout(TIMEOUT_MS)
        page = context.new_page()
        witness = Witness(page)
        opened.append((context, witness))
        page.goto(url)
        return page, witness

    yield open_page
    for context, witness in opened:
        # pytest shows this if a test has failed.
        said, asked = witness.complaints, witness.requests[-8:]
        sys.stdout.write(f"the page said {said}; it last asked for {asked}\n")
        context.close()


@contextmanager
def picture(page: Page, name: str) -> Iterator[None]:
    """Save a screenshot of the page at the end of the block, even if the block fails."""
    ARTIFACTS.mkdir(exist_ok=True)
    try:
        yield
    finally:
        page.screenshot(path=ARTIFACTS / f"{name}.png", full_page=True)
