#!/usr/bin/env bash
# The good guess: a worker that has no partition, because there are more workers than partitions, stays
# in the group as a spare, and takes over when another worker ends.
# The behaviour: faust-streaming 0.15.3 fetches nothing for such a worker. After
# broker_max_poll_interval (1,000 s by default, 12 s here) aiokafka takes it out of the group, and lets
# it join again only once it fetches. When the other worker ends, nobody processes the topic.
scratch=$(mktemp -d)
source "$(dirname "$0")/kafka.bash"
start_kafka 4.3.1 faust-streaming==0.15.3 aiokafka==0.14.0

cat >"$scratch/spare.py" <<'EOF'
import os

import faust

app = faust.App(
    "spares",
    broker=f"kafka://{os.environ['BOOTSTRAP']}",
    store="memory://",
    topic_partitions=1,
    topic_disable_leader=True,
    broker_max_poll_interval=12.0,
    broker_session_timeout=10.0,
    broker_request_timeout=11.0,
    broker_heartbeat_interval=1.0,
)
events = app.topic("events", partitions=1, value_type=bytes, value_serializer="raw")


@app.agent(events)
async def read(stream):
    async for _ in stream:
        pass
EOF
timeout 60 "$python" - "$bootstrap" <<'EOF'
import asyncio
import sys

from aiokafka.admin import AIOKafkaAdminClient, NewTopic


async def create(bootstrap):
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic("events", 1, 1)])
    await admin.close()


asyncio.run(create(sys.argv[1]))
EOF
workers=()
end_workers() {
  for pid in "${workers[@]}"; do
    kill -9 "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
  end_kafka
}
trap end_workers EXIT
for number in 1 2; do
  (cd "$scratch" && exec env BOOTSTRAP="$bootstrap" "$python" -m faust -A spare \
    --datadir "$scratch/data-$number" worker --without-web -l info) >"$scratch/worker-$number.log" 2>&1 &
  workers+=($!)
done

timeout 200 "$python" - "$bootstrap" <<'EOF'
import asyncio
import sys
from importlib.metadata import version
from time import monotonic

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError


async def main(bootstrap):
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()

    async def members():
        try:
            (answer,) = await admin.describe_consumer_groups(["spares"])
        except KafkaError:
            return -1, ""
        _, _, state, *_ = group = answer.groups[0]
        return len(group[5]), state

    begun = monotonic()
    while await members() != (2, "Stable"):
        if monotonic() - begun > 90:
            sys.exit("the workers do not join")
        await asyncio.sleep(0.5)
    joined = monotonic()
    while (count := (await members())[0]) == 2 and monotonic() - joined < 60:
        await asyncio.sleep(0.5)
    left = monotonic() - joined
    await asyncio.sleep(20)
    later = (await members())[0]
    await admin.close()
    print(
        f"faust-streaming {version('faust-streaming')}, aiokafka {version('aiokafka')}, Kafka 4.3.1"
    )
    print("guessed: both workers stay in the group")
    print(f"seen: {count} member after {left:.0f} s, {later} after 20 s more")
    sys.exit(not (count == later == 1))


asyncio.run(main(sys.argv[1]))
EOF
