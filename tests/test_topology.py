"""The topology names every table once; everything else follows from it."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

import topology as declared
from bootstrap import create_app
from settings import load
from streaming.kafka.topic_specs import Role
from streaming.tasks.processor import ProcessorContext
from tables.sliced import SlicedTable
from tables.summed import summed_layout

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load({"APP_DATADIR": str(tmp_path), "REELS_APP_ID": "shop"})


@pytest.fixture
def with_a_third(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    """The topology with one more table: the videos' under another name, with its own topics."""
    tables = declared.topology(settings)
    videos = next(entry for entry in tables if entry.name == "video_metrics")
    source = videos.sources[0]._replace(topic="shop-third-deltas", agent="third_deltas")
    third = replace(
        videos,
        name="third",
        sources=[source],
        deltas=source.topic,
        make_table=lambda app, stores: SlicedTable(
            app,
            name="third",
            layout=summed_layout(videos.windows),
            view=lambda *_: None,
            parts=stores,
            partitions=settings.partitions,
        ),
        make_processor=lambda context: SimpleNamespace(changelog_topic=context.changelog_topic),
        views=lambda context: [web.get(f"/{context.table.name}", answer)],
    )
    monkeypatch.setattr("bootstrap.topology", lambda _: [*tables, third])


async def answer(_: web.Request) -> web.Response:
    return web.Response()


def test_the_names_of_tables_are_those_that_the_contract_promises(settings: Settings) -> None:
    """Changelogs carry these names: a rename would lose the tables."""
    assert [entry.name for entry in declared.topology(settings)] == [
        "user_metrics",
        "video_metrics",
        "creator_metrics",
    ]


def test_each_processor_reads_the_topics_that_its_entry_names_in_that_order(
    settings: Settings,
) -> None:
    """The repartition topic is read before the input topic."""
    outbox: Any = SimpleNamespace()
    state: Any = SimpleNamespace(reset_to_committed=None, stream_time=None)
    for entry in declared.topology(settings):
        context = ProcessorContext(0, state, outbox, "changelog", 1)
        processor = entry.make_processor(context)
        assert list(processor.topics) == [source.topic for source in entry.sources]
        assert processor.changelog_topic == "changelog"


def test_all_topics_of_the_tables_are_made(settings: Settings) -> None:
    """The program creates each source and each changelog of a table."""
    tables = declared.topology(settings)
    topics = {spec.name: spec for spec in declared.all_topics(settings, tables)}
    for entry in tables:
        assert {source.topic for source in entry.sources} <= topics.keys()
        assert topics[f"shop-{entry.name}-changelog"].role is Role.CHANGELOG
    assert len(topics) == len(declared.all_topics(settings, tables))


def test_an_app_has_the_tables_agents_and_topics_of_its_topology(settings: Settings) -> None:
    """An app has nothing of a table that its topology does not name."""
    app = create_app(settings)
    tables = declared.topology(settings)
    assert list(app.task_context.tables) == [entry.name for entry in tables]
    assert set(app.agents) == {each.agent for entry in tables for each in entry.sources}
    assert app.task_context.topics == declared.all_topics(settings, tables)
    for name, table in app.task_context.tables.items():
        assert app.tables[name] is table
        assert f"shop-{name}-changelog" == table.changelog_topic_name


@pytest.mark.usefixtures("with_a_third")
def test_one_more_entry_is_one_more_table_everywhere(settings: Settings) -> None:
    """The entry alone brings agent, topics, store, processor and route; its deltas come first."""
    app = create_app(settings)
    context = app.task_context
    assert "third_deltas" in app.agents
    assert {"shop-third-deltas", "shop-third-changelog"} < {each.name for each in context.topics}
    assert context.deltas["third"] == "shop-third-deltas"
    state: Any = SimpleNamespace(stream_time=None)
    states = dict.fromkeys(("user_metrics", "video_metrics", "creator_metrics", "third"), state)
    assert list(context.tables) == list(states)
    outbox: Any = SimpleNamespace()
    processors = context.make_processors(0, states, outbox)
    assert [each.changelog_topic for each in processors] == [
        "shop-third-changelog",
        "shop-creator_metrics-changelog",
        "shop-video_metrics-changelog",
        "shop-user_metrics-changelog",
    ]
    routes = {resource.canonical for resource in app.web.web_app.router.resources()}
    assert {"/third", "/users/{user_id}", "/videos/viral"} < routes


def test_an_app_without_creators_has_neither_their_table_nor_their_topics_nor_routes() -> None:
    """REELS_CREATORS=off removes all of it, also the deltas that events add to."""
    settings = load({"REELS_CREATORS": "off"})
    app = create_app(settings)
    assert list(app.task_context.tables) == ["user_metrics", "video_metrics"]
    assert not any("creator" in spec.name for spec in app.task_context.topics)
    assert not any("creator" in name for name in app.agents)
    routes = {resource.canonical for resource in app.web.web_app.router.resources()}
    assert not any("creator" in route for route in routes)
    state: Any = SimpleNamespace(stream_time=None)
    states = dict.fromkeys(app.task_context.tables, state)
    outbox: Any = SimpleNamespace()
    processors: Sequence[Any] = app.task_context.make_processors(0, states, outbox)
    *_, engagement = processors
    assert [feed.topic for feed in engagement._feeds] == ["reels-video-deltas"]
