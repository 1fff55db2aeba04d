#!/usr/bin/env bash
# The good guess: after a consumer has replaced another one with the same group.instance.id
# (KIP-345), DescribeGroups shows the new consumer's client id.
# The behaviour: Kafka 4.3.1 gives the member a new member id, but shows the client id of the first
# consumer that ever had that instance id. Only the member id distinguishes the two.
scratch=$(mktemp -d)
source "$(dirname "$0")/kafka.bash"
start_kafka 4.3.1 confluent-kafka==2.12.0

timeout 120 "$python" - "$bootstrap" <<'EOF'
import sys

import confluent_kafka
from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient, NewTopic

bootstrap = sys.argv[1]
admin = AdminClient({"bootstrap.servers": bootstrap})
admin.create_topics([NewTopic("input", 1)])["input"].result(30)


def join(client_id):
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "readers",
            "group.instance.id": "reader-1",
            "client.id": client_id,
        }
    )
    consumer.subscribe(["input"])
    for _ in range(60):
        consumer.poll(0.5)
        if consumer.assignment():
            return consumer
    sys.exit(f"{client_id} was assigned nothing")


def member():
    (found,) = admin.describe_consumer_groups(["readers"])["readers"].result(30).members
    return found.member_id, found.client_id


first = join("first-process")
first_id, first_client = member()
second = join("second-process")
second_id, second_client = member()
second.close()
first.close()
print(f"confluent-kafka {confluent_kafka.__version__}, Kafka 4.3.1")
print("guessed: the member that has taken the place is shown with its client id, second-process")
print(f"seen: before {first_client}, after {second_client}; another member: {first_id != second_id}")
sys.exit(not (first_client == second_client == "first-process" and first_id != second_id))
EOF
