#!/usr/bin/env bash
# The good guess: a topic id has one text form, so an id from confluent-kafka can be compared with
# an id that Kafka's own tools and logs print.
# The behaviour: librdkafka writes the 16 bytes in the standard base64 alphabet, Kafka in the
# URL-safe one. "+" and "/" in the one are "-" and "_" in the other, which affects about every
# second id.
scratch=$(mktemp -d)
source "$(dirname "$0")/kafka.bash"
start_kafka 4.3.1 confluent-kafka==2.16.0

timeout 60 "$python" - "$bootstrap" >"$scratch/librdkafka" <<'PY'
import sys

from confluent_kafka import Producer, TopicCollection
from confluent_kafka.admin import AdminClient, NewTopic

admin = AdminClient({"bootstrap.servers": sys.argv[1]})
names = [f"t{number}" for number in range(20)]
for done in admin.create_topics([NewTopic(name, 1, 1) for name in names]).values():
    done.result(30)
# Kafka writes a topic's id beside its log only when the first record arrives.
producer = Producer({"bootstrap.servers": sys.argv[1]})
for name in names:
    producer.produce(name, b"")
producer.flush(30)
for name, done in sorted(admin.describe_topics(TopicCollection(names)).items()):
    print(name, done.result(30).topic_id)
PY
# The ids that Kafka writes beside each partition's log.
for place in "$scratch"/data/t*-0; do
  echo "$(basename "${place%-0}") $(sed -n 's/^topic_id: //p' "$place/partition.metadata")"
done | sort >"$scratch/kafka"
differ=$(comm -13 <(sort "$scratch/kafka") <(sort "$scratch/librdkafka") | wc -l)
"$python" -c 'import confluent_kafka as c; print("confluent-kafka", c.__version__, "librdkafka", c.libversion()[0])'
echo "guessed: the ids of 20 topics are the same texts"
echo "seen: $differ of them differ; for example, from Kafka and from librdkafka:"
diff "$scratch/kafka" <(sort "$scratch/librdkafka") | sed -n '2p;/^>/{p;q}' || true
same=$(comm -12 "$scratch/kafka" <(sort "$scratch/librdkafka" | tr '+/' '-_') | wc -l)
echo "with + and / replaced by - and _, $same of 20 are the same"
[ "$differ" -gt 0 ] && [ "$same" -eq 20 ]
