"""Which requests are allowed, which are refused, and what all answers have in common."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import orjson
import pytest
import pytest_asyncio
from yarl import URL

from monitoring import metrics
from views import middlewares

if TYPE_CHECKING:
    from tests.views.conftest import MakeWorker, Worker


TOKEN = "a-token-of-some-length"
DATA = [
    *("/users/1", "/users/1/series", "/videos/1", "/videos/1/series"),
    *("/creators/1", "/creators/1/series", "/creators?ids=1"),
    *("/videos/viral", "/metrics", "/overview", "/users?ids=1", "/videos?ids=1"),
]
POSTED = ["/users/query", "/videos/query", "/creators/query"]
#: Not among the routes that are requested with the token: its answer does not end.
STREAM = "/overview/stream"
OPEN = ["/", "/openapi.json", "/static/dashboard.js", "/healthz", "/readyz"]


@pytest_asyncio.fixture
async def worker(make_worker: MakeWorker) -> Worker:
    """A worker without open partitions: these tests do not reach the tables."""
    return await make_worker()


def error_of(raw: bytes) -> tuple[int, str]:
    head, _, body = raw.partition(b"\r\n\r\n")
    return int(head.split()[1]), orjson.loads(body)["error"]["code"]


class TestToken:
    @pytest.mark.parametrize("path", DATA)
    async def test_every_data_route_asks_for_it(self, make_worker: MakeWorker, path: str) -> None:
        worker = await make_worker(REELS_HTTP_TOKEN=TOKEN)
        await worker.catch_up()
        answer = await worker.ask(path)
        assert (answer.status, answer.code) == (401, "unauthorized")
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="reels"'
        with_token = await worker.ask(path, headers={"Authorization": f"Bearer {TOKEN}"})
        assert with_token.status in {200, 503}

    async def test_a_short_one_is_taken_too(self, make_worker: MakeWorker) -> None:
        worker = await make_worker(REELS_HTTP_TOKEN="s3cret")
        await worker.catch_up()
        assert (await worker.ask("/users/1")).status == 401
        with_token = await worker.ask("/users/1", headers={"Authorization": "Bearer s3cret"})
        assert with_token.status != 401

    @pytest.mark.parametrize("path", OPEN)
    async def test_what_holds_no_data_is_open(self, make_worker: MakeWorker, path: str) -> None:
        worker = await make_worker(REELS_HTTP_TOKEN=TOKEN)
        assert (await worker.ask(path)).status in {200, 503}

    async def test_every_route_is_one_or_the_other(self, worker: Worker) -> None:
        routes = {resource.canonical for resource in worker.application.router.resources()}
        templates = {"/users/1": "/users/{user_id}", "/videos/1": "/videos/{video_id}"}
        templates["/creators/1"] = "/creators/{creator_id}"
        templates |= {f"{path}/series": f"{name}/series" for path, name in templates.items()}
        templates["/static/dashboard.js"] = "/static/{name}"
        templates |= {path: path.partition("?")[0] for path in DATA if "?" in path}
        assert routes == {templates.get(path, path) for path in (*DATA, *POSTED, STREAM, *OPEN)}

    @pytest.mark.parametrize("path", POSTED)
    async def test_batches_ask_for_it(self, make_worker: MakeWorker, path: str) -> None:
        worker = await make_worker(REELS_HTTP_TOKEN=TOKEN)
        answer = await worker.ask(path, "POST", json={"ids": [1]})
        assert (answer.status, answer.code) == (401, "unauthorized")
        headers = {"Authorization": f"Bearer {TOKEN}"}
        assert (await worker.ask(path, "POST", json={"ids": [1]}, headers=headers)).status == 200

    @pytest.mark.parametrize(
        "header",
        [
            "",
            TOKEN,
            "Bearer",
            "Bearer ",
            f"Basic {TOKEN}",
            f"Bearer {TOKEN[:-1]}",
            f"Bearer {TOKEN}x",
            f"Bearer {TOKEN.upper()}",
            "Bearer ü",
        ],
    )
    async def test_a_wrong_one_is_refused(self, make_worker: MakeWorker, header: str) -> None:
        worker = await make_worker(REELS_HTTP_TOKEN=TOKEN)
        answer = await worker.ask("/users/x", headers={"Authorization": header})
        assert answer.status == 401
        assert TOKEN.encode() not in answer.body

    async def test_bytes_that_are_no_text_are_refused_like_any_other(
        self, make_worker: MakeWorker
    ) -> None:
        worker = await make_worker(REELS_HTTP_TOKEN=TOKEN)
        raw = await worker.send_raw(
            b"GET /users/1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            b"Authorization: Bearer \xff\xe9\r\n\r\n"
        )
        assert error_of(raw) == (401, "unauthorized")

    async def test_two_of_them_are_refused_even_when_both_are_right(
        self, make_worker: MakeWorker
    ) -> None:
        worker = await make_worker(REELS_HTTP_TOKEN=TOKEN)
        for path in ("/users/1", "/healthz"):
            header = f"Authorization: Bearer {TOKEN}\r\n"
            raw = await worker.send_raw(
                f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{header * 2}\r\n".encode()
            )
            assert error_of(raw) == (400, "bad_request")

    async def test_the_schemes_case_does_not_matter(self, make_worker: MakeWorker) -> None:
        worker = await make_worker(REELS_HTTP_TOKEN=TOKEN)
        answer = await worker.ask("/users/x", headers={"Authorization": f"bearer {TOKEN}"})
        assert answer.status == 400

    async def test_without_a_token_in_the_settings_none_is_asked_for(self, worker: Worker) -> None:
        assert (await worker.ask("/metrics")).status == 200


class TestHosts:
    @pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "10.0.0.1", "localhost.x"])
    async def test_without_a_token_other_names_are_refused(self, worker: Worker, host: str) -> None:
        answer = await worker.ask("/users/1", headers={"Host": host})
        assert (answer.status, answer.code) == (403, "forbidden_host")

    @pytest.mark.parametrize("host", ["localhost", "127.0.0.1:1", "[::1]:80", "LOCALHOST:7"])
    async def test_names_of_this_machine_are_fine(self, worker: Worker, host: str) -> None:
        assert (await worker.ask("/healthz", headers={"Host": host})).status == 200

    async def test_the_workers_own_name_is_fine(self, worker: Worker) -> None:
        worker.status.url = URL("http://worker-1:6066")
        assert (await worker.ask("/healthz", headers={"Host": "worker-1:6066"})).status == 200

    async def test_a_request_without_a_host_is_fine(self, worker: Worker) -> None:
        raw = await worker.send_raw(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert raw.startswith(b"HTTP/1.0 200")

    @pytest.mark.parametrize(
        ("host", "status"), [(b"[::1]:80", b"200"), (b"127.0.0.1", b"200"), (b"[::2]", b"403")]
    )
    async def test_a_host_in_the_request_line_counts(
        self, worker: Worker, host: bytes, status: bytes
    ) -> None:
        raw = await worker.send_raw(
            b"GET http://%b/healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % host
        )
        assert raw.startswith(b"HTTP/1.1 " + status)

    async def test_what_is_no_host_is_refused(self, worker: Worker) -> None:
        answer = await worker.ask("/users/1", headers={"Host": "localhost:http"})
        assert answer.status == 400

    async def test_with_a_token_any_name_will_do(self, make_worker: MakeWorker) -> None:
        worker = await make_worker(REELS_HTTP_TOKEN=TOKEN)
        headers = {"Host": "reels.example", "Authorization": f"Bearer {TOKEN}"}
        assert (await worker.ask("/users/x", headers=headers)).status == 400


class TestErrors:
    @pytest.mark.parametrize(
        "path",
        [
            *("/nope", "/user", "/users/", "/users/1/", "/users/1/2", "/static/", "/favicon.ico"),
            *("/router", "/router/users/1", "/table", "/table/users", "/graph", "/performance/"),
        ],
    )
    async def test_there_is_no_such_route_and_none_of_fausts(
        self, worker: Worker, path: str
    ) -> None:
        answer = await worker.ask(path)
        assert (answer.status, answer.code) == (404, "not_found")

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
    async def test_reads_are_all_there_is(self, worker: Worker, method: str) -> None:
        answer = await worker.ask("/users/1", method)
        assert (answer.status, answer.code) == (405, "method_not_allowed")
        assert answer.headers["Allow"] == "GET,HEAD"

    async def test_a_head_request_is_a_get_without_a_body(self, worker: Worker) -> None:
        answer = await worker.ask("/healthz", "HEAD")
        assert (answer.status, answer.body) == (200, b"")

    async def test_a_mistake_of_ours_is_logged_and_not_shown(
        self, worker: Worker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(_: int) -> None:
            msg = "a secret"
            raise RuntimeError(msg)

        monkeypatch.setattr(worker.users, "read", fail)
        answer = await worker.ask("/users/1")
        assert (answer.status, answer.code) == (500, "internal_error")
        assert b"secret" not in answer.body
        assert "a secret" in caplog.text

    @pytest.mark.parametrize(
        "raw",
        [
            b"no http at all\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: localhost\r\nBad Header: x\r\n\r\n",
            b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 9000 + b"\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: 1\r\n" * 200 + b"\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        ],
        ids=["text", "header", "long path", "long header", "many headers", "TLS"],
    )
    async def test_what_is_no_http_is_refused_in_json(self, worker: Worker, raw: bytes) -> None:
        answer = await worker.send_raw(raw)
        assert error_of(answer) == (400, "bad_request")
        assert b"aiohttp" not in answer

    @pytest.mark.parametrize("request_line", ["GET /users/1", "POST /users/1", "POST /nope"])
    async def test_who_may_not_ask_is_not_told_to_go_on(
        self, make_worker: MakeWorker, request_line: str
    ) -> None:
        worker = await make_worker(REELS_HTTP_TOKEN=TOKEN)
        raw = await worker.send_raw(
            request_line.encode() + b" HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
            b"Content-Length: 2000\r\n\r\n"
        )
        assert b"100 Continue" not in raw
        assert raw.startswith((b"HTTP/1.1 401", b"HTTP/1.1 413"))

    async def test_who_may_ask_is_told_to_go_on(self, worker: Worker) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", worker.port)
        writer.write(
            b"GET /users/x HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
            b"Connection: close\r\nContent-Length: 3\r\n\r\n"
        )
        async with asyncio.timeout(5):
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(b"abc")
            assert error_of(await reader.read()) == (400, "invalid_id")
        writer.close()

    async def test_an_expectation_that_cannot_be_met_is_refused_in_json(
        self, worker: Worker
    ) -> None:
        answer = await worker.ask("/users/1", headers={"Expect": "tea"})
        assert (answer.status, answer.code) == (417, "bad_request")


class TestBodies:
    async def test_a_large_one_is_refused_before_it_is_read(self, worker: Worker) -> None:
        raw = await worker.send_raw(
            b"GET /users/1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\n"
        )
        assert error_of(raw) == (413, "payload_too_large")

    async def test_a_large_one_without_a_length_is_refused_too(self, worker: Worker) -> None:
        chunk = b"400\r\n" + b"a" * 1024 + b"\r\n"
        raw = await worker.send_raw(
            b"GET /users/1 HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
            + 3 * chunk
        )
        assert error_of(raw) == (413, "payload_too_large")

    async def test_one_that_does_not_end_is_not_waited_for(
        self, worker: Worker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(middlewares, "BODY_TIMEOUT_S", 0.1)
        raw = await worker.send_raw(
            b"GET /users/1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc"
        )
        assert error_of(raw) == (408, "request_timeout")

    @pytest.mark.parametrize("chunk", [b"zz\r\n", b"-1\r\n", b"3\r\nabcdef\r\n"])
    async def test_one_in_broken_chunks_is_refused(
        self, worker: Worker, caplog: pytest.LogCaptureFixture, chunk: bytes
    ) -> None:
        raw = await worker.send_raw(
            b"GET /users/1 HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
            + chunk
        )
        assert error_of(raw) == (400, "bad_request")
        assert not caplog.records

    async def test_a_client_that_goes_away_leaves_no_error_behind(
        self, worker: Worker, caplog: pytest.LogCaptureFixture
    ) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", worker.port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\na")
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.close()
        await asyncio.sleep(0.05)
        assert not caplog.records

    async def test_a_small_one_does_no_harm(self, worker: Worker) -> None:
        assert (await worker.ask("/healthz", data=b"x" * 1024)).status == 200


class TestAnswers:
    @pytest.mark.parametrize("path", [*DATA, *OPEN, "/nope"])
    async def test_browsers_are_told_to_guess_and_frame_nothing(
        self, worker: Worker, path: str
    ) -> None:
        headers = (await worker.ask(path)).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert headers["Server"] == "reels"
        assert "Access-Control-Allow-Origin" not in headers

    async def test_data_is_kept_by_nobody(self, worker: Worker) -> None:
        for path in (*DATA, "/healthz", "/readyz"):
            assert (await worker.ask(path)).headers["Cache-Control"] == "no-store"

    async def test_requests_are_counted_by_route_and_status(self, worker: Worker) -> None:
        def counted(route: str, code: str) -> float:
            labels = {"route": route, "code": code}
            return metrics.registry.get_sample_value("reels_http_requests_total", labels) or 0.0

        before = counted("/users/{user_id}", "400"), counted("unmatched", "404")
        for path in ("/users/a", "/users/b", "/nope/a", "/nope/b"):
            await worker.ask(path)
        assert counted("/users/{user_id}", "400") == before[0] + 2
        assert counted("unmatched", "404") == before[1] + 2

    async def test_requests_may_follow_each_other_on_a_connection(self, worker: Worker) -> None:
        request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
        last = request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        raw = await worker.send_raw(request * 20 + last)
        assert raw.count(b'{"status":"ok"}') == 21

    async def test_many_may_ask_at_once(self, worker: Worker) -> None:
        answers = await asyncio.gather(*(worker.ask("/healthz") for _ in range(100)))
        assert {answer.status for answer in answers} == {200}
