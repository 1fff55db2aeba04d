#!/usr/bin/env bash
# The good guess: an idempotent producer may send any number of records, as Kafka's own does: its
# sequence numbers continue at 0 after 2**31 - 1.
# The behaviour: aiokafka 0.14.0 continues at -2**31, and the broker refuses the batch with that number
# with UnknownError (-1). A transaction that contains it cannot commit.
scratch=$(mktemp -d)
source "$(dirname "$0")/kafka.bash"
start_kafka 4.3.1 aiokafka==0.14.0

timeout 120 "$python" - "$bootstrap" <<'EOF'
import asyncio
import sys

import aiokafka
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition


async def main(bootstrap):
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, enable_idempotence=True, request_timeout_ms=5000
    )
    await producer.start()
    # In place of two billion records: a broker accepts any first number of a new producer.
    numbers = producer._txn_manager._sequence_numbers
    numbers[TopicPartition("events", 0)] = 2**31 - 2
    seen = []
    for _ in range(3):
        number = numbers[TopicPartition("events", 0)]
        try:
            await producer.send_and_wait("events", b"x", partition=0)
            seen.append(f"{number} accepted")
        except KafkaError as exc:
            seen.append(f"{number} refused: {type(exc).__name__}")
            break
    print(f"aiokafka {aiokafka.__version__}, Kafka 4.3.1")
    print("guessed: 2147483646 accepted, 2147483647 accepted, 0 accepted")
    print(f"seen: {', '.join(seen)}")
    await asyncio.wait({asyncio.ensure_future(producer.stop())}, timeout=5)
    sys.exit(not (len(seen) == 3 and seen[2].startswith("-2147483648 refused")))


asyncio.run(main(sys.argv[1]))
EOF
