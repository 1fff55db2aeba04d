"""What one part of the program asks of another, where it may not know the other itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
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
        """Wait while enough is fetched and not processed."""

    async def suspend(self) -> None:
        """Accept no more, and commit what is processed."""

    def pending_seeks(self) -> Mapping[TP, int]:
        """Return the positions of tasks that were opened or resumed since the last call."""


class GroupLag(Protocol):
    """Knows from the brokers how far behind the group is."""

    async def records(self, partitions: Collection[int]) -> dict[int, int]:
        """Return the records behind in each of ``partitions``.

        Raises:
            KafkaError, OSError: the brokers do not answer in time.
        """


class WorkerStatus(Protocol):
    """What a worker knows of itself; may be asked at any time, before it has joined, too."""

    @property
    def url(self) -> URL:
        """The address by which other workers know this one."""

    @property
    def worker_id(self) -> str:
        """Tells this worker from others, whatever their addresses; the same over restarts."""

    @property
    def partitions(self) -> int:
        """The number of partitions of every table."""

    @property
    def data_dir(self) -> Path:
        """The folder with the tables."""

    def owners(self) -> Mapping[str, Mapping[str, Collection[int]]]:
        """Return all workers of the group, with what each owns.

        Keys are ``address#id``, without ``#id`` for a worker of a release before; values are
        partitions by changelog topic.
        """

    def assigned(self) -> AbstractSet[int]:
        """Return the partitions that the group has given to this worker."""

    def open(self) -> AbstractSet[int]:
        """Return those of them that are at work: restored, and neither moving nor failed."""

    def has_joined(self) -> bool:
        """Whether the worker has had its first assignment, and has opened all of it."""

    def is_rebalancing(self) -> bool:
        """Whether the group is about to assign partitions anew."""

    def is_viral_list_complete(self) -> bool:
        """Whether the output topic has been read up to its end."""

    def lag_s(self) -> Mapping[int, float]:
        """Return the age in seconds of the oldest event not yet applied, by partition."""

    def uncommitted_s(self) -> Mapping[int, float]:
        """Return how long changes wait for a commit, in seconds, by open partition."""

    def fetch_age_s(self) -> float:
        """Return the seconds since the last turn of fetching began."""

    def stop_reason(self) -> str | None:
        """Return why the worker ends, None while it does not."""

    def group_refusal(self) -> str | None:
        """Return why the group does not let the worker in, None while it does."""

    def topic_obstacle(self) -> str | None:
        """Return why topics keep the worker from being ready, None when they do not."""

    def group_lag(self) -> AbstractAsyncContextManager[GroupLag]:
        """Connect to the brokers, to ask about partitions that no worker answers for.

        Raises:
            KafkaError, OSError: the brokers do not answer.
        """

    def stall_reason(self, limit_s: float) -> str | None:
        """Return why tasks or commits do not go on and will not by themselves, None when they do.

        Arguments:
            limit_s: seconds after which a batch counts as one that will not end.
        """


class SeekingConsumer(Protocol):
    """Fetches from where tasks stand."""

    async def perform_seek(self) -> None:
        """Go on where tasks stand that were opened or resumed since the last call."""

    async def seek_positions(self, positions: Mapping[TP, int], /) -> None:
        """Fetch from ``positions`` on."""


class WorkerContext(Protocol):
    """The worker, as its tasks know it."""

    @property
    def generation(self) -> int:
        """The group's, as of the last assignment."""

    @property
    def session_timeout(self) -> float:
        """Seconds after which the group gives up a member that it does not hear of."""

    def is_standby(self, tp: TP, /) -> bool:
        """Whether this worker only follows ``tp``."""

    def give_up(self, exc: BaseException, /) -> None:
        """End the worker, with ``exc`` as the reason."""


class Ending(Protocol):
    """What ends the process."""

    def end(self) -> None:
        """Stop in order, as at SIGTERM."""
