"""The other workers of the group: members, departures, and differing rules.

It always watches the group, because the metrics and the first reader need its past.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from time import monotonic, time
from typing import TYPE_CHECKING, Final

import aiohttp
import msgspec
from yarl import URL

from monitoring import metrics
from setting_rules import different_rules, rules_of
from views.peers import PeerError
from views.roster import LOST, Roster

if TYPE_CHECKING:
    from collections.abc import Mapping

    from settings import Settings
    from streaming.ports import WorkerStatus
    from views.addresses import Addresses
    from views.peers import Peers

log = logging.getLogger(__name__)

#: Header with the id of a leaving worker, in its last request to the others.
LEAVING: Final = "X-Reels-Leaving"

#: Seconds between two checks of the group, and between two requests for a worker's rules.
INTERVAL_S: Final = 1.0
RULES_INTERVAL_S: Final = 30.0

_ASK_TIMEOUT: Final = aiohttp.ClientTimeout(total=2.0, connect=1.0)
_FAREWELL_TIMEOUT: Final = aiohttp.ClientTimeout(total=1.0, connect=0.5)


class _Answer(msgspec.Struct):
    """The part of a worker's figures that is used here."""

    rules: dict[str, str] = {}


_decode: Final = msgspec.json.Decoder(_Answer).decode


class Neighbours:
    """Keeps the roster, and compares the rules of all workers with this one's."""

    def __init__(
        self, status: WorkerStatus, settings: Settings, peers: Peers, addresses: Addresses
    ) -> None:
        """Watch the group of ``addresses``, from :meth:`start` on."""
        self._status = status
        self._peers = peers
        self._addresses = addresses
        self.rules = rules_of(settings)
        self.roster = Roster(settings.session_timeout)
        #: When each worker last sent its rules, and how they differ.
        self._asked: dict[str, float] = {}
        self._different: dict[str, Mapping[str, tuple[str, str]]] = {}
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start to watch the group."""
        self._task = asyncio.create_task(self._run(), name="neighbours")

    async def stop(self) -> None:
        """Stop watching the group."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def say_farewell(self) -> None:
        """Announce to all others that this worker leaves; failures are ignored."""
        others = [url for url in self.roster.members if url != str(self._addresses.own)]
        headers = {LEAVING: self._status.worker_id}
        await asyncio.gather(
            *(
                self._peers.get(URL(url), "/overview", headers=headers, timeout=_FAREWELL_TIMEOUT)
                for url in others
            ),
            return_exceptions=True,
        )

    def refresh(self) -> None:
        """Update roster and metrics from the group's current members."""
        self.roster.update(self._addresses.everyone(), time())
        metrics.workers.set(self.roster.size)
        metrics.workers_lost.set(sum(each.how == LOST for each in self.roster.departed))
        for gone in self._asked.keys() - set(self.roster.members):
            del self._asked[gone]
            self._different.pop(gone, None)
        metrics.workers_with_other_rules.set(len(self._different))

    async def _run(self) -> None:
        failing = False
        while True:
            # This worker's own address is known only after the server has started.
            await asyncio.sleep(INTERVAL_S)
            try:
                self.refresh()
                await self._compare_rules()
                failing = False
            except Exception:
                # Logged once until it works again.
                if not failing:
                    log.exception("the other workers could not be checked")
                failing = True

    async def _compare_rules(self) -> None:
        if not self.roster.members:
            return
        now, own = monotonic(), str(self._addresses.own)
        due = [
            url
            for url in self.roster.members
            if url != own and now - self._asked.get(url, -RULES_INTERVAL_S) >= RULES_INTERVAL_S
        ]
        await asyncio.gather(*map(self._ask_for_rules, due))
        metrics.workers_with_other_rules.set(len(self._different))

    async def _ask_for_rules(self, url: str) -> None:
        try:
            answer = await self._peers.get(URL(url), "/overview", timeout=_ASK_TIMEOUT)
            rules = _decode(answer.body).rules
        except (PeerError, msgspec.MsgspecError) as exc:
            log.debug("%s does not report its rules: %r", url, exc)
            return
        self._asked[url] = monotonic()
        different = different_rules(self.rules, rules)
        if different and different != self._different.get(url):
            log.warning(
                "%s counts by different rules: %s. Give all workers of an app the same settings",
                url,
                ", ".join(
                    f"{name} is {theirs} there, {mine} here"
                    for name, (mine, theirs) in different.items()
                ),
            )
        if different:
            self._different[url] = different
        else:
            self._different.pop(url, None)
