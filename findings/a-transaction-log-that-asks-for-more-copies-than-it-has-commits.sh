#!/usr/bin/env bash
# The good guess: transaction.state.log.min.isr=2 on a single broker, where the transaction log has
# one replica, makes every transaction fail. So does min.insync.replicas=2 for a topic with one
# replica that is written with acks=all (NOT_ENOUGH_REPLICAS).
# The behaviour: Kafka 4.3.1 commits, because it limits min.insync.replicas to the number of
# replicas. On Kafka 3.6.2 (the version is the only argument) no transactional producer can start.
scratch=$(mktemp -d)
source "$(dirname "$0")/kafka.bash"
properties=transaction.state.log.min.isr=2
start_kafka "${1:-4.3.1}" aiokafka==0.14.0

timeout 120 "$python" - "$bootstrap" "${1:-4.3.1}" <<'EOF'
import asyncio
import sys

import aiokafka
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError


async def main(bootstrap, version):
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    two = {"min.insync.replicas": "2"}
    await admin.create_topics([NewTopic("output", 1, 1, topic_configs=two)])
    await admin.close()
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, transactional_id="writer", request_timeout_ms=10_000
    )
    print(f"aiokafka {aiokafka.__version__}, Kafka {version}")
    print("guessed: no transaction commits, its log asks for two copies in sync and has one")
    try:
        await asyncio.wait_for(producer.start(), 30)
        async with producer.transaction():
            await producer.send_and_wait("output", b"value")
    except (KafkaError, TimeoutError) as error:
        print(f"seen: {error!r}")
        sys.exit(1)
    finally:
        await asyncio.wait([asyncio.ensure_future(producer.stop())], timeout=10)
    print("seen: a transaction that writes to such a topic has committed")


asyncio.run(main(*sys.argv[1:]))
EOF
