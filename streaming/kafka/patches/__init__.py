"""All changes to the internals of aiokafka 0.14; :func:`install` makes them once.

| where | change | reason |
| --- | --- | --- |
| :mod:`~streaming.kafka.patches.closed_connections` | writing to a closed connection raises \
``KafkaConnectionError`` | uvloop raises ``RuntimeError``, which ends aiokafka's metadata task |
| :mod:`~streaming.kafka.patches.closing_fetches` | a consumer stops without an error while a \
fetch waits for its next attempt | aiokafka's ``stop()`` raises the fetch's cancellation |
| :mod:`~streaming.kafka.patches.logins` | refused tokens are errors; a connection is replaced \
before its session ends | aiokafka takes a refusal for a login, and ignores sessions (KIP-368) |
| :mod:`~streaming.kafka.patches.produce_requests` | records are copied once | aiokafka copies \
them eight times |
| :mod:`~streaming.kafka.patches.quiet_sender` | the sender logs no errors | whoever waits for \
the transaction gets and logs the same error |
| :mod:`~streaming.kafka.patches.rebalance_timeout` | only a rebalance is waited for longer than \
``REQUEST_TIMEOUT_MS`` | aiokafka has one timeout for all requests of a client |
| :mod:`~streaming.kafka.patches.sequence_numbers` | a producer's sequence numbers continue at 0 \
after 2**31 - 1 | aiokafka's continue at -2**31, which brokers refuse |
| :mod:`~streaming.kafka.batch_reader` | fetched batches keep their bytes, and large ones are read \
in pieces | aiokafka decompresses a batch whole, and copies each record field by field |
| :mod:`~streaming.kafka.group_coordinator` | refusals of the group are known, retried or final | \
aiokafka's coordinator stops at the first refusal |

The tests of each module, and ``tests/streaming/test_insides.py``, fail when a release changes these
internals.
"""

from __future__ import annotations

from functools import cache

from streaming.kafka import batch_reader, group_coordinator
from streaming.kafka.patches import (
    closed_connections,
    closing_fetches,
    logins,
    produce_requests,
    quiet_sender,
    rebalance_timeout,
    sequence_numbers,
)


@cache
def install() -> None:
    """Change aiokafka in this process; later calls do nothing."""
    for module in (
        batch_reader,
        closed_connections,
        closing_fetches,
        group_coordinator,
        logins,
        produce_requests,
        quiet_sender,
        rebalance_timeout,
        sequence_numbers,
    ):
        module.install()
