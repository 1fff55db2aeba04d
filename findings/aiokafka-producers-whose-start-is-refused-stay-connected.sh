#!/usr/bin/env bash
# The good guess: a producer whose start() raises has released its connections, so that stop() is for
# started producers only, as in the usual order of start(), try, finally, stop().
# The behaviour: aiokafka 0.14.0 leaves the connections open when the broker refuses the transactional
# id's settings; only stop() closes them.
scratch=$(mktemp -d)
source "$(dirname "$0")/kafka.bash"
start_kafka 4.3.1 aiokafka==0.14.0

timeout 120 "$python" - "$bootstrap" <<'EOF'
import asyncio
import os
import sys

import aiokafka
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

#: More than the 15 minutes that brokers allow by default.
TIMEOUT_MS = 3_600_000


def sockets():
    links = (f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd"))
    return sum(os.readlink(link).startswith("socket:") for link in links if os.path.islink(link))


async def main(bootstrap):
    before = sockets()
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        transactional_id="payments",
        transaction_timeout_ms=TIMEOUT_MS,
    )
    try:
        await producer.start()
    except KafkaError as exc:
        refusal = type(exc).__name__
    refused = sockets() - before
    await producer.stop()
    await asyncio.sleep(0.5)
    stopped = sockets() - before
    print(f"aiokafka {aiokafka.__version__}, Kafka 4.3.1")
    print("guessed: no connection after start() has raised")
    print(f"seen: start() raised {refusal}; {refused} connections open, after stop() {stopped}")
    sys.exit(not (refused > 0 and stopped == 0))


asyncio.run(main(sys.argv[1]))
EOF
