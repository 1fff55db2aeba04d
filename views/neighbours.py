"""The other workers of the group: who came, who left, who was lost, and who has other rules.

It looks whether anybody watches or not, so that the first who asks learns of it, and the metrics
have it.
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

#: The id of a worker that leaves the group, in its last request to the others.
LEAVING: Final = "X-Reels-Leaving"

#: Seconds between two looks at the group, and after which a worker is asked for its rules again.
INTERVAL: Final = 1.0
RULES_INTERVAL: Final = 30.0

_ASK_TIMEOUT: Final = aiohttp.ClientTimeout(total=2.0, connect=1.0)
_FAREWELL_TIMEOUT: Final = aiohttp.ClientTimeout(total=1.0, connect=0.5)


class _Answer(msgspec.Struct):
    """The part of a worker's figures that is looked at here."""

    rules: dict[str, str] = {}


_decode: Final = msgspec.json.Decoder(_Answer).decode


class Neighbours:
    """Keeps the roster, and compares the rules of all workers with this one's."""

    def __init__(
        self, status: WorkerStatus, settings: Settings, peers: Peers, addresses: Addresses
    ) -> None:
        """Look at the group as ``addresses`` have it; nothing happens before :meth:`start`."""
        self._status = status
        self._peers = peers
        self._addresses = addresses
        self.rules = rules_of(settings)
        self.roster = Roster(settings.session_timeout)
        #: When each worker last told its rules, and in what they differ.
        self._asked: dict[str, float] = {}
        self._different: dict[str, Mapping[str, tuple[str, str]]] = {}
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Look again and again."""
        self._task = asyncio.create_task(self._run(), name="neighbours")

    async def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def say_farewell(self) -> None:
        """Tell all others that this worker leaves in order; who does not answer is left alone."""
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
        """Take the group's members as they are now."""
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
            # This worker's own address is known a moment after the server has started.
            await asyncio.sleep(INTERVAL)
            try:
                self.refresh()
                await self._compare_rules()
                failing = False
            except Exception:
                # Said once, until it works again.
                if not failing:
                    log.exception("the other workers cannot be looked at")
                failing = True

    async def _compare_rules(self) -> None:
        if not self.roster.members:
            return
        now, own = monotonic(), str(self._addresses.own)
        due = [
            url
            for url in self.roster.members
            if url != own and now - self._asked.get(url, -RULES_INTERVAL) >= RULES_INTERVAL
        ]
        await asyncio.gather(*map(self._ask_for_rules, due))
        metrics.workers_with_other_rules.set(len(self._different))

    async def _ask_for_rules(self, url: str) -> None:
        try:
            answer = await self._peers.get(URL(url), "/overview", timeout=_ASK_TIMEOUT)
            rules = _decode(answer.body).rules
        except (PeerError, msgspec.MsgspecError) as exc:
            log.debug("%s does not tell its rules: %r", url, exc)
            return
        self._asked[url] = monotonic()
        different = different_rules(self.rules, rules)
        if different and different != self._different.get(url):
            log.warning(
                "%s counts by other rules: %s. Give all workers of an app the same settings",
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
