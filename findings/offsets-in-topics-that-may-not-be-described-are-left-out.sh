#!/usr/bin/env bash
# The good guess: a client that may describe a group and requests its offsets gets all of them, or
# an error for a topic that it may not describe.
# The behaviour: Kafka 4.3.1 omits the offsets of such a topic from its answer without an error, as
# if the group had none.
scratch=$(mktemp -d)
source "$(dirname "$0")/kafka.bash"
properties='authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=true'
start_kafka 4.3.1 aiokafka==0.14.0 confluent-kafka==2.12.0

timeout 120 "$python" - "$bootstrap" <<'EOF'
import asyncio
import sys

import aiokafka
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

TOPICS = {"hidden", "shown"}


def hide(bootstrap):
    rule = AclBinding(
        *(ResourceType.TOPIC, "hidden", ResourcePatternType.LITERAL, "User:ANONYMOUS", "*"),
        *(AclOperation.DESCRIBE, AclPermissionType.DENY),
    )
    client = AdminClient({"bootstrap.servers": bootstrap})
    client.create_acls([rule])[rule].result(30)


async def found(admin):
    return {place.topic for place in await admin.list_consumer_group_offsets("readers")}


async def main(bootstrap):
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(name, 1, 1) for name in TOPICS])
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id="readers")
    await consumer.start()
    consumer.assign([TopicPartition(name, 0) for name in TOPICS])
    await consumer.commit({TopicPartition(name, 0): 7 for name in TOPICS})
    await consumer.stop()
    assert await found(admin) == TOPICS
    hide(bootstrap)
    for _ in range(100):
        if (seen := await found(admin)) != TOPICS:
            break
        await asyncio.sleep(0.1)
    await admin.close()
    print(f"aiokafka {aiokafka.__version__}, Kafka 4.3.1")
    print("guessed: offsets in both topics, or an error for the one that may not be described")
    print(f"seen: offsets in {', '.join(sorted(seen))} alone, and no error")
    sys.exit(seen != {"shown"})


asyncio.run(main(sys.argv[1]))
EOF
