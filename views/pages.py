"""``GET /`` and ``GET /static/...``: the dashboard's page and its files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from aiohttp import hdrs, web

from views.answers import not_found

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDER: Final = Path(__file__).resolve().parent.parent / "dashboard"
PAGE: Final = "index.html"

_TYPES: Final = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
}

#: The page may only load its own files and query its own worker.
PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class StaticFile(NamedTuple):
    """A file as sent."""

    body: bytes
    content_type: str


def read_files(folder: Path = FOLDER) -> Mapping[str, StaticFile]:
    """Read the files to serve, by path. No others can be requested."""
    return {
        path.relative_to(folder).as_posix(): StaticFile(path.read_bytes(), _TYPES[path.suffix])
        for path in folder.rglob("*")
        if path.suffix in _TYPES
    }


class PageViews:
    """Answers with files, which contain no data and need no token."""

    def __init__(self) -> None:
        """Read the files once."""
        self._files = read_files()

    async def get_page(self, _: web.Request) -> web.Response:
        """Answer with the dashboard."""
        response = self._send(PAGE)
        response.headers["Content-Security-Policy"] = PAGE_POLICY
        return response

    async def get_file(self, request: web.Request) -> web.Response:
        """Answer with a file of the dashboard."""
        name = request.match_info["name"]
        if name not in self._files or name == PAGE:
            raise not_found("the file does not exist")
        return self._send(name)

    def _send(self, name: str) -> web.Response:
        body, content_type = self._files[name]
        return web.Response(
            body=body,
            content_type=content_type,
            charset="utf-8",
            headers={hdrs.CACHE_CONTROL: "no-cache"},
        )
