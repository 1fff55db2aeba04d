"""The internals of Faust, mode and aiokafka that the program uses still exist.

An upgrade that moves one of them fails here, by name, and not in a running worker.
"""

from __future__ import annotations

import inspect
import logging
import re
from typing import TYPE_CHECKING

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import Fetcher, FetchError, FetchResult, PartitionRecords
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.consumer.subscription_state import Assignment, SubscriptionState
from aiokafka.producer import sender
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from faust.app import App
from faust.assignor import PartitionAssignor
from faust.stores.base import Store
from faust.tables.base import Collection
from faust.tables.manager import TableManager
from faust.tables.recovery import RebalanceAgain, Recovery, ServiceStopped
from faust.transport.consumer import TransactionManager
from faust.transport.drivers import aiokafka as driver
from faust.types.tuples import ConsumerMessage
from faust.web.drivers.aiohttp import Web
from mode import Worker
from mode.services import ServiceTask

from streaming.fetch.transport import BatchConsumer
from streaming.kafka.batch_reader import RawMemoryRecords
from streaming.kafka.batch_writer import PackedBatch
from streaming.kafka.group_coordinator import Coordinator
from streaming.runtime.recovery import BatchRecovery

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def parameters(function: Callable[..., object]) -> list[str]:
    return [name for name in inspect.signature(function).parameters if name != "self"]


def attributes(cls: type) -> set[str]:
    """Return the names that the ``__init__`` methods of ``cls`` use."""
    return {name for each in cls.__mro__ if "__init__" in vars(each) for name in _names(each)}


def _names(cls: type) -> Iterable[str]:
    made = cls.__init__  # type: ignore[misc]  # it is inspected, not called
    return getattr(getattr(made, "__code__", None), "co_names", ())


@pytest.mark.parametrize(
    ("owner", "name", "expected"),
    [
        # aiokafka: fetched records
        (Fetcher, "_create_fetch_waiter", []),
        (Fetcher, "_notify", ["future"]),
        (FetchResult, "check_assignment", ["tp"]),
        (FetchResult, "has_more", []),
        (FetchResult, "_update_position", []),
        (FetchError, "check_raise", []),
        (PartitionRecords, "_consume_aborted_up_to", ["batch_offset"]),
        (PartitionRecords, "_contains_abort_marker", ["next_batch"]),
        (SubscriptionState, "fetch_context", []),
        (SubscriptionState, "wait_for_assignment", []),
        (SubscriptionState, "is_assigned", ["tp"]),
        (Assignment, "state_value", ["tp"]),
        # aiokafka: whole batches in a transaction
        (AIOKafkaProducer, "create_batch", []),
        (AIOKafkaProducer, "send_batch", ["batch", "topic", "partition"]),
        (AIOKafkaProducer, "begin_transaction", []),
        (AIOKafkaProducer, "commit_transaction", []),
        (AIOKafkaProducer, "send_offsets_to_transaction", ["offsets", "group_id"]),
        (GroupCoordinator, "fetch_committed_offsets", ["partitions"]),
        # aiokafka: refusals by the group
        (GroupCoordinator, "_send_req", ["request"]),
        (GroupCoordinator, "ensure_active_group", ["subscription", "prev_assignment"]),
        (
            GroupCoordinator,
            "_on_join_complete",
            ["generation", "member_id", "protocol", "member_assignment_bytes"],
        ),
        (GroupCoordinator, "_push_error_to_user", ["exc"]),
        (GroupCoordinator, "_maybe_leave_group", []),
        (GroupCoordinator, "reset_generation", []),
        (GroupCoordinator, "request_rejoin", []),
        (SubscriptionState, "begin_reassignment", []),
        # Faust: the workers' addresses
        (PartitionAssignor, "on_assignment", ["assignment"]),
        (PartitionAssignor, "_decompress", ["compressed"]),
        (BatchBuilder, "append", ["timestamp", "key", "value", "headers"]),
        (BatchBuilder, "record_count", []),
        (BatchBuilder, "close", []),
        (BatchBuilder, "closed", []),
        (BatchBuilder, "_build", []),
        (BatchBuilder, "_set_producer_state", ["producer_id", "producer_epoch", "base_sequence"]),
        # Faust: the consumer
        (driver.Consumer, "_new_consumer_thread", []),
        (driver.Consumer, "_drain_messages", ["fetcher"]),
        (driver.Consumer, "getmany", ["timeout"]),
        (driver.AIOKafkaConsumerThread, "getmany", ["active_partitions", "timeout"]),
        (driver.Consumer, "_wait_next_records", ["timeout"]),
        (driver.Consumer, "_to_message", ["tp", "record"]),
        (driver.Consumer, "perform_seek", []),
        (driver.Consumer, "wait_empty", []),
        (driver.Consumer, "commit", ["topics", "start_new_transaction"]),
        (driver.Consumer, "on_stop", []),
        (
            driver.AIOKafkaConsumerThread,
            "_fetch_records",
            ["consumer", "active_partitions", "timeout", "max_records"],
        ),
        (driver.AIOKafkaConsumerThread, "_create_worker_consumer", ["transport"]),
        (driver.AIOKafkaConsumerThread, "close", []),
        (driver.AIOKafkaConsumerThread, "on_thread_stop", []),
        (driver.AIOKafkaConsumerThread, "call_thread", ["fun", "args", "kwargs"]),
        (driver.AIOKafkaConsumerThread, "_ensure_consumer", []),
        (driver.AIOKafkaConsumerThread, "seek_wait", ["partitions"]),
        (driver.AIOKafkaConsumerThread, "earliest_offsets", ["partitions"]),
        # Rebalances and recovery of Faust
        (TransactionManager, "on_partitions_revoked", ["revoked"]),
        (TransactionManager, "on_rebalance", ["assigned", "revoked", "newly_assigned"]),
        (Recovery, "on_rebalance", ["assigned", "revoked", "newly_assigned", "generation_id"]),
        (Recovery, "_wait", ["coro", "timeout"]),
        (Recovery, "_set_recovery_started", []),
        (Recovery, "on_recovery_completed", ["generation_id"]),
        (Recovery, "_is_changelog_tp", ["tp"]),
        (Recovery, "on_partitions_revoked", ["revoked"]),
        # Faust: app, tables, web server and worker
        (App, "_new_transport", []),
        (App, "_new_web", []),
        (App, "on_first_start", []),
        (Collection, "_changelog_topic_name", []),
        (Collection, "_new_store_by_url", ["url"]),
        (Store, "persisted_offset", ["tp"]),
        (Web, "on_start", []),
        (Worker, "_schedule_shutdown", ["signal"]),
        (Worker, "_sentinel_task", []),
        (Worker, "execute_from_commandline", []),
    ],
    ids=lambda each: getattr(each, "__name__", str(each)),
)
def test_a_method_that_is_called_or_replaced_has_its_name_and_arguments(
    owner: type, name: str, expected: list[str]
) -> None:
    assert parameters(getattr(owner, name)) == expected


@pytest.mark.parametrize(
    ("owner", "names"),
    [
        (Fetcher, {"_records", "_subscriptions", "_wait_consume_future", "_closed", "_fetch_task"}),
        (FetchResult, {"_partition_records", "_assignment"}),
        (
            PartitionRecords,
            {
                *("next_fetch_offset", "_records", "_aborted_producers"),
                *("_isolation_level", "_check_crcs", "_tp"),
            },
        ),
        (AIOKafkaConsumer, {"_fetcher", "_closed", "_coordinator"}),
        (GroupCoordinator, {"_coordination_task", "_closing", "_group_instance_id"}),
        (PartitionAssignor, {"_assignment"}),
        (BatchBuilder, {"_builder", "_buffer", "_relative_offset", "_closed"}),
        (driver.Consumer, {"_buffered_partitions", "_read_offset", "callback", "transport"}),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_an_attribute_that_is_read_is_set_at_the_start(owner: type, names: set[str]) -> None:
    assert names <= attributes(owner)


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (SubscriptionState, "reassignment_in_progress"),
        (driver.Consumer, "flow_active"),
        (Recovery, "signal_recovery_start"),
        (TableManager, "recovery"),
        (App, "consumer_generation_id"),
        (App, "rebalancing"),
        (PartitionAssignor, "_url"),
        (Web, "default_blueprints"),
        (Web, "production_blueprints"),
    ],
)
def test_a_name_that_is_read_from_a_class_is_there(owner: type, name: str) -> None:
    assert hasattr(owner, name) or name in attributes(owner)


@pytest.mark.parametrize(
    ("base", "ours", "name"),
    [
        (driver.Consumer, BatchConsumer, "_commit_handler"),
        (driver.Consumer, BatchConsumer, "_commit_livelock_detector"),
        (Recovery, BatchRecovery, "_restart_recovery"),
        (Recovery, BatchRecovery, "_slurp_changelogs"),
        (Recovery, BatchRecovery, "_publish_stats"),
    ],
)
def test_fausts_background_tasks_are_replaced_by_ours_of_the_same_name(
    base: type, ours: type, name: str
) -> None:
    assert isinstance(getattr(base, name), ServiceTask)
    assert isinstance(getattr(ours, name), ServiceTask)
    assert getattr(ours, name).fun.__module__.startswith("streaming.")


def test_every_background_task_of_fausts_consumer_is_known() -> None:
    """A new one might commit offsets that the tasks know nothing about."""
    tasks = {name for name, each in inspect.getmembers(driver.Consumer) if _is_task(each)}
    assert tasks == {"_commit_handler", "_commit_livelock_detector"}
    tasks = {name for name, each in inspect.getmembers(Recovery) if _is_task(each)}
    assert tasks == {"_restart_recovery", "_slurp_changelogs", "_publish_stats"}


def _is_task(each: object) -> bool:
    return isinstance(each, ServiceTask)


def test_a_message_takes_its_fields_in_this_order() -> None:
    assert parameters(ConsumerMessage.__init__) == [
        *("topic", "partition", "offset", "timestamp", "timestamp_type", "headers", "key"),
        *("value", "checksum", "serialized_key_size", "serialized_value_size", "tp"),
        *("time_in", "time_out", "time_total", "generation_id"),
    ]


def test_recovery_tells_a_further_rebalance_from_the_end_of_the_worker() -> None:
    assert issubclass(RebalanceAgain, Exception)
    assert issubclass(ServiceStopped, Exception)
    assert not issubclass(RebalanceAgain, ServiceStopped)


def test_a_batch_takes_one_record_of_any_size_and_says_none_when_it_is_full() -> None:
    """Therefore no record is left out: one that does not fit begins the next batch."""
    builder = BatchBuilder(100, compression_type=0, is_transactional=True)
    large = {"timestamp": None, "key": b"1", "value": b"x" * 10_000}
    assert builder.append(**large) is not None
    assert builder.append(**large) is None
    assert builder.record_count() == 1


def test_a_packed_batch_has_all_that_is_asked_of_it() -> None:
    """The other methods of a batch serve batches that are still being built."""
    for method in (BatchBuilder._build, BatchBuilder.size):
        assert "self._buffer" in inspect.getsource(method)
    others = {"append", "_serialize", *vars(PackedBatch)}
    named = {name for name in vars(BatchBuilder) if not name.startswith("__")}
    assert named - others == {"_build", "close", "closed", "record_count", "size"}


def test_a_fetched_record_has_all_that_is_read_of_it_before_aiokafka_copies_it() -> None:
    source = inspect.getsource(PartitionRecords._consumer_record)
    for name in ("offset", "timestamp", "headers"):
        assert f"record.{name}" in source


def test_a_fetch_is_kept_in_what_stands_in_for_aiokafkas_records() -> None:
    assert fetcher.MemoryRecords is RawMemoryRecords
    assert "MemoryRecords(part_data[-1])" in inspect.getsource(Fetcher._proc_fetch_request)
    of_theirs = {name for name in dir(MemoryRecords) if not name.startswith("_")}
    assert of_theirs <= set(dir(RawMemoryRecords))


def test_a_consumer_that_is_a_member_of_a_group_has_our_coordinator() -> None:
    assert AIOKafkaConsumer.start.__globals__["GroupCoordinator"] is Coordinator


@pytest.mark.parametrize("name", ["fetch_max_wait_ms", "fetch_min_bytes"])
async def test_a_fetch_waits_as_the_consumer_and_then_its_fetcher_say(name: str) -> None:
    """The program replaces Faust's choice before the consumer starts, and again later."""
    consumer = AIOKafkaConsumer()
    assert isinstance(getattr(consumer, f"_{name}"), int)
    assert f"{name}=self._{name}" in inspect.getsource(AIOKafkaConsumer.start)
    assert f"self._{name}" in inspect.getsource(Fetcher._get_actions_per_node)
    await consumer.stop()


async def test_a_consumers_client_knows_which_topics_the_brokers_have() -> None:
    consumer = AIOKafkaConsumer(bootstrap_servers="127.0.0.1:1")
    assert consumer._client.cluster.partitions_for_topic("any") is None
    # No broker answers: the future stays pending.
    asked = consumer._client.force_metadata_update()
    assert not asked.done()
    asked.cancel()
    await consumer.stop()


def test_what_aiokafkas_sender_says_as_an_error_it_raises_as_well() -> None:
    """Its logger does not repeat the error."""
    said = re.split(r"log\.(?:error|exception)\(", inspect.getsource(sender))[1:]
    assert len(said) == len([each for each in said if "raise " in "".join(each.split("\n")[:7])])
    assert said
    assert not logging.getLogger(sender.__name__).filter(
        logging.LogRecord("any", logging.ERROR, "", 0, "any", None, None)
    )
