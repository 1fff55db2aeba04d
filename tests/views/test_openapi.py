"""The description matches the routes that exist, and their answers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from models.schema import Metadata
from views.openapi import describe_routes

if TYPE_CHECKING:
    from tests.views.conftest import Answer, MakeWorker, Worker


VIEW = ("video_view", "2025-01-15T14:30:45.123Z", 45_000)
DESCRIPTION = describe_routes()


def check(answer: Answer, route: str, method: str = "get") -> Any:
    """Check an answer against its description."""
    said = DESCRIPTION["paths"][route][method]["responses"][str(answer.status)]
    schema = {**said["content"]["application/json"]["schema"], "components": COMPONENTS}
    errors = list(Draft202012Validator(_closed(schema)).iter_errors(answer.json))
    assert errors == []
    for name in said.get("headers", {}):
        assert name in answer.headers


def _closed(schema: Any) -> Any:
    """Forbid fields that are not described."""
    if isinstance(schema, dict):
        closed = {key: _closed(value) for key, value in schema.items()}
        fixed = "properties" in schema and "additionalProperties" not in schema
        return {**closed, "additionalProperties": False} if fixed else closed
    return [_closed(each) for each in schema] if isinstance(schema, list) else schema


COMPONENTS = DESCRIPTION["components"]


def test_it_is_openapi() -> None:
    validate(DESCRIPTION)


async def test_it_names_every_route_and_no_other(worker: Worker) -> None:
    routes = {resource.canonical for resource in worker.application.router.resources()}
    assert set(DESCRIPTION["paths"]) == routes - {"/static/{name}"}


async def test_a_worker_tells_it(make_worker: MakeWorker) -> None:
    worker = await make_worker(REELS_HTTP_TOKEN="a-token-of-some-length")
    answer = await worker.ask("/openapi.json")
    assert (answer.status, answer.json) == (200, DESCRIPTION)


async def test_routes_that_ask_for_the_token_are_those_that_say_so(make_worker: MakeWorker) -> None:
    worker = await make_worker(REELS_HTTP_TOKEN="a-token-of-some-length")
    for route, operations in DESCRIPTION["paths"].items():
        path = re.sub(r"{\w+_id}", "1", route)
        for method, operation in operations.items():
            answer = await worker.ask(path, method.upper())
            assert (answer.status == 401) == bool(operation["security"]), route
            if answer.status == 401:
                check(answer, route, method)


@pytest.mark.parametrize(
    ("route", "query", "status"),
    [
        ("/users/{user_id}", "", 200),
        ("/users/{user_id}", "?window=1h", 200),
        ("/users/{user_id}", "?window=7m", 400),
        ("/users/{user_id}", "?at=2020-01-01T00:00:00Z", 400),
        ("/users/{user_id}/series", "", 200),
        ("/videos/{video_id}", "", 200),
        ("/videos/{video_id}", "?at=2025-01-15T16:30:00Z", 200),
        ("/videos/{video_id}", "?at=then", 400),
        ("/videos/{video_id}/series", "", 200),
        ("/users", "?ids=1,2", 200),
        ("/users", "?ids=1,x", 400),
        ("/videos", "?ids=1", 200),
        ("/creators", "?ids=1,2&window=1h", 200),
        ("/creators", "?ids=1&window=7m", 400),
        ("/creators/{creator_id}", "", 200),
        ("/creators/{creator_id}", "?window=7m", 400),
        ("/creators/{creator_id}/series", "?window=1h", 200),
        ("/videos/viral", "", 200),
        ("/videos/viral", "?limit=0", 400),
        ("/overview", "", 200),
        ("/healthz", "", 200),
        ("/readyz", "", 200),
    ],
)
async def test_answers_are_as_described(
    worker: Worker, route: str, query: str, status: int
) -> None:
    worker.put_user(1, VIEW)
    worker.put_video(1, ("2025-01-15T14:30:00Z", 3, 1, 1, 1))
    worker.put_creator(1, ("video_view", "2025-01-15T14:30:00Z", Metadata(1000, 0.5)))
    await worker.become_ready()
    await worker.flag_viral(1, 1.7)
    path = re.sub(r"{\w+_id}", "1", route) + query
    answer = await worker.ask(path)
    assert answer.status == status
    check(answer, route)


@pytest.mark.parametrize(
    "route", ["/users/{user_id}", "/videos/{video_id}", "/creators/{creator_id}"]
)
async def test_unknown_ids_and_strange_hosts_are_as_described(worker: Worker, route: str) -> None:
    path = re.sub(r"{\w+_id}", "9", route)
    missing, strange = await worker.ask(path), await worker.ask(path, headers={"Host": "a.b"})
    assert (missing.status, strange.status) == (404, 403)
    check(missing, route)
    check(strange, route)


@pytest.mark.parametrize("route", ["/users/{user_id}", "/videos/viral", "/readyz"])
async def test_moving_partitions_are_as_described(make_worker: MakeWorker, route: str) -> None:
    worker = await make_worker()
    answer = await worker.ask(route.replace("{user_id}", "1"))
    assert answer.status == 503
    check(answer, route)


@pytest.mark.parametrize("table", ["users", "videos", "creators"])
async def test_batches_are_as_described(
    make_worker: MakeWorker, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("views.application.MAX_KEYS", 3)
    worker = await make_worker()
    await worker.open(0)
    route = f"/{table}/query"
    key = next(key for key in range(100) if worker.creators.partition(key) == 0)
    worker.put_creator(key, ("video_view", "2025-01-15T14:30:00Z", Metadata(1000, 0.5)))
    for ids, status in ([key, 4_000, 5_000], 200), ([1, 2, 3, 4], 429), ([-1], 400):
        answer = await worker.ask(route, "POST", json={"ids": ids})
        assert answer.status == status
        check(answer, route, "post")
    answer = await worker.ask(route, "POST", data=b" " * (1 << 20))
    assert answer.status == 413
    check(answer, route, "post")
