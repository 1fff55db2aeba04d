"""``POST /users/query``, ``GET /users?ids=`` and the like: many keys in one request.

This worker reads its own keys, and requests the others from all their owners at the same time. The
answer has the keys in the order asked.
"""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import orjson
from aiohttp import hdrs, web
from rocksdict import DbClosedError

from monitoring import metrics
from tables.sliced import is_readable
from views import arrow
from views.answers import RETRY_AFTER, HttpError
from views.batch_answers import ROWS_PER_SLICE, UNAVAILABLE, UNKNOWN, AnswerError, JsonAnswer
from views.batch_parameters import parse_body, parse_query
from views.batch_rows import Summed
from views.middlewares import BODY
from views.peers import PeerError
from views.reading import check_kept
from views.routing import FORWARDED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from models._protocols import LookupResult
    from tables.batch_read import BatchReader
    from tables.state import PartitionState
    from views.addresses import Member
    from views.batch_answers import BatchAnswer
    from views.batch_limits import Budget
    from views.batch_parameters import BatchQuery
    from views.entities import BatchTable
    from views.routing import Routing

log = logging.getLogger(__name__)

#: Positions of ids in the request, by partition.
Positions = dict[int, list[int]]

#: The outcome of an id with a row; the others have the names of the answer's lists.
FOUND: Final = "found"

_RETRY: Final[dict[str, str]] = {hdrs.RETRY_AFTER: RETRY_AFTER}


class BatchViews:
    """Batch routes of one table."""

    def __init__(
        self, entity: BatchTable, reader: BatchReader, budget: Budget, routing: Routing
    ) -> None:
        """Read with ``reader``; ``budget`` limits the keys read at a time."""
        self._entity = entity
        self._reader = reader
        self._budget = budget
        self._routing = routing
        self._pyarrow: Any = None
        # A lookup of a series costs as much as counting, and a rate needs an existing series.
        self._asked = metrics.batch_keys_asked.labels(entity.name)
        self._outcomes = {
            outcome: metrics.batch_keys.labels(entity.name, outcome)
            for outcome in (FOUND, UNKNOWN, UNAVAILABLE)
        }

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of these views."""
        name = self._entity.name
        return [web.post(f"/{name}/query", self.post), web.get(f"/{name}", self.get)]

    async def post(self, request: web.Request) -> web.Response:
        """Answer for the ids in the body."""
        return await self._answer(request, parse_body(request[BODY], self._entity))

    async def get(self, request: web.Request) -> web.Response:
        """Answer for the ids in the query."""
        return await self._answer(request, parse_query(request.query, self._entity))

    async def _answer(self, request: web.Request, query: BatchQuery) -> web.Response:
        entity = self._entity
        answer: BatchAnswer
        if arrow.is_asked_for(request):
            if self._pyarrow is None:
                self._pyarrow = await arrow.load()
            answer = arrow.ArrowAnswer(self._pyarrow, entity, stale_is_ok=query.stale_is_ok)
        else:
            answer = JsonAnswer(entity, len(query.ids))
        with self._budget.take(len(query.ids)):
            batch = BatchRead(entity, query, answer, self._reader, self._routing)
            await batch.read(request)
            left = {
                UNKNOWN: batch.ids_at(batch.unknown),
                UNAVAILABLE: batch.ids_at(batch.unavailable),
            }
            if FORWARDED not in request.headers:
                self._count(len(query.ids), {name: len(ids) for name, ids in left.items()})
            return await answer.response(left, _RETRY if batch.unavailable else {})

    def _count(self, asked: int, left: Mapping[str, int]) -> None:
        self._asked.inc(asked)
        found = asked - sum(left.values())
        for outcome, count in {FOUND: found, **left}.items():
            self._outcomes[outcome].inc(count)


class BatchRead:
    """One request in progress."""

    def __init__(
        self,
        entity: BatchTable,
        query: BatchQuery,
        answer: BatchAnswer,
        reader: BatchReader,
        routing: Routing,
    ) -> None:
        """Collect the rows of ``query`` in ``answer``."""
        self._entity = entity
        self._query = query
        self._answer = answer
        self._reader = reader
        self._routing = routing
        #: Positions of unknown ids, and of those that no worker answers for.
        self.unknown: set[int] = set()
        self.unavailable: set[int] = set()
        #: Workers that have not answered.
        self._silent: set[Member] = set()

    def ids_at(self, positions: Iterable[int]) -> list[int]:
        """Return the ids at some positions, in the order asked."""
        ids = self._query.ids
        return [ids[position] for position in sorted(positions)]

    async def read(self, request: web.Request) -> None:
        """Read all ids, here and from other workers.

        Raises:
            HttpError: the window is no longer kept.
        """
        table = self._entity.table
        here, elsewhere = Positions(), Positions()
        for partition, positions in self._by_partition().items():
            into = elsewhere if table.readable(partition) is None else here
            into[partition] = positions
        is_forwarded = FORWARDED in request.headers
        if elsewhere:
            await self._read_there(request, elsewhere, here)
        else:
            await self._read_here(here, table.readable, is_stale=False)
        if self.unavailable and self._query.stale_is_ok:
            await self._read_copies(is_forwarded=is_forwarded)

    async def _read_there(
        self, request: web.Request, elsewhere: Positions, here: Positions
    ) -> None:
        """Ask all owners of partitions ``elsewhere`` at once, and read those ``here`` meanwhile."""
        table = self._entity.table
        owners, without = self._routing.owners(request, table, elsewhere)
        self.unavailable.update(*(elsewhere[partition] for partition in without))
        asking = asyncio.gather(
            *(
                self._ask(owner, [p for n in partitions for p in elsewhere[n]])
                for owner, partitions in owners.items()
            ),
            return_exceptions=True,
        )
        try:
            # The requests start before this worker reads its own part.
            await asyncio.sleep(0)
            await self._read_here(here, table.readable, is_stale=False)
            for failed in await asking:
                if failed is not None:
                    raise failed
        finally:
            asking.cancel()

    def _by_partition(self) -> Positions:
        entity = self._entity
        return entity.by_partition(self._query.ids, entity.table.partition_count)

    async def _read_here(
        self,
        partitions: Positions,
        state_of: Callable[[int], PartitionState | None],
        *,
        is_stale: bool,
    ) -> None:
        """Read partitions from ``state_of``; ids of those that it lacks are unavailable."""
        ids = self._query.ids
        for number, some in enumerate(slices_of(partitions, ROWS_PER_SLICE)):
            if number:
                await asyncio.sleep(0)
            positions_of = {}
            for partition, positions in some.items():
                state = state_of(partition)
                if state is None:
                    self.unavailable.update(positions)
                else:
                    positions_of[state] = positions

            def take(
                state: PartitionState,
                values: LookupResult,
                positions_of: dict[PartitionState, list[int]] = positions_of,
            ) -> bool:
                return self._take(state, values, positions_of[state], is_stale=is_stale)

            taken = await self._reader.read(
                {
                    state: [b"%d" % ids[position] for position in positions]
                    for state, positions in positions_of.items()
                },
                take,
            )
            for state, positions in positions_of.items():
                if not taken[state]:
                    self.unavailable.update(positions)

    def _take(
        self, state: PartitionState, values: LookupResult, positions: list[int], *, is_stale: bool
    ) -> bool:
        """Add a partition's values to the answer; return False if it is no longer readable."""
        entity, query = self._entity, self._query
        if is_stale:
            try:
                stream_time, complete_from = state.known_time(), state.known_complete_from()
                unit = state.known_unit()
            except DbClosedError:
                return False
        elif is_readable(state):
            stream_time, complete_from = state.stream_time, state.complete_from
            unit = state.unit
        else:
            return False
        if stream_time is None:
            self.unknown.update(positions)
            return True
        as_of = stream_time if query.at_ms is None else query.at_ms
        windows = entity.windows_at(as_of, query.window_ms)
        known, sums = entity.sums.in_units(unit).of(values, stream_time, windows)
        if len(known) < len(positions):
            there = [positions[number] for number in known]
            self.unknown.update(set(positions).difference(there))
            positions = there
        if positions:
            if query.at_ms is not None:
                check_kept(entity.slices, min(first for first, _ in windows), stream_time)
            ids = [query.ids[position] for position in positions]
            step = entity.slices.step
            batch = Summed(ids, sums, as_of, windows, step, complete_from, is_stale)
            self._answer.add(positions, batch)
        return True

    async def _ask(self, worker: Member, positions: list[int]) -> None:
        """Add another worker's answer; without one, its ids are unavailable."""
        ids = self._query.ids
        position_of = {ids[position]: position for position in sorted(positions)}
        self.unavailable.update(positions)
        try:
            reply = await self._routing.ask_batch(
                worker,
                f"/{self._entity.name}/query",
                self._query.body(list(position_of)),
                self._answer.media,
                stale_is_ok=self._query.stale_is_ok,
            )
            if reply.status == HTTPStatus.BAD_REQUEST:
                raise _refusal(reply.body)
            if reply.status != HTTPStatus.OK:
                log.debug("%s answers a batch with status %s", worker.url, reply.status)
                return
            # Other requests may have changed the sets meanwhile: update, do not replace them.
            unknown, unavailable = self._answer.add_answer(position_of, reply.body)
        except (PeerError, AnswerError) as exc:
            log.debug("%s", exc)
            self._silent.add(worker)
            return
        self.unknown.update(position_of[key] for key in unknown)
        self.unavailable.difference_update(positions)
        self.unavailable.update(position_of[key] for key in unavailable)

    async def _read_copies(self, *, is_forwarded: bool) -> None:
        """Read unavailable ids from copies: here, then from one worker after the other."""
        table = self._entity.table
        partitions, left = self._by_partition(), self.unavailable
        copies = {n: kept for n, p in partitions.items() if (kept := [x for x in p if x in left])}
        copies = {n: positions for n, positions in copies.items() if table.copy(n) is not None}
        self.unavailable = left.difference(*copies.values())
        await self._read_here(copies, table.copy, is_stale=True)
        if is_forwarded:
            return
        for member in self._routing.others(table):
            if not self.unavailable:
                return
            if member in self._silent:
                continue
            await self._ask(member, list(self.unavailable))


def _refusal(body: bytes) -> HttpError:
    """Convert another worker's error answer."""
    try:
        error = orjson.loads(body)["error"]
        return HttpError(HTTPStatus.BAD_REQUEST, str(error["code"]), str(error["message"]))
    except (orjson.JSONDecodeError, KeyError, TypeError) as exc:
        raise AnswerError(f"a refusal is invalid: {body[:100]!r}") from exc


def slices_of(partitions: Positions, most: int) -> Iterator[Positions]:
    """Yield the positions in parts of at most ``most``."""
    part, room = Positions(), most
    for partition, positions in partitions.items():
        at = 0
        while at < len(positions):
            taken = positions[at : at + room]
            part[partition] = taken
            at += len(taken)
            room -= len(taken)
            if not room:
                yield part
                part, room = Positions(), most
    if part:
        yield part
