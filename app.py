"""The Faust app: settings, transport, tables and agents, wired together.

``faust -A app worker -l info`` runs a worker, ``faust -A app --help`` lists the other commands.
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import TYPE_CHECKING

from accelerator import AcceleratorError, Counting, Folding, Packing, is_wanted, memory, row_checks
from agents.engagement import EngagementProcessor
from agents.subscriptions import add_agents
from agents.video_deltas import VideoProcessor
from models.viral import ViralRule
from settings import SettingsError, load
from streaming.kafka.batch_reader import unpacker
from streaming.kafka.batch_writer import packer
from streaming.kafka.clients import client_settings
from streaming.kafka.patches import install
from streaming.runtime.app import App
from streaming.runtime.faust_settings import faust_settings
from streaming.runtime.task_factory import TaskContext
from tables.rocks import RocksMemory
from tables.store import StoreContext
from tables.users import user_table, user_windows
from tables.videos import video_table, video_windows
from tables.viral import ViralTable
from views.server import Web
from views.sources import Sources

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streaming.tasks.outbox import Outbox
    from streaming.tasks.processor import Processor
    from tables.state import PartitionState

# Faust reads its own variables itself, and takes an empty one for a value.
for _name in [name for name, value in os.environ.items() if not value]:
    del os.environ[_name]
# Where --datadir leaves its value; Faust itself would prefer the variable.
if "FAUST_DATADIR" in os.environ:
    os.environ["APP_DATADIR"] = os.environ["FAUST_DATADIR"]
try:
    settings = load()
    _is_accelerated = is_wanted(settings.accelerator)
except (SettingsError, AcceleratorError) as exc:
    sys.exit(f"error: {exc}")

install()
app = App(settings.app_id, **faust_settings(settings))

_users, _videos = user_windows(settings), video_windows(settings)
_rule = ViralRule(settings.viral_coefficient, settings.viral_min_views)
_folding = Folding.of(_users, accelerated=_is_accelerated)
_counting = Counting.of(_videos, accelerated=_is_accelerated)
_packing = Packing.of(accelerated=_is_accelerated)
_parts = StoreContext(
    RocksMemory.create(settings.write_buffers),
    ThreadPoolExecutor(2, thread_name_prefix="rocksdb"),
    changes=memory(accelerated=_is_accelerated),
    rows=row_checks(accelerated=_is_accelerated),
)

user_metrics = app.tables.add(user_table(app, settings, _users, _parts))
video_metrics = app.tables.add(video_table(app, settings, _videos, _parts))
viral_videos = app.tables.add(
    ViralTable(
        app,
        name="viral_videos",
        topic=settings.viral_topic,
        partitions=settings.partitions,
        help="the videos that are viral now (global, over the output topic)",
    )
)


def _processors(
    partition: int, states: Mapping[str, PartitionState], outbox: Outbox
) -> list[Processor]:
    users, videos = states[user_metrics.name], states[video_metrics.name]
    dead_letters = app.dead_letter_partitions
    changelogs = user_metrics.changelog_topic_name, video_metrics.changelog_topic_name
    # Deltas go first: a backlog of events keeps no video waiting.
    return [
        VideoProcessor(partition, videos, outbox, settings, _counting, _rule, changelogs[1]),
        EngagementProcessor(
            partition, users, outbox, settings, _folding, changelogs[0], dead_letters
        ),
    ]


_sources = Sources(user_metrics, _users, video_metrics, _videos, _rule, viral_videos)
app.make_web = lambda: Web(app, settings, _sources)
app.viral_table = viral_videos
app.task_context = TaskContext(
    settings,
    client_settings(settings),
    [user_metrics, video_metrics],
    _processors,
    unpacker(_packing.records),
    packer(_packing.pack),
)
add_agents(app, settings)

# Importing a command's module is what registers it.
for _command in (
    *("audit", "generate", "kafka", "replay_dead_letters", "restore_changelog"),
    *("status", "topics", "worker"),
):
    import_module(f"commands.{_command}")
