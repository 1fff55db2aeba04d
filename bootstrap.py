"""Creation of the app from the topology: settings, tables, tasks, agents, web server, commands."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import TYPE_CHECKING

from accelerator import (
    AcceleratorError,
    WireBackend,
    is_wanted,
    layer_backend,
    row_checks,
    start_lines,
)
from agents.subscriptions import add_agent
from monitoring.metrics import set_build
from setting_names import unknown_variables
from settings import SettingsError, load
from streaming.kafka.batch_reader import unpacker
from streaming.kafka.batch_writer import packer
from streaming.kafka.clients import client_settings
from streaming.kafka.patches import install
from streaming.runtime.app import App, AppParts
from streaming.runtime.faust_settings import faust_settings
from streaming.runtime.status import AppStatus
from streaming.runtime.task_factory import TaskContext
from streaming.tasks.processor import ProcessorContext
from tables.rocks_options import RocksMemory
from tables.store import StoreContext
from tables.viral import ViralTable
from topology import all_topics, topology
from views.query_context import QueryContext
from views.server import Web

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping, Sequence

    from faust.types import TP

    from settings import Settings
    from streaming.kafka.records import Batch
    from streaming.tasks.outbox import Outbox
    from streaming.tasks.processor import Processor
    from tables.state import PartitionState
    from topology import TableEntry

COMMANDS = (
    *("audit", "dead_letters", "export", "generate", "kafka", "replay_dead_letters"),
    *("rebuild", "rescale", "reset", "restore_changelog", "size", "status", "topics", "worker"),
)

#: Commands that end with 2 if they cannot run, as after a wrong option.
_WITH_RESULTS = frozenset({"audit", "dead-letters", "replay-dead-letters", "status"})


def app_of_environment(environ: MutableMapping[str, str] = os.environ) -> App:
    """Create the app from the environment, or end the process with one line on the error.

    The exit code is 1, and 2 for commands whose 1 is a result.

    Changes ``environ`` where Faust would interpret it differently.
    """
    # Faust treats an empty variable as a value.
    for name in [name for name, value in environ.items() if not value]:
        del environ[name]
    # --datadir sets FAUST_DATADIR, but Faust itself would prefer APP_DATADIR.
    if "FAUST_DATADIR" in environ:
        environ["APP_DATADIR"] = environ["FAUST_DATADIR"]
    # A worker logs these lines with its settings.
    if "worker" not in sys.argv:
        for line in unknown_variables(environ):
            sys.stderr.write(f"warning: {line}\n")
    try:
        return create_app(load(environ))
    except (SettingsError, AcceleratorError) as exc:
        sys.stderr.write(f"error: {exc}\n")
        sys.exit(1 if _WITH_RESULTS.isdisjoint(sys.argv) else 2)


def create_app(settings: Settings) -> App:
    """Create the app with all parts of the topology; nothing is connected or opened yet.

    Raises:
        AcceleratorError: the compiled form is required, but not available.
    """
    tables = topology(settings)
    form, fallback = start_lines(settings.accelerator)
    set_build(form)
    install()
    app = App(
        settings.app_id, lambda app: _parts(app, settings, tables), **faust_settings(settings)
    )

    def submit(batches: Mapping[TP, Batch]) -> None:
        # Looked up per batch: the consumer behind it needs a running event loop.
        app.tasks.submit(batches)

    app.start_lines = (f"the hot path runs {form}", fallback)
    for entry in tables:
        for source in entry.sources:
            add_agent(app, source, settings.partitions, submit)
    for command in COMMANDS:
        # The import registers the command.
        import_module(f"commands.{command}")
    return app


def _parts(app: App, settings: Settings, entries: Sequence[TableEntry]) -> AppParts:
    is_accelerated = is_wanted(settings.accelerator)
    stores = StoreContext(
        RocksMemory.create(settings.write_buffers),
        ThreadPoolExecutor(2, thread_name_prefix="rocksdb"),
        layers=layer_backend(accelerated=is_accelerated),
        rows=row_checks(accelerated=is_accelerated),
    )
    tables = {entry.name: app.tables.add(entry.make_table(app, stores)) for entry in entries}
    viral = app.tables.add(
        ViralTable(
            app,
            name="viral_videos",
            topic=settings.viral_topic,
            partitions=settings.partitions,
            app_id=settings.app_id,
            help="the videos that are viral now (global, over the output topic)",
        )
    )

    def make_processors(
        partition: int, states: Mapping[str, PartitionState], outbox: Outbox
    ) -> list[Processor]:
        # Downstream tables go first, so that a backlog of events does not delay videos.
        return [
            entry.make_processor(
                ProcessorContext(
                    partition,
                    states[entry.name],
                    outbox,
                    tables[entry.name].changelog_topic_name,
                    app.dead_letter_partitions,
                )
            )
            for entry in reversed(entries)
        ]

    packing = WireBackend.of(accelerated=is_accelerated)
    query_context = QueryContext(
        tables,
        {entry.name: entry.windows for entry in entries},
        {entry.name: entry.views for entry in entries},
        viral,
        stores.memory,
        {entry.name: entry.batches for entry in entries},
    )
    return AppParts(
        TaskContext(
            settings,
            client_settings(settings),
            tables,
            all_topics(settings, entries),
            {entry.name: entry.deltas for entry in entries if entry.deltas is not None},
            make_processors,
            unpacker(packing.records),
            packer(packing.pack),
        ),
        viral,
        lambda: Web(app, AppStatus(app), settings, query_context),
    )
