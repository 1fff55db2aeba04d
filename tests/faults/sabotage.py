"""A worker with a built-in fault: tests run ``python -m tests.faults.sabotage`` instead of Faust.

The program itself does not know of it. Environment variables choose the fault:

``FAULT``
    where: ``before`` or ``after`` a step of a commit or of opening a task: ``after send``
``FAULT_HIT``
    at which occurrence of that step; the first by default
``FAULT_ACTION``
    ``kill`` (SIGKILL), ``stop`` (SIGSTOP) or ``lose`` (the step fails as if no answer arrived)
``FAULT_CLOCK``
    a file of one double: the error of the wall clock in seconds; may change at run time
``FAULT_LAYOUT``
    write tables in the format of another release, of this version
``FAULT_PASS_ON``
    ``input``: pass misplaced events on through the input topic, as releases up to 6e02854 did
"""

from __future__ import annotations

import inspect
import mmap
import os
import signal
import struct
import time
from contextvars import ContextVar
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.windows import Slices

SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}


def shift_clock(path: Path) -> None:
    """Shift ``time.time``. Must run before other modules copy it."""
    with path.open("rb") as file:
        shift = mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ)
    real = time.time
    time.time = lambda: real() + struct.unpack_from("<d", shift)[0]


def write_layout(version: int) -> None:
    """Write another version into the tables' layout; the values stay the same."""
    from tables.layout import StoreFormat

    def of(_: int, slices: Slices, *__: object, **___: object) -> StoreFormat:
        return StoreFormat(version, slices.size, slices.step)

    StoreFormat.of = of  # type: ignore[method-assign,assignment]


def pass_on_through_the_input() -> None:
    """Send copies of misplaced events to the input topic."""
    from agents.engagement import EngagementProcessor
    from streaming.kafka.records import OutRecord

    def pass_on(self: EngagementProcessor, record: Any, partition: int, key: bytes) -> None:
        copy = OutRecord(key, record.value, tuple(record.headers), record.timestamp)
        self._outbox.add(self._settings.events_topic, partition, copy)

    EngagementProcessor._pass_on = pass_on  # type: ignore[method-assign]


def steps() -> dict[str, tuple[type, str]]:
    """Return the method of each step; some are called once per table."""
    from aiokafka import AIOKafkaProducer

    from agents.engagement import EngagementProcessor
    from agents.summed_deltas import DeltaProcessor
    from streaming.commit.fencing import Fencing
    from streaming.kafka.producer import Transaction
    from tables.state import PartitionState

    return {
        "fence": (Fencing, "fence"),
        "claim": (Fencing, "claim"),
        "prepare": (EngagementProcessor, "prepare"),
        "handover": (DeltaProcessor, "take_over"),
        "freeze": (PartitionState, "freeze"),
        "send": (Transaction, "send_values"),
        "offsets": (Transaction, "send_offsets"),
        "commit": (AIOKafkaProducer, "commit_transaction"),
        "flush": (PartitionState, "flush"),
    }


def tell_claims_apart() -> ContextVar[bool]:
    """Return a variable that is true within a claim's transaction, which is not the commit's."""
    from streaming.commit import fencing

    claiming = ContextVar("claiming", default=False)
    original = fencing._claim

    async def claim(*args: Any) -> Any:
        claiming.set(True)
        return await original(*args)

    fencing._claim = claim  # type: ignore[assignment]
    return claiming


def arm(when: str, step: str, hit: int, action: str) -> None:
    """Inject the fault at the ``hit``-th time that ``step`` is reached."""
    owner, name = steps()[step]
    original = getattr(owner, name)
    reached = 0
    claiming = tell_claims_apart()

    def strike(now: str) -> None:
        nonlocal reached
        if claiming.get():
            return
        reached += now == when
        if now == when and reached == hit:
            if action == "lose":
                raise TimeoutError(f"the answer {when} {step} is lost")
            os.kill(os.getpid(), SIGNALS[action])

    setattr(owner, name, _around(original, strike))


def _around(original: Callable[..., Any], strike: Callable[[str], None]) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(original):

        @wraps(original)
        async def reached(*args: Any, **kwargs: Any) -> Any:
            strike("before")
            result = await original(*args, **kwargs)
            strike("after")
            return result

    else:

        @wraps(original)
        def reached(*args: Any, **kwargs: Any) -> Any:
            strike("before")
            result = original(*args, **kwargs)
            strike("after")
            return result

    return reached


def main() -> None:
    """Inject the fault and run Faust."""
    if path := os.environ.get("FAULT_CLOCK"):
        shift_clock(Path(path))
    if version := os.environ.get("FAULT_LAYOUT"):
        write_layout(int(version))
    if os.environ.get("FAULT_PASS_ON") == "input":
        pass_on_through_the_input()
    if fault := os.environ.get("FAULT"):
        when, step = fault.split()
        hit, action = int(os.environ.get("FAULT_HIT", "1")), os.environ.get("FAULT_ACTION", "kill")
        arm(when, step, hit, action)
    from faust.cli.faust import cli

    cli()


if __name__ == "__main__":
    main()
