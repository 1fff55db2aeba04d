"""The web server as Faust starts it: addresses, ports, and the address for other workers."""

from __future__ import annotations

import asyncio
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import pytest_asyncio
from yarl import URL

from settings import load
from streaming.errors import StartError
from streaming.runtime.faust_settings import faust_settings
from views.server import Web, advertised_url

if TYPE_CHECKING:
    from settings import Settings
    from tests.views.conftest import MakeWorker, Worker


TOKEN = "a-token-of-some-length"


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def made(worker: Worker) -> Web:
    worker.app.conf.web_port = free_port()
    return Web(worker.app, worker.status, worker.settings, worker.query_context)


async def status_of(url: URL, **kwargs: Any) -> int:
    async with aiohttp.ClientSession(**kwargs) as session, session.get(url) as response:
        return response.status


@pytest_asyncio.fixture
async def worker(make_worker: MakeWorker) -> Worker:
    """A worker without open partitions: these tests do not reach the tables."""
    return await make_worker()


class TestListening:
    async def test_it_listens_where_faust_is_told_to(self, worker: Worker) -> None:
        web = made(worker)
        await web.start_server()
        url = URL(f"http://127.0.0.1:{worker.app.conf.web_port}")
        assert await status_of(url / "healthz") == 200
        assert worker.app.conf.canonical_url == url
        await web.stop_server()
        with pytest.raises(aiohttp.ClientConnectionError):
            await status_of(url / "healthz")

    async def test_it_stops_in_time_with_connections_open(self, worker: Worker) -> None:
        web = made(worker)
        await web.start_server()
        reader, writer = await asyncio.open_connection("127.0.0.1", worker.app.conf.web_port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await reader.readuntil(b'{"status":"ok"}')
        async with asyncio.timeout(1.5):
            await web.stop_server()
        assert await reader.read() == b""
        writer.close()

    async def test_a_port_in_use_is_told_in_one_line(self, worker: Worker) -> None:
        web = made(worker)
        worker.app.conf.web_port = worker.port
        with pytest.raises(StartError, match="Address already in use") as caught:
            await web.on_start()
        assert "--web-port" in str(caught.value)
        assert "\n" not in str(caught.value)

    async def test_an_address_that_is_not_ours_is_told_in_one_line(
        self, make_worker: MakeWorker
    ) -> None:
        worker = await make_worker(REELS_HTTP_TOKEN=TOKEN)
        web = made(worker)
        worker.app.conf.web_bind = "192.0.2.1"
        with pytest.raises(StartError, match=r"192\.0\.2\.1 port"):
            await web.start_server()

    @pytest.mark.parametrize("bind", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
    async def test_without_a_token_it_is_not_open_to_others(
        self, worker: Worker, bind: str
    ) -> None:
        web = made(worker)
        worker.app.conf.web_bind = bind
        with pytest.raises(StartError, match="REELS_HTTP_TOKEN"):
            await web.start_server()

    async def test_an_empty_address_is_not_every_address(self, worker: Worker) -> None:
        web = made(worker)
        worker.app.conf.web_bind = ""
        await web.start_server()
        try:
            assert web.web_app is not None
            assert await status_of(worker.app.conf.canonical_url / "healthz") == 200
            assert worker.app.conf.canonical_url.host == "127.0.0.1"
        finally:
            await web.stop_server()

    async def test_a_socket_in_the_file_system_will_do(self, worker: Worker) -> None:
        web = made(worker)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "web"
            worker.app.conf.web_transport = URL(f"unix://{path}")
            await web.start_server()
            connector = aiohttp.UnixConnector(str(path))
            assert await status_of(URL("http://localhost/healthz"), connector=connector) == 200
            await web.stop_server()

    @pytest.mark.parametrize(
        ("token", "warning"),
        [
            ("change-me-please-0123456789", "public token of the example files: set your own"),
            ("short", "REELS_HTTP_TOKEN has 5 characters: one with less than 16 can be guessed"),
            (TOKEN, ""),
        ],
    )
    async def test_a_token_that_others_know_or_guess_is_warned_of(
        self, make_worker: MakeWorker, caplog: pytest.LogCaptureFixture, token: str, warning: str
    ) -> None:
        web = made(await make_worker(REELS_HTTP_TOKEN=token))
        await web.start_server()
        await web.stop_server()
        warned = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
        assert [warning in text for text in warned] == [True] * bool(warning)
        assert token not in str(warned)

    async def test_fausts_own_routes_are_not_served(self, worker: Worker) -> None:
        web = made(worker)
        web.init_server()
        paths = {resource.canonical for resource in web.web_app.router.resources()}
        assert not [path for path in paths if path.startswith(("/router", "/table", "/graph"))]


class Conf:
    """The part of Faust's settings that defines the address."""

    def __init__(self, settings: Settings, *, web_port: int = 7101, **given: str) -> None:
        self.web_host = faust_settings(settings)["web_host"] or "this-machine"
        self.web_port = web_port
        vars(self).update(given)


class TestWhatOthersAreTold:
    def advertised(
        self, bind: str | None = None, environ: dict[str, str] | None = None, **given: Any
    ) -> str:
        settings = load({"REELS_HTTP_TOKEN": TOKEN, **(environ or {})})
        conf = Conf(settings, **given)
        return str(advertised_url(conf, settings, bind or settings.web_bind))

    def test_two_workers_on_a_machine_find_each_other_with_no_setting(self) -> None:
        assert self.advertised() == "http://127.0.0.1:7101"

    def test_the_canonical_url_is_what_it_says_whatever_the_port(self) -> None:
        environ = {"NODE_CANONICAL_URL": "http://worker-1.internal:8080/reels"}
        assert self.advertised(environ=environ) == "http://worker-1.internal:8080/reels"

    def test_an_empty_canonical_url_is_none(self) -> None:
        assert self.advertised(environ={"NODE_CANONICAL_URL": ""}) == "http://127.0.0.1:7101"

    def test_bound_to_every_address_the_machines_name_is_told(self) -> None:
        assert self.advertised(environ={"WEB_BIND": "0.0.0.0"}) == "http://this-machine:7101"

    def test_an_ipv6_address_has_its_brackets_once(self) -> None:
        assert self.advertised(environ={"WEB_BIND": "::1"}) == "http://[::1]:7101"

    def test_a_bind_of_the_command_line_counts(self) -> None:
        assert self.advertised("192.0.2.7") == "http://192.0.2.7:7101"
        assert self.advertised("::1") == "http://[::1]:7101"
        assert self.advertised("0.0.0.0") == f"http://{socket.gethostname()}:7101"

    def test_a_host_of_the_command_line_counts_more(self) -> None:
        assert self.advertised("0.0.0.0", web_host="worker-2") == "http://worker-2:7101"
