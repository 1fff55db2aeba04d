"""Copies the documents to where mkdocs.yml builds a site from them: ``build/site-pages``.

Pages lie there as in the repository, with the files that they show or link to, so that one link
serves both.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STAGED = ROOT / "build" / "site-pages"
PAGES = ("*.md", "docs/**/*.md", "findings/*.md", "docs/vendor/*.js")
LINK = re.compile(r"\]\(([^)\s#]+)")


def main() -> None:
    """Copy them anew."""
    shutil.rmtree(STAGED, ignore_errors=True)
    pages = [page for pattern in PAGES for page in ROOT.glob(pattern)]
    linked = {page.parent / link for page in pages for link in LINK.findall(page.read_text())}
    for path in {*pages, *(path.resolve() for path in linked if path.is_file())}:
        target = STAGED / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


if __name__ == "__main__":
    main()
