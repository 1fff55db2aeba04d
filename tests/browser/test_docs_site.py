"""The site of the documents, opened as files: nothing is fetched from other hosts."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import picture
from tests.worker import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Page

    from tests.browser.conftest import Witness


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site."""
    folder = tmp_path_factory.mktemp("site")
    subprocess.run([sys.executable, "tools/docs_site.py"], cwd=ROOT, check=True)
    build = [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True)
    return folder


def test_a_page_is_found_by_a_word_of_it(
    site: Path, visit: Callable[..., tuple[Page, Witness]]
) -> None:
    page, witness = visit((site / "index.html").as_uri())
    with picture(page, "docs-site"):
        page.get_by_role("textbox", name="Search").fill("tumbling")
        found = page.locator(".md-search-result__link", has_text="Glossary")
        found.first.click()
        expect(page).to_have_url(re.compile(r"docs/glossary\.html"))
    elsewhere = [url for url in witness.requests if not url.startswith(("file:", "blob:", "data:"))]
    assert elsewhere == []


def test_the_routes_are_a_file_of_the_site(site: Path) -> None:
    assert (site / "docs" / "openapi.json").read_bytes() == (
        ROOT / "docs" / "openapi.json"
    ).read_bytes()
