#!/usr/bin/env bash
# The good guess: once commit_transaction() has returned, OffsetFetch returns the offsets that were
# sent with the transaction.
# The behaviour: the brokers acknowledge the commit before they write its markers to the partitions
# of the transaction, including the group's partition of __consumer_offsets. For some milliseconds
# OffsetFetch returns the offsets of the previous transaction.
scratch=$(mktemp -d)
source "$(dirname "$0")/kafka.bash"
start_kafka 4.3.1 aiokafka==0.14.0

timeout 300 "$python" - "$bootstrap" <<'EOF'
import asyncio
import sys

import aiokafka
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

COMMITS = 100


async def main(bootstrap):
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic("input", 1, 1)])
    await admin.close()
    place = TopicPartition("input", 0)
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id="writer")
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id="readers")
    await producer.start()
    await consumer.start()
    consumer.assign([place])
    older = 0
    for offset in range(1, COMMITS + 1):
        async with producer.transaction():
            await producer.send_offsets_to_transaction({place: offset}, "readers")
        older += await consumer.committed(place) != offset
    for _ in range(100):
        if await consumer.committed(place) == COMMITS:
            break
        await asyncio.sleep(0.1)
    else:
        sys.exit("the last offset never came")
    await consumer.stop()
    await producer.stop()
    print(f"aiokafka {aiokafka.__version__}, Kafka 4.3.1")
    print(f"guessed: after each of {COMMITS} commits the group has that commit's offset")
    print(f"seen: after {older} of them it still had an older one, and the last one came later")
    sys.exit(older == 0)


asyncio.run(main(sys.argv[1]))
EOF
