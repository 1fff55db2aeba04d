"""Interfaces between parts of the program that may not import each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from collections.abc import Set as AbstractSet
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from faust.types import TP
    from yarl import URL


class BatchSink(Protocol):
    """Takes the batches that a consumer fetches."""

    @property
    def source_topic(self) -> str:
        """The topic that events come from; all others are internal."""

    async def wait_for_room(self) -> None:
        """Wait while the tasks have enough unprocessed batches."""

    async def suspend(self) -> None:
        """Accept no more batches, and commit the processed records."""

    def pending_seeks(self) -> Mapping[TP, int]:
        """Return the positions of tasks that were opened or resumed since the last call."""

    def seek_again(self, tps: Iterable[TP], /) -> None:
        """Let the next call of :meth:`pending_seeks` return ``tps`` again: their seek failed."""


class GroupLag(Protocol):
    """Compares the group's offsets with the ends of the topics, at the brokers."""

    async def records(self, partitions: Collection[int]) -> dict[int, int]:
        """Return the lag of each of ``partitions``, in records.

        Raises:
            KafkaError, OSError: the brokers do not answer in time.
        """


class WorkerStatus(Protocol):
    """A worker's view of itself; methods may be called at any time, even before it has joined."""

    @property
    def url(self) -> URL:
        """The address at which other workers reach this one."""

    @property
    def worker_id(self) -> str:
        """Identifies this worker independently of its address; the same after restarts."""

    @property
    def partitions(self) -> int:
        """The number of partitions of every table."""

    @property
    def data_dir(self) -> Path:
        """The folder with the tables."""

    def owners(self) -> Mapping[str, Mapping[str, Collection[int]]]:
        """Return the partitions that each worker of the group owns.

        Keys are ``address#id``, or the address alone for a worker of an earlier release. Values are
        partitions by changelog topic.
        """

    def assigned(self) -> AbstractSet[int]:
        """Return the partitions that the group has given to this worker."""

    def open(self) -> AbstractSet[int]:
        """Return the assigned partitions that are processed: restored, not moving, not failed."""

    def has_joined(self) -> bool:
        """Whether the worker has opened all partitions of its first assignment."""

    def is_rebalancing(self) -> bool:
        """Whether a rebalance of the group is in progress."""

    def is_viral_list_complete(self) -> bool:
        """Whether the output topic has been read up to its end."""

    def lag_s(self) -> Mapping[int, float]:
        """Return the age in seconds of the oldest event not yet applied, by partition."""

    def uncommitted_s(self) -> Mapping[int, float]:
        """Return how long changes wait for a commit, in seconds, by open partition."""

    def fetch_age_s(self) -> float:
        """Return the seconds since the last round of fetching began."""

    def stop_reason(self) -> str | None:
        """Return why the worker is shutting down, None if it is not."""

    def group_refusal(self) -> str | None:
        """Return why the group refuses the worker, None if it does not."""

    def topic_obstacle(self) -> str | None:
        """Return why topics keep the worker from being ready, None if they do not."""

    def group_lag(self) -> AbstractAsyncContextManager[GroupLag]:
        """Connect to the brokers, for the lag of partitions that no worker answers for.

        Raises:
            KafkaError, OSError: the brokers do not answer.
        """

    def stall_reason(self, limit_s: float) -> str | None:
        """Return why tasks or commits are stuck for good, None if they are not.

        Arguments:
            limit_s: seconds after which a batch in process counts as stuck.
        """


class SeekingConsumer(Protocol):
    """Fetches from the positions of tasks."""

    async def perform_seek(self) -> None:
        """Seek the positions of tasks that were opened or resumed since the last call."""

    async def seek_positions(self, positions: Mapping[TP, int], /) -> None:
        """Fetch from ``positions`` on."""


class WorkerContext(Protocol):
    """The part of a worker that its tasks need."""

    @property
    def generation(self) -> int:
        """The group's generation as of the last assignment."""

    @property
    def session_timeout(self) -> float:
        """Seconds without a heartbeat after which the group removes a member."""

    def is_standby(self, tp: TP, /) -> bool:
        """Whether this worker is only a standby of ``tp``."""

    def give_up(self, exc: BaseException, /) -> None:
        """Shut the worker down with exit code 1, and log ``exc`` as the reason."""


class Ending(Protocol):
    """Ends the worker's process."""

    def end(self) -> None:
        """Shut down, as after SIGTERM."""
