"""Copies the documents to ``build/site-pages``, from where mkdocs.yml builds a site.

Pages keep their paths, and the files that they show or link to are copied as well, so that a link
works in the repository and on the site.
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
    """Replace the copies."""
    shutil.rmtree(STAGED, ignore_errors=True)
    pages = [page for pattern in PAGES for page in ROOT.glob(pattern)]
    linked = {page.parent / link for page in pages for link in LINK.findall(page.read_text())}
    for path in {*pages, *(path.resolve() for path in linked if path.is_file())}:
        target = STAGED / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


if __name__ == "__main__":
    main()
